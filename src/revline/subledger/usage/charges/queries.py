"""Reads of charging. Each takes an open connection that names the tenant."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, and_, func, or_, select, tuple_

from revline.core.ids import SourceObject
from revline.core.money import at_least_in_scale
from revline.subledger.usage.charges import tables
from revline.subledger.usage.charges.accruing import Entry
from revline.subledger.usage.charges.state import Period, PeriodState, Tick, read_version
from revline.subledger.usage.charges.values import Charge, ChargeKind, ChargeSubject
from revline.subledger.usage.metering.values import CUSTOMER
from revline.subledger.usage.versions import Window

PAGE_MAX: Final = 1_000
LANES_MAX: Final = 20_000


def newest_tick(connection: Connection, *, tenant_id: str) -> Tick | None:
    """The last tick, None before the first."""
    row = tables.usage_tick.c
    statement = select(tables.usage_tick).where(row.tenant_id == tenant_id)
    found = connection.execute(statement.order_by(row.position.desc(), row.ordinal.desc()).limit(1)).one_or_none()
    return None if found is None else _tick(found)


def lanes_to_look_at(connection: Connection, *, tenant_id: str, as_of: datetime) -> frozenset[str]:
    """Lanes of customers with a period that is to be looked at by `as_of`, at most LANES_MAX."""
    row = tables.usage_period.c
    statement = select(row.lane_id).where(row.tenant_id == tenant_id, row.look_at <= as_of)
    return frozenset(connection.scalars(statement.order_by(row.look_at).limit(LANES_MAX)))


def next_look(connection: Connection, *, tenant_id: str, after: datetime) -> datetime | None:
    """When, after a moment, a period is to be looked at next although no usage came."""
    row = tables.usage_period.c
    statement = select(func.min(row.look_at)).where(row.tenant_id == tenant_id, row.look_at > after)
    found: datetime | None = connection.scalar(statement)
    return found


def open_periods(connection: Connection, *, tenant_id: str) -> tuple[tuple[SourceObject, Window], ...]:
    """Every customer's open periods."""
    row = tables.usage_period.c
    statement = select(tables.usage_period).where(row.tenant_id == tenant_id, row.state == PeriodState.OPEN.value)
    return tuple((customer_of(each), window_of(each)) for each in connection.execute(statement))


def known_periods(
    connection: Connection, *, tenant_id: str, customers: Collection[SourceObject]
) -> frozenset[tuple[SourceObject, Window]]:
    """The periods there are of these customers."""
    row = tables.usage_period.c
    found: set[tuple[SourceObject, Window]] = set()
    pairs = sorted((each.connection, each.outside_id) for each in customers)
    for start in range(0, len(pairs), PAGE_MAX):
        statement = select(tables.usage_period).where(
            row.tenant_id == tenant_id, tuple_(row.connection, row.customer).in_(pairs[start : start + PAGE_MAX])
        )
        found.update((customer_of(each), window_of(each)) for each in connection.execute(statement))
    return frozenset(found)


def periods_of(
    connection: Connection, *, tenant_id: str, customer: SourceObject | None = None, state: str = "", limit: int = 200
) -> tuple[Period, ...]:
    """Billing periods, newest first."""
    row = tables.usage_period.c
    statement = select(tables.usage_period).where(row.tenant_id == tenant_id)
    if customer is not None:
        statement = statement.where(row.connection == customer.connection, row.customer == customer.outside_id)
    if state:
        statement = statement.where(row.state == state)
    statement = statement.order_by(row.start_at.desc(), row.period_id).limit(min(limit, PAGE_MAX))
    return tuple(period_of(each) for each in connection.execute(statement))


def period_by_id(connection: Connection, *, tenant_id: str, period_id: str) -> Period | None:
    """A billing period."""
    row = tables.usage_period.c
    statement = select(tables.usage_period).where(row.tenant_id == tenant_id, row.period_id == period_id)
    found = connection.execute(statement).one_or_none()
    return None if found is None else period_of(found)


def books_closed(connection: Connection, *, tenant_id: str) -> Mapping[str, date]:
    """The last day of each entity's books that a person closed for accruals of usage."""
    row = tables.usage_decision.c
    statement = (
        select(row.subject, func.max(row.closed_through).label("through"))
        .where(row.tenant_id == tenant_id, row.kind == "close_books")
        .group_by(row.subject)
    )
    return {row.subject: row.through for row in connection.execute(statement)}


