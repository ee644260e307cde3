"""The audit hash chain: canonical bytes of rows, the hash of a unit of work, and the check of a whole chain.

Bytes and hashes are pure. `verify_chain` reads a tenant's rows back and computes every hash again; it must find any row that
was altered, removed, added or swapped, so nothing here may depend on how a value travelled through PostgreSQL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Connection, MetaData, Table, func, select

from revline.platform.store import tables
from revline.platform.store.walls import is_recorded, metadata

GENESIS_HASH: Final = bytes(32)
LARGE_BYTES: Final = 512
"""Texts, binaries and documents beyond this enter by their SHA-256."""
UNITS_PER_CHUNK: Final = 100
MAXIMUM_FINDINGS: Final = 100
_TEXT_HEADS: Final = tuple(b"s" + size.to_bytes(8, "big") for size in range(LARGE_BYTES + 1))
"""How a text of so many bytes begins."""
UNHASHED_COLUMNS: Final = frozenset({"archived"})
"""Says where a row is kept, not what it says."""


class ChainFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One place where a chain does not hold. position: of the unit, 0 for the counter. code: stable."""

    position: int
    code: str
    detail: str


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, where the chain ends, and what does not hold (at most 100 findings)."""

    tenant_id: str
    unit_count: int
    row_count: int
    head_position: int
    head_hash: bytes
    findings: tuple[ChainFinding, ...]

    @property
    def holds(self) -> bool:
        """True when every unit and row is what was written."""
        return not self.findings


def canonical_row_bytes(table_name: str, values: Mapping[str, Any]) -> bytes:
    """The bytes a row enters the hash with: table and columns by name, nulls left out, numbers without trailing zeros.

    Equal for a row as written and as read back. Raises TypeError for floats and values without a canonical form, ValueError
    for times without a zone and numbers that aren't finite.
    """
    parts = [_name_bytes(b"r", table_name)]
    for name, framed in _columns_of(tuple(values)):
        value = values[name]
        if value is None:
            continue
        if type(value) is str:
            encoded = value.encode()
            size = len(encoded)
            if size > LARGE_BYTES:
                parts += (framed, _sized(b"s", encoded))
            else:
                parts += (framed, _TEXT_HEADS[size], encoded)
        else:
            parts += (framed, (_ENCODERS.get(type(value)) or _encoder_of(value))(value))
    return b"".join(parts)


@lru_cache(maxsize=4096)
def _columns_of(names: tuple[str, ...]) -> tuple[tuple[str, bytes], ...]:
    """Hashed columns by name, each with its framed name. Rows of one kind name them in one order."""
    return tuple((name, _name_bytes(b"c", name)) for name in sorted(names) if name not in UNHASHED_COLUMNS)


def unit_hash(
    *,
    previous_hash: bytes,
    tenant_id: str,
    position: int,
    kind: str,
    actor: str,
    reason: str,
    recorded_at: datetime,
    rows: Sequence[bytes],
) -> bytes:
    """SHA-256 over the previous hash, the unit's own values and its rows' canonical bytes by ordinal."""
    digest = hashlib.sha256()
    for value in (previous_hash, tenant_id, position, kind, actor, reason, recorded_at, len(rows)):
        digest.update(_encoded(value))
    for row in rows:
        digest.update(b"R" + len(row).to_bytes(8, "big"))
        digest.update(row)
    return digest.digest()


def number_text(value: int | Decimal) -> str:
    """A number without exponent and trailing zeros: the same text for every scale it may be stored with."""
    if isinstance(value, int):
        return str(value)
    if not value.is_finite():
        raise ValueError(f"{value} is not a finite number")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


@lru_cache(maxsize=4096)
def _name_bytes(tag: bytes, name: str) -> bytes:
    return _framed(tag, name.encode())


def _framed(tag: bytes, payload: bytes) -> bytes:
    return tag + len(payload).to_bytes(8, "big") + payload


def _sized(tag: bytes, payload: bytes) -> bytes:
    if len(payload) > LARGE_BYTES:
        return _framed(tag.upper(), hashlib.sha256(payload).digest())
    return _framed(tag, payload)


def _encoded(value: Any) -> bytes:
    return (_ENCODERS.get(type(value)) or _encoder_of(value))(value)


@lru_cache(maxsize=1024)
def _moment(value: datetime) -> bytes:
    """Rows of one unit share their moments; equal moments of two zones are one moment in UTC."""
    if value.tzinfo is None:
        raise ValueError("a time without a zone has no place in the chain")
    return _framed(b"d", value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode())


@lru_cache(maxsize=8192)
def _number(value: int | Decimal) -> bytes:
    """Few amounts, positions and ordinals are new; equal ones have one text, whatever their scale."""
    return _framed(b"n", number_text(value).encode())


@lru_cache(maxsize=1024)
def _day(value: date) -> bytes:
    return _framed(b"y", value.isoformat().encode())


_KINDS: Final[tuple[tuple[type, Callable[[Any], bytes]], ...]] = (
    (type(None), lambda _: _framed(b"z", b"")),
    (bool, lambda value: _framed(b"t", b"1" if value else b"0")),
    (int, _number),
    (Decimal, _number),
    (str, lambda value: _sized(b"s", value.encode())),
    (bytes, lambda value: _sized(b"b", value)),
    (bytearray, lambda value: _sized(b"b", bytes(value))),
    (memoryview, lambda value: _sized(b"b", bytes(value))),
    (datetime, _moment),
    (date, _day),
    (UUID, lambda value: _framed(b"u", value.bytes)),
    (Mapping, lambda value: _sized(b"m", b"".join(_pairs(value)))),
    (list, lambda value: _sized(b"l", b"".join(_encoded(item) for item in value))),
    (tuple, lambda value: _sized(b"l", b"".join(_encoded(item) for item in value))),
)
"""Subclasses before what they are subclasses of."""
_ENCODERS: Final[dict[type, Callable[[Any], bytes]]] = dict(_KINDS)


def _encoder_of(value: object) -> Callable[[Any], bytes]:
    """The encoder of a subclass, such as an amount's; kept for the next one."""
    for kind, encoder in _KINDS:
        if isinstance(value, kind):
            _ENCODERS[type(value)] = encoder
            return encoder
    raise TypeError(f"{type(value).__name__} has no canonical bytes; floats never do")


