"""The shell of metering: reads who customers are, asks an engine, and answers in values. It changes nothing that is stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final, TypeVar

import duckdb
from sqlalchemy import select

from revline.core.ids import SourceObject
from revline.core.problem import Mender, Problem, ProblemError, Retryable, define, problem
from revline.platform.store.engine import Database
from revline.platform.store.tables import counter
from revline.subledger.usage.metering.answering import Answering
from revline.subledger.usage.metering.compiling import reads_before
from revline.subledger.usage.metering.duck import DuckBoxes, EngineLimits, problem_of
from revline.subledger.usage.metering.finishing import TooLargeError
from revline.subledger.usage.metering.inspecting import Inspecting, Seen
from revline.subledger.usage.metering.lineage import Place, lineage_page
from revline.subledger.usage.metering.ports import Boxes, Reading
from revline.subledger.usage.metering.queries import subject_directory
from revline.subledger.usage.metering.subjects import SubjectDirectory
from revline.subledger.usage.metering.values import (
    Balance,
    CustomerWindow,
    Demand,
    Held,
    Hierarchy,
    LineageDemand,
    LineagePage,
    MeterCatalogue,
    Metered,
    Tally,
    Touched,
)
from revline.subledger.usage.store.reading import UsageReader
from revline.subledger.usage.versions import UsageVersion, Window

DIRECTORIES_MAX: Final = 8
"""Tenants whose customers are kept in memory between questions."""
INSTANT: Final = timedelta(microseconds=1)
Answer = TypeVar("Answer")

define(
    code="usage.meter_unknown",
    title="There is no such meter",
    status=404,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Apply a configuration with a Meter document of this name, or ask for one that exists.",
)


class Metering:
    """Quantities of one database's tenants, from what the usage store reads. Safe for threads."""

    def __init__(self, *, database: Database, reader: UsageReader, limits: EngineLimits | None = None) -> None:
        self._database, self._reader = database, reader
        self._boxes: Boxes = DuckBoxes(limits=limits or EngineLimits())
        self._directories: dict[str, tuple[int, SubjectDirectory]] = {}
        self._lock = threading.Lock()

    def quantities(
        self,
        *,
        tenant_id: str,
        catalogue: MeterCatalogue,
        demands: Sequence[Demand],
        version: UsageVersion,
        position: int | None = None,
    ) -> Mapping[str, Metered] | Problem:
        """What every demand comes to at a version, by meter; exact, and the same whenever it is asked again.

        position: customers and mappings as known then; None: now. Problems: usage.meter_unknown, usage.query_too_large,
        usage.number_too_large, usage.unreadable, usage.version_ahead.
        """
        unknown = _unknown(catalogue, (demand.meter for demand in demands))
        if unknown:
            return unknown
        people = self.directory(tenant_id=tenant_id, position=position)
        return self._asked(
            tenant_id,
            version,
            lambda reading: self._answering(reading, catalogue, people).quantities(demands),
        )

    def live_balance(
        self,
        *,
        tenant_id: str,
        catalogue: MeterCatalogue,
        customer: SourceObject,
        windows: Mapping[str, Window],
        hierarchy: Hierarchy = Hierarchy.OWN,
    ) -> tuple[Balance, ...] | Problem:
        """How much a customer used of each named meter in its window, everything acknowledged so far included."""
        unknown = _unknown(catalogue, windows)
        if unknown:
            return unknown
        people = self.directory(tenant_id=tenant_id)
        demands = [
            Demand(meter=name, customers=(CustomerWindow(customer=customer, window=window),), hierarchy=hierarchy)
            for name, window in windows.items()
        ]
        found = self._asked(
            tenant_id, None, lambda reading: self._answering(reading, catalogue, people).quantities(demands)
        )
        if isinstance(found, Problem):
            return found
        return tuple(each for name, metered in found.items() for each in _balances(metered, windows[name]))

    def touched(
        self, *, tenant_id: str, catalogue: MeterCatalogue, since: UsageVersion, until: UsageVersion, position: int = 0
    ) -> tuple[Touched, ...] | Problem:
        """Whose quantities may differ between two versions, and in which stretch of time; more may be named than do.

        position: customers that became known and mappings written after it count too; 0: every one.
        """
        people = self.directory(tenant_id=tenant_id)
        before = self.directory(tenant_id=tenant_id, position=position) if position else people
        moved = {each.subject for each in people.mapped_since(position=position)} if position else set()
        moved |= {each.customer.outside_id for each in people.customers_since(position=position)} if position else set()
        if not position:
            since = UsageVersion(watermarks=())

        def ask(reading: Reading) -> tuple[Touched, ...]:
            inspecting = Inspecting(reading=reading, catalogue=catalogue, directory=people, boxes=self._boxes)
            came = _touches(inspecting.came(since=since), catalogue, (people,))
            return tuple(sorted({*came, *_touches(inspecting.of_subjects(moved), catalogue, (people, before))}))

        return self._asked(tenant_id, until, ask)

    def lineage(
        self,
        *,
        tenant_id: str,
        catalogue: MeterCatalogue,
        demand: LineageDemand,
        after: Place | None = None,
        limit: int = 100,
        position: int | None = None,
    ) -> LineagePage | Problem:
        """The query behind one quantity, run again, and a page of its events."""
        unknown = _unknown(catalogue, (demand.meter,))
        if unknown:
            return unknown
        people = self.directory(tenant_id=tenant_id, position=position)
        return self._asked(
            tenant_id,
            demand.version,
            lambda reading: lineage_page(self._answering(reading, catalogue, people), demand, after=after, limit=limit),
        )

    def held(
        self, *, tenant_id: str, catalogue: MeterCatalogue, version: UsageVersion | None = None
    ) -> tuple[Held, ...] | Problem:
        """Events that wait for a customer or a type, by subject and type, most events first."""
        people = self.directory(tenant_id=tenant_id)
        return self._asked(
            tenant_id,
            version,
            lambda reading: Inspecting(
                reading=reading, catalogue=catalogue, directory=people, boxes=self._boxes
            ).held(),
        )

    def tally(
        self, *, tenant_id: str, catalogue: MeterCatalogue, version: UsageVersion, window: Window | None = None
    ) -> tuple[Tally, ...] | Problem:
        """What became of every accepted event, by type; in a window of their time where one is given."""
        people = self.directory(tenant_id=tenant_id)
        return self._asked(
            tenant_id,
            version,
            lambda reading: Inspecting(reading=reading, catalogue=catalogue, directory=people, boxes=self._boxes).tally(
                window
            ),
        )

    def directory(self, *, tenant_id: str, position: int | None = None) -> SubjectDirectory:
        """Who each subject is, now or as known at a position."""
        with self._database.read(tenants=[tenant_id]) as connection:
            if position is not None:
                return subject_directory(connection, tenant_id=tenant_id, position=position)
            asked = select(counter.c.position).where(counter.c.tenant_id == tenant_id)
            now = int(connection.execute(asked).scalar_one_or_none() or 0)
            with self._lock:
                known = self._directories.get(tenant_id)
            if known is not None and known[0] == now:
                return known[1]
            found = subject_directory(connection, tenant_id=tenant_id)
        with self._lock:
            self._directories.pop(tenant_id, None)
            while len(self._directories) >= DIRECTORIES_MAX:
                self._directories.pop(next(iter(self._directories)))
            self._directories[tenant_id] = (now, found)
        return found

    def _answering(self, reading: Reading, catalogue: MeterCatalogue, people: SubjectDirectory) -> Answering:
        return Answering(reading=reading, catalogue=catalogue, directory=people, boxes=self._boxes)

    def _asked(
        self, tenant_id: str, version: UsageVersion | None, ask: Callable[[Reading], Answer]
    ) -> Answer | Problem:
        try:
            with self._reader.open(tenant_id=tenant_id, version=version) as reading:
                return ask(reading)
        except ProblemError as error:
            return error.problem
        except TooLargeError:
            return problem("usage.number_too_large", "a quantity of this meter has more than 38 digits")
        except duckdb.Error as error:
            return problem_of(error)
        except OSError as error:
            return problem("usage.unreadable", f"a segment could not be read ({type(error).__name__})")


