"""What a rule's conditions can see of an event. Pure; amounts as text, days as ISO 8601 text, names as in the canonical types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from revline.core.canonical import InvoiceLine, TaxAmount
from revline.core.events import AccountingEvent, IssuedCreditMemo, IssuedInvoice
from revline.core.hashing import plain
from revline.subledger.posting.functions import Part
from revline.subledger.posting.kinds import Each

PAYLOAD_NAMES = {
    "issued_invoice": "invoice",
    "uncollectible_invoice": "invoice",
    "moved_money": "money",
    "refunded_money": "refund",
    "applied_payment": "application",
    "issued_credit_memo": "credit_memo",
    "customer_credit": "credit",
    "disputed_money": "dispute",
    "recognized_revenue": "revenue",
    "completed_sale": "sale",
    "commission_amount": "commission",
    "exchange_difference": "exchange",
    "intercompany_amount": "intercompany",
    "prepaid_credit": "prepaid",
    "receivable_change": "receivable",
    "stated_money": "money",
}
"""What a payload is called in conditions, by its tag."""


def event_variables(event: AccountingEvent) -> dict[str, Any]:
    """`event`, and its payload under its name in `PAYLOAD_NAMES`, without its lines."""
    tag = str(event.payload.__struct_config__.tag)
    payload = {name: plain(value) for name, value in msgspec.structs.asdict(event.payload).items() if name != "lines"}
    return {
        "event": {
            "kind": event.kind.value,
            "entity": event.entity,
            "connection": event.source.connection,
            "source": event.source.outside_id,
            "currency": event.currency,
            "customer": event.customer.outside_id if event.customer else "",
            "document_date": event.document_date.isoformat(),
            "accounting_date": event.accounting_date.isoformat(),
        },
        PAYLOAD_NAMES[tag]: payload,
    }


def part_variables(*, base: dict[str, Any], part: Part) -> dict[str, Any]:
    """`base` with `line` and `tax` of the part, where it has them."""
    found = dict(base)
    if part.line is not None:
        found["line"] = _line(part.line)
    if part.tax is not None:
        found["tax"] = plain(msgspec.structs.asdict(part.tax))
    return found


def parts_of(*, event: AccountingEvent, each: Each) -> Iterator[Part]:
    """What an entry is made for: the event once, each of its lines, or each tax of each line, in the source's order."""
    if each is Each.EVENT:
        yield Part(event=event)
        return
    for line in event.payload.lines if isinstance(event.payload, IssuedInvoice | IssuedCreditMemo) else ():
        if each is Each.LINE:
            yield Part(event=event, line=line)
        else:
            yield from (Part(event=event, line=line, tax=tax) for tax in line.taxes)


def _line(line: InvoiceLine) -> dict[str, Any]:
    values = msgspec.structs.asdict(line)
    dimensions = dict(values.pop("dimensions"))
    taxes: tuple[TaxAmount, ...] = values.pop("taxes")
    return {
        **{name: plain(value) for name, value in values.items() if name != "discounts"},
        "dimensions": dimensions,
        "discounted": bool(line.discounts),
        "taxed": any(tax.amount for tax in taxes),
    }
