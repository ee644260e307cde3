"""`revline pools`: what far accounts can take, who shares it, and the acts on it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from revline.core.problem import FieldError, Problem, problem
from revline.doors import pools as shared
from revline.doors.cli.context import JsonOption, LimitOption, TenantOption, a_reason, actor, one_tenant, services_of
from revline.doors.cli.output import emit_json, emit_rows, fail, heading, lines, say
from revline.doors.services import Services
from revline.platform.work import pool_acts
from revline.platform.work.budgets import Budget
from revline.platform.work.pool_acts import PoolShown

app = typer.Typer(no_args_is_help=True, help="Capacity of far accounts: slots, rates, breakers and budgets.")
PoolArgument = Annotated[str, typer.Argument(help="A pool's id, or with --tenant the name of a connection.")]
WhyOption = Annotated[str, typer.Option("--reason", callback=a_reason, help="Why; kept with who and when.")]


@app.command(name="list")
def list_pools(
    context: typer.Context,
    tenant: TenantOption = "",
    after: Annotated[str, typer.Option("--after", help="Go on after this pool id.")] = "",
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """Every pool, or with --tenant those of its connections with what it has of them."""
    with services_of(context, as_json=as_json) as services:
        if tenant:
            chosen = one_tenant(services, tenant, as_json=as_json)
            found = [shared.plain_pool(shown, named) for named, shown in shared.of_tenant(services, tenant_id=chosen)]
        else:
            every = shared.everywhere(services, after=after, limit=limit)
            found = [shared.plain_pool(shown) for shown in every.values()]
    if as_json:
        emit_json(found)
        return
    rows = [{**one, "due": sum(queue["due"] for queue in one["queues"])} for one in found]
    columns = ["pool_id", *(["connection"] if tenant else []), "state", "slots", "in_calls", "due"]
    emit_rows(rows, columns=columns, as_json=False, empty="No pool yet: a connection gets one with its first call.")


@app.command()
def show(context: typer.Context, pool: PoolArgument, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """One pool: limits of the manifest and an operator's, breaker, budgets, queues by tenant and kind, who changed what."""
    with services_of(context, as_json=as_json) as services:
        pool_id = _pool_id(services, pool, tenant, as_json=as_json)
        with services.database.control() as connection:
            found = pool_acts.show_pools(connection, pools=[pool_id], now=services.clock.now()).get(pool_id)
    if found is None:
        fail(problem("pool.unknown", f"there is no pool {pool[:60]!r} yet"), as_json=as_json)
    plain = shared.plain_pool(found)
    if as_json:
        emit_json(plain)
        return
    state = found.state
    lines(
        [
            f"{state.pool_id}  {plain['state']}  {state.in_use} of {state.slots} slots in use, {int(state.tokens)} tokens",
            *(f"  {name}: {_limits_text(values)}" for name, values in plain["limits"].items()),
        ]
    )
    if found.blocked_by is not None:
        lines([f"  blocked by {found.blocked_by.actor}: {found.blocked_by.reason}"])
    heading("Budgets")
    emit_rows(
        plain["budgets"], columns=["tenant", "kind_group", "share_percent", "slots_max"], as_json=False, empty="None."
    )
    heading("Queues")
    columns = ["tenant_id", "kind_group", "lanes", "due", "in_calls", "oldest_due"]
    emit_rows(plain["queues"], columns=columns, as_json=False, empty="Nothing waits.")


@app.command(name="set")
def set_limits(
    context: typer.Context,
    pool: PoolArgument,
    reason: WhyOption,
    slots: Annotated[int, typer.Option("--slots", min=0, help="Calls at once; 0: the manifest's.")] = 0,
    per_second: Annotated[str, typer.Option("--per-second", help="Calls a second; empty: the manifest's.")] = "",
    burst: Annotated[int, typer.Option("--burst", min=0, help="Calls at once after a pause; 0: the manifest's.")] = 0,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Put other limits in place of the manifest's; they stay until they are set again. Without any the manifest's hold."""
    rate = _rate(per_second, as_json=as_json)
    values = {"slots": slots or None, "per_second": rate, "burst": burst or None}
    _act(context, pool, tenant, pool_acts.set_limits, reason, values, "its limits are set", as_json=as_json)


@app.command()
def block(
    context: typer.Context,
    pool: PoolArgument,
    reason: WhyOption,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Begin no call of a pool any more; what is under way comes back. Other pools go on."""
    _act(context, pool, tenant, pool_acts.block, reason, {"blocked": True}, "it is blocked", as_json=as_json)


@app.command()
def unblock(
    context: typer.Context,
    pool: PoolArgument,
    reason: WhyOption,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let a blocked pool call again."""
    _act(context, pool, tenant, pool_acts.block, reason, {"blocked": False}, "it may call again", as_json=as_json)


@app.command()
def budget(
    context: typer.Context,
    pool: PoolArgument,
    reason: WhyOption,
    of_tenant: Annotated[str, typer.Option("--of", help="A tenant, `*` for each; empty: all together.")] = "",
    kind_group: Annotated[
        str, typer.Option("--kind", help=f"{', '.join(shared.GROUPS)} or close; empty: all kinds.")
    ] = "",
    share: Annotated[int, typer.Option("--share", min=0, max=100, help="Percent of the slots, lent when unused.")] = 0,
    slots_max: Annotated[int, typer.Option("--max", min=0, help="Slots at the most; 0: no maximum.")] = 0,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Give a tenant, a kind, or a tenant's kind a share and a maximum of a pool's slots; without both its budget ends."""
    made = Budget(tenant_id=of_tenant, kind_group=kind_group, share_percent=share, slots_max=slots_max or None)
    values: dict[str, Any] = {"budget": made, "kind_groups": shared.GROUPS}
    _act(context, pool, tenant, pool_acts.set_budget, reason, values, "its budget is set", as_json=as_json)


def _act(
    context: typer.Context,
    pool: str,
    tenant: str,
    work: Callable[..., pool_acts.PoolChange | Problem],
    reason: str,
    values: dict[str, Any],
    said: str,
    *,
    as_json: bool,
) -> None:
    with services_of(context, as_json=as_json) as services:
        pool_id = _pool_id(services, pool, tenant, as_json=as_json)
        answer = shared.act_on(services, pool_id, work, actor=actor(), reason=reason, **values)
    if isinstance(answer, Problem):
        fail(answer, as_json=as_json)
    assert isinstance(answer, PoolShown)
    emit_json(shared.plain_pool(answer)) if as_json else say(f"pool {pool_id}: {said}")


def _pool_id(services: Services, pool: str, tenant: str, *, as_json: bool) -> str:
    if not tenant:
        return pool
    chosen = one_tenant(services, tenant, as_json=as_json)
    named = shared.pools_of(services, tenant_id=chosen).get(pool)
    return named.pool_id if named else pool


def _rate(text: str, *, as_json: bool) -> Decimal | None:
    if not text:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        wrong = FieldError(pointer="--per-second", detail="is no number", instead="a number such as 2.5")
        fail(problem("pool.setting_invalid", "the rate is no number", errors=(wrong,)), as_json=as_json)
    return found


def _limits_text(values: dict[str, Any]) -> str:
    shown = {"slots": "slots", "per_second": "calls a second", "burst": "at once"}
    return ", ".join(f"{values[name]} {word}" for name, word in shown.items() if values[name] is not None) or "nothing"
