"""The shell of corrections: read what a case is about, propose a corrected copy, apply it (at once or by a second person)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, RowMapping, Select, and_, select

from revline.core.clock import Clock
from revline.core.facts import Fact, TranslatedFact
from revline.core.ids import uuid7
from revline.core.money import at_least_in_scale
from revline.core.problem import Problem, problem
from revline.intake import queries, record
from revline.intake.checks import check_fact
from revline.intake.corrections import (
    CORRECTION_BYTES_MAX,
    PREFIX,
    CorrectionPolicy,
    CorrectionState,
    Worth,
    above,
    corrected,
    needs_second_person,
    worth,
)
from revline.intake.record import Prepared
from revline.intake.tables import body as body_table
from revline.intake.tables import correction, correction_state
from revline.intake.values import Channel, Channels, Form, Input
from revline.platform.cases.record import resolve_cases
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit

PAGE_MAX: Final = 200


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be corrected: a fact or a kept input, with its bytes. fact: None for a kept input."""

    subject_kind: str
    subject_id: str
    connection: str
    form: Form
    body: bytes
    content_type: str
    fact: Fact | None


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """A correction as it stands. fact_id: what it made, "" until it is applied."""

    correction_id: str
    subject_kind: str
    subject_id: str
    state: CorrectionState
    currency: str
    amount: Decimal
    author: str
    reason: str
    proposed_at: datetime
    decided_by: str
    decided_at: datetime | None
    fact_id: str
    body_digest: str


