"""Configuration is read once a process: most tests write the same files, and reading them costs more than all else they do.

Parsing, reading and checking ask for nothing but text and kinds, so what they gave for a text once they would give again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from ruamel.yaml.nodes import MappingNode

from revline.core.problem import FieldError
from revline.platform.config import loader
from revline.platform.config.documents import ConfigDocument
from revline.platform.config.registry import KindType, Registry
from revline.platform.config.source import parse_documents

KEPT_MAX: Final = 2_000
Document = ConfigDocument[Any]
_read_alone, _checked_together = loader._document, loader._check_meaning
_documents: dict[Any, tuple[MappingNode, Document | None, list[FieldError]]] = {}
"""By the node's identity, which is its own for as long as it is kept beside what was made of it; so with documents below."""
_meanings: dict[Any, tuple[list[Document], list[FieldError]]] = {}


@lru_cache(maxsize=KEPT_MAX)
def _parsed(text: str, file: str) -> tuple[tuple[MappingNode, ...], tuple[FieldError, ...]]:
    nodes, errors = parse_documents(text=text, file=file)
    return tuple(nodes), tuple(errors)


def _parse(*, text: str, file: str) -> tuple[list[MappingNode], list[FieldError]]:
    nodes, errors = _parsed(text, file)
    return list(nodes), list(errors)


def _document(node: MappingNode, file: str, registry: Registry, errors: list[FieldError]) -> Document | None:
    key = (id(node), file, tuple(registry.get(name) for name in registry.names()))
    if key not in _documents:
        told: list[FieldError] = []
        made = _read_alone(node, file, registry, told)
        if len(_documents) >= KEPT_MAX:
            _documents.clear()
            _meanings.clear()
        _documents[key] = node, made, told
    _, document, found = _documents[key]
    errors.extend(found)
    return document


def _check_meaning(documents: list[Document], kinds: dict[str, KindType], errors: list[FieldError]) -> None:
    key = (tuple(map(id, documents)), tuple(kinds[name] for name in sorted(kinds)))
    if key not in _meanings:
        told: list[FieldError] = []
        _checked_together(documents, kinds, told)
        if len(_meanings) >= KEPT_MAX:
            _meanings.clear()
        _meanings[key] = [*documents], told
    errors.extend(_meanings[key][1])


def read_once() -> None:
    """From now on the loader of this process reads anew only what it has not read before; it changes nothing of what it read."""
    loader.parse_documents, loader._document, loader._check_meaning = _parse, _document, _check_meaning
