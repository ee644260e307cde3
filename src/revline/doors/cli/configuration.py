"""`revline init` and `revline config`: folders of configuration, checked and applied."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from revline.core.problem import Problem, problem
from revline.doors.cli.context import JsonOption, Program, ReasonOption, TenantOption, actor, one_tenant, services_of
from revline.doors.cli.output import EXIT_CHANGES, emit_json, emit_rows, fail, say
from revline.platform.config import queries, service
from revline.platform.config.changes import DocumentChange
from revline.platform.config.loader import load_folder
from revline.platform.config.registry import Registry

Folder = Annotated[Path, typer.Argument(help="A folder of configuration documents.", show_default=False)]


def commands(registry: Registry) -> typer.Typer:
    """The `config` commands."""
    app = typer.Typer(no_args_is_help=True, help="Configuration as code: validate, apply, look at versions.")

    @app.command()
    def validate(folder: Folder, as_json: JsonOption = False) -> None:
        """Check a folder without a database: every error with file, line and what to write instead."""
        loaded = load_folder(folder, registry)
        if loaded.errors:
            fail(
                problem(
                    "configuration.invalid",
                    f"{len(loaded.errors)} errors in {folder}",
                    errors=tuple(loaded.errors),
                ),
                as_json=as_json,
            )
        kinds: dict[str, int] = {}
        for document in loaded.documents:
            kinds[document.kind] = kinds.get(document.kind, 0) + 1
        rows = [{"kind": kind, "documents": count} for kind, count in sorted(kinds.items())]
        emit_rows(rows, columns=["kind", "documents"], as_json=as_json, empty="The folder holds no documents.")
        say(f"{len(loaded.documents)} documents, no errors")

    @app.command()
    def apply(
        context: typer.Context,
        folder: Folder,
        reason: ReasonOption = "configuration applied",
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and change nothing.")] = False,
        detailed_exitcode: Annotated[
            bool, typer.Option("--detailed-exitcode", help="End with 3 when there are changes.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Make a folder the active configuration of its tenants; what says the same as before gets no new version."""
        loaded = load_folder(folder, registry)
        with services_of(context, as_json=as_json) as services:
            applied = service.apply(
                database=services.database,
                registry=registry,
                loaded=loaded,
                clock=services.clock,
                register_tenant=services.register_tenant,
                actor=actor(),
                reason=reason,
                dry_run=dry_run,
            )
        if isinstance(applied, Problem):
            fail(applied, as_json=as_json)
        rows = [
            {
                "tenant": one.tenant,
                "old_version": one.old_version,
                "new_version": one.new_version,
                "changes": len(one.changes),
                "position": one.position,
            }
            for one in applied
        ]
        if as_json:
            emit_json(applied)
        else:
            emit_rows(rows, columns=list(rows[0]) if rows else [], as_json=False, empty="No tenant in this folder.")
            for one in applied:
                for change in one.changes:
                    say(f"  {one.tenant}: {_change_text(change)}")
        if detailed_exitcode and any(one.changes for one in applied):
            raise typer.Exit(EXIT_CHANGES)

    @app.command()
    def versions(context: typer.Context, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
        """Every version that was ever active, newest first."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            with services.database.read(tenants=[chosen]) as connection:
                found = queries.versions(connection, tenant_id=chosen)
        rows = [{name: getattr(one, name) for name in one.__struct_fields__} for one in found]
        emit_rows(
            rows,
            columns=["version", "activated_at", "actor", "reason", "position", "digest"],
            as_json=as_json,
            empty="Nothing was applied yet: revline config apply FOLDER.",
        )

    return app


def _change_text(change: DocumentChange) -> str:
    """One changed document on a line, with what differs of it."""
    place = f"{change.sign} {change.kind} {change.name} ({change.file}:{change.line})"
    fields = [f"{each.path}: {each.before or 'nothing'} -> {each.after or 'nothing'}" for each in change.fields]
    return "; ".join([place, *fields])


def add_init(app: typer.Typer) -> None:
    """`revline init`."""

    @app.command()
    def init(
        context: typer.Context,
        folder: Annotated[Path, typer.Argument(help="Where to write it.")],
        as_json: JsonOption = False,
    ) -> None:
        """Write a commented starter configuration to a new folder."""
        program: Program = context.obj
        written = program.starter(folder)
        if isinstance(written, Problem):
            fail(written, as_json=as_json)
        if as_json:
            emit_json({"folder": str(folder), "files": written})
            return
        for name in written:
            say(f"  {folder / name}")
        say(f"next: revline config validate {folder}")