class Drafted(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that would be taken: its facts, what it is worth, and whether a second person must decide."""

    facts: tuple[TranslatedFact, ...]
    value: Worth
    second_person: bool


def original_of(connection: Connection, *, tenant_id: str, subject_kind: str, subject_id: str) -> Original | None:
    """What stands behind a fact or a kept input, with its raw bytes; None when it is unknown or its bytes were erased."""
    if subject_kind == record.SUBJECT_INPUT:
        kept = queries.kept_input(connection, tenant_id=tenant_id, untranslated_id=subject_id)
        if kept is None:
            return None
        return Original(
            subject_kind=subject_kind,
            subject_id=subject_id,
            connection=kept.connection,
            form=kept.form,
            body=kept.taken.body,
            content_type=kept.taken.content_type,
            fact=None,
        )
    fact = queries.fact_by_id(connection, tenant_id=tenant_id, fact_id=subject_id)
    found = None if fact is None else queries.raw_body(connection, tenant_id=tenant_id, digest=fact.body_digest)
    if fact is None or found is None:
        return None
    return Original(
        subject_kind="fact",
        subject_id=subject_id,
        connection=fact.translated.source.connection,
        form=Form.MESSAGE if "." in fact.translated.event_type else Form.OBJECT,
        body=found[0],
        content_type=found[1],
        fact=fact,
    )


def corrections(
    connection: Connection, *, tenant_id: str, state: str = "", correction_id: str = ""
) -> tuple[Correction, ...]:
    """Corrections, the newest first, in one state or of one id where named; at most PAGE_MAX."""
    statement = _select().where(correction.c.tenant_id == tenant_id, correction_state.c.tenant_id == tenant_id)
    if state:
        statement = statement.where(correction_state.c.state == state)
    if correction_id:
        statement = statement.where(correction.c.correction_id == correction_id)
    rows = connection.execute(statement.order_by(correction.c.correction_id.desc()).limit(PAGE_MAX)).mappings()
    return tuple(_correction(row) for row in rows)


class Corrections:
    """Corrections of one database. policy: the tenant's, from its active configuration."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        channels: Channels,
        policy: Callable[[str], CorrectionPolicy | None],
    ) -> None:
        self._database, self._clock, self._random_bytes = database, clock, random_bytes
        self._channels, self._policy = channels, policy

    def draft(self, *, tenant_id: str, subject_kind: str, subject_id: str, body: bytes) -> Drafted | Problem:
        """What a corrected copy would say; nothing is written."""
        with self._database.read(tenants=[tenant_id]) as connection:
            original = original_of(connection, tenant_id=tenant_id, subject_kind=subject_kind, subject_id=subject_id)
        if original is None:
            return problem("correction.unknown", f"there is no {subject_kind} {subject_id[:60]}")
        made = self._translated(tenant_id, original, body, "draft")
        return made if isinstance(made, Problem) else made[1]

    def propose(
        self, *, tenant_id: str, subject_kind: str, subject_id: str, body: bytes, actor: str, reason: str
    ) -> Correction | Problem:
        """Take a corrected copy. It is applied at once unless the tenant's policy asks for a second person.

        Problems: correction.*, and whatever refuses the copy as an input.
        """
        now = self._clock.now()
        correction_id = str(uuid7(now=now, random_bytes=self._random_bytes))
        with self._database.read(tenants=[tenant_id]) as connection:
            original = original_of(connection, tenant_id=tenant_id, subject_kind=subject_kind, subject_id=subject_id)
        if original is None:
            return problem("correction.unknown", f"there is no {subject_kind} {subject_id[:60]}")
        made = self._translated(tenant_id, original, body, correction_id)
        if isinstance(made, Problem):
            return made
        channel, drafted = made
        with self._unit(tenant_id, actor, reason) as unit:
            unit.record(
                correction,
                tenant_id=tenant_id,
                correction_id=correction_id,
                subject_kind=subject_kind,
                subject_id=subject_id,
                currency=drafted.value.currency,
                amount=drafted.value.amount,
                author=actor,
                reason=reason,
                proposed_at=now,
                body_digest=hashlib.sha256(body).digest(),
            )
            unit.project(
                body_table,
                key=("digest",),
                tenant_id=tenant_id,
                digest=hashlib.sha256(body).digest(),
                bytes=body,
                content_type=original.content_type,
            )
            self._write_state(unit, tenant_id, correction_id, CorrectionState.PROPOSED)
        if not drafted.second_person:
            return self._apply(tenant_id, correction_id, original, channel, drafted, body, actor=actor, reason=reason)
        return self._read(tenant_id, correction_id)

    def decide(
        self, *, tenant_id: str, correction_id: str, apply: bool, actor: str, reason: str
    ) -> Correction | Problem:
        """A second person applies or refuses a proposed correction. Problems correction.unknown, correction.same_person."""
        with self._database.read(tenants=[tenant_id]) as connection:
            found = corrections(
                connection, tenant_id=tenant_id, state=CorrectionState.PROPOSED, correction_id=correction_id
            )
            row = found[0] if correction_id and found else None
            copy, original = b"", None
            if row is not None:
                copy = self.copy_of(connection, tenant_id=tenant_id, correction=row)
                original = original_of(
                    connection, tenant_id=tenant_id, subject_kind=row.subject_kind, subject_id=row.subject_id
                )
        if row is None or original is None or not copy:
            return _decided_already(correction_id)
        if row.author == actor:
            return problem("correction.same_person", f"{actor} proposed it", field=correction_id)
        if not apply:
            return self._refuse(tenant_id, correction_id, actor=actor, reason=reason)
        made = self._translated(tenant_id, original, copy, correction_id)
        if isinstance(made, Problem):
            return made
        channel, drafted = made
        return self._apply(tenant_id, correction_id, original, channel, drafted, copy, actor=actor, reason=reason)

    def copy_of(self, connection: Connection, *, tenant_id: str, correction: Correction) -> bytes:
        """The bytes of a correction's copy; empty when they were erased."""
        found = queries.raw_body(connection, tenant_id=tenant_id, digest=correction.body_digest)
        return found[0] if found else b""

    def _translated(
        self, tenant_id: str, original: Original, body: bytes, correction_id: str
    ) -> tuple[Channel, Drafted] | Problem:
        if len(body) > CORRECTION_BYTES_MAX:
            return problem("json.too_large", f"a copy has at most {CORRECTION_BYTES_MAX} bytes")
        channel = self._channels.channel(tenant_id=tenant_id, connection=original.connection)
        if isinstance(channel, Problem):
            return channel
        made = (channel.translate if original.form is Form.MESSAGE else channel.translate_object)(body=body)
        if isinstance(made, Problem):
            return made
        now = self._clock.now()
        facts: tuple[TranslatedFact, ...]
        if original.fact is None:
            facts = tuple(one for one in made if isinstance(one, TranslatedFact))
            if not facts:
                return problem("correction.incomplete", "the copy holds no whole object")
            facts = tuple(
                msgspec.structs.replace(
                    one,
                    source_event=f"{PREFIX}{correction_id}:{number}",
                    order_key=above(one.order_key, decided_at=now),
                )
                for number, one in enumerate(facts)
            )
            before: tuple[msgspec.Struct, ...] = ()
        else:
            one = corrected(made=made, original=original.fact, correction_id=correction_id, decided_at=now)
            if isinstance(one, Problem):
                return one
            facts, before = (one,), (original.fact.translated.snapshot,)
        for fact in facts:
            wrong = check_fact(fact, received_at=now)
            if wrong is not None:
                return wrong
        value = worth(*before, *(fact.snapshot for fact in facts))
        second = needs_second_person(policy=self._policy(tenant_id), value=value)
        return channel, Drafted(facts=facts, value=value, second_person=second)

    def _apply(
        self,
        tenant_id: str,
        correction_id: str,
        original: Original,
        channel: Channel,
        drafted: Drafted,
        body: bytes,
        *,
        actor: str,
        reason: str,
    ) -> Correction | Problem:
        now = self._clock.now()
        taken = Input(body=body, content_type=original.content_type, received_at=now)
        prepared = Prepared(taken=taken, form=original.form, facts=drafted.facts)
        with self._unit(tenant_id, actor, reason) as unit:
            if not _still_proposed(unit, tenant_id, correction_id):
                return _decided_already(correction_id)
            verdict = record.accept(unit, channel=channel, prepared=[prepared], new_id=self._new_id)[0]
            if verdict.problem is not None:
                return verdict.problem
            self._write_state(unit, tenant_id, correction_id, CorrectionState.APPLIED, actor, verdict.fact_ids[0])
            if original.subject_kind == record.SUBJECT_INPUT:
                resolve_cases(
                    unit,
                    tenant_id=tenant_id,
                    subject_kind=record.SUBJECT_INPUT,
                    subject_ids=[original.subject_id],
                    reason=reason,
                )
        return self._read(tenant_id, correction_id)

    def _refuse(self, tenant_id: str, correction_id: str, *, actor: str, reason: str) -> Correction | Problem:
        with self._unit(tenant_id, actor, reason) as unit:
            if not _still_proposed(unit, tenant_id, correction_id):
                return _decided_already(correction_id)
            self._write_state(unit, tenant_id, correction_id, CorrectionState.REFUSED, actor)
        return self._read(tenant_id, correction_id)

    def _write_state(
        self, unit: Unit, tenant_id: str, correction_id: str, state: CorrectionState, actor: str = "", fact_id: str = ""
    ) -> None:
        unit.project(
            correction_state,
            key=("correction_id",),
            tenant_id=tenant_id,
            correction_id=correction_id,
            state=state,
            decided_by=actor,
            decided_at=self._clock.now() if actor else None,
            fact_id=fact_id,
        )

    def _read(self, tenant_id: str, correction_id: str) -> Correction:
        with self._database.read(tenants=[tenant_id]) as connection:
            return corrections(connection, tenant_id=tenant_id, correction_id=correction_id)[0]

    def _unit(self, tenant_id: str, actor: str, reason: str) -> Any:
        return self._database.unit(
            tenants=[tenant_id], kind="correct", actor=actor, reason=reason, recorded_at=self._clock.now()
        )

    def _new_id(self, moment: datetime) -> str:
        return str(uuid7(now=moment, random_bytes=self._random_bytes))


def _still_proposed(unit: Unit, tenant_id: str, correction_id: str) -> bool:
    """Whether nobody has decided; nobody else can until this unit ends."""
    state = correction_state.c
    statement = select(state.state).where(state.tenant_id == tenant_id, state.correction_id == correction_id)
    return unit.connection.execute(statement.with_for_update()).scalar() == CorrectionState.PROPOSED


def _decided_already(correction_id: str) -> Problem:
    return problem("correction.unknown", f"there is no proposed correction {correction_id[:60]}")


def _select() -> Select[Any]:
    joined = correction.join(
        correction_state,
        and_(
            correction_state.c.tenant_id == correction.c.tenant_id,
            correction_state.c.correction_id == correction.c.correction_id,
        ),
    )
    table = {**dict(correction.c.items()), **dict(correction_state.c.items())}
    return select(*(table[name] for name in Correction.__struct_fields__)).select_from(joined)


def _correction(row: RowMapping) -> Correction:
    values = {str(name): value for name, value in row.items()}
    state, digest = CorrectionState(values["state"]), bytes(values["body_digest"]).hex()
    amount = at_least_in_scale(amount=values["amount"], code=values["currency"])
    return Correction(**{**values, "state": state, "body_digest": digest, "amount": amount})
