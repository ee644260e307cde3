"""What every door does with charges: lists, one line, its events, curve and proof, the check, and the acts. Plain values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from revline.core.hashing import plain
from revline.core.ids import SourceObject
from revline.core.problem import Problem, problem
from revline.subledger.usage.versions import Window

if TYPE_CHECKING:  # what stands behind these is heavy, and made only when a door asks
    from revline.doors.services import Services
    from revline.subledger.usage.charges.acts import ChargeActs
    from revline.subledger.usage.charges.checking import UsageCheck
    from revline.subledger.usage.charges.desk import ChargeDesk
    from revline.subledger.usage.charges.so_far import LiveCost
    from revline.subledger.usage.charges.ticking import Ticker

DAY_LENGTH: Final = 10


@dataclass(frozen=True, kw_only=True)
class ChargeTools:
    """What doors stand on."""

    desk: ChargeDesk
    acts: ChargeActs
    check: UsageCheck
    ticker: Ticker
    live: LiveCost


def rate(services: Services, *, tenant_id: str, actor: str, reason: str) -> dict[str, Any] | Problem:
    """A tick now."""
    tools = services.charging()
    if isinstance(tools, Problem):
        return tools
    ticked = tools.ticker.tick(tenant_id=tenant_id, actor=actor, reason=reason)
    return ticked if isinstance(ticked, Problem) else plain(ticked)


def so_far(services: Services, *, tenant_id: str, customer: str) -> dict[str, Any] | Problem:
    """What a customer has used in its running periods and what it costs so far. customer: connection/outside id."""
    tools = services.charging()
    if isinstance(tools, Problem):
        return tools
    found = tools.live.so_far(tenant_id=tenant_id, customer=customer_of(customer))
    if isinstance(found, Problem):
        return found
    made: dict[str, Any] = plain(found)
    made["lines"] = [
        {
            **{name: value for name, value in plain(line).items() if name not in {"subject", "explanation", "held"}},
            "price": line.subject.price,
            "group": dict(line.subject.group),
            "window": plain(line.subject.window),
            "explanation": msgspec.json.decode(line.explanation),
        }
        for line in found.lines
    ]
    return made


def charge(services: Services, *, tenant_id: str, charge_id: str) -> dict[str, Any] | Problem:
    """A line with its steps, revisions, what each changed and what was stated of it."""
    from revline.subledger.usage.charges.desk import shown  # noqa: PLC0415 - heavy

    tools = services.charging()
    if isinstance(tools, Problem):
        return tools
    found = tools.desk.charge(tenant_id=tenant_id, charge_id=charge_id)
    if isinstance(found, Problem):
        return found
    return {
        **shown(found.charge),
        "standing": None if found.standing is None else found.standing.revision,
        "changes": [plain(one) for one in found.changes],
        "entries": [{"fact_id": fact_id, **plain(entry)} for fact_id, entry in found.entries],
        "accrued": plain(found.accrued),
    }


def events(
    services: Services, *, tenant_id: str, charge_id: str, revision: int, after: str, limit: int
) -> dict[str, Any] | Problem:
    """A page of the events behind a line, with the sum of them all. after: `next` of the page before."""
    tools = services.charging()
    if isinstance(tools, Problem):
        return tools
    place = _place(after)
    if isinstance(place, Problem):
        return place
    found = tools.desk.events(tenant_id=tenant_id, charge_id=charge_id, revision=revision, after=place, limit=limit)
    if isinstance(found, Problem):
        return found
    made: dict[str, Any] = plain(found)
    made["next"] = "" if found.next is None else _place_text(found.next)
    return made


def changed_events(services: Services, *, tenant_id: str, charge_id: str, revision: int) -> Any:
    """The events between a revision and the one before it."""
    return _plain(
        services,
        lambda tools: tools.desk.changed_events(tenant_id=tenant_id, charge_id=charge_id, revision=revision),
    )


def curve(services: Services, *, tenant_id: str, charge_id: str, revision: int = 0) -> Any:
    """A line's quantity by local day."""
    return _plain(services, lambda tools: tools.desk.curve(tenant_id=tenant_id, charge_id=charge_id, revision=revision))


