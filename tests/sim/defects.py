"""Defects planted in the product's real code, each as somebody might write it, to see whether simulated worlds find them.

A defect is applied to the running process and taken back again. One that no longer fits the code fails loudly.
"""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import pytest

from revline.connectors.simulated.connector import SimulatedConnector
from revline.core.documents import DocumentState
from revline.core.farside import Accepted, ErpRecord, Idempotency, Posted, Throttled
from revline.core.problem import Problem, problem
from revline.delivery import (
    decide,
    loading,
    loop,
    marking,
    outcome,
    service,
    settling,
    waiting,
)
from revline.delivery.pauses import Pauses
from revline.delivery.values import Send
from revline.intake import awaiting
from revline.intake import service as intake_service
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work import service as work_service
from tests.sim.planting import change_sql, defect

# -- sending


@defect("the mark says that nothing was sent until the answer is there")
def late_mark(patch: pytest.MonkeyPatch) -> None:
    change_sql(patch, marking, "_SENDING", ("SET state = 'sending', ", "SET "))
    patch.setattr(settling, "_still_stands", lambda one, present: True)


@defect("an unanswered step is sent again without a look")
def blind_resend(patch: pytest.MonkeyPatch) -> None:
    def resolve(head: Any, capability: Any, **_: Any) -> Send:
        return Send(step=head.loaded.standing.step or capability.steps[0])

    patch.setattr(decide, "_resolve", resolve)


@defect("a time-out counts as not sent")
def timeout_is_not_sent(patch: pytest.MonkeyPatch) -> None:
    def again(head: Any, step: str, evidence: str, pauses: Pauses, **_: Any) -> Any:
        found = outcome._throttled(head, step, Throttled(retry_after=timedelta(0)), pauses)
        return msgspec.structs.replace(found, state=DocumentState.READY)

    patch.setattr(outcome, "_uncertain", again)


@defect("a look-up is believed before the far side's effect bound is over")
def early_look_up(patch: pytest.MonkeyPatch) -> None:
    for module in (decide, outcome):
        patch.setattr(module, "effect_window", lambda manifest: timedelta(0))


@defect("a look-up is believed before what it shows can have caught up")
def look_up_lag_ignored(patch: pytest.MonkeyPatch) -> None:
    for module in (decide, outcome):
        patch.setattr(module, "effect_window", lambda manifest: manifest.effect_bound)


