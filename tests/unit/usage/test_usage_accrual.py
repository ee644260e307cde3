"""Charge lines as accounting events: accrued by months, corrected by differences, reversed by what bills them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from revline.core.canonical import StatedEvent
from revline.core.canonical.stated import RecognizedRevenue
from revline.subledger.usage.charges.accruing import BILLED, Billing, Entry, Target, entries, fact_of
from revline.subledger.usage.charges.closing import books_open_from, close_policy, closes_at, next_boundary, parts_of
from revline.subledger.usage.charges.policy import LateUsage, UsagePolicy, policy_of
from revline.subledger.usage.versions import Window
from tests.unit.usage.charging import FEBRUARY, JANUARY, charge, line

NO_MONTH_CLOSED = date.min
END_OF_JANUARY = date(2026, 1, 31)
CHARGE = charge(line("10", "1.00"))


def january(amount: str, *, in_original: bool = False) -> Target:
    return Target(part="2026-01", day=END_OF_JANUARY, amount=Decimal(amount), in_original=in_original)


BILLED_IN_FEBRUARY = Billing(charge_id=CHARGE.charge_id, day=date(2026, 2, 3))


def booked(stated: tuple[Entry, ...], billing: Billing | None) -> tuple[Entry, ...]:
    """What is stated next of a line of 1.00 in January."""
    return entries(charge=CHARGE, stated=stated, targets=[january("1.00")], open_from=NO_MONTH_CLOSED, billing=billing)


def test_usage_is_accrued_on_the_last_day_of_its_month() -> None:
    (made,) = entries(charge=CHARGE, stated=[], targets=[january("1.00")], open_from=NO_MONTH_CLOSED)
    assert (made.day, made.amount, made.ordinal) == (END_OF_JANUARY, Decimal("1.00"), 1)
    assert entries(charge=CHARGE, stated=[made], targets=[january("1.00")], open_from=NO_MONTH_CLOSED) == ()


def test_a_change_is_an_entry_of_its_own_for_the_difference() -> None:
    first = entries(charge=CHARGE, stated=[], targets=[january("1.00")], open_from=NO_MONTH_CLOSED)
    second = charge(line("8", "0.80"), revision=2)
    (made,) = entries(charge=second, stated=first, targets=[january("0.80")], open_from=NO_MONTH_CLOSED)
    assert (made.amount, made.ordinal, made.revision, made.day) == (Decimal("-0.20"), 2, 2, END_OF_JANUARY)


def test_a_closed_month_is_not_touched_the_change_counts_in_the_first_open_one() -> None:
    first = entries(charge=CHARGE, stated=[], targets=[january("1.00")], open_from=NO_MONTH_CLOSED)
    (made,) = entries(charge=CHARGE, stated=first, targets=[january("1.50")], open_from=date(2026, 3, 1))
    assert (made.amount, made.day, made.part) == (Decimal("0.50"), date(2026, 3, 1), "2026-01")


def test_a_policy_may_count_the_change_in_the_month_it_was_made() -> None:
    (made,) = entries(charge=CHARGE, stated=[], targets=[january("0.50", in_original=True)], open_from=date(2026, 3, 1))
    assert made.day == END_OF_JANUARY


def test_what_bills_a_line_reverses_all_that_was_accrued() -> None:
    first = booked((), None)
    (made,) = booked(first, BILLED_IN_FEBRUARY)
    assert (made.part, made.amount, made.day) == (BILLED, Decimal("-1.00"), BILLED_IN_FEBRUARY.day)
    assert booked((*first, made), BILLED_IN_FEBRUARY) == ()


def test_what_the_invoice_takes_off_the_account_itself_is_not_reversed_again() -> None:
    first = booked((), None)
    cleared = Billing(charge_id=CHARGE.charge_id, day=date(2026, 2, 3), cleared=Decimal("0.90"))
    assert [made.amount for made in booked(first, cleared)] == [Decimal("-0.10")]


def test_a_voided_invoice_gives_the_accrual_back() -> None:
    first = booked((), None)
    reversed_ = booked(first, BILLED_IN_FEBRUARY)
    (back,) = booked((*first, *reversed_), None)
    assert (back.part, back.amount, back.ordinal) == (BILLED, Decimal("1.00"), 2)


amounts = st.integers(min_value=-500, max_value=500).map(lambda cents: Decimal(cents).scaleb(-2))


@given(history=st.lists(st.tuples(amounts, st.booleans(), st.integers(min_value=1, max_value=6)), max_size=8))
def test_what_is_booked_always_comes_to_what_is_due_and_to_nothing_once_billed(
    history: list[tuple[Decimal, bool, int]],
) -> None:
    stated: list[Entry] = []
    closed = 1
    for amount, billed, month in history:
        closed = max(closed, month)
        stated += entries(
            charge=CHARGE,
            stated=stated,
            targets=[january(str(amount))],
            open_from=date(2026, closed, 1),
            billing=BILLED_IN_FEBRUARY if billed else None,
        )
        accrued = sum(one.amount for one in stated if one.part != BILLED)
        assert accrued == amount
        assert not billed or sum(one.amount for one in stated) == 0
    assert len({one.outside_id for one in stated}) == len(stated)


def test_the_fact_of_an_entry_names_its_charge_and_revision() -> None:
    (made,) = entries(charge=CHARGE, stated=[], targets=[january("1.00")], open_from=NO_MONTH_CLOSED)
    fact = fact_of(entry=made, charge=CHARGE, account="unbilled_receivable", stated_at=datetime(2026, 2, 1, tzinfo=UTC))
    assert fact.roots[0].outside_id == made.outside_id
    assert fact.correlation == f"{CHARGE.charge_id}@1"
    assert isinstance(fact.snapshot, StatedEvent)
    assert isinstance(fact.snapshot.payload, RecognizedRevenue)
    assert (fact.snapshot.event, fact.snapshot.payload.amount) == ("usage.accrued", Decimal("1.00"))


def test_a_period_over_two_months_has_two_parts_in_the_entitys_days() -> None:
    berlin = "Europe/Berlin"
    window = Window(start=datetime(2026, 1, 14, 23, tzinfo=UTC), end=datetime(2026, 2, 14, 23, tzinfo=UTC))
    first, second = parts_of(window=window, time_zone=berlin)
    assert (first.name, first.day, first.end) == ("2026-01", END_OF_JANUARY, datetime(2026, 1, 31, 23, tzinfo=UTC))
    assert (second.name, second.day, second.end) == ("2026-02", date(2026, 2, 14), window.end)


def test_a_month_is_one_part_of_itself() -> None:
    assert [part.name for part in parts_of(window=JANUARY, time_zone="UTC")] == ["2026-01"]


def test_a_period_closes_after_the_longest_grace_and_not_by_itself_where_a_person_closes() -> None:
    quick, slow = UsagePolicy(title="quick", close_after_days=1), UsagePolicy(title="slow", close_after_days=5)
    assert closes_at(JANUARY, (quick, slow)) == JANUARY.end + timedelta(days=5)
    assert closes_at(JANUARY, (quick, UsagePolicy(title="by hand", close_after_days=None))) is None


def test_the_books_of_a_month_close_by_policy_or_by_a_person_whichever_is_later() -> None:
    policy = UsagePolicy(title="books", books_close_after_days=5)
    early, late = datetime(2026, 2, 5, 12, tzinfo=UTC), datetime(2026, 2, 6, 12, tzinfo=UTC)
    opened = {
        moment: books_open_from(policy=policy, closed_through=None, as_of=moment, time_zone="UTC")
        for moment in (early, late)
    }
    assert opened == {early: date(2026, 1, 1), late: date(2026, 2, 1)}
    by_hand = books_open_from(policy=policy, closed_through=date(2026, 2, 28), as_of=late, time_zone="UTC")
    assert by_hand == date(2026, 3, 1)


def test_late_usage_counts_until_the_policys_last_day() -> None:
    policy = UsagePolicy(title="a quarter", late=LateUsage.HOLD, late_days_max=90)
    last = JANUARY.end + timedelta(days=90)
    assert close_policy(policy=policy, origin=JANUARY, as_of=last - timedelta(seconds=1)).held
    assert not close_policy(policy=policy, origin=JANUARY, as_of=last).counted


def test_a_period_is_looked_at_when_its_months_end_and_when_it_closes() -> None:
    policies = (UsagePolicy(title="three days"),)
    moments = []
    moment = FEBRUARY.start
    while found := next_boundary(window=FEBRUARY, policies=policies, time_zone="UTC", after=moment, closed=False):
        moments.append(found)
        moment = found
    assert moments == [FEBRUARY.end, FEBRUARY.end + timedelta(days=3)]


def test_the_policy_that_says_more_wins() -> None:
    general = UsagePolicy(title="any")
    entity = UsagePolicy(title="of the entity", entity="acme-de")
    family = UsagePolicy(title="of the family", product_families=("api",))
    assert policy_of([general, entity, family], entity="acme-de", product_family="api") is family
    assert policy_of([general, entity, family], entity="acme-de", product_family="seats") is entity
    assert policy_of([general, entity, family], entity="acme-us", product_family="seats") is general
