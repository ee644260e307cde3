"""`revline cases`: what can't go on, by cause, and what a person does about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from revline.core.problem import Problem, problem
from revline.delivery.values import SUBJECT_KIND as DOCUMENT
from revline.doors.bulk import Tried, retry_cause
from revline.doors.cli.context import (
    JsonOption,
    LimitOption,
    ReasonOption,
    TenantOption,
    a_reason,
    actor,
    one_tenant,
    services_of,
)
from revline.doors.cli.output import emit_json, emit_rows, fail, say
from revline.doors.waiting_view import wait_said, what_waits
from revline.platform.cases import queries as cases
from revline.platform.cases import service as case_service
from revline.platform.cases.behind import most_behind
from revline.platform.cases.queries import AtRisk

app = typer.Typer(no_args_is_help=True, help="What can't go on: by cause, with the money at risk.")


@app.command(name="list")
def list_cases(
    context: typer.Context,
    tenant: TenantOption = "",
    cause: Annotated[str, typer.Option("--cause", help="Only the cases of this cause.")] = "",
    by_behind: Annotated[
        bool, typer.Option("--by-behind", help="Open cases of any cause, those that hold up most first.")
    ] = False,
    currency: Annotated[
        str, typer.Option("--currency", help="With --by-behind: by money held up in this currency, not by count.")
    ] = "",
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """Open causes; with --cause, the open cases of one; with --by-behind, those that hold up most."""
    if by_behind and cause:
        raise typer.BadParameter("takes no --cause: it looks at the cases of all causes", param_hint="--by-behind")
    if currency and not by_behind:
        raise typer.BadParameter("goes with --by-behind alone", param_hint="--currency")
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        with services.database.read(tenants=[chosen]) as connection:
            if by_behind:
                found: Any = most_behind(connection, tenant_id=chosen, currency=currency.upper(), limit=limit)
                columns = ["case_id", "code", "subject_id", "behind", "money_behind", "detail", "opened_at"]
            elif cause:
                found = cases.cases(connection, tenant_id=chosen, cause_id=cause, limit=limit)
                columns = [
                    "case_id",
                    "subject_kind",
                    "subject_id",
                    "amount",
                    "currency",
                    "behind",
                    "money_behind",
                    "detail",
                    "opened_at",
                ]
            else:
                found = cases.causes(connection, tenant_id=chosen, limit=limit)
                columns = ["cause_id", "title", "connection", "field", "cases", "money_at_risk", "remedy"]
    rows = [{name: getattr(one, name) for name in one.__struct_fields__} for one in found]
    for row in rows:
        if "at_risk" in row:
            row["money_at_risk"] = _money(row["at_risk"])
        else:
            row["money_behind"] = _money(row["behind_money"])
    emit_rows(rows, columns=columns, as_json=as_json, empty="No open cases.")


def _money(risks: Sequence[AtRisk]) -> str:
    return ", ".join(f"{risk.amount} {risk.currency}" for risk in risks)


@app.command()
def behind(
    context: typer.Context,
    case_id: Annotated[str, typer.Argument()],
    tenant: TenantOption = "",
    after: Annotated[str, typer.Option("--after", help="Go on after this document id.")] = "",
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """What waits behind a case's document, over predecessors and lanes, a page at a time."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        with services.database.read(tenants=[chosen]) as connection:
            found = cases.case(connection, tenant_id=chosen, case_id=case_id)
            if found is None or found.subject_kind != DOCUMENT:
                fail(problem("case.unknown", f"there is no case {case_id[:60]!r} of a document"), as_json=as_json)
            page = what_waits(connection, tenant_id=chosen, document_id=found.subject_id, after=after, limit=limit)
    say(f"{wait_said(page.total)} behind it: {_money(page.total.money) or 'no money'}")
    rows = [{name: getattr(one, name) for name in one.__struct_fields__} for one in page.items]
    columns = ["document_id", "kind", "state", "connection", "amount", "currency", "accounting_date"]
    emit_rows(rows, columns=columns, as_json=as_json, empty="Nothing waits behind it.")


@app.command()
def show(
    context: typer.Context,
    case_id: Annotated[str, typer.Argument()],
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """One case with everything that became of it."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        with services.database.read(tenants=[chosen]) as connection:
            found = cases.case(connection, tenant_id=chosen, case_id=case_id)
            history = cases.transitions(connection, tenant_id=chosen, case_id=case_id)
    if found is None:
        fail(problem("case.unknown", f"there is no case {case_id[:60]!r}"), as_json=as_json)
    emit_json({"case": found, "history": history})


@app.command()
def retry(
    context: typer.Context,
    case_or_cause: Annotated[str, typer.Argument(help="The id of a case, or of a cause to try all its cases again.")],
    tenant: TenantOption = "",
    reason: ReasonOption = "what held it up was mended",
    as_json: JsonOption = False,
) -> None:
    """Try again what a case or a whole cause holds up."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        with services.database.read(tenants=[chosen]) as connection:
            single = cases.case(connection, tenant_id=chosen, case_id=case_or_cause) is not None
        answer: case_service.Retried | Tried | Problem
        if single:
            answer = case_service.retry(
                services.database,
                handlers=services.retry_handlers,
                tenant_id=chosen,
                actor=actor(),
                reason=reason,
                case_id=case_or_cause,
            )
        else:
            answer = retry_cause(services, tenant_id=chosen, cause_id=case_or_cause, actor=actor(), reason=reason)
    if isinstance(answer, Problem):
        fail(answer, as_json=as_json)
    if as_json:
        emit_json(answer)
    elif isinstance(answer, Tried):
        say(f"{answer.asked} cases are tried again by act {answer.act_id}: see `revline acts show`")
    else:
        say(f"{answer.asked} cases looked at, {answer.started} set going")


@app.command()
def waive(
    context: typer.Context,
    case_id: Annotated[str, typer.Argument()],
    reason: Annotated[
        str, typer.Option("--reason", callback=a_reason, help="Why nothing is to be done; kept in the audit chain.")
    ],
    tenant: TenantOption = "",
) -> None:
    """Decide that nothing is to be done about a case; it opens again when what it says changes."""
    with services_of(context) as services:
        answer = case_service.waive(
            services.database,
            told=services.told_of_cases,
            tenant_id=one_tenant(services, tenant),
            case_id=case_id,
            actor=actor(),
            reason=reason,
            recorded_at=services.clock.now(),
        )
    if isinstance(answer, Problem):
        fail(answer)
    say(f"{answer} cases are waived")
