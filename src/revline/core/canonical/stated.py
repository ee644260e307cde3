"""Accounting events that a subledger outside Revline states: what it recognised, accrued, amortised, settled or remeasured.

Such a system decides the amounts; Revline books, delivers and proves them like any other event. The same payloads are used when
Revline's own revenue, usage and partner rooms emit these events.
"""

from __future__ import annotations

from datetime import date

import msgspec

from revline.core.money import Amount


class RecognizedRevenue(msgspec.Struct, frozen=True, kw_only=True, tag="recognized_revenue"):
    """Revenue recognised, accrued for usage, or adjusted by a modification.

    amount: signed, negative when revenue is taken back. against: the neutral account that carries the other side
    (deferred_revenue, contract_asset, unbilled_receivable).
    """

    amount: Amount
    against: str = "deferred_revenue"
    product_family: str = ""
    contract: str = ""
    obligation: str = ""


class CompletedSale(msgspec.Struct, frozen=True, kw_only=True, tag="completed_sale"):
    """Goods handed over and paid, or sold as an agent. amount: the gross price.

    expected_refunds: the part expected to be given back. cost: of what was handed over; expected_returns_cost: of what is expected
    back. commission: what an agent keeps. method: how it was paid.
    """

    amount: Amount
    expected_refunds: Amount
    cost: Amount
    expected_returns_cost: Amount
    commission: Amount
    method: str = ""
    reference: str = ""


class CommissionAmount(msgspec.Struct, frozen=True, kw_only=True, tag="commission_amount"):
    """A commission earned, amortised, taken back or paid. payee: who gets it. contract: what it was won with."""

    amount: Amount
    payee: str = ""
    contract: str = ""
    method: str = ""


class ExchangeDifference(msgspec.Struct, frozen=True, kw_only=True, tag="exchange_difference"):
    """A difference of exchange on a monetary item, in the functional currency. amount: a gain is positive, a loss negative.

    item: the neutral account remeasured. foreign_currency, rate: what it was remeasured from and at. reversal: it takes back the
    remeasurement of the period before, on the first day of the next: the opposite amount on the same account of gains or losses.
    """

    amount: Amount
    item: str = "accounts_receivable"
    foreign_currency: str = ""
    rate: str = ""
    reversal: bool = False


class IntercompanyAmount(msgspec.Struct, frozen=True, kw_only=True, tag="intercompany_amount"):
    """One entity's leg of something between two. counterparty: the other entity. role: this entity's part in it
    (collector, owner; receiver, provider; payer, payee; charge, balance when it is eliminated). debtor: when a third entity
    eliminates it, the one of the two that owes, counterparty being the one that is owed."""

    amount: Amount
    counterparty: str
    role: str
    debtor: str = ""


class PrepaidCredit(msgspec.Struct, frozen=True, kw_only=True, tag="prepaid_credit"):
    """Prepaid credits bought, drawn down or expired. grant: the grant they belong to. method: how they were paid."""

    amount: Amount
    grant: str = ""
    product_family: str = ""
    method: str = ""


class ReceivableChange(msgspec.Struct, frozen=True, kw_only=True, tag="receivable_change"):
    """A receivable's allowance changed, or it was written off or reinstated. amount: an allowance may be lowered (negative)."""

    amount: Amount
    invoice: str = ""
    reason: str = ""


class StatedMoney(msgspec.Struct, frozen=True, kw_only=True, tag="stated_money"):
    """Money paid to a supplier or received from a customer outside a payment processor. method: cash, bank_transfer and so on."""

    amount: Amount
    method: str = ""
    reference: str = ""


StatedPayload = (
    RecognizedRevenue
    | CompletedSale
    | CommissionAmount
    | ExchangeDifference
    | IntercompanyAmount
    | PrepaidCredit
    | ReceivableChange
    | StatedMoney
)


class StatedEvent(msgspec.Struct, frozen=True, kw_only=True, tag="stated_event"):
    """An accounting event an outside subledger states. Owner: that subledger.

    event: an event kind that may be stated (`core.events.STATED_KINDS`). occurred_on: the day it counts. voided: the subledger took
    it back because it was wrong; what was booked is reversed.
    """

    outside_id: str
    event: str
    occurred_on: date
    currency: str
    customer: str = ""
    payload: StatedPayload
    voided: bool = False
