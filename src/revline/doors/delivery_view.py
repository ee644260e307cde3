"""A document with all that became of it and what it waits for, fit for every door: no secret is left in what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from revline.core.hashing import plain
from revline.delivery import queries as deliveries
from revline.delivery.queries import Shown
from revline.doors.masking import without_secrets
from revline.doors.waiting_view import Waiting, waiting_view


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """shown: the document as delivery keeps it. waiting: where it stands among others."""

    shown: Shown
    waiting: Waiting

    def as_json(self) -> Mapping[str, Any]:
        """All of it as plain values; digests as hexadecimal text."""
        return {**plain(self.shown), "waiting": plain(self.waiting)}


def delivery_view(connection: Connection, *, tenant_id: str, document_id: str) -> DeliveryView | None:
    """The view of a document; None when the tenant has no such document."""
    shown = deliveries.show(connection, tenant_id=tenant_id, document_id=document_id)
    if shown is None:
        return None
    return DeliveryView(
        shown=masked_delivery(shown),
        waiting=waiting_view(connection, tenant_id=tenant_id, document_id=document_id),
    )


def masked_delivery(shown: Shown) -> Shown:
    """The same without what looks like a secret in what was sent and answered."""
    return msgspec.structs.replace(shown, attempts=tuple(map(_masked, shown.attempts)))


def _masked(one: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**one, "request": without_secrets(one["request"]), "evidence": without_secrets(one["evidence"])}
