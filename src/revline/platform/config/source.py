"""YAML text to nodes that know their lines, within limits. No tags, no aliases, nothing is constructed. Pure; knows no kind.

The text forms of scalars are kept, so that no number is read through a binary float. YAML 1.2, by ruamel.yaml's pure parser.
"""

from __future__ import annotations

import io
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.parser import RoundTripParser

from revline.core.problem import FieldError

FILE_BYTES_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 20
NODES_MAX: Final = 100_000


def parse_documents(*, text: str, file: str) -> tuple[list[MappingNode], list[FieldError]]:
    """The documents of one file as mapping nodes, and what is wrong with it. A file that breaks a limit gives no document."""
    if len(text.encode()) > FILE_BYTES_MAX:
        return [], [
            _error(file, 1, f"the file is larger than {FILE_BYTES_MAX} bytes", "several smaller files"),
        ]
    yaml = YAML(typ="rt", pure=True)
    yaml.Parser = _LimitedParser
    try:
        nodes = list(yaml.compose_all(io.StringIO(text)))
    except _LimitBrokenError as broken:
        return [], [_error(file, broken.line, broken.detail, broken.instead)]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return [], [
            _error(file, line, f"not YAML: {error.problem or error.context}", "mend the indentation or quoting there")
        ]
    except (YAMLError, ValueError, RecursionError) as error:
        return [], [_error(file, 1, f"not YAML: {str(error).splitlines()[0][:200]}", "a YAML document in UTF-8")]
    found: list[MappingNode] = []
    errors: list[FieldError] = []
    for node in nodes:
        if node is None or (isinstance(node, ScalarNode) and not node.value):
            continue
        if isinstance(node, MappingNode):
            found.append(node)
        else:
            errors.append(
                _error(file, line_of(node), "a document is a mapping", "apiVersion:, kind:, metadata:, spec:")
            )
    return found, errors


def line_of(node: Node) -> int:
    """The line a node begins on, from 1."""
    return int(node.start_mark.line) + 1


def kind_of(node: Node) -> str:
    """map, seq, str, int, float, bool, null, timestamp: what a plain reading of the node is."""
    return str(node.tag).rsplit(":", 1)[-1]


class _LimitBrokenError(Exception):
    """Something a configuration file may not hold. line: from 1; instead: what to write."""

    def __init__(self, *, line: int, detail: str, instead: str) -> None:
        super().__init__(detail)
        self.line, self.detail, self.instead = line, detail, instead


class _LimitedParser(RoundTripParser):
    """Stops at the first event that breaks a limit, before anything is made of it: a file is read once, and never further."""

    depth = 0
    count = 0

    def get_event(self) -> Any:
        event = super().get_event()
        self._check(event)
        self.count += 1
        return event

    def _check(self, event: Any) -> None:
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            self._stop(event, "anchors and aliases are not taken", "the value itself, written out")
        if getattr(event, "tag", None):
            self._stop(event, f"tags such as {event.tag} are not taken", "the plain value")
        if isinstance(event, CollectionStartEvent):
            self.depth += 1
        elif isinstance(event, CollectionEndEvent):
            self.depth -= 1
        if self.depth > DEPTH_MAX:
            self._stop(event, f"nested deeper than {DEPTH_MAX} levels", "a flatter document")
        if self.count > NODES_MAX:
            self._stop(event, f"the file has more than {NODES_MAX} nodes", "several smaller files")

    def _stop(self, event: Any, detail: str, instead: str) -> None:
        raise _LimitBrokenError(line=event.start_mark.line + 1, detail=detail, instead=instead)


def _error(file: str, line: int, detail: str, instead: str) -> FieldError:
    return FieldError(pointer=f"{file}:{line}", detail=detail, instead=instead)
