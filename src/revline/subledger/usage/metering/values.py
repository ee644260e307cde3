"""What is asked of meters and what they answer. Pure; knows no engine and no table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from revline.core.ids import SourceObject
from revline.platform.config.documents import Configuration
from revline.subledger.usage.kinds import EventType
from revline.subledger.usage.metering.kinds import Meter
from revline.subledger.usage.versions import UsageVersion, Window

if TYPE_CHECKING:  # pyarrow is loaded where tables are made, never by what only names them
    import pyarrow as pa

CUSTOMER: Final = "customer"
"""The kind of source object that buys."""


class Hierarchy(StrEnum):
    """Whose use a customer's quantity is. own: of its own subjects. parent: a child's use is its topmost parent's."""

    OWN = "own"
    PARENT = "parent"


class CustomerWindow(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One customer's window."""

    customer: SourceObject
    window: Window


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of one meter: its quantity for every customer in one window, or for each named customer in its own windows.

    meter: name of the Meter document. Of the two exactly one is given; windows of one customer may not overlap.
    """

    meter: str
    window: Window | None = None
    customers: tuple[CustomerWindow, ...] = ()
    hierarchy: Hierarchy = Hierarchy.OWN


class MeterCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's event types and meters by the names of their documents, as one configuration version has them."""

    types: Mapping[str, EventType]
    meters: Mapping[str, Meter]

    def type_of(self, meter: str) -> EventType:
        """The event type a meter counts."""
        return self.types[self.meters[meter].event_type]

    def by_type(self, event_type: str) -> EventType | None:
        """The event type that describes a CloudEvents type, or None."""
        return next((each for each in self.types.values() if each.type == event_type), None)


def catalogue_of(configuration: Configuration) -> MeterCatalogue:
    """The meters of one configuration version."""
    return MeterCatalogue(
        types={name: each.spec for name, each in configuration.all(EventType).items()},
        meters={name: each.spec for name, each in configuration.all(Meter).items()},
    )


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """Quantities of one meter: one row for each customer, window and group that has events (or a level carried in).

    scale: digits after the point of `quantity`. unit: what one is called. table, in order of its first four columns:
    connection, outside_id: the customer (text). window_start, window_end: timestamp[us, UTC]. group: list of text, one value for
    each of the meter's group fields. quantity: decimal128(38, scale). events: int64, how many it counts. sequences:
    decimal128(38, 0), the sum of their receipt sequences.
    """

    meter: str
    scale: int
    unit: str
    group_by: tuple[str, ...]
    table: pa.Table

    @property
    def zero(self) -> Decimal:
        """No quantity at all, at this scale."""
        return Decimal(0).scaleb(-self.scale)


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """How much one customer has used of one meter so far. group: (field, value) in the meter's order."""

    meter: str
    unit: str
    group: tuple[tuple[str, str], ...]
    window: Window
    quantity: Decimal
    events: int


class Touched(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What became different between two versions: events of `customer` that `meter` counts came, were taken back or found their
    customer, all of them within `span`. onward: later windows differ too, because the meter carries a level over."""

    customer: SourceObject
    meter: str
    span: Window
    onward: bool = False


class HeldReason(StrEnum):
    """Why events wait. no_customer: no customer is known by their subject. several_customers: more than one is. no_type: no
    EventType describes their type (or none did when they came, and they are not adopted yet)."""

    NO_CUSTOMER = "no_customer"
    SEVERAL_CUSTOMERS = "several_customers"
    NO_TYPE = "no_type"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one subject and type that are stored, counted and charged to nobody until what is missing is there."""

    reason: HeldReason
    type: str
    subject: str
    events: int
    first_at: datetime
    last_at: datetime


class EventLine(msgspec.Struct, frozen=True, kw_only=True):
    """One event behind a quantity. value: of the meter's field ("" for a count), as text."""

    shard: int
    sequence: int
    occurred_at: datetime
    received_at: datetime
    subject: str
    source: str
    id: str
    value: str


class LineageDemand(msgspec.Struct, frozen=True, kw_only=True):
    """Which quantity's events are asked for: one customer, window and group (values in the meter's order) at a version."""

    meter: str
    customer: SourceObject
    window: Window
    group: tuple[str, ...] = ()
    hierarchy: Hierarchy = Hierarchy.OWN
    version: UsageVersion


class LineagePage(msgspec.Struct, frozen=True, kw_only=True):
    """The query again, and a page of its events in order of time.

    quantity, events, sequences: what the query gives now; equal to what a charge kept of the same version. lines: at most what was
    asked for; next: give it as `after` for the next page, None at the end. statement: the SQL that was run, its values named.
    """

    quantity: Decimal
    events: int
    sequences: int
    lines: tuple[EventLine, ...]
    next: tuple[datetime, int, int] | None
    statement: str


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Accepted events of one type in a window, by what became of them: together they are all that were accepted.

    counted: their customer is known and they are billable. held: see `Held`. void: taken back. commands: voids themselves.
    not_billable: of an EventType with billable: false.
    """

    type: str
    accepted: int
    counted: int
    held: int
    void: int
    commands: int
    not_billable: int
