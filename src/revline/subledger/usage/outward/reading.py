"""Invoice facts as lines that bill metered use. Pure; the newest snapshot speaks, and one in draft or void bills nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import msgspec

from revline.core.canonical import Invoice, InvoiceLine, InvoiceStatus
from revline.core.clock import local_date
from revline.core.facts import Fact
from revline.core.ids import SourceObject
from revline.subledger.usage.outward.values import BilledLine, BillingSubject
from revline.subledger.usage.versions import Window

SILENT: Final = frozenset({InvoiceStatus.DRAFT, InvoiceStatus.VOID})


class ReadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line and what it bills."""

    subject: BillingSubject
    currency: str
    line: BilledLine


def newest_invoice(facts: Iterable[Fact]) -> Invoice | None:
    """The newest snapshot of an invoice among the facts of its root: by the connector's order, then content, never arrival."""
    found = [fact for fact in facts if isinstance(fact.translated.snapshot, Invoice)]
    newest = max(found, key=lambda fact: (fact.translated.order_key, fact.translated.content_digest), default=None)
    if newest is None:
        return None
    snapshot = newest.translated.snapshot
    assert isinstance(snapshot, Invoice)
    return snapshot


def billing_lines(*, invoice: Invoice, connection: str, time_zone: str) -> tuple[ReadLine, ...]:
    """The lines of an invoice that may bill metered use; none while it is a draft or once it is void."""
    if invoice.status in SILENT:
        return ()
    finished = invoice.finalized_at or invoice.created_at
    billed_on = local_date(moment=finished, time_zone=time_zone)
    customer = SourceObject(connection=connection, kind="customer", outside_id=invoice.customer)
    found = []
    for line in invoice.lines:
        window = _window(line)
        if window is None or not line.price:
            continue
        billed = BilledLine(
            invoice=invoice.outside_id,
            line=line.outside_id,
            quantity=line.quantity,
            unit_price=line.unit_price,
            amount=line.amount,
            billed_on=billed_on,
            charge=line.charge,
            accrued=line.accrued,
        )
        subject = BillingSubject(customer=customer, price=line.price, window=window)
        found.append(ReadLine(subject=subject, currency=invoice.currency, line=billed))
    return tuple(found)


def _window(line: InvoiceLine) -> Window | None:
    start, end = line.usage_window_start, line.usage_window_end
    if start is None or end is None or end - start <= timedelta(0):
        return None
    return Window(start=start, end=end)
