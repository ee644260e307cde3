"""A usage log and its meters in memory: the sum of a number over events, for tests of what comes after metering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import pyarrow as pa

from revline.core.hashing import digest_text
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.subledger.usage.metering.values import (
    Demand,
    EventLine,
    LineageDemand,
    LineagePage,
    MeterCatalogue,
    Metered,
    Tally,
    Touched,
)
from revline.subledger.usage.versions import UsageVersion, Window

SCALE = 6
MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Used:
    """One event. voids: the sequence of the event it takes back, 0 for none."""

    sequence: int
    customer: SourceObject
    meter: str
    at: datetime
    value: Decimal
    group: tuple[str, ...] = ()
    voids: int = 0


@dataclass
class MemoryUsage:
    """One tenant's usage. asked: every demand so far, so that a test can tell what was rated anew."""

    events: list[Used] = field(default_factory=list)
    asked: list[Demand] = field(default_factory=list)

    def use(
        self, customer: SourceObject, meter: str, at: datetime, value: str = "1", *, group: tuple[str, ...] = ()
    ) -> int:
        """An event arrives; gives its sequence."""
        sequence = len(self.events) + 1
        self.events.append(Used(sequence, customer, meter, at, Decimal(value), group))
        return sequence

    def void(self, sequence: int) -> int:
        """An event is taken back."""
        old = self.events[sequence - 1]
        number = len(self.events) + 1
        self.events.append(Used(number, old.customer, old.meter, old.at, old.value, old.group, voids=sequence))
        return number

    def current_version(self, *, tenant_id: str) -> UsageVersion:
        return UsageVersion(watermarks=((0, len(self.events)),))

    def counted(self, version: UsageVersion) -> list[Used]:
        known = [one for one in self.events if one.sequence <= version.until(0)]
        gone = {one.voids for one in known if one.voids}
        return [one for one in known if not one.voids and one.sequence not in gone]

    def quantities(
        self,
        *,
        tenant_id: str,
        catalogue: MeterCatalogue,
        demands: Sequence[Demand],
        version: UsageVersion,
        position: int | None = None,
    ) -> Mapping[str, Metered] | Problem:
        self.asked.extend(demands)
        return {each.meter: self._metered(each, version) for each in demands}

    def _metered(self, demand: Demand, version: UsageVersion) -> Metered:
        rows: dict[tuple[SourceObject, Window, tuple[str, ...]], list[Used]] = {}
        for one in self.counted(version):
            for each in demand.customers:
                within = each.window.start <= one.at < each.window.end
                if (one.meter, one.customer) == (demand.meter, each.customer) and within:
                    rows.setdefault((one.customer, each.window, one.group), []).append(one)
        keys = sorted(rows)
        table = pa.table(
            {
                "connection": [customer.connection for customer, _, _ in keys],
                "outside_id": [customer.outside_id for customer, _, _ in keys],
                "window_start": pa.array([window.start for _, window, _ in keys], pa.timestamp("us", "UTC")),
                "window_end": pa.array([window.end for _, window, _ in keys], pa.timestamp("us", "UTC")),
                "group": pa.array([list(group) for _, _, group in keys], pa.list_(pa.string())),
                "quantity": pa.array(
                    [sum((one.value for one in rows[key]), Decimal(0)) for key in keys], pa.decimal128(38, SCALE)
                ),
                "events": pa.array([len(rows[key]) for key in keys], pa.int64()),
                "sequences": pa.array(
                    [Decimal(sum(one.sequence for one in rows[key])) for key in keys], pa.decimal128(38, 0)
                ),
            }
        )
        return Metered(meter=demand.meter, scale=SCALE, unit="unit", group_by=(), table=table)

    def touched(
        self, *, tenant_id: str, catalogue: MeterCatalogue, since: UsageVersion, until: UsageVersion, position: int = 0
    ) -> tuple[Touched, ...] | Problem:
        return tuple(
            sorted(
                {
                    Touched(customer=one.customer, meter=one.meter, span=Window(start=one.at, end=one.at + MOMENT))
                    for one in self.events
                    if since.until(0) < one.sequence <= until.until(0)
                }
            )
        )

    def lineage(
        self,
        *,
        tenant_id: str,
        catalogue: MeterCatalogue,
        demand: LineageDemand,
        after: tuple[datetime, int, int] | None = None,
        limit: int = 100,
        position: int | None = None,
    ) -> LineagePage | Problem:
        mine = [
            one
            for one in sorted(self.counted(demand.version), key=lambda one: (one.at, one.sequence))
            if (one.meter, one.customer, one.group) == (demand.meter, demand.customer, demand.group)
            and demand.window.start <= one.at < demand.window.end
        ]
        left = [one for one in mine if after is None or (one.at, 0, one.sequence) > after]
        page = left[:limit]
        lines = tuple(
            EventLine(
                shard=0,
                sequence=one.sequence,
                occurred_at=one.at,
                received_at=one.at,
                subject=one.customer.outside_id,
                source="//app",
                id=f"e{one.sequence}",
                value=str(one.value),
            )
            for one in page
        )
        return LineagePage(
            quantity=sum((one.value for one in mine), Decimal(0)),
            events=len(mine),
            sequences=sum(one.sequence for one in mine),
            lines=lines,
            next=(page[-1].at, 0, page[-1].sequence) if len(left) > limit else None,
            statement=digest_text(demand),
        )

    def tally(
        self, *, tenant_id: str, catalogue: MeterCatalogue, version: UsageVersion, window: Window | None = None
    ) -> tuple[Tally, ...] | Problem:
        known = [one for one in self.events if one.sequence <= version.until(0)]
        commands = [one for one in known if one.voids]
        return (
            Tally(
                type="api.call",
                accepted=len(known),
                counted=len(self.counted(version)),
                held=0,
                void=len({one.voids for one in commands}),
                commands=len(commands),
                not_billable=0,
            ),
        )
