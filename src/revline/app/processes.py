"""What the long-running commands do: the embedded database, the worker, the server, migrations."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from revline import __version__
from revline.app.asking import question_routes, webhook_deliveries
from revline.app.directory import SOURCES, Directory, entry_of
from revline.app.keeping import Keeper, retention_of
from revline.app.listings import listings_of
from revline.app.runtime import Runtime, dsn_of, embedded, open_runtime
from revline.app.worker import Worker, new_owner
from revline.core.clock import SteadyClock
from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem
from revline.delivery.recurring import RECURRING
from revline.delivery.values import Timing
from revline.doors.api.ports import ApiLimits, ApiPorts, Threads
from revline.doors.cli.output import say, say_problem
from revline.doors.services import Services
from revline.platform.collecting import collect_seldom
from revline.platform.logs import configure
from revline.platform.settings import Settings
from revline.platform.store import migrate
from revline.platform.store.embedded import EmbeddedServerError
from revline.platform.store.engine import Database
from revline.platform.store.failures import DatabaseFailure, problem_of
from revline.platform.tenancy import queries as tenancy
from revline.platform.work import queries as work
from revline.platform.work.cell import open_cell
from revline.platform.work.pressure import BacklogLimits
from revline.subledger.usage.kinds import EventType
from revline.subledger.usage.store.record import COMPACT_LANE

if TYPE_CHECKING:
    from revline.app.usage_keeping import UsageKeeper
    from revline.doors.usage.ports import UsageSink

CURSOR_KEY_FILE: Final = "cursor.key"

define(
    code="server.address_taken",
    title="The address can't be listened on",
    status=503,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Set REVLINE_PORT to a port that is free (0 takes any), or end what listens there.",
)


def up(settings: Settings, once: bool) -> int:  # noqa: FBT001 - one command's flag
    """Start the embedded server, migrate, keep it until a signal."""
    server = embedded(settings)
    try:
        owner = server.start()
        state = migrate.upgrade(owner_dsn=server.dsn("revline_owner"))
    except (EmbeddedServerError, OSError) as error:
        say_problem(problem("database.unreachable", str(error).partition("\n")[0]))
        return 1
    except DatabaseFailure as error:
        server.stop()
        say_problem(problem_of(error))
        return 1
    say(f"PostgreSQL runs, schema at {state.current}" + ("" if owner else " (another process owns it)"))
    if owner and not once:
        stop = threading.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: stop.set())
        say("Press Ctrl-C to stop it.")
        stop.wait()
    server.stop()
    return 0


def upgrade(settings: Settings, check: bool) -> Problem | str:  # noqa: FBT001 - one command's flag
    """Migrate as the owner, or only say where the schema stands."""
    dsn = dsn_of(settings, "revline_app" if check else "revline_owner")
    if isinstance(dsn, Problem):
        return dsn
    try:
        state = migrate.check(dsn=dsn) if check else migrate.upgrade(owner_dsn=dsn)
    except DatabaseFailure as error:
        return problem_of(error)
    if not state.is_current:
        return _behind(state)
    return f"the schema is at {state.current}"


def run_worker(settings: Settings, until_idle: bool) -> int:  # noqa: FBT001 - one command's flag
    """Derive and deliver until a signal, or until nothing is left to do."""
    configure(stream=sys.stderr, level=settings.log_level)
    runtime = open_runtime(settings, repeats=True)
    if isinstance(runtime, Problem):
        say_problem(runtime)
        return 1
    failed = _database_problem(settings, runtime.database)
    if failed is not None:
        say_problem(failed)
        return 1
    owner = new_owner(host=os.uname().nodename, process_id=os.getpid(), started=runtime.clock.now().isoformat())
    with runtime.database.control() as connection:
        epoch = open_cell(connection)
    worker = Worker(
        database=runtime.database,
        directory=runtime.directory,
        intake=runtime.intake,
        clock=runtime.clock,
        owner=owner,
        epoch=epoch.number,
        version=__version__,
        timing=Timing(lease=timedelta(seconds=settings.lease_seconds), overdue=timedelta(hours=settings.overdue_hours)),
        readers=runtime.readers,
        steady=SteadyClock(),
        bulk=runtime.services.bulk.handlers,
        usage=runtime.usage,
        keeper=Keeper(database=runtime.database, clock=runtime.clock, retention=retention_of(settings)),
        backlog=BacklogLimits(
            tenant=settings.tenant_backlog_max,
            cell=settings.cell_backlog_max,
            due_age=timedelta(hours=settings.due_age_max_hours),
        ),
        files=_files_turn(runtime, owner),
    )
    collect_seldom()
    asyncio.run(worker.run(until=partial(is_idle, runtime.database) if until_idle else None))
    runtime.database.dispose()
    return 0


def _files_turn(runtime: Runtime, owner: str) -> Callable[[], int]:
    """Keeps up files of usage, from when there are any: what that needs takes long to load, and many installations have none."""
    keepers: list[UsageKeeper] = []

    def turn() -> int:
        if not keepers:
            with runtime.database.control() as connection:
                if not work.has_lanes(connection, kind=COMPACT_LANE):
                    return 0
            from revline.app.usage_keeping import UsageKeeper  # noqa: PLC0415

            keeper = UsageKeeper(
                database=runtime.database,
                directory=runtime.directory,
                clock=runtime.clock,
                owner=owner,
                desk=runtime.services.usage_store,
            )
            keepers.append(keeper)
        return keepers[0].turn()

    return turn


def is_idle(database: Database) -> bool:
    """Nothing is due or under way: what is left is parked until a person mends something, or waits for what is. Far systems are
    listed again and again, so that is not waited for."""
    with database.control() as connection:
        counts = [count for count in work.counts(connection) if count.kind not in RECURRING]
    return all(count.parked_code or count.waiting for count in counts)


def run_server(settings: Settings) -> int:
    """Serve the API until a signal."""
    # The server's libraries take longer to import than a worker takes to start; only this command needs them.
    from revline.app.console import console_ports  # noqa: PLC0415
    from revline.app.usage import open_usage  # noqa: PLC0415
    from revline.doors.api.app import create_app  # noqa: PLC0415
    from revline.doors.api.server import serve as serve_app  # noqa: PLC0415
    from revline.doors.console.app import Site, create_console  # noqa: PLC0415

    configure(stream=sys.stderr, level=settings.log_level)
    runtime = open_runtime(settings)
    if isinstance(runtime, Problem):
        say_problem(runtime)
        return 1
    room = open_usage(runtime, wanted=None if settings.usage_in_serve else ())
    if isinstance(room, Problem):
        say_problem(room)
        runtime.services.close()
        return 1
    ports = api_ports(runtime, usage=room.sink)
    console = console_ports(runtime, key=ports.cursor_key)
    collect_seldom()
    try:
        serve_app(
            lambda: Site(api=create_app(ports), console=create_console(console)),
            host=settings.host,
            port=settings.port,
            drain_seconds=settings.drain_seconds,
            public=settings.production,
            on_started=lambda port: say(f"serving on http://{settings.host}:{port}"),
        )
    except OSError as error:
        say_problem(problem("server.address_taken", f"{settings.host}:{settings.port}: {error.strerror}"))
        return 1
    finally:
        room.close()
        runtime.services.close()
    return 0


def api_ports(runtime: Runtime, *, usage: UsageSink | None = None) -> ApiPorts:
    """What the API calls, wired. usage: where usage events go; without it the server takes none."""
    # The server's libraries take longer to import than a worker takes to start; only the server needs them.
    from revline.app.usage import usage_ports  # noqa: PLC0415
    from revline.doors.usage.door import PATH, UsageDoor  # noqa: PLC0415

    settings, services = runtime.settings, runtime.services
    return ApiPorts(
        intake=services.intake,
        access=services.access,
        addresses=services.addresses,
        channels=services.channels,
        clock=services.clock,
        random_bytes=os.urandom,
        decoy=_decoy(runtime.directory),
        held_back=services.pressure.refused,
        tenant_active=partial(tenant_active, runtime.database),
        ready=partial(not_ready, settings, runtime.database, usage),
        listings={
            **listings_of(runtime.database),
            "webhook-deliveries": webhook_deliveries(services),
        },
        cursor_key=_cursor_key(settings),
        problem_base=settings.problem_base,
        routes=_routes(services),
        in_front={} if usage is None else {PATH: UsageDoor(usage_ports(runtime, usage))},
        usage_types=partial(_usage_types, runtime.directory),
        limits=ApiLimits(
            body_bytes_max=settings.body_bytes_max,
            json_depth_max=settings.json_depth_max,
            events_per_request_max=settings.events_per_request_max,
            page_max=settings.page_max,
            requests_per_second=settings.requests_per_second,
            requests_burst=settings.requests_burst,
        ),
    )


def _routes(services: Services) -> tuple[Callable[[Threads], Sequence[Any]], ...]:
    """Makers of the routes that stand on services."""
    # As above: only the server needs them.
    from revline.doors.api.acts import act_handlers  # noqa: PLC0415
    from revline.doors.api.bulk import bulk_handlers  # noqa: PLC0415
    from revline.doors.api.charges import charge_handlers  # noqa: PLC0415
    from revline.doors.api.credits import credit_routes  # noqa: PLC0415
    from revline.doors.api.enumerations import enumeration_handlers  # noqa: PLC0415
    from revline.doors.api.meters import meter_handlers  # noqa: PLC0415
    from revline.doors.api.pools import pool_handlers  # noqa: PLC0415
    from revline.doors.api.usage_findings import usage_finding_routes  # noqa: PLC0415
    from revline.doors.api.waiting import waiting_routes  # noqa: PLC0415
    from revline.doors.usage.description import usage_description  # noqa: PLC0415

    makers = (act_handlers, bulk_handlers, pool_handlers, enumeration_handlers, waiting_routes, question_routes)
    usage = (credit_routes, usage_finding_routes, charge_handlers, meter_handlers)
    return (*(partial(make, services) for make in (*makers, *usage)), usage_description)


def _usage_types(directory: Directory, tenant_id: str) -> frozenset[str]:
    configuration = directory.configuration(tenant_id=tenant_id)
    if isinstance(configuration, Problem):
        return frozenset()
    return frozenset(document.spec.type for document in configuration.all(EventType).values())


def _decoy(directory: Directory) -> Callable[..., Problem | None]:
    """A signature check with a secret nobody knows, so that a wrong path costs what a wrong signature costs."""
    source = entry_of(SOURCES, "stripe")
    assert source is not None
    return partial(source().verify, secrets=[secrets.token_urlsafe(32)])


def tenant_active(database: Database, tenant_id: str) -> bool:
    """Whether a tenant is registered and not closed."""
    with database.control() as connection:
        return tenancy.tenant_state(connection, tenant_id=tenant_id) == "active"


def not_ready(settings: Settings, database: Database, usage: UsageSink | None) -> Sequence[FieldError]:
    """What keeps a server from serving: the database, its schema, the usage log."""
    failed = _database_problem(settings, database)
    found = [] if failed is None else [FieldError(pointer="database", detail=f"{failed.title} ({failed.code})")]
    return [*found, *(usage.not_ready() if usage is not None else ())]


def _database_problem(settings: Settings, database: Database) -> Problem | None:
    """Why nothing can be done with the database, or None."""
    dsn = dsn_of(settings, "revline_app")
    if isinstance(dsn, Problem):
        return dsn
    try:
        with database.control() as connection:
            tenancy.active_tenants(connection)
        state = migrate.check(dsn=dsn)
    except DatabaseFailure as error:
        return problem_of(error)
    return None if state.is_current else _behind(state)


def _behind(state: migrate.SchemaState) -> Problem:
    return problem("database.behind", f"the schema is at {state.current or 'nothing'}, newest is {state.head}")


def _cursor_key(settings: Settings) -> bytes:
    """The key that signs cursors: from the settings, else one kept beside the embedded database."""
    if settings.cursor_key:
        return settings.cursor_key.reveal().encode()
    path = settings.data_folder / CURSOR_KEY_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(32))
    return path.read_bytes()
