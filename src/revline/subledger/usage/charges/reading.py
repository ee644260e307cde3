"""Reads all that a run needs of many customers, in a few queries for all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, select

from revline.core.ids import SourceObject
from revline.core.money import at_least_in_scale
from revline.subledger.usage.charges import tables
from revline.subledger.usage.charges.accruing import Billing, Entry
from revline.subledger.usage.charges.queries import (
    books_closed,
    customer_of,
    entries_of,
    period_of,
    revisions_by_key,
    window_of,
)
from revline.subledger.usage.charges.setup import Touch
from revline.subledger.usage.charges.state import CustomerState, Decision, Period, PeriodState, Tick
from revline.subledger.usage.charges.values import Charge


def customer_states(
    connection: Connection, *, tenant_id: str, lane_ids: Sequence[str], tick: Tick
) -> Mapping[str, CustomerState]:
    """All that is known of the customers of these lanes, in a few queries for all of them; a lane of nobody has no key."""
    return _Reading(connection, tenant_id, lane_ids, tick).states()


class _Reading:
    """What one run reads. Rows come by lane; a customer is known from its touches, periods or lines."""

    def __init__(self, connection: Connection, tenant_id: str, lane_ids: Sequence[str], tick: Tick) -> None:
        self.connection, self.tenant_id, self.lane_ids, self.tick = connection, tenant_id, list(lane_ids), tick
        self.customers: dict[str, SourceObject] = {}

    def states(self) -> Mapping[str, CustomerState]:
        touches = self._touches()
        periods = self._periods()
        newest, standing = self._charges()
        ids = [charge.charge_id for mine in newest.values() for charge in mine]
        entries = self._entries(ids)
        billings = self._billings(ids)
        decided = self._decided(newest)
        closing = self._closing(periods)
        books = self._books()
        made: dict[str, CustomerState] = {}
        for lane, customer in self.customers.items():
            mine = newest.get(lane, [])
            own = {charge.charge_id for charge in mine}
            entities = {charge.entity for charge in mine} | {period.entity for period in periods.get(lane, [])}
            made[lane] = CustomerState(
                customer=customer,
                touches=tuple(sorted(touches.get(lane, []))),
                periods=tuple(sorted(periods.get(lane, []), key=lambda period: period.window)),
                newest=tuple(mine),
                standing={key: charge for key, charge in standing.items() if key in own},
                decided=tuple(each for each in decided if each[0].charge_id in own),
                entries=tuple(entry for entry in entries if entry.charge_id in own),
                billings={key: billing for key, billing in billings.items() if key in own},
                closing=frozenset(
                    period.window for period in periods.get(lane, []) if period.period_id(self.tenant_id) in closing
                ),
                books_through=max((books[entity] for entity in entities if entity in books), default=None),
            )
        return made

    def _rows(self, table: Any) -> Sequence[Row[Any]]:
        row = table.c
        return self.connection.execute(
            select(table).where(row.tenant_id == self.tenant_id, row.lane_id.in_(self.lane_ids))
        ).all()

    def _touches(self) -> dict[str, list[Touch]]:
        found: dict[str, list[Touch]] = {}
        for each in self._rows(tables.usage_touch):
            customer = self.customers.setdefault(each.lane_id, customer_of(each))
            if each.position <= self.tick.position:
                mine = found.setdefault(each.lane_id, [])
                mine.append(Touch(customer=customer, window=window_of(each), meter=each.meter))
        return found

    def _periods(self) -> dict[str, list[Period]]:
        found: dict[str, list[Period]] = {}
        for each in self._rows(tables.usage_period):
            self.customers.setdefault(each.lane_id, customer_of(each))
            found.setdefault(each.lane_id, []).append(period_of(each))
        return found

    def _charges(self) -> tuple[dict[str, list[Charge]], dict[str, Charge]]:
        rows = self._rows(tables.charge)
        wanted = {(each.charge_id, each.newest) for each in rows} | {
            (each.charge_id, each.standing) for each in rows if each.standing
        }
        revisions = revisions_by_key(self.connection, tenant_id=self.tenant_id, keys=wanted)
        newest: dict[str, list[Charge]] = {}
        standing: dict[str, Charge] = {}
        for each in rows:
            self.customers.setdefault(each.lane_id, customer_of(each))
            newest.setdefault(each.lane_id, []).append(revisions[each.charge_id, each.newest])
            if each.standing:
                standing[each.charge_id] = revisions[each.charge_id, each.standing]
        return newest, standing

    def _entries(self, charge_ids: Collection[str]) -> tuple[Entry, ...]:
        return entries_of(self.connection, tenant_id=self.tenant_id, charge_ids=charge_ids)

    def _billings(self, charge_ids: Collection[str]) -> Mapping[str, Billing]:
        row = tables.charge_billing.c
        statement = select(tables.charge_billing).where(
            row.tenant_id == self.tenant_id, row.charge_id.in_(sorted(charge_ids)), row.billed
        )
        return {
            each.charge_id: Billing(
                charge_id=each.charge_id, day=each.day, cleared=at_least_in_scale(amount=each.cleared, code="")
            )
            for each in self.connection.execute(statement)
        }

    def _decided(self, newest: Mapping[str, Sequence[Charge]]) -> tuple[tuple[Charge, Decision], ...]:
        held = {
            charge.charge_id
            for mine in newest.values()
            for charge in mine
            if charge.subject.origin == charge.subject.window
        }
        row = tables.usage_decision.c
        statement = select(tables.usage_decision).where(
            row.tenant_id == self.tenant_id,
            row.kind.in_([each.value for each in Decision]),
            row.subject.in_(sorted(held)),
        )
        rows = self.connection.execute(statement.order_by(row.position, row.ordinal)).all() if held else []
        keys = {(each.subject, each.revision) for each in rows}
        revisions = revisions_by_key(self.connection, tenant_id=self.tenant_id, keys=keys)
        return tuple((revisions[each.subject, each.revision], Decision(each.kind)) for each in rows)

    def _closing(self, periods: Mapping[str, Sequence[Period]]) -> frozenset[str]:
        ids = [
            period.period_id(self.tenant_id)
            for mine in periods.values()
            for period in mine
            if period.state is PeriodState.OPEN
        ]
        row = tables.usage_decision.c
        statement = select(row.subject).where(
            row.tenant_id == self.tenant_id, row.kind == "close_period", row.subject.in_(ids)
        )
        return frozenset(self.connection.scalars(statement)) if ids else frozenset()

    def _books(self) -> Mapping[str, date]:
        return books_closed(self.connection, tenant_id=self.tenant_id)
