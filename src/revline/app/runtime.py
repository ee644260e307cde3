"""Builds one process's services from its settings: databases, directory, intake, the rooms' hops and retries."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from revline.app import feeding, usage_billing
from revline.app.acting import bulk_acts
from revline.app.asking import answers_of
from revline.app.crediting import desk_of
from revline.app.data_keys import data_keys_of
from revline.app.directory import Directory, pool_id
from revline.app.enumerating import Asking, retry_handler
from revline.app.kinds import registry
from revline.app.naming import Naming
from revline.app.readers import Readers
from revline.app.usage_tools import UsageTools
from revline.core.clock import Clock, SystemClock
from revline.core.problem import Problem, problem
from revline.delivery import acts
from revline.delivery.hops import DeliveryHops
from revline.delivery.listed import RECORD_SUBJECT
from revline.derive.hops import DeriveHops
from revline.doors.services import Services
from revline.intake.addresses import Addresses
from revline.intake.correcting import Corrections
from revline.intake.hops import IntakeHops
from revline.intake.service import Intake
from revline.platform.access.people import People
from revline.platform.access.service import Access
from revline.platform.access.sessions import Sessions
from revline.platform.cases.hops import CaseHops
from revline.platform.cases.service import RetryHandler
from revline.platform.settings import Settings
from revline.platform.store.embedded import EmbeddedServer, EmbeddedServerError
from revline.platform.store.engine import Database
from revline.platform.tenancy.record import register_tenant
from revline.platform.tenancy.secrets import SecretResolver
from revline.platform.work.pressure import Pressure
from revline.subledger.posting.hops import PostingHops
from revline.subledger.usage.charges.acts import retry_handler as retry_charges
from revline.subledger.usage.charges.acts import retry_lanes as retry_charge_lanes
from revline.subledger.usage.charges.hops import ChargeHops
from revline.subledger.usage.charges.record import LANE_SUBJECT as USAGE_LANE
from revline.subledger.usage.charges.record import SUBJECT_KIND as USAGE
from revline.subledger.usage.credits.hops import CreditHops
from revline.subledger.usage.credits.running import retry_handler as retry_credits

DIRECTORY_POOL: Final = 2
POSTGRES_FOLDER: Final = "postgres"
SECRETS_FOLDER: Final = "secrets"
HOPS: Final = (
    IntakeHops(),
    ChargeHops(),
    CreditHops(),
    PostingHops(),
    DeriveHops(),
    DeliveryHops(),
    CaseHops(),
)


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What a worker or a server is built from. services: the same for every door."""

    settings: Settings
    clock: Clock
    database: Database
    directory: Directory
    intake: Intake
    readers: Readers
    services: Services
    usage: UsageTools


def embedded(settings: Settings) -> EmbeddedServer:
    """The embedded server of these settings; not started."""
    return EmbeddedServer(settings.data_folder / POSTGRES_FOLDER)


def dsn_of(settings: Settings, role: str) -> str | Problem:
    """The address of the database for a role: from the settings, else of the running embedded server."""
    given = {
        "revline_app": settings.dsn,
        "revline_control": settings.control_dsn,
        "revline_owner": settings.owner_dsn,
    }[role]
    if given:
        return given.reveal()
    if settings.dsn or settings.production:
        name = {"revline_control": "REVLINE_CONTROL_DSN", "revline_owner": "REVLINE_OWNER_DSN"}.get(role, "REVLINE_DSN")
        return problem("database.unreachable", f"{name} is not set", field=name)
    try:
        return embedded(settings).dsn(role)
    except (EmbeddedServerError, OSError) as error:
        return problem("database.unreachable", str(error).partition("\n")[0])


