"""Configuration files are parsed once a process: most tests write the same ones, and reading YAML costs them more than all else."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ruamel.yaml.nodes import MappingNode

from revline.core.problem import FieldError
from revline.platform.config import loader
from revline.platform.config.source import parse_documents

FILES_MAX: Final = 500


@lru_cache(maxsize=FILES_MAX)
def _parsed(text: str, file: str) -> tuple[tuple[MappingNode, ...], tuple[FieldError, ...]]:
    nodes, errors = parse_documents(text=text, file=file)
    return tuple(nodes), tuple(errors)


def _remembered(*, text: str, file: str) -> tuple[list[MappingNode], list[FieldError]]:
    nodes, errors = _parsed(text, file)
    return list(nodes), list(errors)


def parse_once() -> None:
    """From now on the loader of this process parses a file anew only when its name or its text is new; it changes no node."""
    loader.parse_documents = _remembered
