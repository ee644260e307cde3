"""Which credits pay which lines, and what becomes of the rest."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from revline.core.canonical.credits import Breakage, Coverage, RollOver, Scope, Span, TopUp
from revline.core.money import Amount
from revline.subledger.usage.charges.values import ChargeKind
from tests.unit.usage.credits.stories import (
    at,
    balance,
    february,
    grant,
    january,
    ledger,
    line,
    march,
    paid,
    refund,
    settled,
)


def test_credits_of_1_that_cost_080_make_080_of_revenue() -> None:
    found = settled(
        "2026-05-01", lines=[january("jan", "300.00")], grants=[grant("g", "1000.00", "800.00", until="2026-04-01")]
    )
    assert ledger(found) == [
        ("2026-01-01", "g", "granted", "", "1000.00", "800.00"),
        ("2026-01-31", "g", "drawn", "jan", "300.00", "240.00"),
        ("2026-03-31", "g", "expired", "0", "700.00", "560.00"),
    ]


def test_a_promotion_pays_lines_and_makes_no_revenue() -> None:
    found = settled("2026-03-01", lines=[january("jan", "30.00")], grants=[grant("promo", "50.00", "0.00")])
    assert paid(found) == {"jan": {"promo": "30.00", "due": "0.00"}}
    assert {entry.cost for entry in found.entries} == {Decimal(0)}


def test_the_order_is_priority_then_expiry_then_granted_first_then_id() -> None:
    grants = [
        grant("never-expires", "10.00"),
        grant("late", "10.00", until="2026-12-01"),
        grant("soon", "10.00", until="2026-06-01"),
        grant("soon-but-second", "10.00", since="2026-01-02", until="2026-06-01"),
        grant("soon-and-b", "10.00", until="2026-06-01"),
        grant("first", "10.00", until="2027-01-01", priority=1),
    ]
    found = settled("2026-02-01", lines=[january("jan", "55.00")], grants=grants)
    drawn = [draw.grant_id for draw in found.lines[0].draws]
    assert drawn == ["first", "soon", "soon-and-b", "soon-but-second", "late", "never-expires"]
    assert balance(found, "never-expires").left == Decimal("5.00")


def test_a_scope_keeps_credits_for_its_family_price_and_meter() -> None:
    grants = [
        grant("storage-only", "50.00", scope=Scope(families=("storage",)), priority=1),
        grant("calls-only", "50.00", scope=Scope(prices=("api-calls",), meters=("calls",)), priority=1),
    ]
    lines = [january("calls", "20.00", meter="calls", product_family="api"), january("other", "20.00", price="seats")]
    found = settled("2026-02-01", lines=lines, grants=grants)
    assert paid(found) == {"calls": {"calls-only": "20.00", "due": "0.00"}, "other": {"due": "20.00"}}


def test_credits_that_end_with_the_month_pay_the_month_and_nothing_of_the_next() -> None:
    grants = [grant("g", "100.00", until="2026-02-01")]
    found = settled("2026-03-01", lines=[january("jan", "30.00"), february("feb", "30.00")], grants=grants)
    assert paid(found) == {"jan": {"g": "30.00", "due": "0.00"}, "feb": {"due": "30.00"}}
    assert ledger(found)[-1] == ("2026-01-31", "g", "expired", "0", "70.00", "70.00")


@pytest.mark.parametrize(("coverage", "due"), [(Coverage.WINDOW_END, "30.00"), (Coverage.WINDOW_TOUCHED, "0.00")])
def test_credits_that_end_within_the_month_pay_it_where_they_are_said_to(coverage: Coverage, due: str) -> None:
    grants = [grant("g", "100.00", until="2026-01-15", coverage=coverage)]
    found = settled("2026-03-01", lines=[january("jan", "30.00")], grants=grants)
    assert paid(found)["jan"]["due"] == due
    assert ledger(found)[-1][:3] == ("2026-01-14", "g", "expired")


def test_what_of_an_open_window_is_drawn_is_pending() -> None:
    found = settled("2026-01-20", lines=[january("jan", "30.00")], grants=[grant("g", "100.00")])
    assert [entry[2] for entry in ledger(found)] == ["granted"]
    assert [(entry.key.rule.value, entry.amount) for entry in found.pending] == [("drawn", Decimal("30.00"))]
    assert (balance(found, "g").left, balance(found, "g").available) == (Decimal("100.00"), Decimal("70.00"))


def test_unused_credits_roll_over_up_to_their_cap() -> None:
    rule = RollOver(extends=Span(months=1), amount=Amount("40.00"), percent=Amount(50))
    grants = [grant("g", "100.00", "60.00", until="2026-02-01", roll_over=rule)]
    found = settled("2026-04-01", lines=[february("feb", "10.00")], grants=grants)
    assert ledger(found) == [
        ("2026-01-01", "g", "granted", "", "100.00", "60.00"),
        ("2026-01-31", "g", "expired", "0", "60.00", "36.00"),
        ("2026-02-28", "g", "drawn", "feb", "10.00", "6.00"),
        ("2026-02-28", "g", "expired", "1", "30.00", "18.00"),
    ]


def test_breakage_in_proportion_is_revenue_while_the_rest_is_used() -> None:
    """ASC 606-10-55-48: of 1,000 a tenth is expected never to be used; half of the expected use is half of the price."""
    terms = {"breakage": Breakage.PROPORTIONAL, "expected_breakage": Amount("0.1")}
    grants = [grant("g", "1000.00", until="2026-03-01", **terms)]
    lines = [january("jan", "450.00"), february("feb", "500.00")]
    found = settled("2026-04-01", lines=lines, grants=grants)
    assert ledger(found)[1:] == [
        ("2026-01-31", "g", "drawn", "jan", "450.00", "450.00"),
        ("2026-01-31", "g", "breakage", "jan", "0", "50.00"),
        ("2026-02-28", "g", "drawn", "feb", "500.00", "500.00"),
        ("2026-02-28", "g", "expired", "0", "50.00", "0.00"),
    ]


def test_use_beyond_what_was_expected_takes_breakage_back() -> None:
    terms = {"breakage": Breakage.PROPORTIONAL, "expected_breakage": Amount("0.5")}
    lines = [january("jan", "50.00"), february("feb", "40.00")]
    found = settled("2026-03-01", lines=lines, grants=[grant("g", "100.00", **terms)])
    assert [row[2:] for row in ledger(found)[1:]] == [
        ("drawn", "jan", "50.00", "50.00"),
        ("breakage", "jan", "0", "50.00"),
        ("drawn", "feb", "40.00", "40.00"),
        ("breakage", "feb", "0", "-40.00"),
    ]


def test_where_unclaimed_credits_are_nobodys_revenue_their_cost_stays_owed() -> None:
    grants = [grant("g", "100.00", "80.00", until="2026-02-01", breakage=Breakage.NONE)]
    found = balance(settled("2026-03-01", grants=grants), "g")
    assert (found.expired, found.cost_expired, found.left, found.cost_left) == (100, 0, 0, Decimal("80.00"))


def test_refunded_credits_are_gone_also_for_use_that_is_learned_of_later() -> None:
    grants, refunds = [grant("g", "100.00", "80.00")], [refund("r", "g", "70.00", "2026-02-10")]
    before = settled("2026-03-01", lines=[january("jan", "30.00")], grants=grants, refunds=refunds)
    after = settled("2026-03-01", lines=[january("jan", "45.00")], grants=grants, refunds=refunds)
    assert paid(before)["jan"] == {"g": "30.00", "due": "0.00"}
    assert paid(after)["jan"] == {"g": "30.00", "due": "15.00"}
    assert ledger(after)[-1] == ("2026-02-10", "g", "taken_back", "r", "70.00", "56.00")
    assert not after.findings


def test_a_refund_of_more_than_is_left_is_told() -> None:
    refunds = [refund("r", "g", "70.00", "2026-02-10"), refund("s", "unknown", "1.00", "2026-02-10")]
    found = settled("2026-03-01", grants=[grant("g", "50.00")], refunds=refunds)
    assert balance(found, "g").taken_back == Decimal("50.00")
    assert [one.code for one in found.findings] == ["credits.refund_exceeds", "credits.grant_unknown"]


def test_an_adjustment_gives_back_to_the_credits_that_had_paid() -> None:
    grants = [grant("a", "20.00", priority=1, until="2026-02-15"), grant("b", "100.00", "50.00")]
    lines = [january("jan", "60.00"), march("fix", "-30.00", adjusts="jan")]
    found = settled("2026-05-01", lines=lines, grants=grants)
    assert paid(found)["fix"] == {"b": "-30.00", "due": "0.00"}
    more = settled("2026-05-01", lines=[lines[0], march("fix", "-50.00", adjusts="jan")], grants=grants)
    assert paid(more)["fix"] == {"b": "-40.00", "a": "-10.00", "due": "0.00"}
    assert ledger(more)[-1] == ("2026-03-31", "a", "expired", "fix", "10.00", "10.00"), "its end had come before"


def test_low_credits_are_topped_up_at_most_so_often_and_pay_what_comes_after() -> None:
    rule = TopUp(threshold=Amount("20.00"), amount=Amount("50.00"), cost=Amount("45.00"), limit=1, months=2)
    grants = [grant("g", "30.00", plan="starter", top_up=rule)]
    lines = [january("jan", "25.00"), february("feb", "60.00"), march("mar", "55.00")]
    found = settled("2026-04-01", lines=lines, grants=grants)
    first, second = found.top_ups
    assert (first.granted_at, second.granted_at) == (at("2026-02-01"), at("2026-03-01"))
    assert paid(found)["feb"] == {"g": "5.00", first.outside_id: "50.00", "due": "5.00"}
    assert paid(found)["mar"] == {second.outside_id: "50.00", "due": "5.00"}
    again = settled("2026-04-01", lines=lines, grants=[*grants, *found.top_ups])
    assert again == msgspec.structs.replace(found, top_ups=())


def test_a_top_up_made_later_than_it_was_due_counts_as_made() -> None:
    rule = TopUp(threshold=Amount("20.00"), amount=Amount("50.00"), cost=Amount("50.00"), limit=5)
    grants = [grant("g", "30.00", plan="starter", top_up=rule)]
    due = settled("2026-02-02", lines=[january("jan", "25.00")], grants=grants).top_ups[0]
    late = msgspec.structs.replace(due, granted_at=at("2026-02-20"))
    lines = [january("jan", "25.00"), line("day", "2026-02-01", "2026-02-02", "1.00")]
    assert settled("2026-02-10", lines=lines, grants=[*grants, late]).top_ups == ()
    assert settled("2026-02-25", lines=lines, grants=[*grants, late]).top_ups == ()


def test_a_voided_grant_never_was() -> None:
    found = settled("2026-02-01", lines=[january("jan", "5.00")], grants=[grant("g", "30.00", voided=True)])
    assert (found.entries, paid(found)) == ((), {"jan": {"due": "5.00"}})


def test_what_a_grant_paid_is_a_line_of_its_own() -> None:
    found = settled("2026-02-01", lines=[january("jan", "45.00")], grants=[grant("g", "30.00")])
    (charge,) = found.charges
    assert (charge.subject.kind, charge.subject.price, charge.amount) == (ChargeKind.CREDIT, "g", Decimal("-30.00"))
    assert charge.subject.group == (("charge", "jan"),)
