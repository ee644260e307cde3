"""The grant a plan makes, and plans that can't be."""

from __future__ import annotations

from typing import Any

import pytest

from revline.core.canonical.credits import RollOver, Scope, Span, TopUp
from revline.core.money import Amount
from revline.subledger.usage.credits.plans import CreditPlan, check_plan, granted
from tests.unit.usage.credits.stories import ZONE, at


def plan(**more: Any) -> CreditPlan:
    return CreditPlan(**{"title": "Prepaid", "currency": "USD", "amount": Amount("100.00"), **more})


def made(spec: CreditPlan, **more: Any) -> Any:
    return granted(
        plan="prepaid", spec=spec, outside_id="g", customer="c", granted_at=at("2026-01-31"), time_zone=ZONE, **more
    )


def test_a_grant_costs_by_the_cost_basis_and_lasts_as_the_plan_says() -> None:
    found = made(plan(cost_basis=Amount("0.333"), lasts=Span(months=1)))
    assert (found.amount, found.cost) == (Amount("100.00"), Amount("33.30"))
    assert found.expires_at == at("2026-02-28"), "31 January and a month"


def test_what_is_said_at_the_grant_goes_before_the_plan() -> None:
    found = made(plan(lasts=Span(days=1)), amount=Amount("7.00"), cost=Amount("5.00"), expires_at=at("2026-12-01"))
    assert (found.amount, found.cost, found.expires_at) == (Amount("7.00"), Amount("5.00"), at("2026-12-01"))


def test_a_day_begins_where_the_entity_keeps_its_books_in_summer_and_winter() -> None:
    found = made(plan(lasts=Span(months=6)))
    assert found.expires_at.isoformat() == "2026-07-31T04:00:00+00:00"


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"currency": "XX"}, "spec.currency"),
        ({"amount": Amount("0")}, "spec.amount"),
        ({"amount": Amount("1.001")}, "spec.amount"),
        ({"cost_basis": Amount("-1")}, "spec.costBasis"),
        ({"expected_breakage": Amount("1")}, "spec.expectedBreakage"),
        ({"priority": -1}, "spec.priority"),
        ({"lasts": Span()}, "spec.lasts"),
        ({"roll_over": RollOver(extends=Span())}, "spec.rollOver.extends"),
        ({"roll_over": RollOver(extends=Span(days=1), percent=Amount("101"))}, "spec.rollOver.percent"),
        ({"roll_over": RollOver(extends=Span(days=1), times=0)}, "spec.rollOver.times"),
        ({"top_up": TopUp(threshold=Amount("0"), amount=Amount("1"), cost=Amount("1"))}, "spec.topUp.threshold"),
        ({"top_up": TopUp(threshold=Amount("1"), amount=Amount("1"), cost=Amount("1"), limit=0)}, "spec.topUp.limit"),
        ({"scope": Scope(meters=tuple(str(number) for number in range(101)))}, "spec.scope.meters"),
    ],
)
def test_a_plan_that_can_not_be_is_refused(more: dict[str, Any], pointer: str) -> None:
    assert check_plan("prepaid", plan(), {}) == ()
    assert [one.pointer for one in check_plan("prepaid", plan(**more), {})] == [pointer]
