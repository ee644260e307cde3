"""Intake's shell: translate and check without a transaction, then take a batch in with one unit of work.

Knows no wire and no vendor; doors and the import call it with a `Channel`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from revline.core.clock import Clock
from revline.core.facts import Incomplete, TranslatedFact
from revline.core.hashing import plain
from revline.core.ids import uuid7
from revline.core.problem import Problem, ProblemError, problem
from revline.intake import awaiting, following, queries, record, rereading
from revline.intake.checks import FUTURE_TOLERANCE, check_fact
from revline.intake.record import LostRaceError, Prepared
from revline.intake.values import (
    INPUTS_PER_UNIT_MAX,
    Channel,
    Channels,
    Form,
    Input,
    Outcome,
    Verdict,
    WhenUnreadable,
)
from revline.platform.cases.record import resolve_cases
from revline.platform.store.engine import Database, is_transient
from revline.platform.store.idempotency import FirstTime, conclude, field_digests, input_hash_of, remember
from revline.platform.store.unit import Unit
from revline.platform.work import record as work

Made = TypeVar("Made")
ATTEMPTS_MAX: Final = 5
FACTS_PER_UNIT_MAX: Final = 10_000
SIMULATED_TOLERANCE: Final = timedelta(days=3_660)
"""How far ahead a source's simulated clock may be set."""


class RequestKey(msgspec.Struct, frozen=True, kw_only=True):
    """A sender's idempotency key. request: what the key stands for, by field; the same key with another request is refused."""

    key: str
    request: Mapping[str, Any]


