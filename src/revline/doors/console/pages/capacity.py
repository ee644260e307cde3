"""Capacity: what far accounts can take, what holds them up, who shares them, and what waits for them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from revline.core.problem import FieldError, Problem, ProblemError, problem
from revline.delivery.closing import LONGEST, closings
from revline.doors import closing
from revline.doors import pools as shared
from revline.doors.console.configured import configuration_of
from revline.doors.console.values import Answer, Group, Page, Redirect, SameAs, View, Visit
from revline.doors.pools import NamedPool
from revline.platform.access.roles import Permission
from revline.platform.access.tables import EVERY_TENANT
from revline.platform.tenancy.kinds import LegalEntity
from revline.platform.work import pool_acts
from revline.platform.work.budgets import ALL, Budget
from revline.platform.work.pool_acts import PoolShown
from revline.platform.work.pressure import Backlog, backlogs

POOLS_SHOWN_MAX: Final = 100


def capacity(visit: Visit) -> Answer:
    """The pools of the tenant's connections; who runs every tenant sees the other pools beside, by id."""
    mine = shared.of_tenant(visit.services, tenant_id=visit.tenant_id)
    runs = _runs_everything(visit)
    named = {one.pool_id for one, _ in mine}
    every = shared.everywhere(visit.services, limit=POOLS_SHOWN_MAX) if runs else {}
    if runs:
        mine = tuple((one, every.get(one.pool_id, shown)) for one, shown in mine)
    values: dict[str, Any] = {
        "pools": [_shown(visit, one, shown) for one, shown in mine],
        "others": [_shown(visit, None, shown) for name, shown in every.items() if name not in named],
        "runs": runs,
        "groups": (*shared.GROUPS, "close"),
        "same_as": SameAs(command=f"revline pools list --tenant {visit.tenant_id}", call="GET /v1/pools"),
        "closings": _closings(visit),
        "entities": _entities(visit),
        "backlogs": _backlogs(visit, everybody=runs),
        "names": {one.actor: one.name for one in visit.services.people.people(tenant_id=visit.tenant_id)},
    }
    return View(template="capacity.html", title="Capacity", values=values)


def block(visit: Visit) -> Answer:
    """Begin no call of a pool any more."""
    return _act(visit, pool_acts.block, "Blocked: no call begins until it is unblocked.", blocked=True)


def unblock(visit: Visit) -> Answer:
    """Let it call again."""
    return _act(visit, pool_acts.block, "It may call again.", blocked=False)


def limits(visit: Visit) -> Answer:
    """Put other limits in place of the manifest's."""
    values = {
        "slots": _number(visit, "slots"),
        "per_second": _decimal(visit, "per_second"),
        "burst": _number(visit, "burst"),
    }
    return _act(visit, pool_acts.set_limits, "The limits hold from the next call on.", **values)


def budget(visit: Visit) -> Answer:
    """Share a pool's slots."""
    made = Budget(
        tenant_id=visit.field("of_tenant")[:40] if _runs_everything(visit) else ALL,
        kind_group=visit.field("kind_group")[:40],
        share_percent=_number(visit, "share_percent") or 0,
        slots_max=_number(visit, "slots_max"),
    )
    said = "The budget holds from the next call on."
    return _act(visit, pool_acts.set_budget, said, budget=made, kind_groups=shared.GROUPS)


def begin(visit: Visit) -> Answer:
    """Let the documents of a period that is being closed go first."""
    days = _number(visit, "days")
    until = visit.now + timedelta(days=5 if days is None else min(days, LONGEST.days + 1))
    answer = closing.begin(
        visit.services,
        tenant_id=visit.tenant_id,
        entity=visit.field("entity")[:100],
        period=visit.field("period")[:20],
        until=until,
        actor=visit.actor,
        reason=visit.reason(),
    )
    said = "They go first from now on, and those that wait already within a minute."
    return answer if isinstance(answer, Problem) else Redirect(to=visit.url("capacity"), said=said)


