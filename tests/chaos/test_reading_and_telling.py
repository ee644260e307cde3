"""Two workers that list a month from Stripe and tell it back, killed with a page and with a telling in flight.

No page is skipped, nothing is told twice with other content, and what Stripe was told at the end is what the ERP holds.
"""

from __future__ import annotations

import pytest

from revline.sim.judging import booked_balances, expected_balances, judge
from tests.chaos.judging import end_state, intents
from tests.chaos.planning import VARIANTS, Fault, plan_for
from tests.chaos.reading import LISTING, TELLING, ReadingRehearsal, facts, invoices_in_erp, twice_otherwise
from tests.chaos.running import TENANT, Stand, month_of
from tests.chaos.story import COMPANY, ENTITY

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.xdist_group("chaos")]

KILLS_READING = 4
KILLS_TELLING = 3
PLAN = plan_for(seed=1, variant=VARIANTS[0], fault=Fault.KILL, kills=2)


def test_killed_readers_skip_no_page_and_killed_tellers_tell_nothing_else(stand: Stand) -> None:
    month = month_of(seed=11)
    stand.empty()
    with ReadingRehearsal(stand=stand, folder=stand.folder / "reading", month=month, plan=PLAN) as one:
        one.crew.start()
        reading = [one.kill_in(LISTING, after=number) for number in range(1, 1 + KILLS_READING)]
        telling = [one.kill_in(TELLING, after=number) for number in range(1, 1 + KILLS_TELLING)]
        one.finish()
        # Most kills struck a call that its worker was waiting for.
        assert sum(reading) > KILLS_READING // 2
        assert sum(telling) > KILLS_TELLING // 2
        held = one.held_by_stripe()
        read = {outside_id for _, outside_id in facts(stand.database)}
        assert {kind: sorted(ids - read) for kind, ids in held.items() if ids - read} == {}
        assert twice_otherwise(one.tellings()) == ()
        made = invoices_in_erp(one.erp.effects())
        assert len(made) > 30
        # The simulated ERP takes the number an invoice has.
        assert {number: erp for number, (_, erp) in one.told().items()} == {number: number for number in made}
        assert {state for state, _ in one.told().values()} <= {"posted", "voided"}
        wanted = intents(stand.database, tenant=TENANT)
        ours = [intent for intent in wanted if intent.reference not in {telling.key for telling in one.tellings()}]
        state = end_state(stand.database, tenant=TENANT)
        assert (state.cases, state.work_left, state.unanswered_attempts) == (0, 0, 0)
        assert {found[0] for found in state.states.values()} == {"posted"}
        assert judge(wanted=ours, effects=one.erp.effects()).doubled == ()
        books = booked_balances(one.erp.trial_balance(company=COMPANY))
        assert books == expected_balances(folder=one.configuration / TENANT, entity=ENTITY, month=month)
