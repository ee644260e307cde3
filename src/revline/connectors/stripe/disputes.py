"""Stripe disputes as canonical snapshots. Pure. Source: docs.stripe.com/api/disputes, /disputes/how-disputes-work."""

from __future__ import annotations

from typing import Final

from revline.connectors.stripe.fields import Fields
from revline.connectors.stripe.reading import Message, Reading, expanded, names
from revline.core.canonical import Dispute, DisputeMovement, DisputeStatus

STATUSES: Final[dict[str, tuple[DisputeStatus, int]]] = {
    "warning_needs_response": (DisputeStatus.INQUIRY, 0),
    "warning_under_review": (DisputeStatus.INQUIRY, 0),
    "warning_closed": (DisputeStatus.INQUIRY, 1),
    "needs_response": (DisputeStatus.OPEN, 2),
    "under_review": (DisputeStatus.OPEN, 2),
    "prevented": (DisputeStatus.PREVENTED, 3),
    "lost": (DisputeStatus.LOST, 3),
    "appeal_needs_response": (DisputeStatus.LOST, 4),
    "appeal_under_review": (DisputeStatus.LOST, 4),
    "won": (DisputeStatus.WON, 5),
}
"""Status -> (canonical, rank). While a loss is appealed the money stays away, so it is still lost; a won appeal outranks it."""
CLOSED: Final = "charge.dispute.closed"


def read_dispute(*, fields: Fields, message: Message) -> Reading:
    """A dispute, on the root of the charge it takes back.

    closed_at comes from the very event charge.dispute.closed and from nothing else: the object has no time of its end. Movements
    are the balance transactions Stripe embeds; a snapshot has those there were then, so readers take them from all snapshots.
    """
    currency = fields.currency()
    known = STATUSES.get(fields.text("status"))
    if known is None:
        raise fields.refuse("status", "a dispute's status")
    status, rank = known
    snapshot = Dispute(
        outside_id=fields.required_identifier("id"),
        payment=fields.required_identifier("charge"),
        status=status,
        currency=currency.code,
        amount=fields.amount("amount", currency=currency),
        earned=currency.quantum * 0,
        created_at=fields.moment("created"),
        closed_at=message.created if message.event_type == CLOSED else None,
        reason=fields.text("reason"),
        movements=_movements(fields),
    )
    times = (snapshot.created_at, *(movement.created_at for movement in snapshot.movements))
    return Reading(
        source=message.source("dispute", snapshot.outside_id),
        snapshot=snapshot,
        roots=(message.source("payment", snapshot.payment),),
        rank=rank,
        latest=max(times),
        growing=(len(snapshot.movements),),
        names=names(payment_intent=fields.identifier("payment_intent")),
        nested=expanded(fields, "charge"),
    )


def _movements(fields: Fields) -> tuple[DisputeMovement, ...]:
    listed = fields.values.get("balance_transactions") or []
    found = tuple(_movement(each) for each in fields.children("balance_transactions"))
    if len(found) != len(listed):
        raise fields.refuse("balance_transactions", "a list of whole balance transactions")
    return tuple(sorted(found, key=lambda movement: (movement.created_at, movement.outside_id)))


def _movement(fields: Fields) -> DisputeMovement:
    currency = fields.currency()
    return DisputeMovement(
        outside_id=fields.required_identifier("id"),
        currency=currency.code,
        amount=fields.amount("amount", currency=currency),
        fee=fields.amount("fee", currency=currency),
        created_at=fields.moment("created"),
    )
