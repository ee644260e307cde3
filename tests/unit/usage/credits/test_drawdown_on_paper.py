"""Which credits pay which lines, worked out with a list of what is left: no lots, no queue of events."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.core.canonical.credits import Coverage, CreditGrant
from revline.subledger.usage.credits.values import Line
from tests.unit.usage.credits.stories import at, settled
from tests.unit.usage.credits.test_credit_properties import grants, lines

NEVER = datetime.max.replace(tzinfo=UTC)
LAST_DAY = "2026-12-31"


@st.composite
def plain_worlds(draw: st.DrawFn) -> tuple[list[Line], list[CreditGrant]]:
    """Grants that are used or expire, and lines that cost something; when each grant is known follows from its own days."""
    held = [
        msgspec.structs.replace(draw(grants(number)), roll_over=None, top_up=None, starts_at=None)
        for number in range(draw(st.integers(1, 5)))
    ]
    used = [draw(lines(number)) for number in range(draw(st.integers(0, 8)))]
    return [msgspec.structs.replace(one, amount=abs(one.amount), adjusts="") for one in used], held


def on_paper(used: list[Line], held: list[CreditGrant]) -> dict[str, dict[str, Decimal]]:
    """What each grant pays of each line."""
    left = {grant.outside_id: Decimal(grant.amount) for grant in held}
    found: dict[str, dict[str, Decimal]] = {}
    for one in sorted(used, key=lambda each: (each.subject.window.end, each.subject.window, each.charge_id)):
        needed, paid = one.amount, {}
        for grant in sorted(
            held, key=lambda each: (each.priority, each.expires_at or NEVER, each.granted_at, each.outside_id)
        ):
            if not _covers(grant, one):
                continue
            amount = min(needed, left[grant.outside_id])
            if amount:
                paid[grant.outside_id] = amount
                left[grant.outside_id] -= amount
                needed -= amount
        found[one.charge_id] = paid
    return found


def _covers(grant: CreditGrant, one: Line) -> bool:
    window, ends = one.subject.window, grant.expires_at or NEVER
    if grant.scope.families and one.product_family not in grant.scope.families:
        return False
    if grant.granted_at >= window.end:
        return False
    return window.end <= ends or (grant.coverage is Coverage.WINDOW_TOUCHED and window.start < ends)


@settings(max_examples=150, deadline=None)
@given(plain_worlds())
def test_credits_pay_as_on_paper(world: tuple[list[Line], list[CreditGrant]]) -> None:
    used, held = world
    found = settled(LAST_DAY, lines=used, grants=held)

    assert {one.line.charge_id: {draw.grant_id: draw.amount for draw in one.draws} for one in found.lines} == on_paper(
        used, held
    )
    paid = sum((amount for each in on_paper(used, held).values() for amount in each.values()), Decimal(0))
    assert sum((one.drawn for one in found.balances), Decimal(0)) == paid
    for one in found.balances:
        ended = one.grant.expires_at is not None and one.grant.expires_at <= at(LAST_DAY)
        assert one.left == (0 if ended else one.granted - one.drawn)
