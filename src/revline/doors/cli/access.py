"""`revline keys`, `webhooks`, `audit`, `export`: who may come in, and what can be shown to somebody else."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Annotated

import typer

from revline.core.journal import JournalEntry
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.cli.context import JsonOption, LimitOption, TenantOption, actor, one_tenant, services_of
from revline.doors.cli.data_keys import add_data_keys
from revline.doors.cli.output import EXIT_FAILED, emit_json, emit_rows, fail, lines, say
from revline.platform.access.roles import Role
from revline.platform.store import units
from revline.platform.store.chain import verify_chain
from revline.platform.work.pool_audit import changes_at, pool_units
from revline.subledger.posting import queries as posting
from revline.subledger.posting.beancount import render

define(
    code="key.unknown",
    title="There is no such key",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="List the tenant's keys with `revline keys list`.",
)
define(
    code="book.unknown",
    title="There is no such book",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Name a book that has journals; the detail lists them.",
)

EXPORT_PAGE = 500


def key_commands() -> typer.Typer:
    """The `keys` commands."""
    app = typer.Typer(no_args_is_help=True, help="API keys of a tenant.")

    @app.command()
    def issue(
        context: typer.Context,
        role: Annotated[Role, typer.Option("--role", help="ingest sends facts, operator runs, auditor reads.")],
        tenant: TenantOption = "",
        days: Annotated[int, typer.Option("--days", min=0, max=3_650, help="Days until it ends; 0: never.")] = 365,
        as_json: JsonOption = False,
    ) -> None:
        """Make a key; it is shown this once."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            ends = services.clock.now() + timedelta(days=days) if days else None
            made = services.access.issue(tenant_id=chosen, role=role, expires_at=ends, actor=actor())
        if as_json:
            emit_json({"key_id": made.key_id, "key": made.text, "role": made.role, "tenant": chosen})
        else:
            lines([made.text])
            say(f"key {made.key_id} for {chosen}, role {made.role}; it is not shown again")

    @app.command(name="list")
    def list_keys(context: typer.Context, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
        """The tenant's keys, never their text."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            found = services.access.keys(tenant_id=chosen)
        rows = [{name: getattr(one, name) for name in one.__struct_fields__} for one in found]
        emit_rows(
            rows,
            columns=["key_id", "role", "created_at", "expires_at", "revoked_at"],
            as_json=as_json,
            empty="No keys yet: revline keys issue --role operator.",
        )

    @app.command()
    def revoke(
        context: typer.Context,
        key_id: Annotated[str, typer.Argument()],
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """End a key for good, at once."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            if not services.access.revoke(tenant_id=chosen, key_id=key_id, actor=actor()):
                unknown = problem("key.unknown", f"tenant {chosen} has no live key {key_id[:40]!r}")
                fail(unknown, as_json=as_json)
        emit_json({"key_id": key_id, "revoked": True}) if as_json else say(f"key {key_id} is revoked")

    add_data_keys(app)
    return app


def webhook_commands() -> typer.Typer:
    """The `webhooks` commands."""
    app = typer.Typer(no_args_is_help=True, help="Addresses that sources push to.")

    @app.command()
    def address(
        context: typer.Context,
        connection_name: Annotated[str, typer.Argument()],
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Make an unguessable path for a connection; it is shown this once. Earlier ones stay good until revoked."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            channel = services.channels.channel(tenant_id=chosen, connection=connection_name)
            if isinstance(channel, Problem):
                fail(channel, as_json=as_json)
            token = services.addresses.issue(tenant_id=chosen, connection=connection_name)
        path = f"/v1/webhooks/{channel.connector}/{token}"
        if as_json:
            emit_json({"tenant": chosen, "connection": connection_name, "path": path})
            return
        lines([path])
        say("give the source this path behind your public host; it is not shown again")

    @app.command()
    def revoke(
        context: typer.Context,
        connection_name: Annotated[str, typer.Argument()],
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """End every address of a connection, also of one that is no longer configured."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            count = services.addresses.revoke_all(tenant_id=chosen, connection=connection_name)
            channel = services.channels.channel(tenant_id=chosen, connection=connection_name)
        if not count and isinstance(channel, Problem):
            fail(channel, as_json=as_json)
        if as_json:
            emit_json({"tenant": chosen, "connection": connection_name, "revoked": count})
        else:
            say(f"{count} addresses of {connection_name} are revoked")

    return app


def audit_commands() -> typer.Typer:
    """The `audit` commands."""
    app = typer.Typer(no_args_is_help=True, help="The audit hash chain.")

    @app.command(name="list")
    def list_units(
        context: typer.Context,
        tenant: TenantOption = "",
        kind: Annotated[str, typer.Option("--kind", help="Only units of this kind, such as pool or waive.")] = "",
        by: Annotated[str, typer.Option("--actor", help="Only what this actor did.")] = "",
        before: Annotated[int, typer.Option("--before", min=0, help="Go on before this position.")] = 0,
        limit: LimitOption = 50,
        as_json: JsonOption = False,
    ) -> None:
        """Units of work, newest first: what was done, by whom and why; of a change of a pool, which."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            with services.database.read(tenants=[chosen]) as connection:
                found = units.page_of_units(
                    connection, tenant_id=chosen, before=before, kind=kind, actor=by, limit=limit
                )
                pools = changes_at(connection, tenant_id=chosen, positions=pool_units(found))
        rows = [
            {
                **{name: getattr(one, name) for name in one.__struct_fields__},
                "hash": one.hash.hex(),
                "what": pools[one.position].said if one.position in pools else "",
            }
            for one in found
        ]
        columns = ["position", "recorded_at", "kind", "actor", "reason", "what", "row_count"]
        emit_rows(rows, columns=columns, as_json=as_json, empty="Nothing here.")

    @app.command()
    def verify(context: typer.Context, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
        """Recompute the chain from the rows themselves; 1 when anything was altered, removed, added or swapped."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            with services.database.read(tenants=[chosen]) as connection:
                report = verify_chain(connection, tenant_id=chosen)
        if as_json:
            emit_json(
                {
                    "tenant": chosen,
                    "holds": report.holds,
                    "units": report.unit_count,
                    "rows": report.row_count,
                    "head_position": report.head_position,
                    "head_hash": report.head_hash,
                    "findings": list(report.findings),
                }
            )
        else:
            lines(str(finding) for finding in report.findings)
            word = "holds" if report.holds else "IS BROKEN"
            say(f"the chain of {chosen} {word}: {report.unit_count} units, {report.row_count} rows")
        if not report.holds:
            raise typer.Exit(EXIT_FAILED)

    return app


def export_commands() -> typer.Typer:
    """The `export` commands."""
    app = typer.Typer(no_args_is_help=True, help="What other programs can read.")

    @app.command()
    def beancount(
        context: typer.Context,
        book: Annotated[str, typer.Option("--book", help="The book to write.")],
        tenant: TenantOption = "",
    ) -> None:
        """A book's journals as a beancount file on stdout, for `bean-check`."""
        with services_of(context) as services:
            chosen = one_tenant(services, tenant)
            entries: list[JournalEntry] = []
            books: set[str] = set()
            after = (0, 0)
            while True:
                with services.database.read(tenants=[chosen]) as connection:
                    page = posting.page_of_journals(connection, tenant_id=chosen, after=after, limit=EXPORT_PAGE)
                books |= {one.entry.book for one in page}
                entries += [one.entry for one in page if one.entry.book == book]
                if len(page) < EXPORT_PAGE:
                    break
                after = (page[-1].position, page[-1].ordinal)
        if not entries:
            fail(problem("book.unknown", f"no journals in {book[:60]!r}; books: {', '.join(sorted(books)) or 'none'}"))
        currency = entries[0].functional_currency
        sys.stdout.write(render(book=book, functional_currency=currency, journals=entries))

    return app
