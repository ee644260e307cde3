"""Writes what a person said of a subject into an open unit of work."""

from __future__ import annotations

from datetime import datetime

from revline.core.ids import SourceObject
from revline.platform.store.unit import Unit
from revline.subledger.usage.metering.tables import usage_subject_mapping


def map_subject(
    unit: Unit,
    *,
    tenant_id: str,
    subject: str,
    connection: str,
    customer: SourceObject | None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> None:
    """Events of a subject in [starts_at, ends_at) are this customer's from now on, or nobody's. Nothing is sent again."""
    unit.record(
        usage_subject_mapping,
        tenant_id=tenant_id,
        subject=subject,
        subject_connection=connection,
        customer_connection=customer.connection if customer else "",
        customer_outside_id=customer.outside_id if customer else "",
        starts_at=starts_at,
        ends_at=ends_at,
    )
