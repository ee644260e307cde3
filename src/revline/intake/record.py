"""Writes of the fact log that take an open unit: accepting prepared inputs, awaiting names, settling what was awaited."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import text

from revline.core.facts import Incomplete, Name, TranslatedFact
from revline.core.hashing import canonical_bytes
from revline.core.ids import SourceObject, derived_id, root_id
from revline.core.problem import Problem, problem
from revline.core.references import reference_names
from revline.intake import awaiting, following, rereading, tables
from revline.intake.values import Awaited, Channel, Form, Input, Outcome, Verdict
from revline.platform.cases.record import NewCase, open_cases
from revline.platform.lineage.record import add_names
from revline.platform.store.unit import Unit
from revline.platform.work import record as work

DERIVE: Final = "derive"
KEPT_PREFIX: Final = "kept:"
INCOMPLETE_PREFIX: Final = "incomplete:"
SUBJECT_INPUT: Final = "input"

_KNOWN: Final = text(
    "SELECT source_event, content_digest, subject_id FROM seen_event"
    " WHERE tenant_id = :tenant AND connection = :connection AND source_event = ANY(CAST(:events AS text[]))"
)
_CLAIM: Final = text(
    """
    INSERT INTO seen_event (tenant_id, connection, source_event, content_digest, subject_id)
    SELECT :tenant, :connection, given.*
    FROM unnest(CAST(:events AS text[]), CAST(:digests AS bytea[]), CAST(:subjects AS text[])) AS given
    ON CONFLICT DO NOTHING
    """
)
_ADD_ROOTS: Final = text(
    """
    INSERT INTO root (tenant_id, root_id, connection, kind, outside_id)
    SELECT :tenant, given.*
    FROM unnest(CAST(:ids AS text[]), CAST(:connections AS text[]), CAST(:kinds AS text[]), CAST(:outside AS text[]))
        AS given
    ON CONFLICT DO NOTHING
    """
)


class LostRaceError(RuntimeError):
    """Another unit took one of the same messages in meanwhile; running the unit again sees it."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """An input with what its translation gave. incomplete: objects it named without their whole content. problem: why there are
    no facts. keep: then keep the bytes and open a case."""

    taken: Input
    form: Form
    facts: tuple[TranslatedFact, ...] = ()
    incomplete: tuple[Incomplete, ...] = ()
    problem: Problem | None = None
    keep: bool = False

    def body_digest(self) -> bytes:
        """SHA-256 of the raw bytes."""
        return hashlib.sha256(self.taken.body).digest()


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    content_digest: bytes
    subject_id: str


class _Batch:
    """What one unit accepts: verdicts in the order of the inputs, and the rows they need."""

    def __init__(self, unit: Unit, channel: Channel, new_id: Callable[[datetime], str]) -> None:
        self.unit = unit
        self.channel = channel
        self.new_id = new_id
        self.known: dict[str, _Seen] = {}
        self.claims: dict[str, _Seen] = {}
        self.roots: dict[str, SourceObject] = {}
        self.facts: list[TranslatedFact] = []
        self.incomplete: list[Incomplete] = []
        self.cases: list[NewCase] = []

    def load_known(self, prepared: Sequence[Prepared]) -> None:
        """What was seen before of the messages in hand."""
        wanted = {fact.source_event for one in prepared for fact in one.facts}
        wanted |= {KEPT_PREFIX + one.body_digest().hex() for one in prepared}
        wanted |= {_mark(each) for one in prepared for each in one.incomplete}
        parameters = {
            "tenant": self.channel.tenant_id,
            "connection": self.channel.connection,
            "events": sorted(wanted),
        }
        for row in self.unit.connection.execute(_KNOWN, parameters):
            self.known[row.source_event] = _Seen(content_digest=bytes(row.content_digest), subject_id=row.subject_id)

    def take(self, one: Prepared) -> Verdict:
        """Decide one input and buffer its rows. All its facts or none."""
        if one.problem is not None:
            if one.keep:
                self._keep(one, one.problem)
            return Verdict(outcome=Outcome.KEPT if one.keep else Outcome.INVALID, problem=one.problem)
        message = next(
            iter([each.source_event for each in one.facts] + [each.source_event for each in one.incomplete]), ""
        )
        fresh: dict[str, TranslatedFact] = {}
        for fact in one.facts:
            before = self.known.get(fact.source_event)
            twin = fresh.get(fact.source_event)
            digest = before.content_digest.hex() if before else twin.content_digest if twin else fact.content_digest
            if digest != fact.content_digest:
                return self._conflict(one, fact)
            if before is None:
                fresh[fact.source_event] = fact
        partly: dict[str, Incomplete] = {}
        for each in one.incomplete:
            before = self.known.get(_mark(each))
            if before is not None and before.content_digest.hex() != each.content_digest:
                return self._conflict(one, each)
            if before is None:
                partly[_mark(each)] = each
        if not one.facts and not one.incomplete:
            self._body(one)  # It says nothing of its own (a test clock's), and is kept all the same.
            return Verdict(outcome=Outcome.ACCEPTED, source_event=message)
        if not fresh and not partly:
            return Verdict(outcome=Outcome.DUPLICATE, source_event=message)
        ids = tuple(self._accept(one, fact) for fact in fresh.values())
        for mark, each in partly.items():
            self._accept_incomplete(one, mark, each)
        self._body(one)
        return Verdict(outcome=Outcome.ACCEPTED, source_event=message, fact_ids=ids)

    def _accept(self, one: Prepared, fact: TranslatedFact) -> str:
        fact_id = self.new_id(one.taken.received_at)
        self._claim(fact.source_event, _Seen(content_digest=bytes.fromhex(fact.content_digest), subject_id=fact_id))
        ordinal = self.unit.record(
            tables.fact,
            tenant_id=self.channel.tenant_id,
            fact_id=fact_id,
            connection=self.channel.connection,
            object_kind=fact.source.kind,
            outside_id=fact.source.outside_id,
            source_event=fact.source_event,
            event_type=fact.event_type,
            occurred_at=fact.occurred_at,
            received_at=one.taken.received_at,
            content_digest=bytes.fromhex(fact.content_digest),
            order_key=[str(part) for part in fact.order_key],
            translator=self.channel.translator,
            body_digest=one.body_digest(),
            content=canonical_bytes(fact).decode(),
        )
        for source in set(fact.roots):
            identity = root_id(tenant=self.channel.tenant_id, source=source)
            self.roots[identity] = source
            self.unit.project(
                tables.fact_root,
                key=("root_id", "position", "ordinal"),
                tenant_id=self.channel.tenant_id,
                root_id=identity,
                position=self.unit.this_position,
                ordinal=ordinal,
            )
        names = (*names_of(fact), *reference_names(fact=fact))
        add_names(self.unit, tenant_id=self.channel.tenant_id, names=names, record_kind="fact", record_id=fact_id)
        self.facts.append(fact)
        return fact_id

    def _accept_incomplete(self, one: Prepared, mark: str, each: Incomplete) -> None:
        identity = self.new_id(one.taken.received_at)
        self._claim(mark, _Seen(content_digest=bytes.fromhex(each.content_digest), subject_id=identity))
        tenant_id = self.channel.tenant_id
        self.unit.record(
            tables.incomplete,
            tenant_id=tenant_id,
            incomplete_id=identity,
            reread_id=rereading.reread_id(tenant_id=tenant_id, source=each.source, object_kind=each.object_kind),
            connection=self.channel.connection,
            source_event=each.source_event,
            event_type=each.event_type,
            occurred_at=each.occurred_at,
            received_at=one.taken.received_at,
            translator=self.channel.translator,
            body_digest=one.body_digest(),
            content=canonical_bytes(each).decode(),
        )
        names = [name for name in names_of(each) if name.value != rereading.EVERYTHING]
        add_names(self.unit, tenant_id=tenant_id, names=names, record_kind="incomplete", record_id=identity)
        self.incomplete.append(each)

    def _conflict(self, one: Prepared, fact: TranslatedFact | Incomplete) -> Verdict:
        detail = f"message {fact.source_event[:120]!r} came before with other content; what came first stands"
        differs = problem("intake.conflict", detail)
        self._keep(one, differs)
        return Verdict(outcome=Outcome.CONFLICT, source_event=fact.source_event, problem=differs)

    def _keep(self, one: Prepared, why: Problem) -> None:
        digest = one.body_digest()
        mark = KEPT_PREFIX + digest.hex()
        if mark in self.known:
            return
        identity = self.new_id(one.taken.received_at)
        self._claim(mark, _Seen(content_digest=digest, subject_id=identity))
        self._body(one)
        self.unit.record(
            tables.untranslated,
            tenant_id=self.channel.tenant_id,
            untranslated_id=identity,
            connection=self.channel.connection,
            form=one.form,
            body_digest=digest,
            received_at=one.taken.received_at,
            code=why.code,
            content=canonical_bytes(why).decode(),
        )
        self.cases.append(
            NewCase(
                tenant_id=self.channel.tenant_id,
                subject_kind=SUBJECT_INPUT,
                subject_id=identity,
                problem=why,
                connection=self.channel.connection,
            )
        )

    def _claim(self, source_event: str, seen: _Seen) -> None:
        self.known[source_event] = seen
        self.claims[source_event] = seen

    def _body(self, one: Prepared) -> None:
        self.unit.project(
            tables.body,
            key=("digest",),
            tenant_id=self.channel.tenant_id,
            digest=one.body_digest(),
            bytes=one.taken.body,
            content_type=one.taken.content_type,
        )

    def write(self) -> None:
        """Claims in one order, roots, the derive lanes of these and of the roots that waited, then cases."""
        self._write_claims()
        self._write_roots()
        brought = {
            Awaited(
                connection=fact.source.connection,
                object_kind=fact.source.kind,
                name_kind=name.kind,
                name_value=name.value,
            )
            for fact in self.facts
            for name in names_of(fact)
        }
        ended = awaiting.waiting_for(self.unit.connection, tenant_id=self.channel.tenant_id, names=brought)
        # Lanes before cases, as derive locks them.
        roots = {*self.roots, *(entry.root_id for entry in ended)}
        work.request(self.unit, tenant_id=self.channel.tenant_id, kind=DERIVE, lane_ids=roots)
        self._ask_for_readings()
        awaiting.mark_arrived(self.unit, tenant_id=self.channel.tenant_id, entries=ended)
        if self.cases:
            open_cases(self.unit, cases=self.cases)

    def _ask_for_readings(self) -> None:
        """Lanes of one object each, and a listing of a whole kind where a message said that it lost count."""
        tenant_id, pool_id, now = self.channel.tenant_id, self.channel.pool_id, self.unit.recorded_at
        rereading.ask(self.unit, tenant_id=tenant_id, wanted=self.incomplete, now=now, pool_id=pool_id)
        kinds = {each.object_kind for each in self.incomplete if each.source.outside_id == rereading.EVERYTHING}
        following.ask_backfill(
            self.unit,
            tenant_id=tenant_id,
            source_connection=self.channel.connection,
            object_kinds=kinds,
            now=now,
            pool_id=pool_id,
        )

    def _write_claims(self) -> None:
        if not self.claims:
            return
        claims = sorted(self.claims.items())
        parameters = {
            "tenant": self.channel.tenant_id,
            "connection": self.channel.connection,
            "events": [source_event for source_event, _ in claims],
            "digests": [seen.content_digest for _, seen in claims],
            "subjects": [seen.subject_id for _, seen in claims],
        }
        taken = self.unit.connection.execute(_CLAIM, parameters).rowcount
        if taken != len(claims):
            raise LostRaceError(f"{len(claims) - taken} messages were taken in by another unit")

    def _write_roots(self) -> None:
        if not self.roots:
            return
        roots = sorted(self.roots.items())
        parameters = {
            "tenant": self.channel.tenant_id,
            "ids": [identity for identity, _ in roots],
            "connections": [source.connection for _, source in roots],
            "kinds": [source.kind for _, source in roots],
            "outside": [source.outside_id for _, source in roots],
        }
        self.unit.connection.execute(_ADD_ROOTS, parameters)


def accept(
    unit: Unit, *, channel: Channel, prepared: Sequence[Prepared], new_id: Callable[[datetime], str]
) -> tuple[Verdict, ...]:
    """Take prepared inputs into the log: facts, bodies, names, roots, awaited roots, cases, derive requests.

    new_id: an id for something received at a moment (UUIDv7). Raises LostRaceError when another unit took one of the messages
    at the same time; nothing of this unit stands then, and it can be run again.
    """
    batch = _Batch(unit, channel, new_id)
    batch.load_known(prepared)
    verdicts = tuple(batch.take(one) for one in prepared)
    batch.write()
    return verdicts


def _mark(one: Incomplete) -> str:
    """What an incomplete message is known by: never what a fact of the same message is."""
    source = one.source
    return INCOMPLETE_PREFIX + derived_id(one.source_event, source.kind, source.outside_id, one.object_kind)


def names_of(fact: TranslatedFact | Incomplete) -> tuple[Name, ...]:
    """Everything a fact can be found by, its object's id and its message's id among them."""
    own = (
        Name(kind="outside_id", value=fact.source.outside_id),
        Name(kind="source_event", value=fact.source_event),
    )
    return tuple(sorted({*fact.names, *own}))