def open_runtime(settings: Settings, *, clock: Clock | None = None, repeats: bool = False) -> Runtime | Problem:
    """Everything over one database as `revline_app`; nothing is connected until it is used. repeats: as in `Database`."""
    databases = _databases(settings, repeats=repeats)
    if isinstance(databases, Problem):
        return databases
    (database, reading), time = databases, clock or SystemClock()
    kinds, secrets = registry(), SecretResolver(folder=settings.data_folder / SECRETS_FOLDER)
    new_directory = partial(Directory, database=reading, registry=kinds, secrets=secrets, clock=time)
    directory = new_directory()
    intake, readers = _intake(settings, database, time), Readers(directory=directory, secrets=secrets, clock=time)
    naming = Naming(database=database, clock=time, random_bytes=os.urandom, new_directory=new_directory)
    data_keys = partial(data_keys_of, settings, database=reading, secrets_resolver=secrets, clock=time)
    tools = UsageTools(
        settings=settings, database=database, directory=directory, registry=kinds, clock=time, data_keys=data_keys
    )
    services = Services(
        settings=settings,
        clock=time,
        database=database,
        data_keys=data_keys,
        **_usage(tools),
        registry=kinds,
        channels=directory,
        intake=intake,
        readers=readers.side,
        readable=readers.names,
        **_access(database, time),
        corrections=_corrections(database, directory, time),
        answers=answers_of(database=database, directory=directory, clock=time),
        outbound=feeding.outbound_of(database=database, directory=directory, clock=time),
        bulk=bulk_acts(database=database, directory=directory, intake=intake, naming=naming, clock=time),
        pressure=Pressure(database=database),
        credits=desk_of(database=database, directory=directory, intake=intake, clock=time),
        lister=Asking(database=database, directory=directory, clock=time),
        naming=naming,
        told_of_cases=feeding.FeedbackDirectory(directory).asking().waived,
        hops=HOPS,
        retry_handlers=_handlers(database, intake, directory, time),
        register_tenant=_register,
        pool_of=pool_id,
        close=partial(_close, directory, tools, database, reading),
    )
    parts: dict[str, Any] = {
        "directory": directory,
        "intake": intake,
        "readers": readers,
        "services": services,
        "usage": tools,
    }
    return Runtime(settings=settings, clock=time, database=database, **parts)


def _usage(tools: UsageTools) -> dict[str, Any]:
    """What doors do with usage."""
    return {"usage_store": tools.files, "charging": tools.charges, "metering": tools.metering}


def _access(database: Database, clock: Clock) -> dict[str, Any]:
    """Who and what may come in."""
    given: dict[str, Any] = {"database": database, "clock": clock, "random_bytes": os.urandom}
    return {
        "access": Access(**given),
        "people": People(**given),
        "sessions": Sessions(**given),
        "addresses": Addresses(**given),
    }


def _databases(settings: Settings, *, repeats: bool) -> tuple[Database, Database] | Problem:
    """The pool of the process, and the small one that configuration is read with."""
    dsn = dsn_of(settings, "revline_app")
    if isinstance(dsn, Problem):
        return dsn
    return Database(dsn=dsn, pool_size=settings.pool_size, repeats=repeats), Database(dsn=dsn, pool_size=DIRECTORY_POOL)


def _intake(settings: Settings, database: Database, clock: Clock) -> Intake:
    tolerance = timedelta(hours=settings.future_tolerance_hours)
    return Intake(database=database, clock=clock, random_bytes=os.urandom, future_tolerance=tolerance)


def _close(directory: Directory, tools: UsageTools, *databases: Database) -> None:
    tools.close()
    asyncio.run(directory.close())
    for database in databases:
        database.dispose()


def _corrections(database: Database, directory: Directory, clock: Clock) -> Corrections:
    return Corrections(
        database=database,
        clock=clock,
        random_bytes=os.urandom,
        channels=directory,
        policy=directory.correction_policy,
    )


def _handlers(database: Database, intake: Intake, directory: Directory, clock: Clock) -> dict[str, RetryHandler]:
    """How each kind of case's subject is tried again."""
    return {
        "document": acts.retry_handler(database=database, clock=clock),
        "root": intake.request_roots,
        "awaited": intake.request_roots,
        "input": partial(intake.retry_kept, channels=directory),
        "reread": intake.reread,
        "source_cursor": intake.read_on,
        "feedback": feeding.retry_handler(database=database, clock=clock),
        USAGE: retry_charges(database=database, clock=clock),
        USAGE_LANE: retry_charge_lanes(database=database, clock=clock),
        "credits": retry_credits(database=database, clock=clock),
        **usage_billing.retry_handlers(database=database, clock=clock),
        RECORD_SUBJECT: retry_handler(Asking(database=database, directory=directory, clock=clock)),
    }


def _register(connection: Connection, tenant_id: str, now: datetime) -> None:
    register_tenant(connection, tenant_id=tenant_id, created_at=now)
