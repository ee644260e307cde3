"""`revline sources`: what is read of the sources beside what they push: listings, change streams, and whether the totals agree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn

from revline.connectors.sdk.source import ReaderManifest, SourceReader
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.cli.context import JsonOption, ReasonOption, TenantOption, actor, one_tenant, services_of
from revline.doors.cli.output import EXIT_FAILED, emit_json, emit_rows, fail, say
from revline.doors.services import ReaderSide, Services
from revline.intake import following
from revline.intake.control_totals import ControlTotal, summed
from revline.intake.following import BACKFILL, CHANGES, Cursor
from revline.intake.readings import totals_of
from revline.intake.values import Channel

COLUMNS: Final = (
    "connection", "purpose", "object_kind", "state", "seen", "taken", "duplicates", "refused", "last_page_at", "problem",
)  # fmt: skip
WAIT_SECONDS: Final = 0.5
WAIT_MAX_SECONDS: Final = 24 * 3_600
PAGES_MAX: Final = 100_000
BUSY_TRIES_MAX: Final = 8
SINCE: Final = "since:"

app = typer.Typer(no_args_is_help=True, help="What is read of the sources beside what they push.")
ConnectionArgument = Annotated[str, typer.Argument(help="The source connection.")]
ObjectOption = Annotated[list[str] | None, typer.Option("--object", help="Only this kind; may be repeated.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Stay until a worker has read it, and show how far it is.")]

define(
    code="source.option_unknown",
    title="The source can't be read that way",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="See what can be read with `revline sources list`.",
)


@app.command(name="list")
def list_sources(context: typer.Context, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """Connections that can be read, what of them, and how far that was read."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        with services.database.read(tenants=[chosen]) as connection:
            cursors = following.cursors_of(connection, tenant_id=chosen)
        found: list[dict[str, Any]] = []
        for name in services.readable(tenant_id=chosen):
            side = services.readers(tenant_id=chosen, connection=name)
            manifest = None if isinstance(side, Problem) else side.reader.manifest
            found.append(
                {
                    "connection": name,
                    "kinds": list(manifest.listed) if manifest else [],
                    "changes": bool(manifest and manifest.changes),
                    "problem": side.detail if isinstance(side, Problem) else "",
                    "read": [_row(one) for one in cursors if one.connection == name],
                }
            )
    if as_json:
        emit_json(found)
        return
    rows = [{**one, "kinds": ", ".join(one["kinds"]), "changes": "yes" if one["changes"] else "no"} for one in found]
    emit_rows(
        rows,
        columns=["connection", "kinds", "changes", "problem"],
        as_json=False,
        empty="No connection that can be read: a Stripe connection needs the secret apiKey.",
    )
    if cursors:
        emit_rows([_row(one) for one in cursors], columns=list(COLUMNS), as_json=False, empty="")


@app.command()
def backfill(
    context: typer.Context,
    connection_name: ConnectionArgument,
    object_kinds: ObjectOption = None,
    since: Annotated[str, typer.Option("--since", help="Only what was made since this day or moment (RFC 3339).")] = "",
    whole: Annotated[
        bool, typer.Option("--whole", help="From the first object, not from where it was read to.")
    ] = False,
    wait: WaitOption = False,
    tenant: TenantOption = "",
    reason: ReasonOption = "a backfill was asked for",
    as_json: JsonOption = False,
) -> None:
    """Have a worker list what the source has; what came before is a duplicate. At the end the control totals are compared."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        side = _side(services, chosen, connection_name, as_json=as_json)
        kinds = _kinds(side.reader.manifest, object_kinds, as_json=as_json)
        cursor = _start(side.reader.manifest, since, as_json=as_json) if since else "" if whole else None
        now = services.clock.now()
        with services.database.unit(
            tenants=[chosen], kind="request", actor=actor(), reason=reason, recorded_at=now
        ) as unit:
            ids = following.ask_backfill(
                unit,
                tenant_id=chosen,
                source_connection=connection_name,
                object_kinds=kinds,
                now=now,
                pool_id=side.pool_id,
                cursor=cursor,
            )
        _show(services, chosen, ids, wait=wait, as_json=as_json)


@app.command()
def changes(
    context: typer.Context,
    connection_name: ConnectionArgument,
    wait: WaitOption = False,
    tenant: TenantOption = "",
    reason: ReasonOption = "the change stream was asked for",
    as_json: JsonOption = False,
) -> None:
    """Have a worker read the change stream now, and follow it from then on."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        side = _side(services, chosen, connection_name, as_json=as_json)
        if not side.reader.manifest.changes:
            detail = f"connection {connection_name} has no change stream"
            fail(problem("source.option_unknown", detail, field="changes"), as_json=as_json)
        now = services.clock.now()
        with services.database.unit(
            tenants=[chosen], kind="request", actor=actor(), reason=reason, recorded_at=now
        ) as unit:
            identity = following.ask_changes(
                unit, tenant_id=chosen, source_connection=connection_name, now=now, pool_id=side.pool_id
            )
        _show(services, chosen, [identity], wait=wait, as_json=as_json)


