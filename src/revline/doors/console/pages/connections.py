"""Connections of a tenant: what comes in and goes out, since when, how its capacity stands, and which keys its mappings lack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from revline.core.problem import Problem
from revline.delivery import backlog as waiting
from revline.delivery.kinds import Mapping as MappingSpec
from revline.doors.console.configured import configuration_of, connection_of
from revline.doors.console.values import (
    Answer,
    Column,
    Count,
    Empty,
    Group,
    ListPage,
    Moment,
    Page,
    Redirect,
    Row,
    SameAs,
    State,
    Text,
    View,
    Visit,
)
from revline.doors.enumerating import reports
from revline.intake.freshness import freshness
from revline.platform.access.roles import Permission
from revline.platform.cases import queries as cases
from revline.platform.config.queries import versions
from revline.platform.tenancy.kinds import SOURCE_CONNECTORS, Connection, LegalEntity, Tenant
from revline.platform.work import capacity
from revline.platform.work.pool_state import PoolState

MISSING_CODES: Final = ("mapping.missing", "posting.account_missing")


COLUMNS: Final = (
    Column(key="name", title="Connection", wide=True),
    Column(key="connector", title="Connector"),
    Column(key="role", title="Role", kind="state"),
    Column(key="health", title="Health", kind="state"),
    Column(key="last", title="Last success", kind="moment"),
    Column(key="waiting", title="On their way", kind="count"),
    Column(key="mapping", title="Mapping", kind="state"),
)


def connections(visit: Visit) -> Answer:
    """Every connection."""
    configuration = configuration_of(visit)
    found = {} if configuration is None else configuration.all(Connection)
    title = "" if configuration is None else next((one.spec.title for one in configuration.all(Tenant).values()), "")
    return ListPage(
        title="Connections",
        lead=f"{title or visit.tenant_id}: what brings facts, and what takes documents.",
        columns=COLUMNS,
        rows=_rows(visit, {name: one.spec for name, one in found.items()}),
        empty=Empty(
            title="No connection yet",
            detail="A Connection document of the configuration makes one; `revline init` writes a starter.",
            icon="plug",
        ),
        export="connections",
        same_as=SameAs(command=f"revline status --tenant {visit.tenant_id}"),
        template="connections.html",
        values=_about(visit),
    )


def _rows(visit: Visit, specs: Mapping[str, Connection]) -> tuple[Row, ...]:
    """A line a connection."""
    with visit.read() as connection:
        heard = {one.connection: one.received_at for one in freshness(connection, tenant_id=visit.tenant_id)}
        posted = waiting.last_posted(connection, tenant_id=visit.tenant_id)
        backlog = waiting.backlog(connection, tenant_id=visit.tenant_id)
        missing = _missing(cases.causes(connection, tenant_id=visit.tenant_id, limit=1_000))
    pools = _pools(visit, specs)
    rows = []
    for name, spec in sorted(specs.items()):
        source = spec.connector in SOURCE_CONNECTORS
        on_their_way = sum(one.documents for one in backlog if one.connection == name)
        word, hint = _standing(pools.get(name), on_their_way > 0)
        cells = (
            Text(text=name, hint="sandbox" if spec.sandbox else ""),
            Text(text=spec.connector),
            State(word="source" if source else "erp"),
            State(word=word, hint=hint),
            Moment(at=heard.get(name) if source else posted.get(name), ago=True),
            Count(number=on_their_way),
            Text(text="–", quiet=True) if source else _completeness(missing.get(name, 0)),
        )
        rows.append(Row(cells=cells, href=visit.url("connection", name=name)))
    return tuple(rows)


def _completeness(lacking: int) -> State:
    """Whether documents wait for keys that no mapping has."""
    return State(word="incomplete", hint=f"{lacking} missing") if lacking else State(word="complete")


def connection(visit: Visit) -> Answer:
    """One connection: how it stands, its capacity, its mappings and what they lack."""
    name = visit.parameters["name"]
    spec = connection_of(visit, name)
    configuration = configuration_of(visit)
    with visit.read() as open_connection:
        heard = {one.connection: one for one in freshness(open_connection, tenant_id=visit.tenant_id)}
        posted = waiting.last_posted(open_connection, tenant_id=visit.tenant_id)
        backlog = [one for one in waiting.backlog(open_connection, tenant_id=visit.tenant_id) if one.connection == name]
        causes = [
            one
            for one in cases.causes(open_connection, tenant_id=visit.tenant_id, limit=1_000)
            if one.connection == name
        ]
    found = {} if configuration is None else configuration.all(MappingSpec)
    mappings = [
        {"name": key, "file": one.file, "line": one.line, "spec": one.spec}
        for key, one in sorted(found.items())
        if one.spec.connection == name
    ]
    pool = _pools(visit, {name: spec}).get(name)
    word, hint = _standing(pool, bool(backlog))
    channel = visit.services.channels.channel(tenant_id=visit.tenant_id, connection=name)
    values: dict[str, Any] = {
        "name": name,
        "spec": spec,
        "source": spec.connector in SOURCE_CONNECTORS,
        "pool": pool,
        "health": (word, hint),
        "heard": heard.get(name),
        "posted": posted.get(name),
        "backlog": backlog,
        "causes": causes,
        "mappings": mappings,
        "translator": "" if isinstance(channel, Problem) else channel.translator,
        "secrets": sorted(spec.secrets),
        "listed": reports(visit.services.database, tenant_id=visit.tenant_id, connection=name),
    }
    trail = (("Connections", visit.url("connections")),)
    return View(template="connection.html", title=name, values=values, trail=trail)


def enumerate_connection(visit: Visit) -> Answer:
    """List again everything the far system holds under our references."""
    name = visit.parameters["name"]
    asked = visit.services.lister(
        tenant_id=visit.tenant_id, connection=name, since=None, actor=visit.actor, reason=visit.reason()
    )
    if isinstance(asked, Problem):
        return asked
    return Redirect(to=visit.url("connection", name=name), said="It is listed again; a worker is at it.")


def _about(visit: Visit) -> dict[str, Any]:
    configuration = configuration_of(visit)
    with visit.read() as open_connection:
        applied = versions(open_connection, tenant_id=visit.tenant_id, limit=5)
    entities = {} if configuration is None else configuration.all(LegalEntity)
    return {
        "versions": applied,
        "entities": [(name, one.spec) for name, one in sorted(entities.items())],
        "names": {one.actor: one.name for one in visit.services.people.people(tenant_id=visit.tenant_id)},
    }


def _pools(visit: Visit, specs: Mapping[str, Connection]) -> dict[str, PoolState]:
    """The capacity pool of each connection that ever called out."""
    ids = {
        name: visit.services.pool_of(tenant_id=visit.tenant_id, name=name, pool=spec.pool)
        for name, spec in specs.items()
    }
    with visit.services.database.control() as control:
        found = capacity.states(control, pools=list(ids.values()), now=visit.now)
    return {name: found[pool] for name, pool in ids.items() if pool in found}


def _standing(pool: PoolState | None, busy: bool) -> tuple[str, str]:  # noqa: FBT001 - one truth
    """How a connection stands by its pool, as a word of states."""
    if pool is None:
        return ("ready" if busy else "idle"), ""
    if pool.blocked:
        return "blocked", ""
    if pool.breaker_until is not None:
        return "broken", f"{pool.breaker_failures} failures in a row"
    return (
        ("working", f"{pool.in_use} of {pool.slots} slots") if pool.in_use else ("healthy", f"{pool.slots} slots free")
    )


def _missing(causes: tuple[cases.CauseSummary, ...]) -> dict[str, int]:
    """Missing keys by connection: each open cause of a missing key is one."""
    found: dict[str, int] = {}
    for one in causes:
        if one.code in MISSING_CODES:
            found[one.connection] = found.get(one.connection, 0) + 1
    return found


PAGES: Final = (
    Page(
        path="/connections",
        name="connections",
        title="Connections",
        answer=connections,
        icon="plug",
        group=Group.SETUP,
        key="n",
    ),
    Page(path="/connections/{name:str}", name="connection", title="Connection", answer=connection),
    Page(
        path="/connections/{name:str}/enumerate",
        name="enumerate_connection",
        title="List again",
        answer=enumerate_connection,
        permission=Permission.OPERATE,
        method="POST",
    ),
)
