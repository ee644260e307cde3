"""Reads of credits: who has some, grants and refunds, and what the ledger holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, func, select, tuple_

from revline.core.canonical import CreditGrant, CreditRefund, decode_object
from revline.core.ids import SourceObject
from revline.core.money import at_least_in_scale
from revline.subledger.usage.credits.deltas import Place, Posted
from revline.subledger.usage.credits.tables import credit_grant, credit_holder, credit_posting, credit_refund
from revline.subledger.usage.credits.values import GRANTS_MAX, MOVES, Account, EntryKey, Rule

PAGE_MAX: Final = 1_001
DUE_MAX: Final = 1_000


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One movement as it was posted. cause: the charge line, refund or roll-over. position: of the unit that posted it."""

    entry_id: str
    holder_id: str
    grant: str
    rule: Rule
    cause: str
    day: date
    product_family: str
    number: int
    currency: str
    amount: Decimal
    cost: Decimal
    position: int
    ordinal: int


class GrantRow(msgspec.Struct, frozen=True, kw_only=True):
    """A grant with what the ledger holds of it. left, cost_left: on the account `held`."""

    grant_id: str
    connection: str
    grant: CreditGrant
    drawn: Decimal
    expired: Decimal
    taken_back: Decimal
    left: Decimal
    cost_left: Decimal


def holders_by_id(connection: Connection, *, tenant_id: str, holder_ids: Collection[str]) -> Mapping[str, SourceObject]:
    """The customers of these ids; one that is not known has no key."""
    statement = select(credit_holder).where(
        credit_holder.c.tenant_id == tenant_id, credit_holder.c.holder_id.in_(sorted(holder_ids))
    )
    return {
        row.holder_id: SourceObject(connection=row.connection, kind="customer", outside_id=row.customer)
        for row in connection.execute(statement)
    }


def due(connection: Connection, *, tenant_id: str, now: datetime) -> tuple[SourceObject, ...]:
    """Customers whose credits change by time alone, by now; at most DUE_MAX."""
    statement = (
        select(credit_holder)
        .where(credit_holder.c.tenant_id == tenant_id, credit_holder.c.look_at <= now)
        .order_by(credit_holder.c.look_at)
        .limit(DUE_MAX)
    )
    return tuple(
        SourceObject(connection=row.connection, kind="customer", outside_id=row.customer)
        for row in connection.execute(statement)
    )


def grants_of(connection: Connection, *, tenant_id: str, holder_id: str) -> tuple[CreditGrant, ...]:
    """Every grant of a customer, voided ones too, by id; at most GRANTS_MAX and one more, which settling refuses."""
    table = credit_grant
    statement = (
        select(table.c.content)
        .where(table.c.tenant_id == tenant_id, table.c.holder_id == holder_id)
        .order_by(table.c.outside_id)
        .limit(GRANTS_MAX + 1)
    )
    return tuple(_grant(content) for content in connection.execute(statement).scalars())


def refunds_of(connection: Connection, *, tenant_id: str, holder_id: str) -> tuple[CreditRefund, ...]:
    """Every refund of a customer's credits, voided ones too."""
    table = credit_refund
    statement = (
        select(table.c.content)
        .where(table.c.tenant_id == tenant_id, table.c.holder_id == holder_id)
        .order_by(table.c.refund_id)
        .limit(GRANTS_MAX + 1)
    )
    found = []
    for content in connection.execute(statement).scalars():
        snapshot = decode_object(content)
        assert isinstance(snapshot, CreditRefund)
        found.append(snapshot)
    return tuple(found)


def granted_to(
    connection: Connection, *, tenant_id: str, holder_ids: Collection[str]
) -> Mapping[str, tuple[tuple[CreditGrant, ...], tuple[CreditRefund, ...]]]:
    """Grants and refunds of many customers in two queries, each by id; who has none has no key."""
    wanted = sorted(holder_ids)
    grant = credit_grant.c
    refund = credit_refund.c
    granted = (
        select(grant.holder_id, grant.content)
        .where(grant.tenant_id == tenant_id, grant.holder_id.in_(wanted))
        .order_by(grant.holder_id, grant.outside_id)
    )
    refunded = (
        select(refund.holder_id, refund.content)
        .where(refund.tenant_id == tenant_id, refund.holder_id.in_(wanted))
        .order_by(refund.holder_id, refund.refund_id)
    )
    grants: dict[str, list[CreditGrant]] = {}
    refunds: dict[str, list[CreditRefund]] = {}
    for row in connection.execute(granted) if wanted else ():
        grants.setdefault(row.holder_id, []).append(_grant(row.content))
    for row in connection.execute(refunded) if wanted else ():
        snapshot = decode_object(row.content)
        assert isinstance(snapshot, CreditRefund)
        refunds.setdefault(row.holder_id, []).append(snapshot)
    return {holder: (tuple(grants.get(holder, ())), tuple(refunds.get(holder, ()))) for holder in {*grants, *refunds}}


