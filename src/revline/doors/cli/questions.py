"""`revline preview`, `validate`, `customer` and `master-data`: questions answered at once, without a write."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.answers import BODY_BYTES_MAX
from revline.doors.cli.context import JsonOption, TenantOption, one_tenant, services_of
from revline.doors.cli.output import EXIT_FAILED, emit_json, emit_rows, fail, heading, lines, say
from revline.doors.services import Services

FileArgument = Annotated[
    str, typer.Argument(help="A file with the question as JSON, as the API takes it; - for stdin.")
]
STDIN: Final = "-"

define(
    code="cli.file_unreadable",
    title="The file can't be read",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Name a file of at most one megabyte that you may read.",
)


def preview_commands() -> typer.Typer:
    """The `preview` commands."""
    app = typer.Typer(no_args_is_help=True, help="What facts or orders would book, without sending them.")

    @app.command()
    def journal(
        context: typer.Context, file: FileArgument, tenant: TenantOption = "", as_json: JsonOption = False
    ) -> None:
        """Accounting events, journals with their rule and documents that facts would make; exit 1 when anything can't be."""
        found = _asked(context, file, tenant, as_json, lambda services: services.answers.preview_journal)
        _show_journals(found, as_json=as_json)

    @app.command()
    def invoice(
        context: typer.Context, file: FileArgument, tenant: TenantOption = "", as_json: JsonOption = False
    ) -> None:
        """The invoice of lines, an order or a subscription, to the cent, and what it would book."""
        found = _asked(context, file, tenant, as_json, lambda services: services.answers.preview_invoice)
        if not as_json:
            made = found["invoice"]
            rows = [
                {name: line[name] for name in ("product", "description", "quantity", "unit_price", "amount", "net")}
                for line in made["lines"]
            ]
            emit_rows(rows, columns=list(rows[0]), as_json=False, empty="")
            lines([f"total {made['total']} {made['currency']}, tax {made['tax_total']} of it"])
        _show_journals(found, as_json=as_json)

    return app


def validate_commands() -> typer.Typer:
    """The `validate` commands."""
    app = typer.Typer(no_args_is_help=True, help="Whether something can be carried out, and what stands against it.")

    @app.callback()
    def group() -> None:
        """Whether something can be carried out, and what stands against it."""

    @app.command()
    def order(
        context: typer.Context, file: FileArgument, tenant: TenantOption = "", as_json: JsonOption = False
    ) -> None:
        """Every reason against an order; exit 1 when there is one."""
        found = _asked(context, file, tenant, as_json, lambda services: services.answers.validate_order)
        _show_reasons(found["reasons"], found, as_json=as_json, good="the order can be carried out")

    return app


def customer_commands() -> typer.Typer:
    """The `customer` commands."""
    app = typer.Typer(no_args_is_help=True, help="What customers owe and may owe.")

    @app.callback()
    def group() -> None:
        """What customers owe and may owe."""

    @app.command()
    def credit(
        context: typer.Context,
        customer: Annotated[str, typer.Argument(help="The customer's id in its source.")],
        tenant: TenantOption = "",
        connection_name: Annotated[str, typer.Option("--connection", help="Its source connection.")] = "",
        as_of: Annotated[
            datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="At the end of this day.")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Open items, limit and block of a customer, by currency."""
        with services_of(context, as_json=as_json) as services:
            found = services.answers.credit(
                tenant_id=one_tenant(services, tenant, as_json=as_json),
                customer=customer,
                connection=connection_name,
                as_of=None if as_of is None else as_of.date(),
            )
        if isinstance(found, Problem):
            fail(found, as_json=as_json)
        if as_json:
            emit_json(found)
            return
        rows = found["currencies"]
        emit_rows(rows, columns=list(rows[0]) if rows else [], as_json=False, empty="Nothing is open.")
        for reason in found["reasons"]:
            say(f"blocked: {reason['detail']}  [{reason['code']}]")

    return app


def add_master_data(app: typer.Typer) -> None:
    """`revline master-data`."""

    @app.command(name="master-data")
    def master_data(
        context: typer.Context,
        kind: Annotated[
            str, typer.Argument(help="accounts, books, customers, dimensions, entities, products or taxes.")
        ],
        key: Annotated[str, typer.Argument(help="Neutral key, or the outside id of a customer or product.")] = "",
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """What every ERP calls a key, or why it calls it nothing."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            found = services.answers.master_data(tenant_id=chosen, kind=kind, key=key)
        if isinstance(found, Problem):
            fail(found, as_json=as_json)
        columns = ["connection", "entity", "key", "code", "number", "reason", "detail"]
        if as_json:
            emit_json(found)
        else:
            emit_rows(found["rows"], columns=columns, as_json=False, empty="No ERP knows this key.")


def _asked(
    context: typer.Context, file: str, tenant: str, as_json: bool, answer: Callable[[Services], Any]
) -> dict[str, Any]:
    body = _body(file, as_json=as_json)
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found: dict[str, Any] | Problem = answer(services)(tenant_id=chosen, body=body)
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    return found


def _body(file: str, *, as_json: bool) -> bytes:
    try:
        if file == STDIN:
            return sys.stdin.buffer.read(BODY_BYTES_MAX + 1)
        with Path(file).open("rb") as stream:
            return stream.read(BODY_BYTES_MAX + 1)
    except OSError as error:
        fail(problem("cli.file_unreadable", f"{file}: {error.strerror}", field=file), as_json=as_json)


def _show_journals(found: dict[str, Any], *, as_json: bool) -> None:
    if not as_json:
        for root in found["roots"]:
            for event in root["events"]:
                for journal in event["journals"]:
                    entry = journal["entry"]
                    heading(
                        f"{event['event']['kind']}  {entry['accounting_date']}  {entry['book']}"
                        f"  by {journal['rule']} ({journal['rule_file']}:{journal['rule_line']})"
                    )
                    columns = ["account", "debit", "credit", "currency", "description", "rule_entry"]
                    emit_rows(entry["lines"], columns=columns, as_json=False, empty="No lines.")
            say(f"{len(root['differences'])} changes to what is booked")
    _show_reasons(found["reasons"], found, as_json=as_json, good="nothing stands against it")


def _show_reasons(reasons: list[dict[str, str]], found: dict[str, Any], *, as_json: bool, good: str) -> None:
    if as_json:
        emit_json(found)
    elif not reasons:
        say(good)
    else:
        emit_rows(reasons, columns=["code", "field", "detail"], as_json=False, empty="")
    if reasons:
        raise typer.Exit(EXIT_FAILED)
