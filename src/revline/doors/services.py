"""What every door stands on: the rooms' services over one database, put together by app. A door adds no accounting to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection

from revline.connectors.sdk.source import SourceReader
from revline.core.clock import Clock
from revline.core.problem import Problem
from revline.delivery.naming import RecordNaming
from revline.doors.answers import Answers
from revline.doors.charging import ChargeTools
from revline.doors.outbound import Outbound
from revline.intake.addresses import Addresses
from revline.intake.correcting import Corrections
from revline.intake.service import Intake
from revline.intake.values import Channels
from revline.platform.access.people import People
from revline.platform.access.service import Access
from revline.platform.access.sessions import Sessions
from revline.platform.bulk.service import BulkActs
from revline.platform.cases.service import RetryHandler, Told
from revline.platform.config.registry import Registry
from revline.platform.lineage.walk import Hops
from revline.platform.settings import Settings
from revline.platform.store.engine import Database
from revline.platform.tenancy.stored_data_keys import StoredDataKeys
from revline.platform.work.pressure import Pressure
from revline.subledger.usage.credits.service import CreditDesk

if TYPE_CHECKING:  # loads Arrow and DuckDB
    from revline.subledger.usage.metering.service import Metering
    from revline.subledger.usage.store.desk import UsageDesk


class ReaderSide(Protocol):
    """A connection that can be read, and the capacity pool its calls belong to."""

    @property
    def reader(self) -> SourceReader: ...

    @property
    def pool_id(self) -> str: ...


class Readers(Protocol):
    """Where doors get the reader of a connection: the tenant's active configuration."""

    def __call__(self, *, tenant_id: str, connection: str) -> ReaderSide | Problem: ...


class Readable(Protocol):
    """The tenant's connections that can be read, sorted."""

    def __call__(self, *, tenant_id: str) -> tuple[str, ...]: ...


class Lister(Protocol):
    """Asks for listings of what a connection's far system holds; gives how many kinds of records will be listed, or why none."""

    def __call__(
        self, *, tenant_id: str, connection: str, since: datetime | None, actor: str, reason: str
    ) -> int | Problem: ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """One process's services. retry_handlers: by kind of case subject. charging, metering: what reads
    usage and its charges, made when first asked for. pool_of: the capacity pool of a
    connection, by tenant_id, name and pool. close: lets go of pools and threads."""

    settings: Settings
    clock: Clock
    database: Database
    data_keys: Callable[[], StoredDataKeys | Problem]
    usage_store: Callable[[], UsageDesk | Problem]
    registry: Registry
    channels: Channels
    intake: Intake
    readers: Readers
    readable: Readable
    access: Access
    people: People
    sessions: Sessions
    addresses: Addresses
    corrections: Corrections
    answers: Answers
    outbound: Outbound
    bulk: BulkActs
    pressure: Pressure
    credits: CreditDesk
    charging: Callable[[], ChargeTools | Problem]
    metering: Callable[[], Metering | Problem]
    naming: RecordNaming
    lister: Lister
    told_of_cases: Told
    hops: tuple[Hops, ...]
    retry_handlers: Mapping[str, RetryHandler]
    register_tenant: Callable[[Connection, str, datetime], None]
    pool_of: Callable[..., str]
    close: Callable[[], None]
