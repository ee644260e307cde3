"""Credit notes of the simulated Stripe: what lowers an open invoice, or is given back of a paid one.

Sources: docs.stripe.com/api/credit_notes, /invoicing/credit-notes.
"""

from __future__ import annotations

from typing import Any, Final

from revline.connectors.stripe.simulator.account import Account, fail_unless
from revline.connectors.stripe.simulator.catalogue import move_balance
from revline.connectors.stripe.simulator.payments import create_refund
from revline.connectors.stripe.simulator.wire import StripeError, Wire, integer, list_object, required, with_metadata

ISSUED: Final[Wire] = {
    "amount_shipping": 0,
    "customer_balance_transaction": None,
    "discount_amount": 0,
    "pdf": "",
    "shipping_cost": None,
    "status": "issued",
    "voided_at": None,
}
"""What every credit note has when it is issued."""


def create_credit_note(account: Account, given: Wire) -> Wire:
    """POST /v1/credit_notes."""
    invoice = account.get("invoice", required(given, "invoice"), param="invoice")
    fail_unless(
        invoice["status"] in {"open", "paid", "uncollectible"},
        "Credit notes need a finalized invoice.",
        param="invoice",
    )
    now, paid = account.now(invoice), invoice["status"] == "paid"
    lines = _lines(account, invoice, given, now=now)
    total = sum(one["amount"] for one in lines)
    left = invoice["total"] - invoice["pre_payment_credit_notes_amount"] - invoice["post_payment_credit_notes_amount"]
    fail_unless(0 < total <= left, f"The sum of credit amount must be at most {left}.", param="amount")
    refund, credit, elsewhere = (integer(given, f"{name}_amount", 0) for name in ("refund", "credit", "out_of_band"))
    if paid and refund + credit + elsewhere != total:
        raise StripeError(
            "The sum of credit, refund and out of band amounts must equal the credit note's.", param="credit_amount"
        )
    fail_unless(
        paid or not refund + credit + elsewhere, "An unpaid invoice has nothing to give back.", param="refund_amount"
    )
    values = _values(account, invoice, given, lines=lines, total=total, elsewhere=elsewhere, now=now)
    one = account.add("credit_note", values, now=now, metadata=given.get("metadata"))
    one["lines"]["url"] = f"/v1/credit_notes/{one['id']}/lines"
    _take_effect(account, one, invoice, refund=refund, credit=credit)
    account.emit("credit_note.created", one, now=now)
    account.emit("invoice.updated", invoice, now=now)
    if invoice["status"] == "open" and invoice["amount_remaining"] == 0:
        invoice["status"] = "paid"
        invoice["status_transitions"]["paid_at"] = now
        account.emit("invoice.paid", invoice, now=now)
    return one


def _values(
    account: Account, invoice: Wire, given: Wire, *, lines: list[Wire], total: int, elsewhere: int, now: int
) -> Wire:
    paid = invoice["status"] == "paid"
    number = sum(one["invoice"] == invoice["id"] for one in account.objects["credit_note"].values()) + 1
    return {
        **ISSUED,
        "amount": total,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "discount_amounts": [],
        "effective_at": now,
        "invoice": invoice["id"],
        "lines": list_object(lines, url="/v1/credit_notes/lines"),
        "memo": given.get("memo"),
        "number": f"{invoice['number']}-CN-{number:02d}",
        "out_of_band_amount": elsewhere or None,
        "post_payment_amount": total if paid else 0,
        "pre_payment_amount": 0 if paid else total,
        "pretax_credit_amounts": [],
        "reason": given.get("reason"),
        "refunds": [],
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_excluding_tax": total,
        "total_taxes": [],
        "type": "post_payment" if paid else "pre_payment",
    }


def _take_effect(account: Account, one: Wire, invoice: Wire, *, refund: int, credit: int) -> None:
    if one["type"] == "pre_payment":
        invoice["pre_payment_credit_notes_amount"] += one["total"]
        invoice["amount_remaining"] -= one["total"]
        return
    invoice["post_payment_credit_notes_amount"] += one["total"]
    if refund:
        intents = [
            payment["payment"]["payment_intent"]
            for payment in account.all("invoice_payment")
            if payment["invoice"] == invoice["id"] and payment["status"] == "paid"
        ]
        fail_unless(bool(intents), "The invoice has no payment to refund.", param="refund_amount")
        made = create_refund(account, {"payment_intent": intents[0], "amount": str(refund)})
        nothing = {"payment_record_refund": None, "type": "refund"}
        one["refunds"] = [{"amount_refunded": refund, "refund": made["id"], **nothing}]
    if credit:
        customer = account.objects["customer"][invoice["customer"]]
        moved = move_balance(
            account, customer, amount=-credit, kind="credit_note", currency=one["currency"], invoice=invoice["id"],
            credit_note=one["id"],
        )  # fmt: skip
        one["customer_balance_transaction"] = moved["id"]


def _lines(account: Account, invoice: Wire, given: Wire, *, now: int) -> list[Wire]:
    asked = given.get("lines") or []
    if not asked:
        amount = integer(given, "amount")
        return [_line(account, amount, {"description": "Credit", "type": "custom_line_item"}, None, now=now)]
    found = []
    for each in asked:
        held: Wire | None = None
        if each.get("type") == "invoice_line_item":
            name = required(each, "invoice_line_item")
            held = next((line for line in invoice["lines"]["data"] if line["id"] == name), None)
            if held is None:
                raise StripeError(f"No such invoice line item: '{name}'", code="resource_missing", param="lines")
        quantity = integer(each, "quantity", 1)
        whole = held["amount"] if held and "quantity" not in each else integer(each, "unit_amount", 0) * quantity
        found.append(_line(account, integer(each, "amount", whole), each, held, now=now))
    return found


def _line(account: Account, amount: int, given: Wire, held: Wire | None, *, now: int) -> Wire:
    quantity = integer(given, "quantity", 1)
    values: Wire = {
        "amount": amount,
        "description": given.get("description") or (held and held["description"]),
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": held and held["id"],
        "pretax_credit_amounts": [],
        "quantity": quantity,
        "tax_rates": [],
        "taxes": [],
        "type": "invoice_line_item" if held else "custom_line_item",
        "unit_amount": None if held else amount // quantity,
        "unit_amount_decimal": None if held else str(amount // quantity),
    }
    one = account.add("credit_note_line_item", values, now=now)
    return {name: value for name, value in one.items() if name != "created"}


def void_credit_note(account: Account, one: Wire) -> Wire:
    """POST /v1/credit_notes/{id}/void: of one that lowered an open invoice."""
    invoice = account.get("invoice", one["invoice"])
    fail_unless(one["status"] == "issued", "The credit note is already void.")
    fail_unless(one["type"] == "pre_payment" and invoice["status"] == "open", "This credit note can't be voided.")
    now = account.now(invoice)
    invoice["pre_payment_credit_notes_amount"] -= one["total"]
    invoice["amount_remaining"] += one["total"]
    one |= {"status": "void", "voided_at": now}
    account.emit("credit_note.voided", one, now=now)
    account.emit("invoice.updated", invoice, now=now)
    return one


def update_credit_note(account: Account, one: Wire, given: Wire) -> Wire:
    """POST /v1/credit_notes/{id}."""
    changes: Wire = {"memo": given["memo"]} if "memo" in given else {}
    changes |= {"metadata": with_metadata(one["metadata"], given["metadata"])} if "metadata" in given else {}
    now: Any = account.now_of(one["customer"])
    return account.update(one, changes, event="credit_note.updated", now=now)
