"""`revline acts`: acts on many records at once: preview, start, see how far one is, stop it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from revline.core.problem import Problem, problem
from revline.doors import bulk
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
from revline.platform.bulk import queries
from revline.platform.bulk.values import BulkAct, BulkState, Money, Outcome

app = typer.Typer(no_args_is_help=True, help="Acts on many records: a frozen set, done by workers in small batches.")
Kind = StrEnum("Kind", {kind.upper(): kind for kind in bulk.KINDS})  # type: ignore[misc]
KindArgument = Annotated[Kind, typer.Argument(help="What to do with each record.")]
FilterOption = Annotated[
    list[str],
    typer.Option(
        "--filter",
        help="name=value, any number of them: behind (what waits for that document), cause, connection, document, entity, kind,"
        " problem, state; retry knows cause alone.",
    ),
]
ActArgument = Annotated[str, typer.Argument(help="The id of an act.")]


@app.command()
def preview(
    context: typer.Context,
    kind: KindArgument,
    filters: FilterOption = [],  # noqa: B006 - typer reads the default
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """What an act would touch now: records, money by currency, and of a few what would come of them."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        given = _given(filters, as_json=as_json)
        found = services.bulk.preview(tenant_id=chosen, kind=kind.value, given=given)
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    second = "; a second person must start it" if found.second_person else ""
    say(f"{found.records} records, {_money(found.money)}{second}")
    for one in found.sample:
        say(f"  {one.subject_kind} {one.subject_id}: {one.problem_code or one.detail}")


@app.command()
def start(
    context: typer.Context,
    kind: KindArgument,
    reason: Annotated[
        str, typer.Option("--reason", callback=a_reason, help="Why; kept in the audit chain with every batch.")
    ],
    filters: FilterOption = [],  # noqa: B006 - typer reads the default
    expected: Annotated[
        int | None, typer.Option("--expected", min=0, help="Start only when so many records fit.")
    ] = None,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Freeze the set and let workers go through it; above the tenant's threshold a second person starts it."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        given = _given(filters, as_json=as_json)
        made = services.bulk.start(
            tenant_id=chosen, kind=kind.value, given=given, actor=actor(), reason=reason, expected=expected
        )
    _say(made, as_json=as_json)


@app.command()
def show(context: typer.Context, act_id: ActArgument, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """How far an act is."""
    with services_of(context, as_json=as_json) as services:
        found = bulk.act_of(services, tenant_id=one_tenant(services, tenant, as_json=as_json), act_id=act_id)
    _say(found, as_json=as_json)


@app.command(name="list")
def list_acts(
    context: typer.Context,
    state: Annotated[BulkState | None, typer.Option("--state", help="Only acts in this state.")] = None,
    tenant: TenantOption = "",
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """Acts, the newest first."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        with services.database.read(tenants=[chosen]) as connection:
            found = queries.acts(connection, tenant_id=chosen, state=state.value if state else "", limit=limit)
    columns = ["act_id", "kind", "state", "records", "done", "refused", "failed", "author", "reason"]
    emit_rows(_rows(found), columns=columns, as_json=as_json, empty="No acts here.")


@app.command()
def items(
    context: typer.Context,
    act_id: ActArgument,
    outcome: Annotated[Outcome | None, typer.Option("--outcome", help="Only records of this outcome.")] = None,
    after: Annotated[int, typer.Option("--after", min=0, help="Go on after this number.")] = 0,
    tenant: TenantOption = "",
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """The records of an act with what came of each."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        act = bulk.act_of(services, tenant_id=chosen, act_id=act_id)
        if isinstance(act, Problem):
            fail(act, as_json=as_json)
        with services.database.read(tenants=[chosen]) as connection:
            found = queries.items(
                connection,
                tenant_id=chosen,
                act_id=act_id,
                outcome=outcome.value if outcome else "",
                after=after,
                limit=limit,
            )
    columns = ["number", "subject_kind", "subject_id", "outcome", "problem_code", "problem_detail"]
    emit_rows(_rows(found), columns=columns, as_json=as_json, empty="No records here.")


@app.command()
def pause(
    context: typer.Context,
    act_id: ActArgument,
    tenant: TenantOption = "",
    reason: ReasonOption = "paused by hand",
    as_json: JsonOption = False,
) -> None:
    """Stop it for now, after the batch under way."""
    _stop(context, act_id, "pause", tenant, reason, as_json=as_json)


@app.command()
def resume(
    context: typer.Context,
    act_id: ActArgument,
    tenant: TenantOption = "",
    reason: ReasonOption = "taken up again by hand",
    as_json: JsonOption = False,
) -> None:
    """Go on with a paused act where it stopped."""
    _stop(context, act_id, "resume", tenant, reason, as_json=as_json)


@app.command()
def abort(
    context: typer.Context,
    act_id: ActArgument,
    reason: Annotated[str, typer.Option("--reason", callback=a_reason, help="Why; kept in the audit chain.")],
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Stop it for good, after the batch under way; what was done stays done."""
    _stop(context, act_id, "abort", tenant, reason, as_json=as_json)


@app.command()
def decide(
    context: typer.Context,
    act_id: ActArgument,
    reason: Annotated[str, typer.Option("--reason", callback=a_reason, help="Why; kept in the audit chain.")],
    refuse: Annotated[bool, typer.Option("--refuse", help="Refuse it instead of starting it.")] = False,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """As a second person, start or refuse a proposed act."""
    _stop(context, act_id, "refuse" if refuse else "start", tenant, reason, as_json=as_json)


def _stop(context: typer.Context, act_id: str, how: str, tenant: str, reason: str, *, as_json: bool) -> None:
    with services_of(context, as_json=as_json) as services:
        answer = bulk.stop(
            services,
            tenant_id=one_tenant(services, tenant, as_json=as_json),
            act_id=act_id,
            how=how,
            actor=actor(),
            reason=reason,
            may=lambda _: True,
        )
    _say(answer, as_json=as_json)


def _say(answer: BulkAct | Problem, *, as_json: bool) -> None:
    if isinstance(answer, Problem):
        fail(answer, as_json=as_json)
    if as_json:
        emit_json(answer)
        return
    say(
        f"act {answer.act_id} ({answer.kind}) is {answer.state}: {answer.treated} of {answer.records} records, {answer.done}"
        f" done, {answer.refused} refused, {answer.failed} failed; {_money(answer.money)}"
    )


def _given(filters: Sequence[str], *, as_json: bool) -> dict[str, str]:
    given: dict[str, str] = {}
    for one in filters:
        name, sign, value = one.partition("=")
        if not sign:
            fail(problem("bulk.filter_unknown", f"{one[:60]!r} is not name=value", field=one[:60]), as_json=as_json)
        given[name] = value
    return given


def _money(money: Sequence[Money]) -> str:
    return ", ".join(f"{one.amount} {one.currency}" for one in money if one.currency) or "no money behind them"


def _rows(found: Sequence[Any]) -> list[dict[str, Any]]:
    return [{name: getattr(one, name) for name in one.__struct_fields__} for one in found]