def end(visit: Visit) -> Answer:
    """Let them take their turn again."""
    answer = closing.end(
        visit.services,
        tenant_id=visit.tenant_id,
        entity=visit.field("entity")[:100],
        period=visit.field("period")[:20],
        actor=visit.actor,
        reason=visit.reason(),
    )
    said = "They take their turn again."
    return answer if isinstance(answer, Problem) else Redirect(to=visit.url("capacity"), said=said)


def _closings(visit: Visit) -> list[dict[str, Any]]:
    with visit.read() as connection:
        found = closings(connection, tenant_id=visit.tenant_id, lasting_at=visit.now)
    return [closing.plain_closing(one, visit.now) for one in found]


def _entities(visit: Visit) -> list[str]:
    configuration = configuration_of(visit)
    return [] if configuration is None else sorted(configuration.all(LegalEntity))


def _backlogs(visit: Visit, *, everybody: bool) -> list[Backlog]:
    """The last counts: the tenant's own, and for who runs every tenant the cell's and the others'."""
    with visit.services.database.control() as connection:
        found = backlogs(connection)
    return [one for one in found if everybody or one.tenant_id == visit.tenant_id][:POOLS_SHOWN_MAX]


def _act(visit: Visit, work: Any, said: str, **values: Any) -> Answer:
    pool_id = _pool(visit)
    if isinstance(pool_id, Problem):
        return pool_id
    answer = shared.act_on(
        visit.services,
        pool_id,
        work,
        actor=visit.actor,
        reason=visit.reason(),
        tenant_id="" if visit.field("pool") else visit.tenant_id,
        **values,
    )
    return answer if isinstance(answer, Problem) else Redirect(to=visit.url("capacity"), said=said)


def _pool(visit: Visit) -> str | Problem:
    """The pool a form names: by a connection of this tenant, or by id for who runs every tenant."""
    pool_id = visit.field("pool")
    if pool_id and _runs_everything(visit):
        return pool_id
    found = shared.changeable(
        visit.services,
        tenant_id=visit.tenant_id,
        connection=visit.field("connection"),
        runs_everything=_runs_everything(visit),
    )
    return found if isinstance(found, Problem) else found.pool_id


def _runs_everything(visit: Visit) -> bool:
    return visit.person.may(Permission.OPERATE, tenant_id=EVERY_TENANT)


def _shown(visit: Visit, named: NamedPool | None, shown: PoolShown) -> dict[str, Any]:
    runs = _runs_everything(visit)
    return {
        "named": named,
        "state": shown.state,
        "word": shared.standing(shown),
        "shown": shown,
        "budgets": shared.shown_budgets(shown),
        "changeable": runs or (named is not None and named.own),
    }


def _number(visit: Visit, name: str) -> int | None:
    text = visit.field(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ProblemError(_wrong(name, "a whole number"))
    return int(text)


def _decimal(visit: Visit, name: str) -> Decimal | None:
    text = visit.field(name)
    if not text:
        return None
    try:
        found = Decimal(text[:20])
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise ProblemError(_wrong(name, "a number such as 2.5"))
    return found


def _wrong(name: str, instead: str) -> Problem:
    wrong = FieldError(pointer=f"/{name}", detail="is no number", instead=instead)
    return problem("pool.setting_invalid", "a value is no number", errors=(wrong,))


def _post(path: str, name: str, answer: Any) -> Page:
    return Page(path=path, name=name, title="", answer=answer, method="POST", permission=Permission.OPERATE)


PAGES: Final = (
    Page(
        path="/capacity", name="capacity", title="Capacity", answer=capacity, icon="activity", group=Group.WORK, key="y"
    ),
    _post("/capacity/block", "block_pool", block),
    _post("/capacity/unblock", "unblock_pool", unblock),
    _post("/capacity/limits", "set_pool_limits", limits),
    _post("/capacity/budget", "set_pool_budget", budget),
    _post("/capacity/close-priority", "begin_close_priority", begin),
    _post("/capacity/close-priority/end", "end_close_priority", end),
)
