"""YAML text to nodes that know their lines, within limits. No tags, no aliases, nothing is constructed. Pure; knows no kind.

The text forms of scalars are kept, so that no number is read through a binary float. YAML 1.2, by ruamel.yaml's pure parser.
"""

from __future__ import annotations

import io
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from revline.core.problem import FieldError

FILE_BYTES_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 20
NODES_MAX: Final = 100_000


def parse_documents(*, text: str, file: str) -> tuple[list[MappingNode], list[FieldError]]:
    """The documents of one file as mapping nodes, and what is wrong with it. A file that breaks a limit gives no document."""
    try:
        broken = _limit_errors(text, file)
        if broken:
            return [], broken
        nodes = list(YAML(typ="rt", pure=True).compose_all(io.StringIO(text)))
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


def _limit_errors(text: str, file: str) -> list[FieldError]:
    if len(text.encode()) > FILE_BYTES_MAX:
        return [_error(file, 1, f"the file is larger than {FILE_BYTES_MAX} bytes", "several smaller files")]
    depth = 0
    for count, event in enumerate(YAML(typ="rt", pure=True).parse(io.StringIO(text))):
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            return [_error(file, line, "anchors and aliases are not taken", "the value itself, written out")]
        if getattr(event, "tag", None):
            return [_error(file, line, f"tags such as {event.tag} are not taken", "the plain value")]
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            return [_error(file, line, f"nested deeper than {DEPTH_MAX} levels", "a flatter document")]
        if count > NODES_MAX:
            return [_error(file, line, f"the file has more than {NODES_MAX} nodes", "several smaller files")]
    return []


def _error(file: str, line: int, detail: str, instead: str) -> FieldError:
    return FieldError(pointer=f"{file}:{line}", detail=detail, instead=instead)
