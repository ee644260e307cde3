"""One story of chaos: an undisturbed run of a month, then the same month with a worker that is killed again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.wire import Kind
from revline.platform.store.engine import Database
from revline.sim.judging import Verdict, booked_balances, expected_balances, judge
from revline.sim.stripe_profile import StripeMonth
from tests.chaos.judging import EndState, end_state, intents
from tests.chaos.running import TENANT, Killed, Moment, Rehearsal, plan_of

ENTITY: Final = "birch-us"
COMPANY: Final = "BIRCH-US"


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """How the ERP is in one story. lost_percent: answers it loses beside the kills. two_step: invoices are made, then posted."""

    name: str
    mode: Mode
    lost_percent: int = 0
    two_step: bool = False


VARIANTS: Final = (
    Variant(name="unique", mode=Mode.UNIQUE),
    Variant(name="lookup, two steps, answers lost", mode=Mode.LOOKUP, lost_percent=8, two_step=True),
    Variant(name="unique, two steps, answers lost", mode=Mode.UNIQUE, lost_percent=8, two_step=True),
    Variant(name="lookup", mode=Mode.LOOKUP),
)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a story came to. same_state: as the undisturbed run's. same_books: the ERP's balances are the oracle's."""

    kills: tuple[Killed, ...]
    documents: int
    verdict: Verdict
    state: EndState
    same_books: bool
    seconds: float

    @property
    def in_flight(self) -> int:
        """Kills that left a call with documents unanswered."""
        return sum(one.unanswered > 0 for one in self.kills)

    @property
    def all_posted(self) -> bool:
        """Every document is posted, no case is open and no work is left."""
        states = {state[0] for state in self.state.states.values()}
        known = len(self.state.states) == self.documents
        return known and states == {"posted"} and (self.state.cases, self.state.work_left) == (0, 0)


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """Where stories are told. empty: makes the database clean again."""

    database: Database
    dsn: str
    folder: Path
    empty: Callable[[], None]


def undisturbed(stand: Stand, *, month: StripeMonth) -> EndState:
    """The end state of a run in which nothing dies."""
    stand.empty()
    with Rehearsal(database=stand.database, dsn=stand.dsn, folder=stand.folder / "undisturbed", month=month) as one:
        one.run_out()
        return end_state(stand.database, tenant=TENANT)


def tell(stand: Stand, *, month: StripeMonth, variant: Variant, seed: int, kills: int) -> Told:
    """Kill workers by the plan of a seed, let the one after the last kill end by itself, judge."""
    began = time.monotonic()
    stand.empty()
    rehearsal = Rehearsal(
        database=stand.database,
        dsn=stand.dsn,
        folder=stand.folder / f"{variant.name.replace(' ', '-').replace(',', '')}-{seed}",
        month=month,
        mode=variant.mode,
        two_step=(Kind.INVOICES,) if variant.two_step else (),
    )
    with rehearsal as one:
        one.disturb(seed=seed, lost_percent=variant.lost_percent)
        made: list[Killed] = []
        for kill in plan_of(seed=seed, kills=kills):
            if not one.kill_one(kill):
                break
            if kill.moment is Moment.LATE:
                # The last worker is at work while the late call is still with the ERP.
                one.run_out()
            made.append(one.look(kill))
        wanted = intents(stand.database, tenant=TENANT)
        books = booked_balances(one.erp.trial_balance(company=COMPANY))
        expected = expected_balances(folder=one.configuration / TENANT, entity=ENTITY, month=month)
        return Told(
            kills=tuple(made),
            documents=len(wanted),
            verdict=judge(wanted=wanted, effects=one.erp.effects()),
            state=end_state(stand.database, tenant=TENANT),
            same_books=books == expected,
            seconds=time.monotonic() - began,
        )