@app.command()
def check(
    context: typer.Context,
    connection_name: ConnectionArgument,
    object_kinds: ObjectOption = None,
    tenant: TenantOption = "",
    reason: ReasonOption = "control totals were checked",
    as_json: JsonOption = False,
) -> None:
    """List the source now, take nothing in, and compare its totals with the log's. A difference is a case, and ends with 1."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        side = _side(services, chosen, connection_name, as_json=as_json)
        kinds = _kinds(side.reader.manifest, object_kinds, as_json=as_json)
        channel = services.channels.channel(tenant_id=chosen, connection=connection_name)
        if isinstance(channel, Problem):
            fail(channel, as_json=as_json)
        with services.database.read(tenants=[chosen]) as connection:
            since = following.last_position(connection, tenant_id=chosen)
        with _progress() as tell:
            listed = asyncio.run(_listed(side.reader, channel, kinds, tell))
        if isinstance(listed, Problem):
            fail(listed, as_json=as_json)
        rows = [
            _compared(services, chosen, connection_name, kind, totals, since=since, reason=reason)
            for kind, totals in listed.items()
        ]
    emit_rows(rows, columns=["object_kind", "listed", "differences"], as_json=as_json, empty="Nothing is listed.")
    if any(row["differences"] for row in rows):
        raise typer.Exit(EXIT_FAILED)


def _compared(
    services: Services,
    tenant_id: str,
    source: str,
    kind: str,
    totals: Sequence[ControlTotal],
    *,
    since: int,
    reason: str,
) -> dict[str, Any]:
    now = services.clock.now()
    with services.database.unit(
        tenants=[tenant_id], kind="request", actor=actor(), reason=reason, recorded_at=now
    ) as unit:
        found = following.compare(
            unit.connection, tenant_id=tenant_id, source_connection=source, listed=totals, since=since
        )
        identity = following.cursor_id(
            tenant_id=tenant_id, source_connection=source, purpose=BACKFILL, object_kind=kind
        )
        entry = Cursor(cursor_id=identity, connection=source, purpose=BACKFILL, object_kind=kind, started_at=now)
        following.report(unit, tenant_id=tenant_id, entry=entry, found=found)
    return {
        "object_kind": kind,
        "listed": sum(one.count for one in totals),
        "differences": "; ".join(one.detail for one in found),
    }


async def _listed(
    reader: SourceReader, channel: Channel, kinds: Sequence[str], tell: Callable[[str], None]
) -> dict[str, tuple[ControlTotal, ...]] | Problem:
    """The whole listing of each kind as totals. A busy source is asked again a few times."""
    found: dict[str, tuple[ControlTotal, ...]] = {}
    try:
        for kind in kinds:
            cursor, tries = "", 0
            totals: tuple[ControlTotal, ...] = ()
            for _ in range(PAGES_MAX):
                page = await reader.list_page(object_kind=kind, cursor=cursor, limit=reader.manifest.page_max)
                if isinstance(page, Problem):
                    tries += 1
                    if page.retryable is not Retryable.YES or tries > BUSY_TRIES_MAX:
                        return page
                    await asyncio.sleep(min(0.2 * 2**tries, 10))
                    continue
                totals = summed([*totals, *totals_of(channel=channel, bodies=page.bodies)])
                tell(f"{kind}: {sum(one.count for one in totals)} listed")
                cursor, tries = page.next_cursor, 0
                if not page.more:
                    break
            found[kind] = totals
    finally:
        await reader.close()
    return found


def _side(services: Services, tenant_id: str, name: str, *, as_json: bool) -> ReaderSide:
    side = services.readers(tenant_id=tenant_id, connection=name)
    if isinstance(side, Problem):
        fail(side, as_json=as_json)
    return side


def _kinds(manifest: ReaderManifest, wanted: Sequence[str] | None, *, as_json: bool) -> tuple[str, ...]:
    unknown = sorted(set(wanted or ()) - set(manifest.listed))
    if unknown:
        detail = f"there is no kind {unknown[0][:60]!r} here; kinds: {', '.join(manifest.listed)}"
        fail(problem("source.option_unknown", detail, field="object"), as_json=as_json)
    return tuple(kind for kind in manifest.listed if not wanted or kind in wanted)


def _start(manifest: ReaderManifest, since: str, *, as_json: bool) -> str:
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        fail(problem("time.invalid", f"{since[:60]!r} is no day and no moment", field="since"), as_json=as_json)
    if not manifest.since:
        detail = "this source can't be listed from a moment on"
        fail(problem("source.option_unknown", detail, field="since"), as_json=as_json)
    return SINCE + (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _show(services: Services, tenant_id: str, ids: Sequence[str], *, wait: bool, as_json: bool) -> None:
    found = _cursors(services, tenant_id, ids)
    if wait:
        until = time.monotonic() + WAIT_MAX_SECONDS
        with _progress() as tell:
            while any(one.state in {"asked", "running"} for one in found) and time.monotonic() < until:
                time.sleep(WAIT_SECONDS)
                found = _cursors(services, tenant_id, ids)
                open_kinds = [one for one in found if one.state in {"asked", "running"}]
                tell(f"{sum(one.seen for one in found)} read, {len(open_kinds)} of {len(found)} still to end")
    emit_rows([_row(one) for one in found], columns=list(COLUMNS), as_json=as_json, empty="")
    if not wait and not as_json:
        say("A worker reads it; `revline sources list` shows how far it is.")
    if any(one.state == "stopped" for one in found):
        raise typer.Exit(EXIT_FAILED)


def _cursors(services: Services, tenant_id: str, ids: Sequence[str]) -> list[Cursor]:
    with services.database.read(tenants=[tenant_id]) as connection:
        there = following.cursors_by_id(connection, tenant_id=tenant_id, cursor_ids=ids)
    return [there[identity] for identity in ids if identity in there]


def _row(one: Cursor) -> dict[str, Any]:
    row = {name: getattr(one, name) for name in one.__struct_fields__ if name not in {"totals", "cursor"}}
    row["object_kind"] = one.object_kind or ("everything" if one.purpose == CHANGES else "")
    row["problem"] = one.problem_code
    row["totals"] = [
        {
            "kind": each.kind,
            "currency": each.currency,
            "status": each.status,
            "count": each.count,
            "amount": each.amount,
        }
        for each in one.totals
    ]
    return row


class _progress:  # noqa: N801 - used as a function that gives a context
    """A line on stderr that says how far it is when a person is watching; silent otherwise."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(TextColumn("{task.description}"), console=console, disable=not console.is_terminal)

    def __enter__(self) -> Callable[[str], None]:
        self._bar.start()
        task = self._bar.add_task("reading")
        return lambda text: self._bar.update(task, description=text)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
