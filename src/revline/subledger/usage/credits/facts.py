"""Facts of credits that Revline states itself: grants and refunds people made here, and the ledger's movements. Pure.

A movement is stated once, by its entry; a later difference is another movement. Purchases that an invoice books are not stated,
nor is what cost nothing: it was never owed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from revline.core.canonical import CreditGrant, CreditRefund
from revline.core.canonical.credits import BookedBy
from revline.core.canonical.stated import PrepaidCredit
from revline.core.events import EventKind
from revline.core.facts import Name, TranslatedFact
from revline.core.hashing import digest_text
from revline.core.ids import SourceObject
from revline.core.money import Amount
from revline.subledger.usage.charges.accruing import credit_fact
from revline.subledger.usage.credits.deltas import Delta
from revline.subledger.usage.credits.values import Rule

TRANSLATOR: Final = "credits/1"
GRANT: Final = "credit_grant"
REFUND: Final = "credit_refund"
_EVENTS: Final = {
    Rule.GRANTED: (EventKind.PREPAID_CREDIT_PURCHASED, 1),
    Rule.TAKEN_BACK: (EventKind.PREPAID_CREDIT_PURCHASED, -1),
    Rule.DRAWN: (EventKind.PREPAID_CREDIT_DRAWN_DOWN, 1),
    Rule.RETURNED: (EventKind.PREPAID_CREDIT_DRAWN_DOWN, -1),
    Rule.EXPIRED: (EventKind.PREPAID_CREDIT_EXPIRED, 1),
    Rule.BREAKAGE: (EventKind.PREPAID_CREDIT_EXPIRED, 1),
}
"""The event a movement of each rule is, and its sign: credits given back are a purchase undone."""


def movement_fact(
    *, delta: Delta, grant: CreditGrant, customer: SourceObject, entry_id: str, method: str, stated_at: datetime
) -> TranslatedFact | None:
    """The fact that states a movement; None when it books nothing. method: how the money of a refund was paid, else of the
    grant."""
    kind, sign = _EVENTS[delta.place.key.rule]
    if not delta.cost or (grant.booked_by is BookedBy.INVOICE and kind is EventKind.PREPAID_CREDIT_PURCHASED):
        return None
    return credit_fact(
        customer=customer,
        outside_id=entry_id,
        event=kind,
        day=delta.place.day,
        currency=delta.place.currency,
        payload=PrepaidCredit(
            amount=Amount(delta.cost * sign),
            grant=grant.outside_id,
            product_family=delta.place.product_family,
            method=method if kind is EventKind.PREPAID_CREDIT_PURCHASED else "",
        ),
        stated_at=stated_at,
    )


def object_fact(*, snapshot: CreditGrant | CreditRefund, connection: str, said_at: datetime) -> TranslatedFact:
    """A grant or refund as a fact. The same content again is the same message, whenever it is said."""
    kind = GRANT if isinstance(snapshot, CreditGrant) else REFUND
    source = SourceObject(connection=connection, kind=kind, outside_id=snapshot.outside_id)
    content = digest_text(snapshot)
    microseconds = int(said_at.timestamp()) * 1_000_000 + said_at.microsecond
    return TranslatedFact(
        source=source,
        source_event=f"revline:{kind}:{snapshot.outside_id}:{content[:32]}",
        event_type=f"revline.{kind}.v1",
        occurred_at=said_at,
        content_digest=content,
        order_key=(int(snapshot.voided), microseconds, 0),
        snapshot=snapshot,
        roots=(source,),
        names=(Name(kind="outside_id", value=snapshot.outside_id),),
    )
