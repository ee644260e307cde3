"""Erasure of personal fields: values become pseudonyms in every sealed file that holds them, all at once in one audited step.

The same value becomes the same pseudonym everywhere within one erasure, so that counts of different values stay what they were, and
what every event counts for is not touched. The value itself is kept nowhere: a keyed digest proves later which one was meant.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from revline.core.clock import Clock
from revline.core.ids import derived_id
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.subledger.usage import columns
from revline.subledger.usage.store import queries, record
from revline.subledger.usage.store.layout import plain_table
from revline.subledger.usage.store.objects import ObjectStore
from revline.subledger.usage.store.tables import usage_erasure
from revline.subledger.usage.store.values import PartialSpec, Segment
from revline.subledger.usage.store.writing import Writer

PERSONAL: Final = "__personal"
ATTEMPTS: Final = 5
VALUES_MAX: Final = 100_000
Values = Mapping[str, frozenset[str]]
"""Column -> the values that become pseudonyms."""


class ErasureScope(msgspec.Struct, frozen=True, kw_only=True):
    """What is erased: one value of one personal field; or, with a subject, every value of every personal field that events of this
    subject have."""

    field: str = ""
    value: str = ""
    subject: str = ""

    def said(self) -> str:
        """For the record, without the value."""
        return "subject" if self.subject else f"field {self.field}"


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure came to. rows: events in which something was replaced; segments: files written anew."""

    erasure_id: str
    epoch: int
    rows: int
    segments: int


class Eraser:
    """Erases in one database's usage. seed_of: a tenant's secret seed. seal: has everything received so far sealed before it
    returns, or a problem."""

    def __init__(
        self,
        *,
        database: Database,
        objects: ObjectStore,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        specs: Callable[[str], Sequence[PartialSpec]],
        seed_of: Callable[[str], int | Problem],
        seal: Callable[[str], Problem | None],
    ) -> None:
        self._database, self._objects, self._clock = database, objects, clock
        self._specs, self._seed_of, self._seal = specs, seed_of, seal
        self._writer = Writer(objects=objects, clock=clock, random_bytes=random_bytes, segment_rows=1 << 40)

    def erase(self, *, tenant_id: str, scope: ErasureScope, actor: str, reason: str) -> Erased | Problem:
        """Replace everywhere what was received before. Asked again, it finds what came since. Problems: `usage.erasure_unclear`,
        `usage.erasure_too_wide`, `usage.erasure_moved`, and what `seal` gives."""
        if bool(scope.subject) == bool(scope.field and scope.value):
            return problem("usage.erasure_unclear", "name a field with a value, or a subject")
        seed = self._seed_of(tenant_id)
        if isinstance(seed, Problem):
            return seed
        said = f"{scope.field}\0{scope.value}\0{scope.subject}"
        proof = _keyed(seed, "proof", said)
        erasure_id = derived_id("usage_erasure", tenant_id, proof.hex(), self._clock.now().isoformat())
        self._ask(tenant_id, scope, erasure_id, proof, actor, reason)
        unsealed = self._seal(tenant_id)
        if unsealed is not None:
            return unsealed
        key = _keyed(seed, "pseudonyms", erasure_id)
        for _ in range(ATTEMPTS):
            found = self._attempt(tenant_id, scope, erasure_id, key, actor, reason)
            if found is not None:
                return found
        return problem("usage.erasure_moved", f"files of {tenant_id} were merged {ATTEMPTS} times while they were read")

    def _ask(self, tenant_id: str, scope: ErasureScope, erasure_id: str, proof: bytes, actor: str, reason: str) -> None:
        with self._database.unit(
            tenants=[tenant_id],
            kind="usage_erase_ask",
            actor=actor,
            reason=reason,
            recorded_at=self._clock.now(),
        ) as unit:
            _write(
                unit,
                tenant_id=tenant_id,
                erasure_id=erasure_id,
                epoch=0,
                state="asked",
                scope=scope.said(),
                proof=proof,
                rows=0,
                actor=actor,
                reason=reason,
                asked_at=unit.recorded_at,
                done_at=None,
            )

    def _attempt(
        self, tenant_id: str, scope: ErasureScope, erasure_id: str, key: bytes, actor: str, reason: str
    ) -> Erased | Problem | None:
        with self._database.read(tenants=[tenant_id]) as connection:
            manifest = queries.manifest_of(connection, tenant_id=tenant_id)
        values = self._values(manifest.segments, scope)
        if sum(map(len, values.values())) > VALUES_MAX:
            return problem("usage.erasure_too_wide", f"more than {VALUES_MAX} different values", field=scope.field)
        epoch, rows = manifest.erasure_epoch + 1, 0
        added: list[Segment] = []
        replaced: list[Segment] = []
        for one in manifest.segments:
            table, touched = self._replaced(one, values, key)
            if touched:
                rows += touched
                replaced.append(one)
                made = self._writer.write(
                    tenant_id=tenant_id,
                    tables=[table],
                    kind=one.kind,
                    erasure_epoch=epoch,
                    specs=self._specs(tenant_id),
                    minutes=[minutes for minutes in one.buckets if minutes > 60],
                )
                added += made
        done = Erased(erasure_id=erasure_id, epoch=epoch, rows=rows, segments=len(added))
        return done if self._publish(tenant_id, added, replaced, done, actor, reason) else None

    def _values(self, segments: Sequence[Segment], scope: ErasureScope) -> Values:
        if scope.field:
            return {scope.field + PERSONAL: frozenset({scope.value})}
        found: dict[str, set[str]] = {}
        for one in segments:
            names = [name for name in one.columns if name.endswith(PERSONAL)]
            if not names:
                continue
            with self._objects.at_hand(key=one.key, size_bytes=one.size_bytes) as path:
                table = pq.read_table(
                    path,
                    columns=[columns.SUBJECT, *names],
                    filters=[(columns.SUBJECT, "==", scope.subject)],
                    partitioning=None,
                )
            for name in names:
                found.setdefault(name, set()).update(pc.unique(table[name].drop_null()).to_pylist())
        return {name: frozenset(values) for name, values in found.items()}

    def _replaced(self, one: Segment, values: Values, key: bytes) -> tuple[pa.Table, int]:
        """The segment's rows with pseudonyms, and in how many there are."""
        names = [name for name in one.columns if values.get(name)]
        with self._objects.at_hand(key=one.key, size_bytes=one.size_bytes) as path:
            looked = pq.read_table(path, columns=[*names, columns.REST], partitioning=None)
            if not any(_mask(looked, name, values[name]) for name in names) and not _in_rest(looked, values):
                return looked, 0
            table = plain_table([pq.read_table(path, partitioning=None)])
        touched = pa.array([False] * len(table))
        for name in names:
            mask = pc.is_in(table[name], value_set=pa.array(sorted(values[name]), pa.string())).combine_chunks()
            touched = pc.or_(touched, mask)
            told = {value: pseudonym(key, value) for value in values[name]}
            mine = pa.array(
                [told.get(value, value) if value is not None else None for value in table[name].to_pylist()],
                pa.string(),
            )
            table = table.set_column(table.column_names.index(name), name, mine)
        rest = _without(table[columns.REST], values, key)
        changed = pc.fill_null(pc.not_equal(rest, table[columns.REST]), fill_value=False)
        table = table.set_column(table.column_names.index(columns.REST), columns.REST, rest)
        return table, int(pc.sum(pc.or_(touched, changed)).as_py() or 0)

    def _publish(
        self,
        tenant_id: str,
        added: Sequence[Segment],
        replaced: Sequence[Segment],
        done: Erased,
        actor: str,
        reason: str,
    ) -> bool:
        with self._database.unit(
            tenants=[tenant_id], kind="usage_erase", actor=actor, reason=reason, recorded_at=self._clock.now()
        ) as unit:
            names = [one.segment_id for one in replaced]
            live = record.lock_live(unit, tenant_id=tenant_id, segments=names)
            if live != frozenset(names) or queries.epoch_of(unit.connection, tenant_id=tenant_id) != done.epoch - 1:
                return False
            record.publish(unit, tenant_id=tenant_id, act="erase", added=added, replaced=replaced)
            unit.change(
                usage_erasure,
                key=("erasure_id",),
                tenant_id=tenant_id,
                erasure_id=done.erasure_id,
                epoch=done.epoch,
                state="done",
                rows=done.rows,
                done_at=unit.recorded_at,
                position=unit.this_position,
            )
        return True


