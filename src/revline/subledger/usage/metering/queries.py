"""Reads customers and what people said of subjects. Each takes an open connection that names the tenant."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Connection, func, literal_column, select
from sqlalchemy.dialects.postgresql import distinct_on

from revline.core.ids import SourceObject
from revline.intake.tables import fact
from revline.subledger.usage.metering.subjects import (
    BEGINNING,
    FOREVER,
    KnownCustomer,
    SubjectDirectory,
    SubjectMapping,
)
from revline.subledger.usage.metering.tables import usage_subject_mapping
from revline.subledger.usage.metering.values import CUSTOMER
from revline.subledger.usage.versions import Window

CUSTOMERS_MAX: Final = 5_000_000
MAPPINGS_MAX: Final = 1_000_000


class TooManySubjectsError(Exception):
    """A tenant has more customers or mappings than one process may hold."""


def subject_directory(connection: Connection, *, tenant_id: str, position: int | None = None) -> SubjectDirectory:
    """Who each subject is, as known at a position (None: now). Raises TooManySubjectsError."""
    return SubjectDirectory(
        customers=known_customers(connection, tenant_id=tenant_id, position=position),
        mappings=subject_mappings(connection, tenant_id=tenant_id, position=position),
    )


def known_customers(
    connection: Connection, *, tenant_id: str, position: int | None = None
) -> tuple[KnownCustomer, ...]:
    """Every customer a source told of, with its parent in the newest snapshot by the connector's own rule."""
    numbers: ColumnElement[object] = literal_column("CAST(fact.order_key AS numeric[])")
    parent: ColumnElement[str] = literal_column("COALESCE(CAST(fact.content AS json) #>> '{snapshot,parent}', '')")
    statement = (
        select(
            fact.c.connection,
            fact.c.outside_id,
            func.min(fact.c.position).over(partition_by=(fact.c.connection, fact.c.outside_id)).label("first"),
            parent.label("parent"),
        )
        .ext(distinct_on(fact.c.connection, fact.c.outside_id))
        .where(fact.c.tenant_id == tenant_id, fact.c.object_kind == CUSTOMER)
        .order_by(fact.c.connection, fact.c.outside_id, numbers.desc(), fact.c.position.desc(), fact.c.ordinal.desc())
        .limit(CUSTOMERS_MAX + 1)
    )
    if position is not None:
        statement = statement.where(fact.c.position <= position)
    rows = connection.execute(statement).all()
    if len(rows) > CUSTOMERS_MAX:
        raise TooManySubjectsError(f"the tenant has more than {CUSTOMERS_MAX} customers")
    return tuple(
        KnownCustomer(
            customer=SourceObject(connection=row.connection, kind=CUSTOMER, outside_id=row.outside_id),
            parent=row.parent,
            position=row.first,
        )
        for row in rows
    )


def subject_mappings(
    connection: Connection, *, tenant_id: str, position: int | None = None, subject: str = ""
) -> tuple[SubjectMapping, ...]:
    """What people said of subjects, oldest first; of one subject where named."""
    row = usage_subject_mapping.c
    statement = select(usage_subject_mapping).where(row.tenant_id == tenant_id)
    if position is not None:
        statement = statement.where(row.position <= position)
    if subject:
        statement = statement.where(row.subject == subject)
    rows = connection.execute(statement.order_by(row.position, row.ordinal).limit(MAPPINGS_MAX + 1)).all()
    if len(rows) > MAPPINGS_MAX:
        raise TooManySubjectsError(f"the tenant has more than {MAPPINGS_MAX} subject mappings")
    return tuple(
        SubjectMapping(
            subject=each.subject,
            connection=each.subject_connection,
            customer=SourceObject(
                connection=each.customer_connection, kind=CUSTOMER, outside_id=each.customer_outside_id
            )
            if each.customer_outside_id
            else None,
            window=Window(start=each.starts_at or BEGINNING, end=each.ends_at or FOREVER),
            position=each.position,
        )
        for each in rows
    )
