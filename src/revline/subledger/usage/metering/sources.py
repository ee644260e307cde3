"""Where events are read from: groups of files that need the same conditions, and the waiting rows. Pure; runs nothing.

A condition costs a column, so each group has only those its files need: a file within the window is not filtered by time, one
within the version not by sequence, one without untyped rows not by `typed`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from revline.subledger.usage import columns
from revline.subledger.usage.metering.dialects import Dialect, quoted
from revline.subledger.usage.store.values import SegmentFile
from revline.subledger.usage.versions import UsageVersion, Window

if TYPE_CHECKING:  # only named here
    import pyarrow as pa

TAIL: Final = "tail"
"""The relation of rows that are in no file."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Rows under the same conditions: files, or the tail (no paths). fields: field columns there are. within: every row is in the
    window. whole: every row is in the version. typed: none was of an unknown type. types: of its rows, when known. alike: all files
    have the same columns."""

    paths: tuple[str, ...]
    fields: tuple[str, ...]
    within: bool
    whole: bool
    typed: bool
    types: frozenset[str] | None
    alike: bool = False


def sources_of(
    *,
    files: Iterable[SegmentFile],
    tail_columns: Sequence[str] | None,
    window: Window,
    types: Collection[str] | None = None,
) -> tuple[Source, ...]:
    """Files by what has to be asked of their rows, and the tail where there is one. types: those that will be asked for."""
    groups: dict[tuple[bool, bool, bool, bool], list[SegmentFile]] = defaultdict(list)
    wanted = frozenset(types or ())
    for file in files:
        segment = file.segment
        within = window.start <= segment.first_at and segment.last_at < window.end
        groups[within, file.whole, not segment.untyped, wanted.issuperset(segment.types)].append(file)
    found = [
        Source(
            paths=tuple(sorted(each.path for each in group)),
            fields=tuple(sorted({name for each in group for name in each.segment.columns} - set(columns.COMMON))),
            within=within,
            whole=whole,
            typed=typed,
            types=frozenset(each for file in group for each in file.segment.types),
            alike=len({file.segment.columns for file in group}) == 1,
        )
        for (within, whole, typed, _), group in sorted(groups.items())
    ]
    if tail_columns is not None:
        fields = tuple(sorted(set(tail_columns) - set(columns.COMMON)))
        found.append(Source(paths=(), fields=fields, within=False, whole=True, typed=False, types=None))
    return tuple(found)


def voiding_columns(tail: pa.Table | None) -> list[str] | None:
    """The columns of waiting rows among which there is a void, or None."""
    if tail is None or tail[columns.VOIDS_ID].null_count == len(tail):
        return None
    return list(tail.column_names)


def fields_of(sources: Iterable[Source]) -> frozenset[str]:
    """Every field column there is anywhere."""
    return frozenset(name for source in sources for name in source.fields)


def events_sql(
    dialect: Dialect,
    *,
    sources: Sequence[Source],
    wanted: Sequence[str],
    version: UsageVersion,
    window: Window | None,
    types: Collection[str] | None,
    subjects: Collection[str] = (),
    typed: bool = True,
    tail: str = TAIL,
) -> str:
    """A relation of the wanted columns of every event of the version in the window and of the types; None asks for all.

    subjects: only of these, when there are few enough to say so. typed: leave out events whose type was unknown.
    """
    parts = []
    for source in sources:
        conditions = list(_conditions(dialect, source, version, window, types, typed))
        if subjects:
            conditions.append(f"{columns.SUBJECT} IN ({', '.join(dialect.text(each) for each in sorted(subjects))})")
        has = set(source.fields) | set(columns.COMMON)
        chosen = [quoted(name) if name in has else f"{dialect.nothing(name)} AS {quoted(name)}" for name in wanted]
        relation = _relation(dialect, source, tail)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        parts.append(f"SELECT {', '.join(chosen)} FROM {relation}{where}")
    return " UNION ALL ".join(parts)


def _relation(dialect: Dialect, source: Source, tail: str) -> str:
    return dialect.files(source.paths, fields=source.fields, alike=source.alike) if source.paths else tail


def _conditions(
    dialect: Dialect,
    source: Source,
    version: UsageVersion,
    window: Window | None,
    types: Collection[str] | None,
    typed: bool,  # noqa: FBT001 - private, named where it is given
) -> Iterable[str]:
    if types is not None and (source.types is None or not source.types <= set(types)):
        found = ", ".join(dialect.text(each) for each in sorted(types))
        yield f"{columns.TYPE} IN ({found})" if len(types) > 1 else f"{columns.TYPE} = {found}"
    if window is not None and not source.within:
        yield f"{columns.OCCURRED_AT} >= {dialect.moment(window.start)}"
        yield f"{columns.OCCURRED_AT} < {dialect.moment(window.end)}"
    if not source.whole:
        shards = [
            f"({columns.SHARD} = {dialect.integer(shard)} AND {columns.SEQUENCE} <= {dialect.integer(last)})"
            for shard, last in version.watermarks
        ]
        yield f"({' OR '.join(shards)})" if shards else "FALSE"
    if typed and not source.typed:
        yield columns.TYPED