def _pairs(value: Mapping[Any, Any]) -> Iterator[bytes]:
    if not all(isinstance(name, str) for name in value):
        raise TypeError("keys of a document are texts")
    for name in sorted(value):
        yield _framed(b"k", name.encode())
        yield _encoded(value[name])


def verify_chain(connection: Connection, *, tenant_id: str, tables_of: MetaData = metadata) -> ChainReport:
    """Reads every unit and recorded row of a tenant, in chunks, and computes the chain again.

    The connection must name the tenant; `tables_of` must hold every package's tables, or their rows are missed.
    """
    check = _Check(connection, tenant_id, [table for table in tables_of.sorted_tables if is_recorded(table)])
    check.run()
    return ChainReport(
        tenant_id=tenant_id,
        unit_count=check.unit_count,
        row_count=check.row_count,
        head_position=check.position,
        head_hash=check.head,
        findings=tuple(check.findings[:MAXIMUM_FINDINGS]),
    )


class _Check:
    def __init__(self, connection: Connection, tenant_id: str, recorded: Sequence[Table]) -> None:
        self.connection = connection
        self.tenant_id = tenant_id
        self.recorded = recorded
        self.position = 0
        self.unit_count = 0
        self.row_count = 0
        self.head = GENESIS_HASH
        self.findings: list[ChainFinding] = []

    def run(self) -> None:
        while len(self.findings) < MAXIMUM_FINDINGS:
            units = self._units_after(self.position)
            if not units:
                break
            rows = self._rows(after=self.position, until=int(units[-1]["position"]))
            for one in units:
                self._check_unit(one, rows.pop(int(one["position"]), []))
            for position in sorted(rows):
                self._find(position, "row.without_unit", f"{len(rows[position])} rows stand at a position no unit has")
        self._check_ends()

    def _units_after(self, position: int) -> list[Mapping[str, Any]]:
        unit = tables.unit
        statement = (
            select(unit)
            .where(unit.c.tenant_id == self.tenant_id, unit.c.position > position)
            .order_by(unit.c.position)
            .limit(UNITS_PER_CHUNK)
        )
        return [dict(row) for row in self.connection.execute(statement).mappings()]

    def _rows(self, *, after: int, until: int) -> dict[int, list[tuple[int, bytes]]]:
        found: dict[int, list[tuple[int, bytes]]] = {}
        for table in self.recorded:
            statement = select(table).where(
                table.c.tenant_id == self.tenant_id, table.c.position > after, table.c.position <= until
            )
            for row in self.connection.execute(statement).mappings():
                encoded = canonical_row_bytes(table.name, {str(key): value for key, value in row.items()})
                found.setdefault(int(row["position"]), []).append((int(row["ordinal"]), encoded))
        return found

    def _check_unit(self, one: Mapping[str, Any], rows: list[tuple[int, bytes]]) -> None:
        position = int(one["position"])
        if position != self.position + 1:
            self._find(position, "unit.missing", f"the unit before it has position {self.position}")
        if bytes(one["previous_hash"]) != self.head:
            self._find(position, "unit.unlinked", "its previous hash is not the hash of the unit before it")
        rows.sort()
        if [ordinal for ordinal, _ in rows] != list(range(1, int(one["row_count"]) + 1)):
            self._find(position, "rows.counted", f"{one['row_count']} rows were recorded, {len(rows)} stand there")
        computed = unit_hash(
            previous_hash=bytes(one["previous_hash"]),
            tenant_id=self.tenant_id,
            position=position,
            kind=one["kind"],
            actor=one["actor"],
            reason=one["reason"],
            recorded_at=one["recorded_at"],
            rows=[encoded for _, encoded in rows],
        )
        if computed != bytes(one["hash"]):
            self._find(position, "unit.altered", "the unit or its rows are not what was recorded")
        self.position = position
        self.unit_count += 1
        self.row_count += len(rows)
        self.head = bytes(one["hash"])

    def _check_ends(self) -> None:
        counter = tables.counter
        row = self.connection.execute(
            select(counter.c.position, counter.c.hash).where(counter.c.tenant_id == self.tenant_id)
        ).one_or_none()
        if row is None or (int(row.position), bytes(row.hash)) != (self.position, self.head):
            self._find(0, "chain.cut", f"the counter does not stand at the last unit, {self.position}")
        for table in self.recorded:
            statement = select(func.count()).where(
                table.c.tenant_id == self.tenant_id, (table.c.position > self.position) | (table.c.position < 1)
            )
            count = self.connection.execute(statement).scalar_one()
            if count:
                self._find(self.position + 1, "row.without_unit", f"{count} rows of {table.name} belong to no unit")

    def _find(self, position: int, code: str, detail: str) -> None:
        self.findings.append(ChainFinding(position=position, code=code, detail=detail))