@defect("a call is made although the lease may have ended")
def call_after_the_lease(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(service.Desk, "still_ours", lambda self, lane: True)


@defect("what a far side without look-up did not answer is sent again")
def neither_sent_again(patch: pytest.MonkeyPatch) -> None:
    real = decide._resolve

    def resolve(head: Any, capability: Any, **given: Any) -> Any:
        if capability.idempotency is Idempotency.NEITHER:
            return Send(step=head.loaded.standing.step or capability.steps[0])
        return real(head, capability, **given)

    patch.setattr(decide, "_resolve", resolve)


@defect("the external reference is drawn anew for every attempt")
def reference_of_the_attempt(patch: pytest.MonkeyPatch) -> None:
    real = SimulatedConnector.prepare
    count = [0]

    def prepare(self: Any, **given: Any) -> Any:
        step = real(self, **given)
        count[0] += 1
        if isinstance(step, Problem) or b"external_reference" not in step.body:
            return step
        reference = f"{step.external_reference[:12]}{count[0] % 10_000:04d}"
        body = step.body.replace(step.external_reference.encode(), reference.encode())
        return msgspec.structs.replace(step, body=body, external_reference=reference)

    patch.setattr(SimulatedConnector, "prepare", prepare)


# -- owners and leases


class _Anything:
    """Equal to whatever it is compared with."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


_ANYTHING: Final = _Anything()


@defect("what came back is written whoever owns the lane by now")
def unfenced_settle(patch: pytest.MonkeyPatch) -> None:
    change_sql(patch, work_record, "_HOLD", ("USING (tenant_id, lane_id, fence, owner)", "USING (tenant_id, lane_id)"))
    patch.setattr(settling, "_still_stands", lambda one, present: True)


@defect("a lane is given back by a worker that lost it")
def unfenced_lane(patch: pytest.MonkeyPatch) -> None:
    change_sql(patch, work_record, "_HOLD", ("USING (tenant_id, lane_id, fence, owner)", "USING (tenant_id, lane_id)"))
    change_sql(patch, work_record, "_CHANGE", ("AND lane.owner = given.owner AND lane.fence = given.fence", ""))
    patch.setattr(settling, "_still_stands", lambda one, present: True)


@defect("a step is marked and sent although others took the lane over")
def unfenced_mark(patch: pytest.MonkeyPatch) -> None:
    def everything(connection: Any, *, owner: str, lanes: Any) -> Any:
        return frozenset(lane.key for lane in lanes)

    patch.setattr(marking, "work_record", SimpleNamespace(hold=everything, change=work_record.change))
    patch.setattr(marking, "present_of", lambda standing: _ANYTHING)
    patch.setattr(work_service, "renew", lambda database, *, lanes, **_: frozenset(lane.key for lane in lanes))
    patch.setattr(service.Desk, "still_ours", lambda self, lane: True)


@defect("a claim leaves the lane due, so that others take it too")
def claim_without_lease(patch: pytest.MonkeyPatch) -> None:
    change_sql(
        patch,
        work_service,
        "_CLAIM",
        ("lease_until = :lease_until, due_at = :lease_until,", "lease_until = :lease_until,"),
    )


# -- order and waiting


@defect("the newest item of a lane is taken instead of its head")
def tail_first(patch: pytest.MonkeyPatch) -> None:
    change_sql(patch, work_queries, "_HEADS", ("ORDER BY item.sequence LIMIT", "ORDER BY item.sequence DESC LIMIT"))


@defect("a document is sent before what it depends on is there")
def predecessor_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "waits_for", lambda **_: None)


@defect("nobody is woken by a finished predecessor")
def lost_wake_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(waiting, "wake", lambda *_, **__: frozenset())
    patch.setattr(loop.Sweeper, "sweep", lambda self, **_: 0)


@defect("a wait is written without looking again at what is waited for")
def park_without_a_look(patch: pytest.MonkeyPatch) -> None:
    def nothing_finished(connection: Any, kept: Any) -> Any:
        states = {
            loading.DocumentKey(one.head.loaded.lane.tenant_id, name): "ready"
            for one in kept
            for name in one.decision.predecessors
        }
        return waiting._Seen(states, frozenset())

    patch.setattr(waiting, "_seen", nothing_finished)
    patch.setattr(loop.Sweeper, "sweep", lambda self, **_: 0)


@defect("a name that a record waits for ends no wait when it comes")
def awaited_name_missed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(awaiting, "waiting_for", lambda *_, **__: ())
    patch.setattr(intake_service.Intake, "sweep_awaited", lambda self, *, tenant_id: 0)


# -- answers


@defect("every document of a batch counts as the first one's answer says")
def batch_as_one(patch: pytest.MonkeyPatch) -> None:
    real = SimulatedConnector._of_batch

    def of_batch(self: Any, steps: Any, answer: Any) -> Any:
        found = list(real(self, steps, answer))
        done = next((one for one in found if isinstance(one, Posted)), None)
        return [one if done is None or isinstance(one, Posted) else done for one in found]

    patch.setattr(SimulatedConnector, "_of_batch", of_batch)


@defect("the answers of a batch are given to the wrong documents")
def answers_swapped(patch: pytest.MonkeyPatch) -> None:
    real = loop.results_of
    patch.setattr(loop, "results_of", lambda call, outcomes: real(call, list(outcomes)[::-1]))


@defect("a draft in the ERP counts as posted")
def draft_is_posted(patch: pytest.MonkeyPatch) -> None:
    real = outcome.posted
    patch.setattr(outcome, "placed", lambda head, record, step: real(head, Posted(record=record, entries=None)))


@defect("a document that a far-side job is to make counts as posted")
def accepted_is_posted(patch: pytest.MonkeyPatch) -> None:
    real = loop.results_of

    def results(call: Any, outcomes: Any) -> Any:
        record = ErpRecord(record_kind="journals", erp_id="JE-1", state="posted")
        return real(call, [Posted(record=record) if isinstance(one, Accepted) else one for one in outcomes])

    patch.setattr(loop, "results_of", results)


@defect("a request to slow down is taken for a refusal")
def throttled_is_refused(patch: pytest.MonkeyPatch) -> None:
    def refused(head: Any, step: str, found: Any, pauses: Pauses) -> Any:
        return outcome._refused(head, step, problem("erp.rejected", "429: too many calls"), pauses)

    patch.setattr(outcome, "_throttled", refused)


@defect("a lost answer counts as success")
def lost_is_posted(patch: pytest.MonkeyPatch) -> None:
    def assumed(head: Any, step: str, evidence: str, pauses: Pauses, **_: Any) -> Any:
        return msgspec.structs.replace(outcome.placed(head, None, step), state=DocumentState.POSTED, done=True)  # type: ignore[arg-type]

    patch.setattr(outcome, "_uncertain", assumed)


@defect("a refusal opens no case")
def refusal_without_case(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settling, "_problems", lambda one: [])


@defect("a case stays open when its document goes on")
def case_never_closed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settling, "resolve_cases_of", lambda *_, **__: None)