def revisions_by_key(
    connection: Connection, *, tenant_id: str, keys: Collection[tuple[str, int]]
) -> Mapping[tuple[str, int], Charge]:
    """Revisions by charge id and number."""
    row = tables.charge_revision.c
    found: dict[tuple[str, int], Charge] = {}
    ordered = sorted(keys)
    for start in range(0, len(ordered), PAGE_MAX):
        page = ordered[start : start + PAGE_MAX]
        statement = select(tables.charge_revision).where(
            row.tenant_id == tenant_id, tuple_(row.charge_id, row.revision).in_(page)
        )
        for each in connection.execute(statement):
            found[each.charge_id, each.revision] = charge_of(each)
    return found


def revisions_of(connection: Connection, *, tenant_id: str, charge_id: str, limit: int = 100) -> tuple[Charge, ...]:
    """A line's revisions, newest first."""
    row = tables.charge_revision.c
    statement = select(tables.charge_revision).where(row.tenant_id == tenant_id, row.charge_id == charge_id)
    statement = statement.order_by(row.revision.desc()).limit(min(limit, PAGE_MAX))
    return tuple(charge_of(each) for each in connection.execute(statement))


def entries_of(connection: Connection, *, tenant_id: str, charge_ids: Collection[str]) -> tuple[Entry, ...]:
    """What was stated of lines, in the order it was stated."""
    row = tables.charge_entry.c
    statement = select(tables.charge_entry).where(row.tenant_id == tenant_id, row.charge_id.in_(sorted(charge_ids)))
    rows = connection.execute(statement.order_by(row.position, row.ordinal)) if charge_ids else ()
    return tuple(
        Entry(
            charge_id=each.charge_id,
            part=each.part,
            ordinal=each.entry,
            day=each.day,
            amount=at_least_in_scale(amount=each.amount, code=each.currency),
            currency=each.currency,
            revision=each.revision,
            kind=each.kind,
        )
        for each in rows
    )


def facts_of(connection: Connection, *, tenant_id: str, charge_id: str, limit: int) -> tuple[tuple[str, Entry], ...]:
    """The facts that state a line's accounting events, with what each says."""
    row = tables.charge_entry.c
    statement = select(row.fact_id, row.part, row.entry).where(row.tenant_id == tenant_id, row.charge_id == charge_id)
    rows = connection.execute(statement.order_by(row.position, row.ordinal).limit(limit)).all()
    entries = {
        (each.part, each.ordinal): each for each in entries_of(connection, tenant_id=tenant_id, charge_ids=[charge_id])
    }
    return tuple((each.fact_id, entries[each.part, each.entry]) for each in rows)


def entry_of_fact(connection: Connection, *, tenant_id: str, fact_id: str) -> Entry | None:
    """What a fact of our own states, None for another fact."""
    row = tables.charge_entry.c
    statement = select(row.charge_id, row.part, row.entry).where(row.tenant_id == tenant_id, row.fact_id == fact_id)
    found = connection.execute(statement).one_or_none()
    if found is None:
        return None
    mine = entries_of(connection, tenant_id=tenant_id, charge_ids=[found.charge_id])
    return next(each for each in mine if (each.part, each.ordinal) == (found.part, found.entry))


class ChargeFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are listed. Empty fields take all. window: lines whose period begins in it. after: (start, charge id) of the last
    line seen."""

    connection: str = ""
    customer: str = ""
    window: Window | None = None
    kinds: tuple[ChargeKind, ...] = ()
    meter: str = ""
    product_family: str = ""
    held: bool | None = None
    after: tuple[datetime, str] | None = None


def charges(connection: Connection, *, tenant_id: str, wanted: ChargeFilter, limit: int = 100) -> tuple[Charge, ...]:
    """The newest revision of each line, by the beginning of its period, oldest first."""
    line = tables.charge.c
    revision = tables.charge_revision.c
    joined = and_(
        revision.tenant_id == line.tenant_id,
        revision.charge_id == line.charge_id,
        revision.revision == line.newest,
    )
    statement = (
        select(tables.charge_revision)
        .select_from(tables.charge.join(tables.charge_revision, joined))
        .where(line.tenant_id == tenant_id, revision.tenant_id == tenant_id)
    )
    for column, value in ((line.connection, wanted.connection), (line.customer, wanted.customer)):
        statement = statement.where(column == value) if value else statement
    for column, value in ((revision.meter, wanted.meter), (revision.product_family, wanted.product_family)):
        statement = statement.where(column == value) if value else statement
    if wanted.window is not None:
        statement = statement.where(line.start_at >= wanted.window.start, line.start_at < wanted.window.end)
    if wanted.kinds:
        statement = statement.where(revision.kind.in_([kind.value for kind in wanted.kinds]))
    if wanted.held is not None:
        statement = statement.where(revision.held if wanted.held else ~revision.held)
    if wanted.after is not None:
        start, charge_id = wanted.after
        statement = statement.where(
            or_(line.start_at > start, and_(line.start_at == start, line.charge_id > charge_id))
        )
    statement = statement.order_by(line.start_at, line.charge_id).limit(min(limit, PAGE_MAX + 1))
    return tuple(charge_of(each) for each in connection.execute(statement))


def standing_charges(connection: Connection, /, *, tenant_id: str, customer: SourceObject) -> tuple[Charge, ...]:
    """The revision of each of a customer's lines that counts, of every period."""
    row = tables.charge.c
    statement = select(row.charge_id, row.standing).where(
        row.tenant_id == tenant_id,
        row.connection == customer.connection,
        row.customer == customer.outside_id,
        row.standing > 0,
    )
    keys = {(each.charge_id, each.standing) for each in connection.execute(statement)}
    found = revisions_by_key(connection, tenant_id=tenant_id, keys=keys)
    return tuple(found[key] for key in sorted(found))


def closed_until(connection: Connection, /, *, tenant_id: str, customer: SourceObject) -> datetime | None:
    """The end of a customer's last closed period; None where none is. What periods up to it say of credits stands."""
    row = tables.usage_period.c
    statement = select(func.max(row.end_at)).where(
        row.tenant_id == tenant_id,
        row.connection == customer.connection,
        row.customer == customer.outside_id,
        row.state == PeriodState.CLOSED.value,
    )
    found: datetime | None = connection.execute(statement).scalar_one()
    return found


def standing_revisions(connection: Connection, *, tenant_id: str, charge_ids: Collection[str]) -> Mapping[str, Charge]:
    """By charge id the revision that counts; a line that is held from the first has no key."""
    row = tables.charge.c
    statement = select(row.charge_id, row.standing).where(
        row.tenant_id == tenant_id, row.charge_id.in_(sorted(charge_ids)), row.standing > 0
    )
    keys = {(each.charge_id, each.standing) for each in connection.execute(statement)}
    found = revisions_by_key(connection, tenant_id=tenant_id, keys=keys)
    return {charge.charge_id: charge for charge in found.values()}


def charge_of(row: Any) -> Charge:
    """A revision from its row."""
    origin = None
    if row.origin_start_at is not None:
        origin = Window(start=row.origin_start_at, end=row.origin_end_at)
    return Charge(
        charge_id=row.charge_id,
        revision=row.revision,
        subject=ChargeSubject(
            customer=customer_of(row),
            kind=ChargeKind(row.kind),
            price=row.price,
            group=msgspec.json.decode(row.groups, type=tuple[tuple[str, str], ...]),
            window=window_of(row),
            origin=origin,
        ),
        entity=row.entity,
        product_family=row.product_family,
        meter=row.meter,
        unit=row.unit,
        quantity=at_least_in_scale(amount=row.quantity, code=""),
        currency=row.currency,
        amount=at_least_in_scale(amount=row.amount, code=row.currency),
        events=row.events,
        usage_version=read_version(row.usage_version),
        configuration=row.configuration_version,
        read_position=row.read_position,
        digest=row.digest,
        explanation=row.explanation.encode(),
        held=row.held,
    )


def _tick(row: Any) -> Tick:
    return Tick(
        position=row.position,
        usage_version=read_version(row.usage_version),
        as_of=row.as_of,
        configuration=row.configuration_version,
        read_position=row.read_position,
    )


def period_of(row: Any) -> Period:
    """A period from its row."""
    return Period(
        customer=customer_of(row),
        entity=row.entity,
        window=window_of(row),
        state=PeriodState(row.state),
        usage_version=read_version(row.usage_version),
        configuration=row.configuration_version,
        look_at=row.look_at,
        closed_at=row.closed_at,
    )


def customer_of(row: Any) -> SourceObject:
    """The customer of a row."""
    return SourceObject(connection=row.connection, kind=CUSTOMER, outside_id=row.customer)


def window_of(row: Any) -> Window:
    """The window of a row."""
    return Window(start=row.start_at, end=row.end_at)