class Intake:
    """Takes inputs of one database in. clock, random_bytes: where times and ids come from."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        future_tolerance: timedelta = FUTURE_TOLERANCE,
    ) -> None:
        self._database = database
        self._clock = clock
        self._random_bytes = random_bytes
        self._future_tolerance = future_tolerance

    def accept(
        self,
        *,
        channel: Channel,
        inputs: Sequence[Input],
        actor: str,
        reason: str,
        form: Form = Form.MESSAGE,
        when_unreadable: WhenUnreadable = WhenUnreadable.REFUSE,
        request_key: RequestKey | None = None,
    ) -> tuple[Verdict, ...]:
        """One verdict an input, in order, after commit; at most INPUTS_PER_UNIT_MAX inputs, all in one unit of work.

        An input that is refused changes nothing. Taking the same input in again is a duplicate; other content under the same
        message id is a conflict and a case. Raises ProblemError for too many inputs and for a request key that came with
        another request.
        """
        if len(inputs) > INPUTS_PER_UNIT_MAX:
            raise ProblemError(
                problem("intake.too_many", f"{len(inputs)} inputs; at most {INPUTS_PER_UNIT_MAX} at once")
            )
        prepared = [self._prepare(channel=channel, taken=one, form=form, when=when_unreadable) for one in inputs]
        count = sum(len(one.facts) + len(one.incomplete) for one in prepared)
        if count > FACTS_PER_UNIT_MAX:
            raise ProblemError(problem("intake.too_many", f"{count} facts; at most {FACTS_PER_UNIT_MAX} at once"))
        if all(one.problem is not None and not one.keep for one in prepared):
            return tuple(Verdict(outcome=Outcome.INVALID, problem=one.problem) for one in prepared)
        return self._retrying(
            lambda: self._accept_once(
                channel=channel, prepared=prepared, actor=actor, reason=reason, request_key=request_key
            )
        )

    def _prepare(self, *, channel: Channel, taken: Input, form: Form, when: WhenUnreadable) -> Prepared:
        translate = channel.translate if form is Form.MESSAGE else channel.translate_object
        made = translate(body=taken.body)
        if isinstance(made, Problem):
            return Prepared(taken=taken, form=form, problem=made, keep=when is WhenUnreadable.KEEP)
        facts = tuple(one for one in made if isinstance(one, TranslatedFact))
        incomplete = tuple(one for one in made if isinstance(one, Incomplete))
        tolerance = SIMULATED_TOLERANCE if channel.simulated_time else self._future_tolerance
        for fact in made:
            wrong = check_fact(fact, received_at=taken.received_at, future_tolerance=tolerance)
            if wrong is not None:
                # A clock far off mends itself by being sent again later, so it is refused on every channel.
                keep = when is WhenUnreadable.KEEP and wrong.code != "time.invalid"
                return Prepared(taken=taken, form=form, problem=wrong, keep=keep)
        return Prepared(taken=taken, form=form, facts=facts, incomplete=incomplete)

    def _accept_once(
        self,
        *,
        channel: Channel,
        prepared: Sequence[Prepared],
        actor: str,
        reason: str,
        request_key: RequestKey | None,
    ) -> tuple[Verdict, ...]:
        with self._unit(tenant_id=channel.tenant_id, kind="accept", actor=actor, reason=reason) as unit:
            first = None
            if request_key is not None:
                found = _remembered(unit, tenant_id=channel.tenant_id, request_key=request_key)
                if not isinstance(found, FirstTime):
                    return found
                first = found
            verdicts = record.accept(unit, channel=channel, prepared=prepared, new_id=self._new_id)
            if first is not None:
                conclude(unit, first, answer=[plain(one) for one in verdicts])
            return verdicts

    def retry_kept(
        self, *, channels: Channels, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str
    ) -> int:
        """Translate kept inputs again, as after a connector was mended; gives how many made facts. Their cases close then."""
        done = 0
        for identity in subject_ids:
            with self._database.read(tenants=[tenant_id]) as connection:
                kept = queries.kept_input(connection, tenant_id=tenant_id, untranslated_id=identity)
            channel = channels.channel(tenant_id=tenant_id, connection=kept.connection) if kept else None
            if kept is None or not isinstance(channel, Channel):
                continue
            prepared = self._prepare(channel=channel, taken=kept.taken, form=kept.form, when=WhenUnreadable.REFUSE)
            if prepared.problem is None:
                done += self._retrying(
                    lambda channel=channel, prepared=prepared, identity=identity: self._retry_once(  # type: ignore[misc]
                        channel=channel, prepared=prepared, identity=identity, actor=actor, reason=reason
                    )
                )
        return done

    def _retry_once(self, *, channel: Channel, prepared: Prepared, identity: str, actor: str, reason: str) -> int:
        with self._unit(tenant_id=channel.tenant_id, kind="accept", actor=actor, reason=reason) as unit:
            verdict = record.accept(unit, channel=channel, prepared=[prepared], new_id=self._new_id)[0]
            if verdict.outcome not in {Outcome.ACCEPTED, Outcome.DUPLICATE}:
                return 0
            resolve_cases(
                unit,
                tenant_id=channel.tenant_id,
                subject_kind=record.SUBJECT_INPUT,
                subject_ids=[identity],
                reason=reason,
            )
            return 1

    def accept_made(self, *, channel: Channel, fact: TranslatedFact, body: bytes, actor: str, reason: str) -> Verdict:
        """Take in a fact that Revline made itself of what a source no longer shows. body: kept as its raw bytes."""
        taken = Input(body=body, content_type="application/json", received_at=self._clock.now())
        prepared = [Prepared(taken=taken, form=Form.OBJECT, facts=(fact,))]
        return self._retrying(
            lambda: self._accept_once(channel=channel, prepared=prepared, actor=actor, reason=reason, request_key=None)
        )[0]

    def reread(self, *, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int:
        """Have objects read again (a case's retry); gives how many."""
        with self._unit(tenant_id=tenant_id, kind="request", actor=actor, reason=reason) as unit:
            return rereading.ask_again(unit, tenant_id=tenant_id, reread_ids=subject_ids)

    def read_on(self, *, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int:
        """Have listings and change streams that stand still read on (a case's retry); gives how many."""
        with self._unit(tenant_id=tenant_id, kind="request", actor=actor, reason=reason) as unit:
            return following.ask_on(unit, tenant_id=tenant_id, cursor_ids=subject_ids)

    def request_roots(self, *, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int:
        """Have roots derived again (a case's retry); gives how many."""
        with self._unit(tenant_id=tenant_id, kind="request", actor=actor, reason=reason) as unit:
            work.request(unit, tenant_id=tenant_id, kind=record.DERIVE, lane_ids=subject_ids)
        return len(subject_ids)

    def sweep_awaited(self, *, tenant_id: str) -> int:
        """Timer: requests roots whose name arrived while they began to wait, opens cases for what is overdue; gives how many.

        The two can cross: a fact is accepted while the run that doesn't see it decides to wait for it.
        """
        now = self._clock.now()
        with self._database.read(tenants=[tenant_id]) as connection:
            ready = awaiting.crossed(connection, tenant_id=tenant_id)
            late = awaiting.overdue(connection, tenant_id=tenant_id, now=now)
        roots = {entry.root_id for entry in ready}
        late = tuple(sorted((entry for entry in late if entry.root_id not in roots), key=lambda entry: entry.root_id))
        if not ready and not late:
            return 0
        with self._unit(tenant_id=tenant_id, kind="await", actor="worker:intake", reason="awaited names") as unit:
            work.request(unit, tenant_id=tenant_id, kind=record.DERIVE, lane_ids=roots)
            awaiting.mark_arrived(unit, tenant_id=tenant_id, entries=ready)
            for entry in late:
                awaiting.mark_overdue(unit, tenant_id=tenant_id, entry=entry)
        return len(roots) + len(late)

    def _unit(self, *, tenant_id: str, kind: str, actor: str, reason: str) -> Any:
        return self._database.unit(
            tenants=[tenant_id], kind=kind, actor=actor, reason=reason, recorded_at=self._clock.now()
        )

    def _new_id(self, moment: datetime) -> str:
        return str(uuid7(now=moment, random_bytes=self._random_bytes))

    def _retrying(self, work_once: Callable[[], Made]) -> Made:
        for attempt in range(ATTEMPTS_MAX):
            try:
                return work_once()
            except Exception as failure:
                again = isinstance(failure, LostRaceError) or is_transient(failure)
                if not again or attempt == ATTEMPTS_MAX - 1:
                    raise
        raise AssertionError("unreachable")


def _remembered(unit: Unit, *, tenant_id: str, request_key: RequestKey) -> FirstTime | tuple[Verdict, ...]:
    found = remember(
        unit,
        tenant_id=tenant_id,
        key=request_key.key,
        input_hash=input_hash_of(request_key.request),
        digests=field_digests(request_key.request),
    )
    if isinstance(found, Problem):
        raise ProblemError(found)
    if isinstance(found, FirstTime):
        return found
    return msgspec.convert(found.answer, tuple[Verdict, ...])