def pseudonym(key: bytes, value: str) -> str:
    """What stands for a value: a tilde and 26 letters and digits, the same for the same value and key."""
    digest = hmac.digest(key, value.encode(), hashlib.sha256)
    return "~" + base64.b32encode(digest[:16]).decode().rstrip("=").lower()


def _keyed(seed: int, purpose: str, text: str) -> bytes:
    return hmac.digest(seed.to_bytes(16, "little"), f"usage {purpose}\0{text}".encode(), hashlib.sha256)


def _write(unit: Unit, **values: object) -> None:
    unit.project(usage_erasure, key=("erasure_id",), position=unit.this_position, **values)


def _mask(table: pa.Table, name: str, values: frozenset[str]) -> bool:
    return bool(pc.any(pc.is_in(table[name], value_set=pa.array(sorted(values), pa.string()))).as_py())


def _patterns(values: Values) -> Mapping[str, str]:
    """How a field with such a value is written in canonical JSON -> the value."""
    return {
        f"{msgspec.json.encode(name.removesuffix(PERSONAL)).decode()}:{msgspec.json.encode(value).decode()}": value
        for name, each in values.items()
        for value in each
    }


def _in_rest(table: pa.Table, values: Values) -> bool:
    rest = table[columns.REST]
    if rest.null_count == len(rest):
        return False
    return any(pc.any(pc.match_substring(rest, one)).as_py() for one in _patterns(values))


def _without(rest: pa.ChunkedArray, values: Values, key: bytes) -> pa.ChunkedArray:
    """What is kept as JSON is canonical, so a field and its value stand there as one text."""
    if rest.null_count == len(rest):
        return rest
    for pattern, value in _patterns(values).items():
        name = pattern[: -len(msgspec.json.encode(value).decode())]
        rest = pc.replace_substring(rest, pattern, f'{name}"{pseudonym(key, value)}"')
    return rest


for _code, _title, _remedy in (
    ("usage.erasure_unclear", "It isn't clear what to erase", "Give --field with --value, or --subject alone."),
    ("usage.erasure_too_wide", "Too much to erase at once", "Erase by field and value instead of by subject."),
    ("usage.erasure_moved", "Files moved while they were erased", "Run the erasure again; nothing was changed."),
):
    define(
        code=_code,
        title=_title,
        status=409 if _code == "usage.erasure_moved" else 422,
        retryable=Retryable.YES if _code == "usage.erasure_moved" else Retryable.NO,
        mender=Mender.OPERATOR,
        remedy=_remedy,
    )
