"""Nodes to typed specs, collecting every error with its line and what to write instead. Pure; knows no kind's meaning."""

from __future__ import annotations

import difflib
import types
import typing
import unicodedata
from collections.abc import Mapping
from datetime import date
from enum import Enum
from typing import Any, Final

import msgspec
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from revline.core.money import Amount, parse_amount
from revline.core.problem import FieldError, Problem
from revline.platform.config.source import kind_of, line_of


class Bad:
    """Stands for a value that could not be read; its error is in the list."""


BAD: Final = Bad()


class Reader:
    """Reads the values of one document. errors: what was wrong. places: the line of each path that was read."""

    def __init__(self, *, file: str) -> None:
        self.file = file
        self.errors: list[FieldError] = []
        self.places: dict[str, int] = {}

    def fail(self, node: Node, detail: str, instead: str = "") -> Bad:
        """Note an error at a node."""
        self.errors.append(FieldError(pointer=f"{self.file}:{line_of(node)}", detail=detail, instead=instead))
        return BAD

    def entries(self, node: Node, path: str) -> dict[str, tuple[Node, Node]] | Bad:
        """The keys of a mapping with their nodes; a key given twice is an error."""
        if not isinstance(node, MappingNode):
            return self.fail(node, f"{path} is a mapping", f"{path.rsplit('.', 1)[-1]}: and its keys below, indented")
        found: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                return self.fail(key, "a key is plain text")
            if not _can_be_kept(key.value):
                return self.fail(key, "the key holds a control character", "plain text")
            if key.value in found:
                self.fail(key, f"{key.value} stands here twice", "it once; the first stands above")
                continue
            found[key.value] = (key, value)
        return found

    def read(self, node: Node, kind: Any, path: str) -> Any:
        """The value of a node as a type, or BAD with an error noted."""
        self.places[path] = line_of(node)
        origin = typing.get_origin(kind)
        if origin in {typing.Union, types.UnionType}:
            options = [each for each in typing.get_args(kind) if each is not type(None)]
            if kind_of(node) == "null" and len(options) < len(typing.get_args(kind)):
                return None
            return self.read(node, options[0], path)
        if origin is tuple:
            return self._sequence(node, typing.get_args(kind)[0], path)
        if origin in {dict, Mapping}:
            return self._mapping(node, typing.get_args(kind)[1], path)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.struct(node, kind, path)
        return self._scalar(node, kind, path)

    def struct(self, node: Node, kind: type[msgspec.Struct], path: str) -> Any:
        """A Struct from a mapping: unknown keys, missing keys and wrong values are all noted."""
        entries = self.entries(node, path)
        if isinstance(entries, Bad):
            return BAD
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        values: dict[str, Any] = {}
        bad = False
        for key, (key_node, value_node) in entries.items():
            field = fields.get(key)
            if field is None:
                self.unknown_key(key_node, key, path, tuple(fields))
                bad = True
                continue
            value = self.read(value_node, field.type, f"{path}.{key}")
            self.places[f"{path}.{key}"] = line_of(key_node)
            bad = bad or value is BAD
            values[field.name] = value
        for name, field in fields.items():
            if field.required and name not in entries:
                self.fail(node, f"{path} has no {name}", f"{name}: {_example(field.type)}")
                bad = True
        return BAD if bad else kind(**values)

    def unknown_key(self, node: Node, key: str, path: str, known: tuple[str, ...]) -> None:
        """Note a key that is not there, with the nearest one that is."""
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        instead = f"{near[0]}" if near else f"one of: {', '.join(sorted(known))}"
        self.fail(node, f"{path} has no key {key}", instead)

    def _sequence(self, node: Node, kind: Any, path: str) -> Any:
        name = path.rsplit(".", 1)[-1]
        if not isinstance(node, SequenceNode):
            return self.fail(node, f"{path} is a list", f"{name}: and below it items that begin with '- '")
        values = [self.read(item, kind, f"{path}[{index}]") for index, item in enumerate(node.value)]
        return BAD if any(value is BAD for value in values) else tuple(values)

    def _mapping(self, node: Node, kind: Any, path: str) -> Any:
        entries = self.entries(node, path)
        if isinstance(entries, Bad):
            return BAD
        values = {key: self.read(value, kind, f"{path}.{key}") for key, (_, value) in entries.items()}
        return BAD if any(value is BAD for value in values.values()) else values

    def _scalar(self, node: Node, kind: Any, path: str) -> Any:
        name = path.rsplit(".", 1)[-1]
        if not isinstance(node, ScalarNode):
            return self.fail(node, f"{path} is one value", f"{name}: {_example(kind)}")
        text, plain = str(node.value), kind_of(node)
        if not _can_be_kept(text):
            return self.fail(node, f"{path} holds a control character", "plain text")
        if kind is Amount:
            amount = parse_amount(text)
            if plain != "str" or isinstance(amount, Problem):
                quoted = f'"{text}"' if not isinstance(amount, Problem) else '"12.50"'
                detail = f"{path} is an amount or rate; these are quoted text, never a number"
                return self.fail(node, detail, f"{name}: {quoted}")
            return amount
        if kind is bool:
            if plain != "bool":
                return self.fail(node, f"{path} is true or false", f"{name}: true")
            return text.lower() == "true"
        if kind is int:
            if plain != "int" or not text.lstrip("-").isdecimal() or len(text) > 18:
                return self.fail(node, f"{path} is a whole number", f"{name}: 1")
            return int(text)
        if kind is date:
            return self._date(node, text, path)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return self._choice(node, text, kind, path)
        if plain not in {"str", "int"}:
            return self.fail(node, f"{path} is text; {text or 'nothing'} reads as {plain}", f'{name}: "{text}"')
        return text

    def _date(self, node: Node, text: str, path: str) -> Any:
        try:
            if len(text) != 10:
                raise ValueError(text)
            return date.fromisoformat(text)
        except ValueError:
            name = path.rsplit(".", 1)[-1]
            return self.fail(node, f"{path} is a day; {text[:80]!r} is none", f"{name}: 2026-01-31 (year-month-day)")

    def _choice(self, node: Node, text: str, kind: type[Enum], path: str) -> Any:
        values = [str(member.value) for member in kind]
        if text in values:
            return kind(text)
        near = difflib.get_close_matches(text, values, n=1, cutoff=0.5)
        name = path.rsplit(".", 1)[-1]
        instead = f"{name}: {near[0]}" if near else f"one of: {', '.join(values)}"
        return self.fail(node, f"{path} can't be {text[:80]!r}", instead)


def _can_be_kept(text: str) -> bool:
    """No control character but line breaks and tabs, and no half of a surrogate pair: neither can be stored or shown safely."""
    return all(character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cs"} for character in text)


def _example(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if origin in {typing.Union, types.UnionType}:
        return _example(next(each for each in typing.get_args(kind) if each is not type(None)))
    if origin is tuple:
        return "and a list below it"
    if origin is not None or (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return "and its keys below it"
    if kind is Amount:
        return '"12.50"'
    if kind is date:
        return "2026-01-31"
    if kind is bool:
        return "true"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(str(member.value) for member in kind)
    return "1" if kind is int else "text"