def _unknown(catalogue: MeterCatalogue, meters: Iterable[str]) -> Problem | None:
    for name in meters:
        if name not in catalogue.meters:
            return problem("usage.meter_unknown", f"there is no meter {name[:60]!r}", field=name[:60])
    return None


def _balances(metered: Metered, window: Window) -> Iterator[Balance]:
    for row in metered.table.to_pylist():
        yield Balance(
            meter=metered.meter,
            unit=metered.unit,
            group=tuple(zip(metered.group_by, row["group"], strict=True)),
            window=window,
            quantity=row["quantity"],
            events=row["events"],
        )


def _touches(
    seen: Iterable[Seen], catalogue: MeterCatalogue, directories: Sequence[SubjectDirectory]
) -> Iterator[Touched]:
    """Whose quantities events of a subject are part of: its customer's, and of the customer above that is billed for it."""
    meters: dict[str, list[tuple[str, bool]]] = {}
    for name, meter in catalogue.meters.items():
        meters.setdefault(catalogue.type_of(name).type, []).append((name, reads_before(meter)))
    for each in seen:
        event_type = catalogue.by_type(each.type)
        if event_type is None or each.type not in meters:
            continue
        span = Window(start=each.first_at, end=each.last_at + INSTANT)
        routes = {
            route
            for directory in directories
            for hierarchy in Hierarchy
            for route in directory.routes_of(subject=each.subject, connection=event_type.subject, hierarchy=hierarchy)
            if route.window.start < span.end and route.window.end > span.start
        }
        for customer in {route.customer for route in routes}:
            for name, onward in meters[each.type]:
                yield Touched(customer=customer, meter=name, span=span, onward=onward)
