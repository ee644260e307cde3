"""Secrets and names that were planted are looked for wherever somebody or something may read."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from sqlalchemy import select

from revline.core.problem import Problem, problem
from revline.delivery.tables import attempt
from revline.doors.console.pages.registry import PAGES
from revline.doors.masking import MASK
from revline.intake.values import Form
from revline.platform.cases.record import NewCase, open_cases
from revline.platform.logs import configure
from revline.platform.store.walls import metadata
from tests.harness import SECRETS
from tests.integration.crossing.conftest import OURS, THEIRS, Crossing
from tests.integration.derive.world import at, invoice, webhook
from tests.ui.world import PASSWORD

CANARY = "CANARY9f3a7c41"
PERSON = "Ada.Canary@example.com"


def hidden(crossing: Crossing) -> list[str]:
    """What nobody may read anywhere."""
    return [
        *SECRETS.values(), crossing.world.erp.token, PASSWORD, "argon2id", crossing.session, *crossing.keys.values(),
    ]  # fmt: skip


@pytest.fixture
def log_lines() -> io.StringIO:
    lines = io.StringIO()
    configure(stream=lines, level="debug")
    return lines


def test_nothing_that_is_stored_holds_a_secret(crossing: Crossing) -> None:
    """Whatever the rooms wrote for both tenants, what was sent and answered above all."""
    database = crossing.world.runtime.services.database
    with database.read(tenants=[OURS, THEIRS]) as connection:
        sent = connection.execute(select(attempt.c.request).where(attempt.c.tenant_id == OURS)).scalars().all()
        assert sent
        for table in metadata.sorted_tables:
            if "tenant_id" not in table.c:
                continue
            text = repr(connection.execute(select(table).where(table.c.tenant_id.in_([OURS, THEIRS]))).all())
            for secret in hidden(crossing):
                assert secret not in text, (table.name, secret[:6])
            assert not re.search(r"(?i)bearer [a-z0-9]|authorization['\"]", text), table.name


def test_a_far_system_that_repeats_secrets_shows_them_to_nobody(crossing: Crossing) -> None:
    """An attempt's evidence and request, should a secret have come into them all the same."""
    database = crossing.world.runtime.services.database
    with database.read(tenants=[OURS]) as connection:
        kept = connection.execute(select(attempt).where(attempt.c.tenant_id == OURS).limit(1)).mappings().one()
    planted = (
        f'{{"error": "no", "echo": {{"Authorization": "Bearer {CANARY}", "client_secret": "a\\"{CANARY}"}}}}',
        f"HTTP 400: grant_type=x&client_assertion=eyJhbGciOiJQUzI1NiJ9.{CANARY}.x&password={CANARY}",
        f'HTTP 500: {{"detail": "cut", "access_token": "{CANARY}',
    )
    document = kept["document_id"]
    now = crossing.world.runtime.clock.now()
    with database.unit(tenants=[OURS], kind="test", actor="test", reason="a test", recorded_at=now) as unit:
        about = problem("erp.rejected", "the far system said no")
        found = NewCase(tenant_id=OURS, subject_kind="document", subject_id=document, problem=about)
        (case,) = open_cases(unit, cases=[found])
    for text in planted:
        _plant(crossing, kept, evidence=text, request=text)
        for path in (f"/t/{OURS}/deliveries/{document}", f"/t/{OURS}/trace?id={document}&as=json"):
            answer = crossing.visit("GET", path)
            assert answer.status_code == 200
            assert CANARY not in answer.text, path
            assert MASK in answer.text or "as=json" in path, "the attempt is shown"
        for answer in (crossing.call("GET", f"/v1/cases/{case}"), crossing.visit("GET", f"/t/{OURS}/cases/{case}")):
            assert CANARY not in answer.text
            assert MASK in answer.text
    _plant(crossing, kept)


def _plant(crossing: Crossing, row: Any, **values: str) -> None:
    database, now = crossing.world.runtime.services.database, crossing.world.runtime.clock.now()
    key = tuple(column.name for column in attempt.primary_key if column.name != "tenant_id")
    with database.unit(tenants=[OURS], kind="test", actor="test", reason="a test", recorded_at=now) as unit:
        unit.project(attempt, key=key, **{**row, **values})