def posted_since(connection: Connection, *, tenant_id: str, position: int) -> tuple[SourceObject, ...]:
    """Customers whose ledger went on after a position."""
    posting = credit_posting.c
    holder = credit_holder.c
    changed = select(posting.holder_id).where(posting.tenant_id == tenant_id, posting.position > position)
    statement = select(credit_holder).where(holder.tenant_id == tenant_id, holder.holder_id.in_(changed))
    return tuple(
        SourceObject(connection=row.connection, kind="customer", outside_id=row.customer)
        for row in connection.execute(statement.order_by(holder.holder_id))
    )


def posted_of(connection: Connection, *, tenant_id: str, holder_id: str) -> dict[Place, Posted]:
    """What the ledger holds of a customer, by place: the side each movement goes to."""
    table = credit_posting
    keys = (table.c.grant, table.c.rule, table.c.cause, table.c.day, table.c.product_family, table.c.currency)
    statement = (
        select(
            *keys,
            func.sum(table.c.amount).label("amount"),
            func.sum(table.c.cost).label("cost"),
            func.max(table.c.number).label("postings"),
            func.max(table.c.moved_at).label("moved_at"),
        )
        .where(table.c.tenant_id == tenant_id, table.c.holder_id == holder_id, _target_side())
        .group_by(*keys)
    )
    return {
        Place(
            key=EntryKey(grant_id=row.grant, rule=Rule(row.rule), cause=row.cause),
            day=row.day,
            product_family=row.product_family,
            currency=row.currency,
        ): Posted(amount=row.amount, cost=row.cost, postings=row.postings, at=row.moved_at)
        for row in connection.execute(statement)
    }


