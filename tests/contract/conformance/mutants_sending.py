"""Planted defects in what becomes of a call: failures taken for success, success for failure, and calls made again blindly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from revline.connectors.simulated.conformance import SimulatedSystem
from revline.core.documents import DocumentKind
from revline.core.farside import (
    ErpPeriod,
    ErpRecord,
    NotSent,
    Outcome,
    PeriodState,
    Placed,
    Posted,
    PreparedStep,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.problem import Problem, problem
from tests.contract.conformance.wrapping import Mutant, Resubmit, Wrapped, insists, judges

MADE_UP = Posted(record=ErpRecord(record_kind="journals", erp_id="JE-999999", state="posted"))


async def _blind(outcomes: Sequence[Outcome], steps: Sequence[PreparedStep], again: Resubmit) -> Sequence[Outcome]:
    return await again(steps) if any(isinstance(outcome, Uncertain) for outcome in outcomes) else outcomes


async def _stubborn(outcomes: Sequence[Outcome], steps: Sequence[PreparedStep], again: Resubmit) -> Sequence[Outcome]:
    for _ in range(9):
        if isinstance(outcomes[0], Rejected):
            outcomes = await again(steps)
    return outcomes


async def _for_ever(outcomes: Sequence[Outcome], steps: Sequence[PreparedStep], again: Resubmit) -> Sequence[Outcome]:
    while _is(outcomes[0], "erp.credentials_refused"):
        await asyncio.sleep(0)
        outcomes = await again(steps)
    return outcomes


async def _twice(outcomes: Sequence[Outcome], steps: Sequence[PreparedStep], again: Resubmit) -> Sequence[Outcome]:
    if _is(outcomes[0], "erp.credentials_refused"):
        await again(steps)
        return await again(steps)
    return outcomes


async def _backwards(outcomes: Sequence[Outcome], _: Sequence[PreparedStep], __: Resubmit) -> Sequence[Outcome]:
    return list(reversed(outcomes))


def _like_the_first(kind: type[Any]) -> Callable[..., Awaitable[Sequence[Outcome]]]:
    async def whole(outcomes: Sequence[Outcome], _: Sequence[PreparedStep], __: Resubmit) -> Sequence[Outcome]:
        return [outcomes[0] if isinstance(outcome, kind) else outcome for outcome in outcomes]

    return whole


def _is(outcome: Outcome, code: str) -> bool:
    return isinstance(outcome, NotSent | Rejected) and outcome.problem.code == code


def _evidence(text: str, instead: Outcome) -> Callable[[Outcome, SimulatedSystem], Outcome]:
    def change(outcome: Outcome, _: SimulatedSystem) -> Outcome:
        return instead if isinstance(outcome, Uncertain) and text in outcome.evidence else outcome

    return change


def _instead(kind: type[Any], instead: Outcome, code: str = "") -> Callable[[Outcome, SimulatedSystem], Outcome]:
    def change(outcome: Outcome, _: SimulatedSystem) -> Outcome:
        return instead if isinstance(outcome, kind) and (not code or _is(outcome, code)) else outcome

    return change


def _leak(outcome: Outcome, system: SimulatedSystem) -> Outcome:
    if isinstance(outcome, Rejected | Uncertain):
        return msgspec.structs.replace(outcome, evidence=f"authorization: Bearer {system.secret}")
    return outcome


def _silent(outcome: Outcome, _: SimulatedSystem) -> Outcome:
    if isinstance(outcome, Rejected):
        raise RuntimeError("refused")
    return outcome


class FoundIsOurs(Wrapped):
    """Takes the record that stands in the way for its own, whatever it says."""

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        outcomes = list(await self.inner.submit(steps=steps))
        for place, (step, outcome) in enumerate(zip(steps, outcomes, strict=True)):
            if _is(outcome, "erp.record_differs"):
                found = await self.inner.lookup(kind=step.kind, references=[step.external_reference], company="US01")
                assert not isinstance(found, Problem)
                outcomes[place] = Posted(record=found[step.external_reference][0])
        return outcomes


class AnyRecord(Wrapped):
    """Takes whatever record an answer shows for the one it asked for."""

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        outcomes = list(await self.inner.submit(steps=steps))
        for place, outcome in enumerate(outcomes):
            if isinstance(outcome, Uncertain) and "answered with JE" in outcome.evidence:
                shown = ErpRecord(record_kind="journals", erp_id=outcome.evidence.rpartition(" ")[2], state="posted")
                found = await self.inner.read(record=shown)
                assert isinstance(found, Posted | Placed)
                outcomes[place] = found
        return outcomes


class AlwaysOpen(Wrapped):
    """Tells every period as open."""

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        found = await self.inner.periods(company=company)
        if isinstance(found, Problem):
            return found
        return [msgspec.structs.replace(period, state=PeriodState.OPEN) for period in found]


def _mutant(name: str, defect: str, caught_by: str, plant: Any, *, variant: str = "unique") -> Mutant:
    return Mutant(name=name, defect=defect, caught_by=caught_by, plant=plant, variant=variant)


BUSY = NotSent(problem=problem("erp.busy", "try later"))
REFUSED = Rejected(problem=problem("erp.rejected", "refused"))
KIND = DocumentKind.JOURNAL

MUTANTS = (
    _mutant("found duplicate accepted", "takes a record under its reference without comparing",
            "sending twice makes one record", FoundIsOurs),
    _mutant("refusal raised", "raises when the far side refuses", "a refusal says why", judges(_silent)),
    _mutant("business error retried", "sends a refused document ten times", "a business error is not tried again",
            insists(_stubborn)),
    _mutant("period error retried", "calls a closed period busy", "a closed period is refused",
            judges(_instead(Rejected, BUSY, "erp.period_closed"))),
    _mutant("period always open", "tells a closed period as open", "a closed period is refused", AlwaysOpen),
    _mutant("blind resend", "sends again when it does not know", "a lost answer is uncertain and found",
            insists(_blind), variant="lookup"),
    _mutant("uncertain reported as not sent", "says it was not sent when it does not know",
            "a lost answer is uncertain and found", judges(_instead(Uncertain, BUSY))),
    _mutant("unreadable taken for success", "takes 200 with a page for a record", "an unreadable answer is uncertain",
            judges(_evidence("<html>", MADE_UP))),
    _mutant("server error taken for a refusal", "gives up on 500", "an error after the effect is uncertain",
            judges(_evidence("HTTP 500", REFUSED))),
    _mutant("server error taken for success", "takes 500 for an effect",
            "an error before the effect can be sent again", judges(_evidence("HTTP 500", MADE_UP))),
    _mutant("200 taken for success", "looks at the status only", "200 with a failure is no success",
            judges(lambda outcome, _: MADE_UP if isinstance(outcome, Rejected | Uncertain) else outcome)),
    _mutant("throttled counted as rejected", "gives up when it is to wait", "throttling has no effect",
            judges(_instead(Throttled, REFUSED))),
    _mutant("busy taken for uncertain", "asks for a look-up where nothing happened", "busy has no effect",
            judges(_instead(NotSent, Uncertain(evidence="busy"), "erp.busy"))),
    _mutant("unreachable taken for a refusal", "gives up when nobody answers",
            "an unreachable system was not sent to", judges(_instead(NotSent, REFUSED, "erp.unreachable"))),
    _mutant("stale token loop", "calls for ever with a token that is refused", "refused credentials have no effect",
            insists(_for_ever)),
    _mutant("renewed token sends twice", "sends twice once its token is renewed",
            "a stale token is renewed or told", insists(_twice), variant="lookup"),
    _mutant("evidence leaks a secret", "keeps the request's headers as evidence", "evidence shows no secret",
            judges(_leak)),
    _mutant("answers in the wrong order", "gives a batch's outcomes in another order",
            "a batch answers for each document", insists(_backwards)),
    _mutant("missing results filled", "takes a short answer for the whole batch",
            "missing results of a batch are uncertain", insists(_like_the_first(Uncertain))),
    _mutant("partial batch taken whole", "takes a batch half done for done", "a batch half done is told apart",
            insists(_like_the_first(NotSent))),
    _mutant("results by place", "takes a batch's results by their place, whatever they name",
            "results in another order are not mixed up", AnyRecord),
)  # fmt: skip
"""One defect or more for each case of sending."""
