"""Writes open items and movements into an open unit of work."""

from __future__ import annotations

from revline.core.events import AccountingEvent, IssuedCreditMemo, IssuedInvoice
from revline.core.ids import root_id
from revline.platform.store.unit import Unit
from revline.subledger.receivables.open_items import item_opened, movements_of
from revline.subledger.receivables.tables import open_item, open_item_movement


def write_event(unit: Unit, *, tenant_id: str, event: AccountingEvent) -> None:
    """Open the event's item where it opens one, and write its movements. Each event is written once (its id is the key)."""
    opened = item_opened(event)
    if opened is not None:
        unit.project(
            open_item,
            key=("tenant_id", "item_id"),
            tenant_id=tenant_id,
            item_id=root_id(tenant=tenant_id, source=opened),
            kind=opened.kind,
            entity=event.entity,
            customer_id="" if event.customer is None else root_id(tenant=tenant_id, source=event.customer),
            currency=event.currency,
            number=event.payload.number if isinstance(event.payload, IssuedInvoice | IssuedCreditMemo) else "",
            opened_on=event.document_date,
            due_on=event.payload.due_date if isinstance(event.payload, IssuedInvoice) else None,
        )
    for line, movement in enumerate(movements_of(event)):
        unit.record(
            open_item_movement,
            tenant_id=tenant_id,
            item_id=root_id(tenant=tenant_id, source=movement.item),
            event_id=event.event_id,
            line=line,
            entity=event.entity,
            kind=movement.kind.value,
            owed=movement.owed,
            amount=movement.amount,
            currency=movement.currency,
            day=movement.day,
            counter_item_id=""
            if movement.counter_item is None
            else root_id(tenant=tenant_id, source=movement.counter_item),
            affects_receivable=movement.affects_receivable,
        )