def prove(services: Services, *, tenant_id: str, charge_id: str, revision: int = 0) -> Any:
    """A line's query and rating run again."""
    return _plain(services, lambda tools: tools.desk.prove(tenant_id=tenant_id, charge_id=charge_id, revision=revision))


def balance(services: Services, *, tenant_id: str, window: Window) -> Any:
    """The conservation check."""
    tools = services.charging()
    if isinstance(tools, Problem):
        return tools
    found = tools.check.balance(tenant_id=tenant_id, window=window)
    return found if isinstance(found, Problem) else {**plain(found), "closes": found.closes}


def periods(services: Services, *, tenant_id: str, customer: str, state: str, limit: int) -> Any:
    """Billing periods. customer: connection/outside id, "" for all."""
    tools = services.charging()
    if isinstance(tools, Problem):
        return tools
    found = tools.desk.periods(
        tenant_id=tenant_id, customer=customer_of(customer) if customer else None, state=state, limit=limit
    )
    return {"items": [{"period_id": one.period_id(tenant_id), **plain(one)} for one in found]}


def close_period(services: Services, *, tenant_id: str, period: str, actor: str, reason: str) -> Any:
    """A person closes a billing period."""
    return _done(
        services,
        lambda tools: tools.acts.close_period(tenant_id=tenant_id, period_id=period, actor=actor, reason=reason),
    )


def close_books(services: Services, *, tenant_id: str, entity: str, through: date, actor: str, reason: str) -> Any:
    """A person closes an entity's books for accruals of usage."""
    return _done(
        services,
        lambda tools: tools.acts.close_books(
            tenant_id=tenant_id, entity=entity, through=through, actor=actor, reason=reason
        ),
    )


def decide(
    services: Services, *, tenant_id: str, charge_id: str, revision: int, approve: bool, actor: str, reason: str
) -> Any:
    """A person decides about a held revision."""
    from revline.subledger.usage.charges.state import Decision  # noqa: PLC0415 - heavy

    decision = Decision.APPROVE if approve else Decision.REFUSE
    return _done(
        services,
        lambda tools: tools.acts.decide(
            tenant_id=tenant_id,
            charge_id=charge_id,
            revision=revision,
            decision=decision,
            actor=actor,
            reason=reason,
        ),
    )


def customer_of(text: str) -> SourceObject:
    """A customer from connection/outside id."""
    connection, _, outside_id = text.partition("/")
    return SourceObject(connection=connection, kind="customer", outside_id=outside_id)


def window_of(start: date, end: date) -> Window:
    """Days in UTC as a window."""
    return Window(
        start=datetime(start.year, start.month, start.day, tzinfo=UTC),
        end=datetime(end.year, end.month, end.day, tzinfo=UTC),
    )


def _plain(services: Services, ask: Any) -> Any:
    tools = services.charging()
    found = tools if isinstance(tools, Problem) else ask(tools)
    return found if isinstance(found, Problem) else plain(found)


def _done(services: Services, act: Any) -> Mapping[str, Any] | Problem:
    tools = services.charging()
    wrong = tools if isinstance(tools, Problem) else act(tools)
    return wrong if isinstance(wrong, Problem) else {"done": True}


def _place_text(place: tuple[datetime, int, int]) -> str:
    moment, shard, sequence = place
    return f"{moment.astimezone(UTC).isoformat()}~{shard}~{sequence}"


def _place(text: str) -> tuple[datetime, int, int] | Problem | None:
    if not text:
        return None
    moment, _, rest = text.partition("~")
    shard, _, sequence = rest.partition("~")
    try:
        at = datetime.fromisoformat(moment)
        if at.tzinfo is None:
            raise ValueError("no offset")
        return at, int(shard), int(sequence)
    except ValueError:
        return problem("cursor.invalid", "the place was not given out by this list", field="after")