def grants_page(
    connection: Connection,
    *,
    tenant_id: str,
    source_connection: str = "",
    customer: str = "",
    after: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> tuple[GrantRow, ...]:
    """Grants, newest first, with what the ledger holds of each; of one connection or customer (outside id) where named. after:
    the last one seen."""
    table = credit_grant
    statement = select(table).where(table.c.tenant_id == tenant_id)
    if source_connection:
        statement = statement.where(table.c.connection == source_connection)
    if customer:
        statement = statement.where(table.c.customer == customer)
    if after is not None:
        statement = statement.where(tuple_(table.c.granted_at, table.c.grant_id) < after)
    ordered = statement.order_by(table.c.granted_at.desc(), table.c.grant_id.desc()).limit(min(limit, PAGE_MAX))
    rows = connection.execute(ordered).all()
    sums = _sums(connection, tenant_id, {(row.holder_id, row.outside_id) for row in rows})
    return tuple(
        _grant_row(row.grant_id, row.connection, _grant(row.content), sums, (row.holder_id, row.outside_id))
        for row in rows
    )


def grant_by_id(
    connection: Connection, *, tenant_id: str, source_connection: str, outside_id: str
) -> CreditGrant | None:
    """The newest snapshot of a grant."""
    table = credit_grant
    statement = select(table.c.content).where(
        table.c.tenant_id == tenant_id, table.c.connection == source_connection, table.c.outside_id == outside_id
    )
    content = connection.execute(statement).scalar_one_or_none()
    return None if content is None else _grant(content)


def ledger_of(
    connection: Connection, *, tenant_id: str, holder_id: str, grant: str = "", limit: int = PAGE_MAX
) -> tuple[LedgerRow, ...]:
    """Movements of a customer's credits, or of one grant, in the order they were posted; each once, on the side it goes to."""
    table = credit_posting
    statement = select(table).where(table.c.tenant_id == tenant_id, table.c.holder_id == holder_id, _target_side())
    if grant:
        statement = statement.where(table.c.grant == grant)
    ordered = statement.order_by(table.c.position, table.c.ordinal).limit(min(limit, PAGE_MAX))
    return tuple(_ledger_row(row) for row in connection.execute(ordered))


def entry_by_id(connection: Connection, *, tenant_id: str, entry_id: str) -> LedgerRow | None:
    """One movement."""
    table = credit_posting
    statement = select(table).where(table.c.tenant_id == tenant_id, table.c.entry_id == entry_id, _target_side())
    row = connection.execute(statement).one_or_none()
    return None if row is None else _ledger_row(row)


def entries_of_charge(connection: Connection, *, tenant_id: str, charge_id: str, limit: int) -> tuple[LedgerRow, ...]:
    """Movements a charge line made, in the order they were posted."""
    table = credit_posting
    statement = select(table).where(table.c.tenant_id == tenant_id, table.c.cause == charge_id, _target_side())
    ordered = statement.order_by(table.c.position, table.c.ordinal).limit(min(limit, PAGE_MAX))
    return tuple(_ledger_row(row) for row in connection.execute(ordered))


def entries_of_grant(connection: Connection, *, tenant_id: str, grant_id: str, limit: int) -> tuple[LedgerRow, ...]:
    """Movements of a grant's credits in its present customer's ledger, by the grant's root id."""
    table = credit_grant
    known = select(table.c.holder_id, table.c.outside_id).where(
        table.c.tenant_id == tenant_id, table.c.grant_id == grant_id
    )
    row = connection.execute(known).one_or_none()
    if row is None:
        return ()
    return ledger_of(connection, tenant_id=tenant_id, holder_id=row.holder_id, grant=row.outside_id, limit=limit)


def grant_of_root(connection: Connection, *, tenant_id: str, grant_id: str) -> CreditGrant | None:
    """The newest snapshot of a grant, by its root id."""
    table = credit_grant
    statement = select(table.c.content).where(table.c.tenant_id == tenant_id, table.c.grant_id == grant_id)
    content = connection.execute(statement).scalar_one_or_none()
    return None if content is None else _grant(content)


def _ledger_row(row: Any) -> LedgerRow:
    return LedgerRow(
        entry_id=row.entry_id,
        holder_id=row.holder_id,
        grant=row.grant,
        rule=Rule(row.rule),
        cause=row.cause,
        day=row.day,
        product_family=row.product_family,
        number=row.number,
        currency=row.currency,
        amount=at_least_in_scale(amount=row.amount, code=row.currency),
        cost=at_least_in_scale(amount=row.cost, code=row.currency),
        position=row.position,
        ordinal=row.ordinal,
    )


_Sums = Mapping[tuple[str, str, str], tuple[Decimal, Decimal]]


def _sums(connection: Connection, tenant_id: str, wanted: Collection[tuple[str, str]]) -> _Sums:
    table = credit_posting
    statement = (
        select(
            table.c.holder_id,
            table.c.grant,
            table.c.account,
            func.sum(table.c.amount).label("amount"),
            func.sum(table.c.cost).label("cost"),
        )
        .where(table.c.tenant_id == tenant_id, tuple_(table.c.holder_id, table.c.grant).in_(sorted(wanted)))
        .group_by(table.c.holder_id, table.c.grant, table.c.account)
    )
    rows = connection.execute(statement) if wanted else ()
    return {(row.holder_id, row.grant, row.account): (row.amount, row.cost) for row in rows}


def _grant_row(
    grant_id: str, source_connection: str, grant: CreditGrant, sums: _Sums, key: tuple[str, str]
) -> GrantRow:
    def of(account: Account, place: int = 0) -> Decimal:
        found = sums.get((*key, account.value), (Decimal(0), Decimal(0)))[place]
        return at_least_in_scale(amount=found, code=grant.currency)

    return GrantRow(
        grant_id=grant_id,
        connection=source_connection,
        grant=grant,
        drawn=of(Account.DRAWN),
        expired=of(Account.EXPIRED),
        taken_back=of(Account.TAKEN_BACK),
        left=of(Account.HELD),
        cost_left=of(Account.HELD, 1),
    )


def _target_side() -> ColumnElement[bool]:
    pairs = sorted((rule.value, target.value) for rule, (_, target) in MOVES.items())
    return tuple_(credit_posting.c.rule, credit_posting.c.account).in_(pairs)


def _grant(content: str) -> CreditGrant:
    snapshot = decode_object(content)
    assert isinstance(snapshot, CreditGrant)
    return snapshot