def test_a_log_says_nothing_of_what_was_asked_or_sent(crossing: Crossing, log_lines: io.StringIO) -> None:
    form = {"form_token": crossing.form_token, "reason": CANARY, "body": CANARY, "email": PERSON, "password": CANARY}
    for path in (
        f"/t/{OURS}/people/add",
        f"/t/{OURS}/keys/revoke",
        f"/t/{OURS}/cases/{CANARY}/waive",
        "/profile/password",
    ):
        crossing.visit(
            "POST", path, {**form, "old": CANARY, "new": CANARY, "token": CANARY, "key": CANARY, "role": "auditor"}
        )
    crossing.visit("POST", "/login", {"email": PERSON, "password": CANARY, "token": CANARY})
    for path in (
        f"/t/{OURS}/trace?id={CANARY}",
        f"/{CANARY}",
        f"/t/{CANARY}",
        f"/login?return_to=/{CANARY}",
        f"/login/return?code={CANARY}",
    ):
        crossing.visit("GET", path)
    for path in (
        f"/v1/trace?value={CANARY}",
        f"/v1/cases/{CANARY}",
        f"/v1/customers/{CANARY}/credit",
        f"/v1/master-data/customer?key={CANARY}",
    ):
        crossing.call("GET", path)
    crossing.call("POST", f"/v1/webhooks/stripe/{CANARY}", body={"id": CANARY}, key=CANARY)
    crossing.call(
        "POST", "/v1/corrections", body={"subject_kind": "fact", "subject_id": CANARY, "body": {}, "reason": CANARY}
    )
    written = log_lines.getvalue()
    assert "console.answered" in written
    assert "api.answered" in written
    for secret in (*hidden(crossing), CANARY, PERSON, "Canary@", crossing.form_token):
        assert secret not in written, secret[:8]


def test_pages_and_answers_of_one_tenant_show_neither_secrets_nor_the_other(crossing: Crossing) -> None:
    paths = [
        f"/t/{OURS}" + (page.path if "{" not in page.path else "")
        for page in PAGES
        if page.of_tenant and page.method == "GET"
    ]
    paths += [
        f"/t/{OURS}/{kind}/{one}"
        for kind, name in (
            ("cases", "case"),
            ("causes", "cause"),
            ("deliveries", "document"),
            ("corrections", "correction"),
        )
        for one in crossing.ours.ids[name]
    ]
    paths += [f"/t/{OURS}/mend/fact/{one}" for one in crossing.ours.ids["fact"]]
    paths += [
        f"/t/{OURS}/trace?id={one}&as={shape}"
        for one in crossing.ours.every()
        for shape in ("picture", "timeline", "json")
    ]
    paths += [
        f"/t/{OURS}/{name}?format=csv"
        for name in ("cases", "deliveries", "audit", "webhooks", "corrections", "connections", "keys")
    ]
    paths += ["/profile", "/problems", "/"]
    answers = [(path, crossing.visit("GET", path)) for path in dict.fromkeys(paths)]
    calls = [
        "/v1/facts",
        "/v1/deliveries",
        "/v1/cases",
        "/v1/causes",
        "/v1/webhook-deliveries",
        "/v1/master-data/account",
    ]
    calls += [f"/v1/cases/{one}" for one in crossing.ours.ids["case"]]
    calls += [f"/v1/trace?value={one}" for one in crossing.ours.every()]
    answers += [(path, crossing.call("GET", path)) for path in calls]
    for path, answer in answers:
        assert answer.status_code < 500, path
        for word in (*hidden(crossing), *crossing.theirs.words):
            assert word not in answer.text, (path, word[:12])


def test_a_proposed_copy_shows_what_it_changed_and_no_secret(crossing: Crossing) -> None:
    """Also of a body longer than what is shown of one elsewhere, where nothing may look as if it were taken away."""
    services = crossing.world.runtime.services
    long = {f"note_{number:04}": "x" * 60 for number in range(600)}
    told = invoice() | {"id": "in_long", "number": "L-1", "metadata": {"client_secret": CANARY, **long}}
    told["status_transitions"]["finalized_at"] = None
    body = webhook("invoice.finalized", told, created=at(4))
    (verdict,) = crossing.world.harness.accept(OURS, "stripe", [body], form=Form.MESSAGE)
    (fact,) = verdict.fact_ids
    made = services.corrections.propose(
        tenant_id=OURS, subject_kind="fact", subject_id=fact, body=body.replace(b'"L-1"', b'"L-2"'), actor="person:test",
        reason="a test",
    )  # fmt: skip
    assert not isinstance(made, Problem), made
    text = crossing.visit("GET", f"/t/{OURS}/corrections/{made.correction_id}").text
    assert CANARY not in text
    assert text.count('class="line-drop"') == text.count('class="line-add"')
    assert 0 < text.count('class="line-add"') < 5
    assert CANARY in crossing.visit("GET", f"/t/{OURS}/mend/fact/{fact}").text, "what is sent back is whole"
    auditor = services.people.find(email="aud@example.com")
    assert auditor is not None
    session = services.sessions.start(person_id=auditor.person_id)
    assert not isinstance(session, Problem)
    assert crossing.visit("GET", f"/t/{OURS}/mend/fact/{fact}", session=session.token).status_code == 403
