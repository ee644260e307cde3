"""What holds of every statement, whatever was granted, used, refunded and learned of late."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.core.canonical.credits import Breakage, Coverage, CreditGrant, CreditRefund, RollOver, Scope, Span, TopUp
from revline.core.money import Amount
from revline.subledger.usage.credits.deltas import Posted, deltas, posted_after, postings_of
from revline.subledger.usage.credits.values import Account, Line
from tests.unit.usage.credits.stories import CUSTOMER, at, line, settled

DAYS = [f"2026-{month:02d}-{day:02d}" for month in range(1, 7) for day in (1, 11, 21)]
cents = st.integers(min_value=0, max_value=50_000).map(lambda units: Amount(Decimal(units).scaleb(-2)))
days = st.sampled_from(DAYS)


@st.composite
def grants(draw: st.DrawFn, number: int) -> CreditGrant:
    since = at(draw(days))
    amount = draw(cents.filter(bool))
    lasts = draw(st.none() | st.integers(min_value=1, max_value=90))
    return CreditGrant(
        outside_id=f"g{number}",
        customer=CUSTOMER.outside_id,
        currency="USD",
        amount=amount,
        cost=draw(cents),
        granted_at=since,
        starts_at=draw(st.none() | st.just(since + timedelta(days=7))),
        expires_at=None if lasts is None else since + timedelta(days=7 + lasts),
        priority=draw(st.integers(min_value=1, max_value=2)),
        scope=draw(st.sampled_from([Scope(), Scope(families=("api",))])),
        plan=draw(st.sampled_from(["", "plan"])),
        coverage=draw(st.sampled_from(list(Coverage))),
        breakage=draw(st.sampled_from(list(Breakage))),
        expected_breakage=draw(st.sampled_from([Amount("0.1"), Amount("0.5")])),
        roll_over=draw(st.none() | st.just(RollOver(extends=Span(days=20), times=2, percent=Amount(30)))),
        top_up=draw(
            st.none() | st.just(TopUp(threshold=Amount("20"), amount=Amount("30.00"), cost=Amount("25.00"), limit=2))
        ),
    )


@st.composite
def lines(draw: st.DrawFn, number: int) -> Line:
    first, after = sorted(draw(st.lists(days, min_size=2, max_size=2, unique=True)))
    negative = draw(st.booleans())
    amount = draw(cents)
    return line(
        f"l{number}",
        first,
        after,
        str(-amount if negative else amount),
        product_family=draw(st.sampled_from(["api", "storage"])),
        adjusts=f"l{number // 2}" if negative else "",
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Line], list[CreditGrant], list[CreditRefund], str]:
    held = [draw(grants(number)) for number in range(draw(st.integers(min_value=1, max_value=4)))]
    used = [draw(lines(number)) for number in range(draw(st.integers(min_value=0, max_value=6)))]
    back = [
        CreditRefund(
            outside_id=f"r{number}",
            customer=CUSTOMER.outside_id,
            grant=draw(st.sampled_from(held)).outside_id,
            amount=draw(cents.filter(bool)),
            refunded_at=at(draw(days)),
        )
        for number in range(draw(st.integers(min_value=0, max_value=2)))
    ]
    return used, held, back, draw(days)


@settings(max_examples=200, deadline=None)
@given(world=worlds())
def test_every_credit_and_every_cent_of_its_cost_is_somewhere(
    world: tuple[list[Line], list[CreditGrant], list[CreditRefund], str],
) -> None:
    used, held, back, day = world
    found = settled(day, lines=used, grants=held, refunds=back)
    accounts: dict[tuple[str, Account], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for entry in found.entries:
        parts = postings_of(entry)
        assert sum(part.amount for part in parts) == 0
        assert sum(part.cost for part in parts) == 0
        for part in parts:
            accounts[entry.key.grant_id, part.account][0] += part.amount
            accounts[entry.key.grant_id, part.account][1] += part.cost
    for one in found.balances:
        name, grant = one.grant.outside_id, one.grant
        assert one.drawn + one.expired + one.taken_back + one.left == one.granted == grant.amount
        assert one.cost_drawn + one.cost_expired + one.cost_taken_back + one.cost_left == one.cost_granted == grant.cost
        assert min(one.drawn, one.expired, one.taken_back, one.left, one.available) >= 0
        assert min(one.cost_drawn, one.cost_taken_back, one.cost_left) >= 0
        assert accounts[name, Account.HELD] == [one.left, one.cost_left]
        assert accounts[name, Account.DRAWN] == [one.drawn, one.cost_drawn]
        assert accounts[name, Account.EXPIRED] == [one.expired, one.cost_expired]
        assert accounts[name, Account.TAKEN_BACK] == [one.taken_back, one.cost_taken_back]


@settings(max_examples=100, deadline=None)
@given(world=worlds(), seed=st.integers(min_value=0, max_value=2**32))
def test_the_order_in_which_facts_came_is_no_part_of_a_statement(
    world: tuple[list[Line], list[CreditGrant], list[CreditRefund], str], seed: int
) -> None:
    used, held, back, day = world
    mixed = random.Random(seed)
    first = settled(day, lines=used, grants=held, refunds=back)
    again = settled(
        day,
        lines=mixed.sample(used, len(used)),
        grants=mixed.sample(held, len(held)),
        refunds=mixed.sample(back, len(back)),
    )
    assert again == first


@settings(max_examples=100, deadline=None)
@given(world=worlds(), known=st.integers(min_value=0, max_value=12), early=days)
def test_whatever_was_posted_before_the_ledger_ends_at_the_last_statement(
    world: tuple[list[Line], list[CreditGrant], list[CreditRefund], str], known: int, early: str
) -> None:
    """Posted on an earlier day of some of the facts, then of all: the sum is what a ledger posted once would hold."""
    used, held, back, day = world
    before = settled(early, lines=used[:known], grants=held[: max(known, 1)], refunds=back[:known])
    made = [*held, *(one for one in before.top_ups if one.outside_id not in {grant.outside_id for grant in held})]
    after = settled(max(day, early), lines=used, grants=made, refunds=back)
    posted: dict[object, Posted] = {}
    for statement in (before, after):
        found = deltas(entries=statement.entries, posted=posted)
        posted = posted_after(posted=posted, deltas=found)
    assert deltas(entries=after.entries, posted=posted) == ()
    once = posted_after(posted={}, deltas=deltas(entries=after.entries, posted={}))
    assert {place: (one.amount, one.cost) for place, one in posted.items() if one.amount or one.cost} == {
        place: (one.amount, one.cost) for place, one in once.items() if one.amount or one.cost
    }


@settings(max_examples=100, deadline=None)
@given(world=worlds())
def test_a_line_costs_what_credits_and_money_pay(
    world: tuple[list[Line], list[CreditGrant], list[CreditRefund], str],
) -> None:
    used, held, back, day = world
    found = settled(day, lines=used, grants=held, refunds=back)
    assert len(found.lines) == len(used)
    for one in found.lines:
        assert sum((draw.amount for draw in one.draws), Decimal(0)) + one.due == one.line.amount
        assert abs(one.due) <= abs(one.line.amount)
    credited = sum((charge.amount for charge in found.charges), Decimal(0))
    assert credited == -sum((draw.amount for one in found.lines for draw in one.draws), Decimal(0))


@settings(max_examples=100, deadline=None)
@given(world=worlds())
def test_fixing_what_paid_each_line_changes_nothing(
    world: tuple[list[Line], list[CreditGrant], list[CreditRefund], str],
) -> None:
    used, held, back, day = world
    first = settled(day, lines=used, grants=held, refunds=back)
    fixed = [msgspec.structs.replace(one.line, fixed=one.draws) for one in first.lines]
    again = settled(day, lines=fixed, grants=held, refunds=back)
    assert (again.entries, again.pending, again.top_ups) == (first.entries, first.pending, first.top_ups)
    assert [one.draws for one in again.lines] == [one.draws for one in first.lines]


@settings(max_examples=100, deadline=None)
@given(world=worlds(), other=worlds())
def test_a_closed_line_is_paid_as_it_was_whatever_becomes_known(
    world: tuple[list[Line], list[CreditGrant], list[CreditRefund], str],
    other: tuple[list[Line], list[CreditGrant], list[CreditRefund], str],
) -> None:
    """Grants, refunds and lines that become known later leave its draws, or say that they could not."""
    used, held, back, day = world
    first = settled(day, lines=used, grants=held, refunds=back)
    fixed = [msgspec.structs.replace(one.line, fixed=one.draws) for one in first.lines]
    later = [msgspec.structs.replace(one, charge_id=f"later-{one.charge_id}") for one in other[0]]
    found = settled(day, lines=[*fixed, *later], grants=other[1], refunds=other[2])
    told = {one.field for one in found.findings if one.code == "credits.closed_changed"}
    before = {one.line.charge_id: one.draws for one in first.lines}
    for one in found.lines:
        if one.line.charge_id in before:
            kept = [draw for draw in before[one.line.charge_id] if draw.grant_id not in told]
            assert [draw for draw in one.draws if draw.grant_id not in told] == kept
    for each in found.balances:
        assert min(each.drawn, each.expired, each.taken_back, each.left) >= 0
        assert each.drawn + each.expired + each.taken_back + each.left == each.grant.amount
