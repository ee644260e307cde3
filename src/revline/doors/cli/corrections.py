"""`revline corrections`: mend a copy of what a source sent. The original stays; a second person decides what is large."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from revline.core.problem import Problem, problem
from revline.doors.cli.context import JsonOption, TenantOption, a_reason, actor, one_tenant, services_of
from revline.doors.cli.output import emit_json, emit_rows, fail, say
from revline.doors.services import Services
from revline.intake.correcting import Correction, Original, corrections, original_of
from revline.intake.corrections import CORRECTION_BYTES_MAX

app = typer.Typer(no_args_is_help=True, help="Corrected copies of facts and kept inputs.")

SubjectArgument = Annotated[str, typer.Argument(help="The id of a fact, or of a kept input.")]
RequiredReason = Annotated[str, typer.Option("--reason", callback=a_reason, help="Why; kept in the audit chain.")]
COLUMNS = [
    "correction_id",
    "subject_kind",
    "subject_id",
    "state",
    "amount",
    "currency",
    "author",
    "reason",
    "decided_by",
]


@app.command(name="list")
def list_corrections(
    context: typer.Context,
    tenant: TenantOption = "",
    state: Annotated[str, typer.Option("--state", help="proposed, applied or refused.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Corrections, the newest first."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        with services.database.read(tenants=[chosen]) as connection:
            found = corrections(connection, tenant_id=chosen, state=state)
    rows = [msgspec.structs.asdict(one) for one in found]
    emit_rows(rows, columns=COLUMNS, as_json=as_json, empty="No corrections.")


@app.command()
def copy(context: typer.Context, subject: SubjectArgument, tenant: TenantOption = "") -> None:
    """What the source sent, as JSON on stdout: save it, change what is wrong, then propose it."""
    with services_of(context) as services:
        chosen = one_tenant(services, tenant)
        found = _original(services, chosen, subject)
    try:
        body = msgspec.json.format(found.body, indent=2)
    except msgspec.DecodeError:
        body = found.body
    sys.stdout.buffer.write(body + b"\n")


@app.command()
def check(
    context: typer.Context,
    subject: SubjectArgument,
    file: Annotated[Path, typer.Argument(help="The changed copy.", exists=True, dir_okay=False)],
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """What a changed copy would say; nothing is written."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = _original(services, chosen, subject, as_json=as_json)
        drafted = services.corrections.draft(
            tenant_id=chosen, subject_kind=found.subject_kind, subject_id=subject, body=_bytes(file)
        )
    if isinstance(drafted, Problem):
        fail(drafted, as_json=as_json)
    emit_json(drafted)


@app.command()
def propose(
    context: typer.Context,
    subject: SubjectArgument,
    file: Annotated[Path, typer.Argument(help="The changed copy.", exists=True, dir_okay=False)],
    reason: RequiredReason,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take a changed copy; it is applied at once unless the tenant's CorrectionPolicy asks for a second person."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = _original(services, chosen, subject, as_json=as_json)
        made = services.corrections.propose(
            tenant_id=chosen,
            subject_kind=found.subject_kind,
            subject_id=subject,
            body=_bytes(file),
            actor=actor(),
            reason=reason,
        )
    _tell(made, as_json=as_json)


@app.command()
def apply(
    context: typer.Context,
    correction_id: Annotated[str, typer.Argument()],
    reason: RequiredReason,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """As the second person: apply a proposed correction."""
    _decide(context, correction_id, tenant, reason, apply_it=True, as_json=as_json)


@app.command()
def refuse(
    context: typer.Context,
    correction_id: Annotated[str, typer.Argument()],
    reason: RequiredReason,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """As the second person: refuse a proposed correction."""
    _decide(context, correction_id, tenant, reason, apply_it=False, as_json=as_json)


def _decide(
    context: typer.Context, correction_id: str, tenant: str, reason: str, *, apply_it: bool, as_json: bool
) -> None:
    with services_of(context, as_json=as_json) as services:
        made = services.corrections.decide(
            tenant_id=one_tenant(services, tenant, as_json=as_json),
            correction_id=correction_id,
            apply=apply_it,
            actor=actor(),
            reason=reason,
        )
    _tell(made, as_json=as_json)


def _original(services: Services, tenant_id: str, subject: str, *, as_json: bool = False) -> Original:  # noqa: RET503 - fail() does not return
    with services.database.read(tenants=[tenant_id]) as connection:
        for kind in ("fact", "input"):
            found = original_of(connection, tenant_id=tenant_id, subject_kind=kind, subject_id=subject)
            if found is not None:
                return found
    fail(problem("correction.unknown", f"there is no fact or kept input {subject[:60]!r}"), as_json=as_json)


def _bytes(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(CORRECTION_BYTES_MAX + 1)


def _tell(made: Correction | Problem, *, as_json: bool) -> None:
    if isinstance(made, Problem):
        fail(made, as_json=as_json)
    if as_json:
        emit_json(made)
    else:
        waits = "; somebody other than its author must apply it" if made.state == "proposed" else ""
        say(f"correction {made.correction_id} is {made.state}{waits}")
