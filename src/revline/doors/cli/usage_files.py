"""`revline usage seal | compact | erase | retain | adopt | files`: where events of usage lie, and what may be done with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.cli.context import JsonOption, ReasonOption, TenantOption, actor, one_tenant, services_of
from revline.doors.cli.output import emit_json, emit_rows, fail, say

if TYPE_CHECKING:
    from revline.subledger.usage.store.desk import UsageDesk

T = TypeVar("T")

define(
    code="cli.date_invalid",
    title="Not a day",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Write a day as 2026-01-31, or a moment as 2026-01-31T00:00:00Z.",
)


def add_files(app: typer.Typer) -> None:
    """Adds the commands."""
    _add_acts(app)
    _add_erasure(app)

    @app.command()
    def files(context: typer.Context, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
        """The tenant's sealed files, and how many events wait to be sealed."""
        with _desk(context, tenant, as_json=as_json) as (desk, chosen):
            found = desk.files(tenant_id=chosen)
        if as_json:
            emit_json(found)
            return
        rows = [
            {
                "file": one.key,
                "kind": one.kind.value,
                "events": one.rows,
                "bytes": one.size_bytes + one.partials_bytes,
                "from": one.first_at.isoformat(timespec="minutes"),
                "to": one.last_at.isoformat(timespec="minutes"),
                "types": ", ".join(one.types[:5]),
            }
            for one in found.segments
        ]
        emit_rows(
            rows,
            columns=["file", "kind", "events", "bytes", "from", "to", "types"],
            as_json=False,
            empty="Nothing is sealed yet.",
        )
        say(f"{sum(one.rows for one in found.segments)} events in {len(found.segments)} files; {found.waiting} wait")


def _add_acts(app: typer.Typer) -> None:
    @app.command()
    def seal(context: typer.Context, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
        """Have everything received so far written to files now."""
        with _desk(context, tenant, as_json=as_json) as (desk, chosen):
            found = _good(desk.seal(tenant_id=chosen), as_json=as_json)
        if as_json:
            emit_json(found)
            return
        marks = ", ".join(f"shard {shard} through {last}" for shard, last in found.watermarks)
        say(f"usage of {chosen} is sealed: {marks or 'there is none'}")

    @app.command()
    def compact(
        context: typer.Context, reason: ReasonOption, tenant: TenantOption = "", as_json: JsonOption = False
    ) -> None:
        """Merge the tenant's small files into sorted ones by month. Workers do this by themselves as files gather."""
        with _desk(context, tenant, as_json=as_json) as (desk, chosen):
            found = desk.compact(tenant_id=chosen, actor=actor(), reason=reason)
        if as_json:
            emit_json(found)
        else:
            say(f"{found.merged} files became {found.made}, with {found.rows} events")

    @app.command()
    def retain(
        context: typer.Context,
        before: Annotated[str, typer.Option("--before", help="Drop events that happened before this day or moment.")],
        reason: ReasonOption,
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Drop old events. Charges stay, but what they were computed from can no longer be shown; identities stay known."""
        moment = _good(_moment(before), as_json=as_json)
        with _desk(context, tenant, as_json=as_json) as (desk, chosen):
            found = _good(desk.retain(tenant_id=chosen, before=moment, actor=actor(), reason=reason), as_json=as_json)
        if as_json:
            emit_json(found)
        else:
            say(f"{found.rows} events were dropped: {found.removed} files whole, {found.rewritten} written anew")

    @app.command()
    def adopt(
        context: typer.Context, reason: ReasonOption, tenant: TenantOption = "", as_json: JsonOption = False
    ) -> None:
        """Type held events whose event type is known by now. Workers do this by themselves when a type is added."""
        with _desk(context, tenant, as_json=as_json) as (desk, chosen):
            found = _good(desk.adopt(tenant_id=chosen, actor=actor(), reason=reason), as_json=as_json)
        if as_json:
            emit_json(found)
            return
        say(f"{found.rows} held events are typed now")
        for kind, count in sorted(found.refused.items()):
            say(f"{count} of {kind} break the type and stay held: see revline cases")


def _add_erasure(app: typer.Typer) -> None:
    @app.command()
    def erase(
        context: typer.Context,
        reason: ReasonOption,
        field: Annotated[str, typer.Option("--field", help="A personal field, with --value.")] = "",
        value: Annotated[
            str, typer.Option("--value", help="What it holds; - asks for it, so that no history of commands keeps it.")
        ] = "",
        subject: Annotated[
            str, typer.Option("--subject", help="Instead: every person named in events of this subject.")
        ] = "",
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Replace a person's data by a pseudonym in every stored event. Totals and counts of different values stay."""
        from revline.subledger.usage.store.erasing import ErasureScope  # noqa: PLC0415 - loads Arrow, here alone

        told = typer.prompt("Value", hide_input=True) if value == "-" else value
        with _desk(context, tenant, as_json=as_json) as (desk, chosen):
            scope = ErasureScope(field=field, value=told, subject=subject)
            found = _good(desk.erase(tenant_id=chosen, scope=scope, actor=actor(), reason=reason), as_json=as_json)
        if as_json:
            emit_json(found)
        else:
            say(f"erasure {found.erasure_id}: {found.rows} events in {found.segments} files hold a pseudonym now")
            say("The files before go within the hour; the log's own copy goes once every tenant in its file is sealed.")


@contextmanager
def _desk(context: typer.Context, tenant: str, *, as_json: bool) -> Iterator[tuple[UsageDesk, str]]:
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        desk = services.usage_store()
        if isinstance(desk, Problem):
            fail(desk, as_json=as_json)
        yield desk, chosen


def _good(found: T | Problem, *, as_json: bool) -> T:
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    return found


def _moment(text: str) -> datetime | Problem:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return problem("cli.date_invalid", f"{text[:40]!r} is neither a day nor a moment", field="before")
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
