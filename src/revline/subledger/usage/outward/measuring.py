"""Meters asked for the windows that were billed: one question a meter, every window of every customer in it. Knows no price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.subledger.usage.charges.ports import Meters, Versions
from revline.subledger.usage.metering.values import CustomerWindow, Demand, MeterCatalogue, Metered
from revline.subledger.usage.versions import Window


class Catalogues(Protocol):
    """A tenant's event types and meters, of the active configuration."""

    def __call__(self, *, tenant_id: str) -> MeterCatalogue | Problem: ...


class MeteredQuantities:
    """`expecting.Quantities` from the usage log as it stands now."""

    def __init__(self, *, meters: Meters, versions: Versions, catalogues: Catalogues) -> None:
        self._meters, self._versions, self._catalogues = meters, versions, catalogues

    def __call__(
        self, *, tenant_id: str, meter: str, windows: Sequence[CustomerWindow]
    ) -> Mapping[CustomerWindow, Decimal] | Problem:
        catalogue = self._catalogues(tenant_id=tenant_id)
        if isinstance(catalogue, Problem):
            return catalogue
        version = self._versions.current_version(tenant_id=tenant_id)
        found: dict[CustomerWindow, Decimal] = {}
        for apart in without_overlaps(windows):
            demand = Demand(meter=meter, customers=apart)
            metered = self._meters.quantities(
                tenant_id=tenant_id, catalogue=catalogue, demands=[demand], version=version
            )
            if isinstance(metered, Problem):
                return metered
            for one in metered.values():
                add_rows(one, into=found)
        return found


def without_overlaps(windows: Iterable[CustomerWindow]) -> tuple[tuple[CustomerWindow, ...], ...]:
    """The windows in as few groups as needed so that no customer's windows overlap within one."""
    groups: list[list[CustomerWindow]] = []
    ends: list[dict[SourceObject, datetime]] = []
    for one in sorted(set(windows)):
        for group, last in zip(groups, ends, strict=True):
            if one.customer not in last or last[one.customer] <= one.window.start:
                group.append(one)
                last[one.customer] = one.window.end
                break
        else:
            groups.append([one])
            ends.append({one.customer: one.window.end})
    return tuple(tuple(group) for group in groups)


def add_rows(metered: Metered, *, into: dict[CustomerWindow, Decimal]) -> None:
    """Quantities of one meter by customer and window, over all its groups."""
    names = ("connection", "outside_id", "window_start", "window_end", "quantity")
    columns = [metered.table.column(name).to_pylist() for name in names]
    for connection, outside_id, start, end, quantity in zip(*columns, strict=True):
        customer = SourceObject(connection=connection, kind="customer", outside_id=outside_id)
        key = CustomerWindow(customer=customer, window=Window(start=start, end=end))
        into[key] = into.get(key, Decimal(0)) + quantity
