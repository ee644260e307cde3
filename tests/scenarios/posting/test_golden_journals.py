"""Every standard journal of sim/oracle/journal_examples.json, from what a source says to the entry the starter's rules book."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from revline.sim.oracle.companies import GOLDEN as EXAMPLES_FILE
from tests.scenarios.posting.golden_world import Told, Totals, booked_totals

GOLDEN = json.loads(EXAMPLES_FILE.read_text(encoding="utf-8"))
EXAMPLES: dict[str, Any] = {each["id"]: each for each in GOLDEN["events"]}


def noon(day: str) -> str:
    return f"{day}T17:00:00Z"


CUSTOMER = Told(kind="customer", data={"outside_id": "cus_1", "name": "Initech"})


def line(number: int, net: str, *, tax: str = "", family: str = "", accrued: str = "") -> dict[str, Any]:
    taxes = [{"amount": tax, "taxable": net, "rate": "vat"}] if tax else []
    return {
        "outside_id": f"il_{number}",
        "quantity": "1",
        "unit_price": net,
        "amount": net,
        "net": net,
        "taxes": taxes,
        "product_family": family,
        "accrued": accrued,
    }


def invoice(day: str, *lines: dict[str, Any], currency: str = "USD", given: bool = False) -> Told:
    net = sum((Decimal(each["net"]) for each in lines), Decimal(0))
    tax = sum((Decimal(one["amount"]) for each in lines for one in each["taxes"]), Decimal("0.00"))
    data = {
        "outside_id": "in_1",
        "number": "A-1",
        "status": "open",
        "customer": "cus_1",
        "currency": currency,
        "subtotal": str(net),
        "discount_total": "0.00",
        "tax_total": str(tax),
        "total": str(net + tax),
        "amount_paid": "0.00",
        "amount_remaining": str(net + tax),
        "lines": list(lines),
        "created_at": noon(day),
        "finalized_at": noon(day),
    }
    return Told(kind="invoice", data=data, given=given)


def payment(day: str, amount: str, *, method: str, currency: str = "USD", given: bool = False) -> Told:
    data = {
        "outside_id": "ch_1",
        "status": "succeeded",
        "customer": "cus_1",
        "currency": currency,
        "amount": amount,
        "created_at": noon(day),
        "method": method,
    }
    return Told(kind="payment", data=data, given=given)


def movement(outside_id: str, kind: str, source: str, day: str, amount: str, fee: str) -> Told:
    net = str(Decimal(amount) - Decimal(fee))
    data = {"outside_id": outside_id, "transaction_type": kind, "source": source, "currency": "USD", "amount": amount}
    return Told(kind="balance_transaction", data={**data, "fee": fee, "net": net, "created_at": noon(day)})


def payout(day: str, amount: str) -> Told:
    data = {"outside_id": "po_1", "status": "paid", "currency": "USD", "amount": amount, "arrival_date": day}
    return Told(kind="payout", data={**data, "created_at": noon(day)})


def credit_memo(day: str, *lines: dict[str, Any], earned: str, total: str) -> Told:
    tax = sum((Decimal(one["amount"]) for each in lines for one in each["taxes"]), Decimal("0.00"))
    data = {
        "outside_id": "cn_1",
        "number": "CM-1",
        "status": "issued",
        "customer": "cus_1",
        "invoice": "in_1",
        "currency": "USD",
        "lines": list(lines),
        "tax_total": str(tax),
        "total": total,
        "applied_amount": total,
        "credited_amount": "0.00",
        "refunded_amount": "0.00",
        "out_of_band_amount": "0.00",
        "earned": earned,
        "issued_at": noon(day),
    }
    return Told(kind="credit_memo", data=data)


def refund(day: str, amount: str, earned: str) -> Told:
    data = {"outside_id": "re_1", "payment": "ch_1", "status": "succeeded", "currency": "USD", "amount": amount}
    return Told(kind="refund", data={**data, "earned": earned, "created_at": noon(day)})


def dispute(status: str, *movements: tuple[str, str, str]) -> Told:
    moved = [
        {"outside_id": f"txn_d{number}", "currency": "USD", "amount": amount, "fee": fee, "created_at": noon(day)}
        for number, (day, amount, fee) in enumerate(movements)
    ]
    data = {
        "outside_id": "dp_1",
        "payment": "ch_1",
        "status": status,
        "currency": "USD",
        "amount": "120.00",
        "earned": "40.00",
        "created_at": noon("2025-02-01"),
        "closed_at": noon("2025-03-20"),
        "movements": moved,
    }
    return Told(kind="dispute", data=data)


def credit_applied(day: str, amount: str) -> Told:
    data = {"outside_id": "cbtxn_1", "customer": "cus_1", "origin": "applied", "currency": "USD"}
    return Told(
        kind="credit_movement", data={**data, "amount": f"-{amount}", "created_at": noon(day), "invoice": "in_1"}
    )


def stated(
    event: str, day: str, payload: str, amount: str, *, entity: str = "acme-us", customer: str = "", **fields: Any
) -> Told:
    """An event an outside subledger states, with fields of its payload."""
    data = {
        "outside_id": f"{event}-{day}-{amount}-{fields.get('role', '')}",
        "event": event,
        "occurred_on": day,
        "currency": "USD",
        "customer": customer,
        "payload": {"type": payload, "amount": amount, **fields},
    }
    return Told(kind="stated_event", data=data, entity=entity)


def recognized(event: str, day: str, amount: str, **fields: str) -> Told:
    return stated(event, day, "recognized_revenue", amount, **fields)


def between(event: str, day: str, amount: str, entity: str, role: str, counterparty: str, debtor: str = "") -> Told:
    return stated(
        event, day, "intercompany_amount", amount, entity=entity, role=role, counterparty=counterparty, debtor=debtor
    )


def commission(event: str, day: str, amount: str) -> Told:
    return stated(event, day, "commission_amount", amount)


def receivable(event: str, day: str, amount: str) -> Told:
    return stated(event, day, "receivable_change", amount)


def prepaid(event: str, day: str, amount: str, **fields: str) -> Told:
    return stated(event, day, "prepaid_credit", amount, **fields)


NOTHING_EXPECTED_BACK = {"expected_refunds": "0.00", "cost": "0.00", "expected_returns_cost": "0.00"}
STORIES: dict[str, tuple[Told, ...]] = {
    "invoice-advance-with-tax": (CUSTOMER, invoice("2025-01-01", line(1, "1200.00", tax="240.00"))),
    "revenue-release-month": (recognized("revenue.recognized", "2025-01-31", "100.00"),),
    "usage-accrual-and-billing": (
        recognized("usage.accrued", "2025-01-31", "300.00", against="unbilled_receivable", product_family="usage"),
        CUSTOMER,
        invoice("2025-02-01", line(1, "300.00", family="usage", accrued="unbilled_receivable")),
    ),
    "payment-by-card-and-payout": (
        CUSTOMER,
        payment("2025-01-05", "1440.00", method="card"),
        movement("txn_1", "charge", "ch_1", "2025-01-05", "1440.00", "42.06"),
        payout("2025-01-06", "1397.94"),
    ),
    "credit-memo-unpaid": (
        CUSTOMER,
        invoice("2025-01-01", line(1, "1200.00", tax="240.00"), given=True),
        credit_memo("2025-04-01", line(1, "120.00", tax="24.00"), earned="30.00", total="144.00"),
    ),
    "refund-of-paid-invoice": (
        CUSTOMER,
        payment("2025-01-01", "90.00", method="card", given=True),
        refund("2025-02-01", "90.00", "31.00"),
    ),
    "expected-refund-liability": (
        stated(
            "sale.completed",
            "2025-01-10",
            "completed_sale",
            "10000.00",
            expected_refunds="300.00",
            cost="6000.00",
            expected_returns_cost="180.00",
            commission="0.00",
            method="cash",
        ),
    ),
    "chargeback-lost-with-fee": (
        CUSTOMER,
        payment("2025-01-01", "120.00", method="card", given=True),
        dispute("lost", ("2025-02-01", "-120.00", "15.00")),
    ),
    "chargeback-won": (
        CUSTOMER,
        payment("2025-01-01", "120.00", method="card", given=True),
        dispute("won", ("2025-02-01", "-120.00", "15.00"), ("2025-03-20", "120.00", "-15.00")),
    ),
    "bad-debt-allowance-writeoff-recovery": (
        receivable("receivable.allowance_changed", "2025-03-31", "500.00"),
        receivable("receivable.written_off", "2025-06-30", "300.00"),
        receivable("receivable.reinstated", "2025-08-15", "120.00"),
        stated("receivable.collected", "2025-08-15", "stated_money", "120.00", method="cash"),
    ),
    "contract-asset-two-deliverables": (
        recognized("revenue.recognized", "2025-01-15", "400.00", against="contract_asset", product_family="hardware"),
        CUSTOMER,
        invoice(
            "2025-02-15",
            line(1, "400.00", family="hardware", accrued="contract_asset"),
            line(2, "600.00", family="hardware"),
        ),
    ),
    "modification-catch-up": (recognized("contract.modified", "2025-07-01", "-600.00"),),
    "commission-capitalise-amortise-pay": (
        commission("commission.earned", "2025-01-01", "9000.00"),
        commission("commission.amortized", "2025-01-31", "250.00"),
        commission("commission.paid", "2025-02-15", "9000.00"),
    ),
    "partner-commission-accrual-settlement-clawback": (
        commission("partner_commission.accrued", "2025-01-31", "240.00"),
        commission("partner_commission.clawed_back", "2025-02-10", "60.00"),
        commission("partner_commission.paid", "2025-03-15", "180.00"),
    ),
    "reseller-agent-net": (
        CUSTOMER,
        stated(
            "agent_sale.completed",
            "2025-01-31",
            "completed_sale",
            "2000.00",
            customer="cus_1",
            commission="300.00",
            **NOTHING_EXPECTED_BACK,
        ),
        stated("supplier.paid", "2025-03-01", "stated_money", "1700.00", method="bank_transfer"),
    ),
    "fx-invoice-remeasure-settle": (
        CUSTOMER,
        invoice("2024-12-15", line(1, "500.00"), currency="EUR"),
        stated("exchange.remeasured", "2024-12-31", "exchange_difference", "10.00", foreign_currency="EUR"),
        stated("exchange.remeasured", "2025-01-01", "exchange_difference", "-10.00", reversal=True),
        payment("2025-01-15", "500.00", method="bank_transfer", currency="EUR"),
        stated("exchange.realized", "2025-01-15", "exchange_difference", "-10.00", foreign_currency="EUR"),
    ),
    "intercompany-collect-on-behalf": (
        between("intercompany.cash_collected", "2025-01-20", "1000.00", "a", "collector", "b"),
        between("intercompany.cash_collected", "2025-01-20", "1000.00", "b", "owner", "a"),
        between("intercompany.settled", "2025-02-05", "1000.00", "a", "payer", "b"),
        between("intercompany.settled", "2025-02-05", "1000.00", "b", "payee", "a"),
    ),
    "intercompany-service-fee-elimination": (
        between("intercompany.charged", "2025-01-31", "450.00", "a", "receiver", "b"),
        between("intercompany.charged", "2025-01-31", "450.00", "b", "provider", "a"),
        between("intercompany.eliminated", "2025-01-31", "450.00", "elim", "charge", "b", "a"),
        between("intercompany.eliminated", "2025-01-31", "450.00", "elim", "balance", "b", "a"),
    ),
    "prepaid-credits-drawdown-expiry": (
        prepaid("prepaid_credit.purchased", "2025-01-01", "2000.00", method="cash"),
        prepaid("prepaid_credit.drawn_down", "2025-06-30", "1500.00"),
        prepaid("prepaid_credit.expired", "2025-12-31", "500.00"),
    ),
    "customer-balance-credit-applied": (
        CUSTOMER,
        invoice("2025-01-15", line(1, "80.00")),
        credit_applied("2025-01-15", "25.00"),
        payment("2025-02-09", "55.00", method="cash"),
    ),
}


def golden_totals(example: dict[str, Any]) -> Totals:
    """The example's lines, summed; names of entities and accounts are small letters here."""
    totals: Totals = {}
    for journal in example["journals"]:
        for each in journal["lines"]:
            key = (journal["date"], journal.get("entity", "acme-us").lower(), each["account"].lower())
            debit, credit = totals.get(key, (Decimal(0), Decimal(0)))
            totals[key] = (debit + Decimal(each["debit"]), credit + Decimal(each["credit"]))
    return totals


def test_there_is_a_story_for_every_golden_example() -> None:
    assert list(STORIES) == [each["id"] for each in GOLDEN["events"]]
    journals = [journal for each in GOLDEN["events"] for journal in each["journals"]]
    assert (len(STORIES), len(journals), sum(len(journal["lines"]) for journal in journals)) == (20, 49, 110)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_what_the_sources_say_is_booked_as_the_golden_example(name: str) -> None:
    assert booked_totals(STORIES[name]) == golden_totals(EXAMPLES[name])
