"""Two tenants in one installation: Birch, whose people and keys ask, and Aurora, whose ids and names they ask with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlalchemy import select, text

from revline.core.problem import Problem
from revline.delivery import queries as deliveries
from revline.doors.console.security import SESSION
from revline.intake import queries as fact_log
from revline.intake.correcting import corrections
from revline.intake.values import Form
from revline.platform.access.roles import PERSON_ROLES, Role
from revline.platform.bulk import queries as bulk
from revline.platform.cases import queries as cases
from revline.platform.store.walls import metadata
from revline.subledger.posting.tables import accounting_event, journal
from tests.databases import TestServer, import_tables
from tests.integration.derive.world import at, invoice, webhook
from tests.ui.world import CANARY, World, build_world

HERE = Path(__file__).parent
OURS, THEIRS = "birch", "aurora"
NAME_OF_THEIRS = "Canary Ravensworth"
NUMBER_OF_THEIRS = "CANARY-0042"
TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')


@dataclass(frozen=True, kw_only=True)
class Known:
    """Ids of one tenant by what they name, and the words that only its own people may read."""

    ids: dict[str, list[str]]
    words: tuple[str, ...]

    def every(self) -> list[str]:
        """Each id once."""
        return sorted({one for found in self.ids.values() for one in found})

    def of_each_kind(self) -> list[str]:
        """An id of everything that has one."""
        return sorted({found[0] for found in self.ids.values()})


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """The installation with one client for both doors. keys: of Birch, by role. theirs, ours: what is known of each tenant."""

    world: World
    client: TestClient[Any]
    keys: dict[Role, str]
    session: str
    form_token: str
    theirs: Known
    ours: Known
    cookies: dict[str, str] = field(default_factory=dict)

    def visit(self, method: str, path: str, data: dict[str, Any] | None = None, *, session: str | None = None) -> Any:
        """A request of somebody of Birch with every role there; redirects are not followed."""
        self.client.cookies.clear()
        self.client.cookies.set(SESSION, self.session if session is None else session)
        if method == "GET":
            return self.client.get(path, follow_redirects=False)
        return self.client.post(path, data=data or {}, follow_redirects=False)

    def call(
        self,
        method: str,
        path: str,
        role: Role = Role.FINANCE,
        body: Any = None,
        *,
        key: str | None = None,
        once: str = "",
    ) -> Any:
        """A call with a key of Birch. once: an idempotency key."""
        self.client.cookies.clear()
        given = self.keys[role] if key is None else key
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        if once:
            headers["Idempotency-Key"] = once
        if method == "GET":
            return self.client.get(path, headers=headers)
        return self.client.post(path, headers=headers, json=body)

    def state(self, *tenants: str) -> str:
        """A digest over every row that names one of the tenants."""
        import_tables()  # some are loaded only when something of theirs is asked for
        tables = [table.name for table in metadata.sorted_tables if "tenant_id" in table.c]
        digests = " UNION ALL ".join(
            f"SELECT '{name}', md5(coalesce(string_agg(row::text, '|' ORDER BY row::text), ''))"
            f" FROM (SELECT * FROM {name} WHERE tenant_id = ANY(:tenants)) AS row"
            for name in tables
        )
        with self.world.runtime.services.database.read(tenants=list(tenants)) as connection:
            found = connection.execute(text(digests), {"tenants": list(tenants)}).all()
        assert len(found) == len(tables) > 40
        return repr(sorted(map(tuple, found)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers one runs them all: the installation is slow to make."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("crossing"))


@pytest.fixture(scope="session")
def crossing(
    test_server: TestServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Crossing]:
    """Built once; no test of these changes it."""
    name = f"crossing_{getattr(request.config, 'workerinput', {}).get('workerid', 'alone')}"
    test_server.new_database(name)
    world = build_world(
        dsn=test_server.server.dsn("revline_app", name), folder=tmp_path_factory.mktemp("crossing"), invoices=8
    )
    for tenant, connection in ((OURS, "stripe"), (THEIRS, "stripe-us")):
        _what_stands_still(world, tenant, connection)
    services = world.runtime.services
    person = services.people.add(
        email="grace@example.com", name="Grace Hopper", password="a long enough password", actor="test"
    )
    assert not isinstance(person, Problem)
    for role in PERSON_ROLES:
        services.people.grant(person_id=person.person_id, tenant_id=OURS, role=role, actor="test")
    made = services.sessions.start(person_id=person.person_id)
    assert not isinstance(made, Problem)
    keys = {role: services.access.issue(tenant_id=OURS, role=role).text for role in Role}
    services.access.issue(tenant_id=THEIRS, role=Role.AUDITOR)
    with TestClient(app=world.site()) as client:  # type: ignore[arg-type]
        client.cookies.set(SESSION, made.token)
        found = TOKEN.search(client.get("/profile").text)
        assert found
        yield Crossing(
            world=world,
            client=client,
            keys=keys,
            session=made.token,
            form_token=found[1],
            theirs=_known(world, THEIRS),
            ours=_known(world, OURS),
        )
    world.close()


def _what_stands_still(world: World, tenant: str, connection: str) -> None:
    """An invoice without a day, one that can't be read, and a correction."""
    undated = invoice(status_transitions={"finalized_at": None}) | {"id": f"in_undated_{tenant}"}
    undated["number"] = NUMBER_OF_THEIRS if tenant == THEIRS else "B-1"
    undated["customer_name"] = NAME_OF_THEIRS if tenant == THEIRS else "Bea Birch"
    broken = invoice() | {"id": f"in_broken_{tenant}", "total": "many"}
    told = [webhook("invoice.finalized", one, created=at(4)) for one in (undated, broken)]
    world.harness.accept(tenant, connection, told, form=Form.MESSAGE)
    world.harness.derive_all()
    with world.runtime.services.database.read(tenants=[tenant]) as open_connection:
        fact = next(
            one
            for one in fact_log.facts_page(open_connection, tenant_id=tenant, after=(0, 0), limit=1_000, kind="invoice")
            if one.translated.source.outside_id == undated["id"]
        )
    made = world.runtime.services.corrections.propose(
        tenant_id=tenant,
        subject_kind="fact",
        subject_id=fact.fact_id,
        body=webhook("invoice.finalized", {**undated, "number": f"{undated['number']}-b"}, created=at(4)),
        actor="person:test",
        reason=f"a copy for {tenant}",
    )
    assert not isinstance(made, Problem), made
    started = world.runtime.services.bulk.start(
        tenant_id=tenant, kind="retry", given={}, actor="person:test", reason=f"an act for {tenant}"
    )
    assert not isinstance(started, Problem), started


