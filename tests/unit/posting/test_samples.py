"""Examples of every kind of event: a rule can be tried on each, and its own tests can name any field of the payload."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from revline.core.canonical import CreditOrigin
from revline.core.canonical.stated import ExchangeDifference
from revline.core.events import STATED_KINDS, CustomerCredit, EventKind, IssuedCreditMemo
from revline.core.problem import Problem
from revline.platform.schemas.contracts import PAYLOADS
from revline.subledger.posting.functions import FUNCTIONS, Part
from revline.subledger.posting.kinds import Each, RuleTest
from revline.subledger.posting.samples import sample_event
from revline.subledger.posting.variables import event_variables, parts_of
from tests.unit.posting.builders import event, invoice, line, starter_with

DAY = date(2026, 1, 1)


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_has_an_example_whose_amounts_can_be_asked(kind: EventKind) -> None:
    sample = sample_event(kind=kind, currency="USD", day=DAY)
    assert not isinstance(sample, Problem)
    assert type(sample.payload) is PAYLOADS[kind]
    assert len(event_variables(sample)) == 2
    suited = [function for function in FUNCTIONS.values() if kind in function.events]
    for function in suited:
        for part in parts_of(event=sample, each=function.each):
            assert isinstance(function.compute(part), Decimal)


@pytest.mark.parametrize("kind", STATED_KINDS)
def test_every_stated_kind_has_an_amount_a_rule_can_take(kind: EventKind) -> None:
    assert [one for one in FUNCTIONS.values() if kind in one.events and one.each is Each.EVENT]


def test_a_rule_s_test_may_name_any_field_of_its_event() -> None:
    test = RuleTest(name="", amount=Decimal("5.00"), fields={"origin": "credit_memo"}, expect=())
    credit = sample_event(kind=EventKind.CUSTOMER_CREDIT_GRANTED, currency="USD", day=DAY, test=test)
    assert not isinstance(credit, Problem)
    assert credit.payload == CustomerCredit(amount=Decimal("5.00"), origin=CreditOrigin.CREDIT_MEMO)
    back = RuleTest(name="", amount=Decimal("-5.00"), fields={"reversal": "true"}, expect=())
    exchange = sample_event(kind=EventKind.EXCHANGE_REMEASURED, currency="USD", day=DAY, test=back)
    assert not isinstance(exchange, Problem)
    assert exchange.payload == ExchangeDifference(amount=Decimal("-5.00"), reversal=True)


@pytest.mark.parametrize("fields", [{"colour": "red"}, {"origin": "somewhere"}, {"amount": "much"}])
def test_a_field_the_event_can_t_have_is_a_problem(fields: dict[str, str]) -> None:
    test = RuleTest(name="", amount=Decimal("5.00"), fields=fields, expect=())
    refused = sample_event(kind=EventKind.CUSTOMER_CREDIT_GRANTED, currency="USD", day=DAY, test=test)
    assert isinstance(refused, Problem)
    assert refused.code == "posting.test_invalid"


def test_a_test_whose_event_the_rule_does_not_take_is_an_error_of_the_folder() -> None:
    change = {"58-rules-intercompany.yaml": ("fields: {role: collector,", "fields: {role: owner,")}
    assert [one.detail for one in starter_with(change).errors] == [
        "a collects for b: the rule's own condition does not take the event of this test"
    ]


def test_what_was_earned_is_shared_among_a_memo_s_lines_to_the_cent() -> None:
    lines = (line("0.01", number=1), line("33.33", number=2), line("66.66", number=3))
    sold = invoice(*lines)
    memo = IssuedCreditMemo(
        number="CM-1", invoice=None, tax_total=sold.tax_total, total=sold.total, earned=Decimal("10.00"), lines=lines
    )
    happened = event(EventKind.CREDIT_MEMO_ISSUED, memo, day=DAY)
    earned = [FUNCTIONS["line_earned"].compute(Part(event=happened, line=one)) for one in lines]
    assert sum(earned) == Decimal("10.00")
    assert earned == [Decimal("0.00"), Decimal("3.33"), Decimal("6.67")]
    deferred = [FUNCTIONS["line_deferred"].compute(Part(event=happened, line=one)) for one in lines]
    assert sum(deferred) == FUNCTIONS["credit_memo_deferred"].compute(Part(event=happened)) == Decimal("90.00")
