"""One story of chaos: an undisturbed run of a month, then the same month with workers and what is around them struck by blows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from revline.connectors.sdk.effects import Effect
from revline.connectors.simulated.records import Mode
from revline.sim.judging import Verdict, booked_balances, expected_balances, judge
from revline.sim.stripe_profile import StripeMonth
from tests.chaos.breaking import Break
from tests.chaos.judging import EndState, Open, end_state, intents, open_ends
from tests.chaos.planning import Blow, Fault, Plan, Variant
from tests.chaos.running import TENANT, Rehearsal, Stand, Struck

ENTITY: Final = "birch-us"
COMPANY: Final = "BIRCH-US"
CALM: Final = Plan(
    seed=0,
    variant=Variant(name="unique", mode=Mode.UNIQUE),
    fault=Fault.KILL,
    strokes=(),
    two_step=False,
    lost_percent=0,
)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a story came to.

    in_flight: kills that left a call with documents unanswered. late_seconds: the longest time from a blow
    until the ERP carried out a call it left unanswered. open_ends: documents in a case, or behind one. taken_over: results that
    came back to a worker whose lease was gone. same_books: the ERP's balances are the oracle's.
    """

    plan: Plan
    struck: tuple[Struck, ...]
    in_flight: int
    late_seconds: float
    broken: Mapping[Break, int]
    taken_over: int
    documents: int
    verdict: Verdict
    open_ends: Open
    state: EndState
    same_books: bool
    seconds: float

    def count(self, blow: Blow) -> int:
        """How many blows of a kind were struck."""
        return sum(one.stroke.blow is blow for one in self.struck)

    @property
    def all_posted(self) -> bool:
        """Every document is posted, no case is open and no work is left."""
        states = {state[0] for state in self.state.states.values()}
        known = len(self.state.states) == self.documents
        return known and states == {"posted"} and (self.state.cases, self.state.work_left) == (0, 0)

    def well(self, calm: EndState) -> bool:
        """Nothing lost, doubled or out of order; and all as in the undisturbed run, but for what a person must decide."""
        if not self.verdict.good or self.open_ends.silent or self.open_ends.sent_again:
            return False
        if self.plan.variant.mode is Mode.NEITHER and self.open_ends.documents:
            return (self.state.journals, self.state.documents) == (calm.journals, calm.documents)
        return self.same_books and self.all_posted and self.state == calm


def undisturbed(stand: Stand, *, month: StripeMonth) -> EndState:
    """The end state of a run in which nothing dies."""
    stand.empty()
    with Rehearsal(
        stand=stand, folder=stand.folder / f"undisturbed-{time.monotonic_ns()}", month=month, plan=CALM
    ) as one:
        one.run_out()
        return end_state(stand.database, tenant=TENANT)


def tell(stand: Stand, *, month: StripeMonth, plan: Plan) -> Told:
    """Strike by the plan, let the workers come to an end by themselves, judge."""
    began = time.monotonic()
    stand.empty()
    folder = stand.folder / f"{plan.variant.name}-{plan.fault}-{plan.seed}"
    with Rehearsal(stand=stand, folder=folder, month=month, plan=plan) as one:
        one.disturb()
        one.crew.start()
        struck: list[Struck] = []
        for stroke in plan.strokes:
            found = one.strike(stroke)
            if found is None:
                break
            struck.append(found)
        one.finish()
        effects = one.erp.effects()
        wanted = intents(stand.database, tenant=TENANT)
        books = booked_balances(one.erp.trial_balance(company=COMPANY))
        expected = expected_balances(folder=one.configuration / TENANT, entity=ENTITY, month=month)
        verdict = judge(wanted=wanted, effects=effects)
        ends = open_ends(stand.database, tenant=TENANT, wanted=wanted, never_twice=plan.variant.mode is Mode.NEITHER)
        lost = tuple(name for name in verdict.lost if name not in ends.documents)
        return Told(
            plan=plan,
            struck=tuple(struck),
            in_flight=sum(each.stroke.blow is Blow.KILL and bool(each.unanswered) for each in struck),
            late_seconds=_late_seconds(struck, effects),
            broken=Counter(one.proxy.broken),
            taken_over=one.crew.told("delivery.lease_lost"),
            documents=len(wanted),
            verdict=msgspec.structs.replace(verdict, lost=lost),
            open_ends=ends,
            state=end_state(stand.database, tenant=TENANT),
            same_books=books == expected,
            seconds=time.monotonic() - began,
        )


def _late_seconds(struck: list[Struck], effects: tuple[Effect, ...]) -> float:
    waits = [
        (effect.at - one.at).total_seconds()
        for one in struck
        for effect in effects
        if effect.type == "effect" and effect.request_id in one.unanswered
    ]
    return max(waits, default=0.0)
