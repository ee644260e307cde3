"""The audit chain of a tenant: every unit of work with who, why and when; and the proof that nothing was altered since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from revline.doors.console.values import (
    Answer,
    Code,
    Column,
    Count,
    Empty,
    Filter,
    Group,
    ListPage,
    Moment,
    Page,
    Row,
    SameAs,
    Text,
    View,
    Visit,
)
from revline.platform.access.roles import Permission
from revline.platform.store import units
from revline.platform.store.chain import verify_chain
from revline.platform.work.pool_audit import PoolChanged, changes_at, pool_units

DAY_LENGTH: Final = 10


def audit(visit: Visit) -> Answer:
    """Units, newest first."""
    day = visit.filter("day")
    since = _day(day)
    with visit.read() as connection:
        head = units.head_of(connection, tenant_id=visit.tenant_id)
        kinds = units.kinds_of(connection, tenant_id=visit.tenant_id)
        kind = visit.filter("kind")
        found = units.page_of_units(
            connection,
            tenant_id=visit.tenant_id,
            before=int(visit.after[0]) if visit.after else 0,
            kind=kind,
            actor=visit.filter("actor"),
            since=since,
            until=None if since is None else since + timedelta(days=1),
            limit=visit.limit + 1,
        )
        pools = changes_at(connection, tenant_id=visit.tenant_id, positions=pool_units(found))
    rows = _rows(visit, found, pools)
    columns = (
        Column(key="position", title="Position", kind="count"),
        Column(key="at", title="Recorded", kind="moment"),
        Column(key="kind", title="Kind"),
        Column(key="actor", title="Actor"),
        Column(key="reason", title="Reason", wide=True),
        Column(key="rows", title="Rows", kind="count"),
        Column(key="hash", title="Hash", kind="code"),
    )
    return ListPage(
        title="Audit",
        lead="Every unit of work, each linked to the one before by a hash over all it recorded.",
        columns=columns,
        rows=rows,
        filters=(
            Filter(
                name="kind",
                label="Kind",
                value=kind,
                choices=tuple((one, f"{one} ({count:,})") for one, count in kinds.items()),
            ),
            Filter(name="actor", label="Actor", value=visit.filter("actor")),
            Filter(name="day", label="Day (UTC)", value=day),
        ),
        empty=Empty(title="Nothing was recorded yet", icon="scroll-text"),
        export="audit",
        same_as=SameAs(command=f"revline audit list --tenant {visit.tenant_id}"),
        template="audit.html",
        values={"head": head},
    )


def verify(visit: Visit) -> Answer:
    """Compute every hash again and compare."""
    with visit.read() as connection:
        report = verify_chain(connection, tenant_id=visit.tenant_id)
    values = {"report": report, "head_hash": report.head_hash.hex()}
    return View(
        template="audit_verified.html", title="Chain verified", values=values, trail=(("Audit", visit.url("audit")),)
    )


def _rows(visit: Visit, found: Sequence[units.StoredUnit], pools: Mapping[int, PoolChanged]) -> tuple[Row, ...]:
    names = {one.actor: one.name for one in visit.services.people.people(tenant_id=visit.tenant_id)}
    return tuple(_row(one, names, pools) for one in found)


def _row(one: units.StoredUnit, names: dict[str, str], pools: Mapping[int, PoolChanged]) -> Row:
    return Row(
        cells=(
            Count(number=one.position),
            Moment(at=one.recorded_at),
            Text(text=one.kind, tag=True),
            Text(text=names.get(one.actor, one.actor), hint=one.actor if one.actor in names else ""),
            Text(text=one.reason, hint=pools[one.position].said if one.position in pools else ""),
            Count(number=one.row_count),
            Code(text=one.hash.hex()),
        ),
        place=(one.position,),
    )


def _day(text: str) -> datetime | None:
    """The beginning of a day in UTC; None for what is none."""
    try:
        return datetime.strptime(text[:DAY_LENGTH], "%Y-%m-%d").replace(tzinfo=UTC) if text else None
    except ValueError:
        return None


PAGES: Final = (
    Page(path="/audit", name="audit", title="Audit", answer=audit, icon="scroll-text", group=Group.PROOF, key="a"),
    Page(path="/audit/verify", name="verify", title="", answer=verify, method="POST", permission=Permission.READ),
)
