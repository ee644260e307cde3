"""Which rule derives which kind of root. The list is closed: a root of another kind makes nothing and says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from revline.core.facts import Fact
from revline.derive import (
    balance,
    commercial,
    credit,
    credit_memo,
    credit_movement,
    customer,
    invoice,
    payment,
    payout,
    product,
    stated,
)
from revline.derive.expectation import EntityScope, Expectation, Need, RootFacts, silent_rest


class RootRule(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of root is derived: what else it must see, and what should then exist."""

    needs: Callable[[tuple[Fact, ...]], tuple[Need, ...]]
    expect: Callable[[RootFacts, EntityScope], Expectation]


def _nothing(known: RootFacts, scope: EntityScope) -> Expectation:
    rules = {fact.fact_id: f"nothing is booked of a {known.root.kind}" for fact in known.facts}
    return Expectation(silent=silent_rest(known.facts, used=(), rules=rules))


ROOT_RULES: Final[Mapping[str, RootRule]] = {
    "balance_transaction": RootRule(needs=balance.needs, expect=balance.expect),
    "contract": RootRule(needs=commercial.needs, expect=commercial.expect),
    "credit_grant": RootRule(needs=credit.needs, expect=credit.expect),
    "credit_memo": RootRule(needs=credit_memo.needs, expect=credit_memo.expect),
    "credit_movement": RootRule(needs=credit_movement.needs, expect=credit_movement.expect),
    "credit_refund": RootRule(needs=credit.needs, expect=credit.expect),
    "customer": RootRule(needs=customer.needs, expect=customer.expect),
    "invoice": RootRule(needs=invoice.needs, expect=invoice.expect),
    "opportunity": RootRule(needs=commercial.needs, expect=commercial.expect),
    "order": RootRule(needs=commercial.needs, expect=commercial.expect),
    "payment": RootRule(needs=payment.needs, expect=payment.expect),
    "payout": RootRule(needs=payout.needs, expect=payout.expect),
    "product": RootRule(needs=product.needs, expect=product.expect),
    "quote": RootRule(needs=commercial.needs, expect=commercial.expect),
    "refund": RootRule(needs=payment.refund_needs, expect=payment.expect_refund),
    "stated_event": RootRule(needs=stated.needs, expect=stated.expect),
    "usage": RootRule(needs=stated.needs, expect=stated.expect),
}
SILENT: Final = RootRule(needs=lambda facts: (), expect=_nothing)


def rule_of(kind: str) -> RootRule:
    """The rule of a root kind; the silent one for kinds nothing is booked of."""
    return ROOT_RULES.get(kind, SILENT)