def _known(world: World, tenant: str) -> Known:
    services = world.runtime.services
    with services.database.read(tenants=[tenant]) as connection:
        stood = cases.cases(connection, tenant_id=tenant, limit=50)
        sent = deliveries.deliveries(connection, tenant_id=tenant, limit=5)
        facts = fact_log.facts_page(connection, tenant_id=tenant, after=(0, 0), limit=5, kind="")
        mended = corrections(connection, tenant_id=tenant)
        journals = connection.execute(
            select(journal.c.journal_id).where(journal.c.tenant_id == tenant).limit(1)
        ).scalars()
        events = connection.execute(
            select(accounting_event.c.event_id).where(accounting_event.c.tenant_id == tenant).limit(1)
        ).scalars()
        ids = {
            "case": [one.case_id for one in stood[:1]],
            "cause": sorted({one.cause_id for one in stood})[:1],
            "subject": [one.subject_id for one in stood[:2]],
            "document": [one.document_id for one in sent[:1]],
            "reference": [one.external_reference for one in sent[:1]],
            "fact": [one.fact_id for one in facts[:1]],
            "outside": [f"in_undated_{tenant}"],
            "journal": list(journals),
            "event": list(events),
            "correction": [one.correction_id for one in mended[:1]],
            "act": [one.act_id for one in bulk.acts(connection, tenant_id=tenant)],
        }
    assert all(ids.values()), ids
    people = [one for one in services.people.people(tenant_id=tenant) if tenant in one.grants]
    ids["person"] = [one.person_id for one in people]
    ids["key"] = [one.key_id for one in services.access.keys(tenant_id=tenant)]
    words: Sequence[str] = (
        () if tenant == OURS else (CANARY, NAME_OF_THEIRS, NUMBER_OF_THEIRS, "nils@example.com", "Nils Berg")
    )
    return Known(ids=ids, words=(*words, *(one for found in ids.values() for one in found)))
