"""The contestants: a bare group-by, and Revline's way from events to amounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import pyarrow as pa

from benchmarks.usage_rate.month import CATALOGUE, COLUMN, MONTH, TYPES, Made
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.subledger.usage import columns
from revline.subledger.usage.metering.answering import Answering
from revline.subledger.usage.metering.duck import DuckBoxes, EngineLimits
from revline.subledger.usage.metering.inspecting import Inspecting
from revline.subledger.usage.metering.lineage import lineage_page
from revline.subledger.usage.metering.ports import Reading
from revline.subledger.usage.metering.subjects import KnownCustomer, SubjectDirectory
from revline.subledger.usage.metering.values import CustomerWindow, Demand, LineageDemand, Metered
from revline.subledger.usage.rating.models import (
    Discount,
    Graduated,
    Model,
    Package,
    PercentageTier,
    PerUnit,
    PriceModel,
    PriceTerms,
    Tier,
    TieredPercentage,
    Volume,
)
from revline.subledger.usage.rating.rate import rate_quantities
from revline.subledger.usage.store.layout import column_type
from revline.subledger.usage.versions import UsageVersion

D = Decimal
TIERS: Final = (
    Tier(up_to=D(1_000), unit_amount=D("0.01")),
    Tier(up_to=D(50_000), unit_amount=D("0.0021"), flat_amount=D(5)),
    Tier(up_to=D(100_000), unit_amount=D("0.0011")),
    Tier(unit_amount=D("0.001")),
)
SHARES: Final = (PercentageTier(up_to=D(10_000), percent=D("2.9")), PercentageTier(percent=D("1.9")))


def _terms(model: Model, field: str) -> PriceTerms:
    return PriceTerms(
        currency="EUR",
        model=PriceModel(**{field: model}),  # type: ignore[arg-type]
        free_units=D(100),
        discounts=(Discount(name="ten", percent=D(10)),),
        minimum=D(5),
    )


PRICES: Final = dict(
    zip(
        TYPES,
        (
            _terms(Graduated(tiers=TIERS), "graduated"),
            _terms(Volume(tiers=TIERS), "volume"),
            _terms(Package(size=D(1_000), amount=D("1.50")), "package"),
            _terms(PerUnit(unit_amount=D("0.000123")), "per_unit"),
            _terms(TieredPercentage(tiers=SHARES), "tiered_percentage"),
        ),
        strict=True,
    )
)


@dataclass(frozen=True, kw_only=True)
class WithLate:
    """The month and one event that came after it was rated."""

    made: Made
    tail: pa.Table

    @property
    def version(self) -> UsageVersion:
        return UsageVersion(watermarks=((0, self.made.events + 1),))

    @property
    def files(self) -> object:
        return self.made.files


class Room:
    """One month and everything that is asked of it."""

    def __init__(self, made: Made, *, scratch: Path, memory_megabytes: int = 6_000) -> None:
        self.made = made
        limits = EngineLimits(memory_megabytes=memory_megabytes, folder=str(scratch / "spill"))
        self.boxes = DuckBoxes(limits=limits)
        names = (f"cus_{number:07d}" for number in range(made.customers))
        self.directory = SubjectDirectory(customers=[KnownCustomer(customer=_customer(name)) for name in names])
        self.directory.routes(connection="")
        self.lines = 0
        self._late = WithLate(made=made, tail=_late_event(made))

    def group_by(self) -> pa.Table:
        """The floor: the same columns of the same files, summed and counted by type and subject."""
        return self._bare(f"sum({COLUMN}) AS total, count(*) AS events, sum({columns.SEQUENCE}) AS sequences")

    def group_by_narrow(self) -> pa.Table:
        """Without the receipt sequences."""
        return self._bare(f"sum({COLUMN}) AS total, count(*) AS events")

    def _bare(self, asked: str) -> pa.Table:
        paths = [each.path for each in self.made.files()]
        files = ", ".join(f"'{path}'" for path in paths)
        with self.boxes(paths=paths) as box:
            return box.ask(f"SELECT type, subject, {asked} FROM read_parquet([{files}]) GROUP BY type, subject", {})

    def rate(self, *, partials: bool) -> list[Decimal]:
        """Every customer's meters for the month, at their prices."""
        found = self._answering(self.made, partials=partials).quantities(
            [Demand(meter=name, window=MONTH) for name in TYPES]
        )
        amounts = [amount for name in TYPES for amount in _amounts(name, found[name])]
        self.lines = len(amounts)
        return amounts

    def lineage(self) -> None:
        """One line's query again, and the first hundred of its events."""
        demand = LineageDemand(
            meter=TYPES[3], customer=_customer("cus_0000042"), window=MONTH, version=self.made.version
        )
        page = lineage_page(self._answering(self.made), demand, after=None, limit=100)
        assert page.events
        assert page.lines

    def late(self) -> None:
        """What one late event touched is found and rated again."""
        reading: Reading = self._late  # type: ignore[assignment]
        inspecting = Inspecting(reading=reading, catalogue=CATALOGUE, directory=self.directory, boxes=self.boxes)
        (seen,) = inspecting.came(since=self.made.version)
        demand = Demand(meter=seen.type, customers=(CustomerWindow(customer=_customer(seen.subject), window=MONTH),))
        found = self._answering(reading).quantities([demand])
        assert len(_amounts(seen.type, found[seen.type])) == 1

    def check(self) -> None:
        """Both ways come to what the bare group-by comes to, or nothing is measured."""
        bare = {(row["type"], row["subject"]): row["total"] for row in self.group_by().to_pylist()}
        for partials in (False, True):
            found = self._answering(self.made, partials=partials).quantities(
                [Demand(meter=name, window=MONTH) for name in TYPES]
            )
            ours = {
                (name, subject): quantity
                for name, each in found.items()
                for subject, quantity in zip(
                    each.table["outside_id"].to_pylist(), each.table["quantity"].to_pylist(), strict=True
                )
            }
            if ours != bare:
                raise SystemExit("the quantities are not those of the group-by: nothing is measured")

    def _answering(self, reading: Reading, *, partials: bool = False) -> Answering:
        return Answering(
            reading=reading, catalogue=CATALOGUE, directory=self.directory, boxes=self.boxes, partials=partials
        )


def _amounts(name: str, metered: Metered) -> list[Decimal]:
    rated = rate_quantities(terms=PRICES[name], quantities=metered.table["quantity"].to_pylist())
    assert not isinstance(rated, Problem)
    return list(rated.amounts())


def _customer(name: str) -> SourceObject:
    return SourceObject(connection="crm", kind="customer", outside_id=name)


def _late_event(made: Made) -> pa.Table:
    row = {
        columns.SHARD: 0,
        columns.SEQUENCE: made.events + 1,
        columns.RECEIVED_AT: MONTH.end,
        columns.OCCURRED_AT: MONTH.start + timedelta(days=12),
        columns.TYPE: TYPES[1],
        columns.SUBJECT: "cus_0000077",
        columns.SOURCE: "gateway",
        columns.ID: "late",
        columns.VOIDS_SOURCE: None,
        columns.VOIDS_ID: None,
        columns.REST: None,
        columns.TYPED: True,
        COLUMN: D("12.5"),
    }
    return pa.table({name: pa.array([value], column_type(name)) for name, value in row.items()})
