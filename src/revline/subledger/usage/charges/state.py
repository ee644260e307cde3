"""What is known of one customer when its charges are computed: periods, lines, entries, what people decided. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum

import msgspec

from revline.core.hashing import canonical_bytes
from revline.core.ids import SourceObject, derived_id, lane_id
from revline.subledger.usage.charges.accruing import Billing, Entry
from revline.subledger.usage.charges.setup import Touch
from revline.subledger.usage.charges.values import Charge
from revline.subledger.usage.rating.billing import Subscribed
from revline.subledger.usage.versions import UsageVersion, Window

LANE_KIND = "usage"


class PeriodState(StrEnum):
    """open: usage re-rates it. closed: usage of it is late."""

    OPEN = "open"
    CLOSED = "closed"


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """A point of the usage log and of time at which charges are computed; a fact of our own, so that a replay computes at the same.

    position: of the unit that recorded it. read_position: of the tenant when customers and mappings were read.
    """

    position: int
    usage_version: UsageVersion
    as_of: datetime
    configuration: int
    read_position: int


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's billing period. usage_version, configuration: of the run that rated it last, of a closed one of the run that
    closed it. look_at: when it is to be looked at although no usage came."""

    customer: SourceObject
    entity: str
    window: Window
    state: PeriodState
    usage_version: UsageVersion
    configuration: int
    look_at: datetime | None = None
    closed_at: datetime | None = None

    def period_id(self, tenant_id: str) -> str:
        """Its id: who, from when, until when."""
        return period_id(tenant_id=tenant_id, customer=self.customer, window=self.window)


class Decision(StrEnum):
    """What a person says of a held revision: it counts, or it never will."""

    APPROVE = "approve"
    REFUSE = "refuse"


class CustomerState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run reads of one customer.

    newest: the last revision of each line. standing: by charge id the last revision that is not held. decided: held revisions that
    a person decided on. closing: windows a person closed. books_through: the last day of the entity's books a person closed.
    subscribed: prices it subscribed to, and when.
    """

    customer: SourceObject
    touches: tuple[Touch, ...] = ()
    periods: tuple[Period, ...] = ()
    newest: tuple[Charge, ...] = ()
    standing: Mapping[str, Charge] = {}
    decided: tuple[tuple[Charge, Decision], ...] = ()
    entries: tuple[Entry, ...] = ()
    billings: Mapping[str, Billing] = {}
    closing: frozenset[Window] = frozenset()
    books_through: date | None = None
    subscribed: frozenset[Subscribed] = frozenset()

    def period(self, window: Window) -> Period | None:
        """The period of a window, if it was ever looked at."""
        return next((each for each in self.periods if each.window == window), None)

    def is_closed(self, window: Window) -> bool:
        """Whether usage of a window is late."""
        found = self.period(window)
        return found is not None and found.state is PeriodState.CLOSED


def period_id(*, tenant_id: str, customer: SourceObject, window: Window) -> str:
    """The id of a customer's billing period."""
    return derived_id(
        "usage-period",
        tenant_id,
        customer.connection,
        customer.outside_id,
        window.start.isoformat(),
        window.end.isoformat(),
    )


def customer_lane(*, tenant_id: str, customer: SourceObject) -> str:
    """The lane of a customer: its periods share commitments and credits, so they are computed one after another."""
    return lane_id(tenant=tenant_id, kind=LANE_KIND, key=f"{customer.connection}/{customer.outside_id}")


def version_text(version: UsageVersion) -> str:
    """A usage version as it is stored."""
    return canonical_bytes(version).decode()


def read_version(content: str) -> UsageVersion:
    """A usage version from its stored text."""
    return msgspec.json.decode(content, type=UsageVersion)
