"""What each record type does to the simulated account's ledger, by NetSuite's rules. Pure but for the lists it asks.

Each line is converted by itself; the transaction's own line is the sum of the others, so a native entry always balances.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from revline.connectors.netsuite.simulator.lists import Lists
from revline.connectors.netsuite.simulator.setup import Subsidiary
from revline.connectors.netsuite.simulator.values import (
    RECEIVABLE_TYPE,
    ZERO,
    Leg,
    Refusal,
    dimensions_of,
    invalid_content,
    invalid_value,
    items_of,
    number_of,
    reference_of,
    text_of,
)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """In what a transaction is kept. items: item id -> income account."""

    lists: Lists
    subsidiary: Subsidiary
    symbol: str
    rate: Decimal
    items: dict[str, str]

    def leg(self, *, account: str, amount: Decimal, path: str, **values: Any) -> Leg:
        """A signed line, converted and checked."""
        self.lists.account(number=account, path=path)
        foreign = self.lists.scaled(amount=amount, symbol=self.symbol, path=path)
        functional = self.lists.functional(amount=foreign, rate=self.rate, subsidiary=self.subsidiary)
        return Leg(account=account, foreign=foreign, functional=functional, **values)

    def main(self, *, account: str, others: tuple[Leg, ...], entity: str) -> Leg:
        """The transaction's own line against all others."""
        self.lists.account(number=account)
        return Leg(
            account=account,
            foreign=-sum((leg.foreign for leg in others), ZERO),
            functional=-sum((leg.functional for leg in others), ZERO),
            entity=entity,
            main=True,
        )


def legs_of(*, record: str, body: dict[str, Any], terms: Terms, entity: str) -> tuple[Leg, ...]:
    """The ledger lines of a record, the transaction's own line first. Refusal when it can't be booked."""
    maker: Callable[[dict[str, Any], Terms, str], tuple[Leg, ...]] = {
        "invoice": _invoice,
        "creditMemo": _credit_memo,
        "customerPayment": _payment,
        "customerRefund": _refund,
        "deposit": _deposit,
        "journalEntry": _journal,
    }[record]
    legs = maker(body, terms, entity)
    for leg in legs:
        if not leg.main:
            terms.lists.check_dimensions(dimensions=leg.dimensions)
    return legs


def _receivable(body: dict[str, Any], name: str, terms: Terms) -> str:
    given = reference_of(body, name)
    if given:
        if terms.lists.account(number=given, field=name).type != RECEIVABLE_TYPE:
            raise invalid_value(given, name)
        return given
    return next(account.id for account in terms.lists.accounts.values() if account.type == RECEIVABLE_TYPE)


def _item_legs(body: dict[str, Any], terms: Terms, sign: int) -> tuple[Leg, ...]:
    lines = items_of(body, "item")
    if not lines:
        raise terms.lists.missing_value("Item")
    legs = []
    for place, line in enumerate(lines):
        path = f"item.items[{place}].item"
        item = reference_of(line, "item", path)
        if item not in terms.items:
            raise invalid_value(item, "item", path)
        legs.append(
            terms.leg(
                account=terms.items[item],
                amount=sign * number_of(line, "amount", f"item.items[{place}].amount"),
                path=path,
                item=item,
                memo=text_of(line, "description"),
                quantity=number_of(line, "quantity") if "quantity" in line else None,
                dimensions=dimensions_of(line, body),
            )
        )
    return tuple(legs)


def _invoice(body: dict[str, Any], terms: Terms, entity: str) -> tuple[Leg, ...]:
    legs = _item_legs(body, terms, -1)
    main = terms.main(account=_receivable(body, "account", terms), others=legs, entity=entity)
    if main.foreign < 0:
        raise Refusal(terms.lists.settings.text_prefix + "Transactions may not have a negative total.", path="total")
    return (main, *legs)


def _credit_memo(body: dict[str, Any], terms: Terms, entity: str) -> tuple[Leg, ...]:
    legs = _item_legs(body, terms, 1)
    main = terms.main(account=_receivable(body, "account", terms), others=legs, entity=entity)
    if main.foreign > 0:
        raise Refusal(terms.lists.settings.text_prefix + "Transactions may not have a negative total.", path="total")
    return (main, *legs)


def _payment(body: dict[str, Any], terms: Terms, entity: str) -> tuple[Leg, ...]:
    amount = number_of(body, "payment")
    if amount < 0 or (not amount and not items_of(body, "credit")):
        raise invalid_value(str(amount), "payment")
    if not amount:
        return ()
    receivable = _receivable(body, "arAcct", terms)
    leg = terms.leg(account=receivable, amount=-amount, path="payment", entity=entity)
    return (terms.main(account=reference_of(body, "account"), others=(leg,), entity=entity), leg)


def _refund(body: dict[str, Any], terms: Terms, entity: str) -> tuple[Leg, ...]:
    named = sum((number_of(line, "amount") for line in items_of(body, "apply")), ZERO)
    if terms.lists.settings.refunds_need_credit and not named:
        raise terms.lists.missing_value("Apply")
    amount = number_of(body, "total") or named
    if amount <= 0:
        raise invalid_value(str(amount), "total")
    leg = terms.leg(account=_receivable(body, "arAcct", terms), amount=amount, path="total", entity=entity)
    return (terms.main(account=reference_of(body, "account"), others=(leg,), entity=entity), leg)


def _deposit(body: dict[str, Any], terms: Terms, entity: str) -> tuple[Leg, ...]:
    legs = tuple(
        terms.leg(
            account=reference_of(line, "account"),
            amount=-number_of(line, "amount"),
            path=f"other.items[{place}].account",
            memo=text_of(line, "memo"),
            dimensions=dimensions_of(line, body),
        )
        for place, line in enumerate(items_of(body, "other"))
    )
    if not legs:
        raise terms.lists.missing_value("Amount")
    return (terms.main(account=reference_of(body, "account"), others=legs, entity=entity), *legs)


def _journal(body: dict[str, Any], terms: Terms, entity: str) -> tuple[Leg, ...]:
    del entity
    legs = []
    for place, line in enumerate(items_of(body, "line")):
        path = f"line.items[{place}]"
        debit, credit = number_of(line, "debit", f"{path}.debit"), number_of(line, "credit", f"{path}.credit")
        if debit < 0 or credit < 0 or bool(debit) == bool(credit):
            raise invalid_content("A line has a debit or a credit.", path)
        legs.append(
            terms.leg(
                account=reference_of(line, "account", f"{path}.account"),
                amount=debit - credit,
                path=f"{path}.account",
                entity=reference_of(line, "entity"),
                memo=text_of(line, "memo"),
                dimensions=dimensions_of(line, body),
            )
        )
    unbalanced = sum((leg.foreign for leg in legs), ZERO) or sum((leg.functional for leg in legs), ZERO)
    if len(legs) < 2 or unbalanced:
        raise Refusal(terms.lists.settings.text_prefix + terms.lists.settings.unbalanced_text, path="line")
    return tuple(legs)
