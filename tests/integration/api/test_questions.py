"""Questions answered at once: the same answers as derive and posting give, and not a row written for any of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlalchemy import event, text

from revline.app.asking import answers_of
from revline.doors.api.app import Api, create_app
from revline.doors.api.questions import QuestionRoutes, question_handlers
from revline.platform.access.roles import Role
from revline.platform.store.engine import Database
from tests.harness import Harness
from tests.integration.api.conftest import make_ports
from tests.integration.derive.world import CONNECTION, TENANT, application, at, charge, customer, invoice, tell, webhook

POLICY = """
apiVersion: revline/v1
kind: CreditPolicy
metadata: {name: default, tenant: aurora}
spec: {limits: {USD: "150.00"}, blockOverdueDays: 30}
"""
ISSUED_AT = "2026-01-04T12:00:00Z"


class Asked:
    """A Revline with one customer and one invoice, and a client that may read."""

    def __init__(self, *, harness: Harness, client: TestClient[Api], key: str, sending: str) -> None:
        self.harness, self.client, self.sending = harness, client, sending
        self.headers = {"authorization": f"Bearer {key}"}

    def post(self, path: str, body: Any) -> Any:
        return self.client.post(path, json=body, headers=self.headers)

    def get(self, path: str, **parameters: str) -> Any:
        return self.client.get(path, params=parameters, headers=self.headers)


@pytest.fixture
def asked(database: Database, tmp_path: Path) -> Iterator[Asked]:
    harness = Harness(database=database, folder=tmp_path / "configuration")
    (harness.folder / TENANT / "80-credit.yaml").write_text(POLICY, encoding="utf-8")
    harness.apply()
    tell(
        harness,
        webhook("customer.created", customer(), created=at(1)),
        webhook("invoice.finalized", invoice(), created=at(4)),
    )
    answers = answers_of(database=database, directory=harness.directory, clock=harness.clock)
    ports = replace(
        make_ports(database),
        tenant_active=lambda tenant_id: tenant_id == TENANT,
        routes=(lambda threads: question_handlers(QuestionRoutes(answers=answers, threads=threads)),),
    )
    key, sending = (ports.access.issue(tenant_id=TENANT, role=role).text for role in (Role.AUDITOR, Role.INGEST))
    with TestClient(app=create_app(ports)) as client:
        yield Asked(harness=harness, client=client, key=key, sending=sending)
    harness.close()


def canonical_invoice(**more: Any) -> dict[str, Any]:
    line = {
        "outside_id": "il_9", "description": "Work", "quantity": "2", "unit_price": "30.00", "amount": "60.00", "net": "60.00",
    }  # fmt: skip
    return {
        "outside_id": "in_9", "number": "A-9", "status": "open", "customer": "cus_1", "currency": "USD", "subtotal": "60.00",
        "discount_total": "0.00", "tax_total": "0.00", "total": "60.00", "amount_paid": "0.00", "amount_remaining": "60.00",
        "lines": [line], "created_at": ISSUED_AT, "finalized_at": ISSUED_AT, **more,
    }  # fmt: skip


def order(**more: Any) -> dict[str, Any]:
    line = {"outside_id": "ol_1", "product": "prod_1", "quantity": "3", "unit_price": "10.00", "total": "30.00"}
    return {
        "outside_id": "o_1", "number": "SO-1", "status": "draft", "customer": "cus_1", "currency": "USD", "total": "30.00",
        "lines": [line], "start_date": "2026-02-10", "created_at": ISSUED_AT, **more,
    }  # fmt: skip


def position(database: Database) -> int:
    with database.read(tenants=[TENANT]) as connection:
        found = connection.execute(text("SELECT position FROM counter WHERE tenant_id = :tenant"), {"tenant": TENANT})
        return int(found.scalar_one())


def codes(answer: Any) -> set[str]:
    return {reason["code"] for reason in answer.json()["reasons"]}


def questions(asked: Asked) -> list[Any]:
    """Every question once."""
    root = {"connection": CONNECTION, "kind": "invoice", "outside_id": "in_1"}
    given = {"connection": CONNECTION, "facts": [{"kind": "invoice", "object": canonical_invoice()}]}
    draft = {
        "customer": "cus_1",
        "currency": "USD",
        "issued_at": ISSUED_AT,
        "lines": [{"quantity": "1", "unit_price": "5"}],
    }
    return [
        asked.post("/v1/preview/journal", {"root": root}),
        asked.post("/v1/preview/journal", given),
        asked.post("/v1/preview/invoice", {"connection": CONNECTION, "draft": draft}),
        asked.post("/v1/preview/invoice", {"connection": CONNECTION, "order": order()}),
        asked.post("/v1/validate/order", {"connection": CONNECTION, "order": order()}),
        asked.get("/v1/customers/cus_1/credit"),
        asked.get("/v1/master-data/accounts"),
        asked.get("/v1/master-data/customers", key="cus_1"),
    ]


def test_no_question_writes_anything(asked: Asked, database: Database) -> None:
    writes: list[str] = []
    before = position(database)

    def listen(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.lstrip().split(None, 1)[0].upper() in {"INSERT", "UPDATE", "DELETE", "COPY", "MERGE"}:
            writes.append(statement)

    event.listen(database.engine, "before_cursor_execute", listen)
    try:
        answers = questions(asked)
    finally:
        event.remove(database.engine, "before_cursor_execute", listen)
    assert [answer.status_code for answer in answers] == [200] * len(answers), [one.text for one in answers]
    assert writes == []
    assert position(database) == before


def test_a_journal_previewed_is_the_journal_booked(asked: Asked) -> None:
    answer = asked.post(
        "/v1/preview/journal",
        {"connection": CONNECTION, "facts": [{"kind": "invoice", "object": canonical_invoice()}]},
    ).json()
    (root,) = answer["roots"]
    (issued,) = root["events"]
    (journal,) = issued["journals"]
    assert issued["event"]["kind"] == "invoice.issued"
    assert journal["rule"]
    assert journal["rule_file"].endswith(".yaml")
    assert journal["rule_line"] > 0
    assert sum(Decimal(line["debit"]) for line in journal["entry"]["lines"]) == Decimal("60.00")
    assert sum(Decimal(line["credit"]) for line in journal["entry"]["lines"]) == Decimal("60.00")
    assert [document["kind"] for document in issued["documents"]] == ["invoice"]
    assert not root["booked"]
    assert [one["change"] for one in root["differences"]] == ["book"]


def test_a_known_record_previews_what_is_booked_and_changes_nothing(asked: Asked) -> None:
    root = {"connection": CONNECTION, "kind": "invoice", "outside_id": "in_1"}
    (found,) = asked.post("/v1/preview/journal", {"root": root}).json()["roots"]
    assert found["booked"]
    assert found["differences"] == []
    with asked.harness.database.read(tenants=[TENANT]) as connection:
        booked = connection.execute(
            text("SELECT content FROM journal WHERE tenant_id = :tenant"), {"tenant": TENANT}
        ).scalars()
        ids = set(booked)
    (issued,) = found["events"]
    assert any(issued["journals"][0]["entry"]["journal_id"] in content for content in ids)


def test_an_edited_copy_shows_the_reversal_and_what_is_booked_instead(asked: Asked) -> None:
    edited = canonical_invoice(outside_id="in_1", number="A-1")
    root = {"connection": CONNECTION, "kind": "invoice", "outside_id": "in_1"}
    answer = asked.post("/v1/preview/journal", {"root": root, "facts": [{"kind": "invoice", "object": edited}]})
    (found,) = answer.json()["roots"]
    assert [one["change"] for one in found["differences"]] == ["reverse", "book"]
    assert found["events"][0]["event"]["payload"]["total"] == "60.00"


def test_a_preview_names_what_is_missing(asked: Asked) -> None:
    unknown = canonical_invoice(customer="cus_404")
    answer = asked.post(
        "/v1/preview/journal", {"connection": CONNECTION, "facts": [{"kind": "invoice", "object": unknown}]}
    )
    assert "preview.reference_unknown" in codes(answer)
    assert not answer.json()["postable"]
    foreign = canonical_invoice(currency="GBP")
    answer = asked.post(
        "/v1/preview/journal", {"connection": CONNECTION, "facts": [{"kind": "invoice", "object": foreign}]}
    )
    assert "posting.rate_missing" in codes(answer)


def test_a_cloud_event_is_taken_as_it_would_be_sent(asked: Asked) -> None:
    sent = {
        "specversion": "1.0", "id": "e-1", "source": "//billing", "type": "revline.invoice.v1", "time": ISSUED_AT,
        "data": canonical_invoice(),
    }  # fmt: skip
    answer = asked.post("/v1/preview/journal", {"connection": CONNECTION, "facts": [sent]})
    assert answer.status_code == 200, answer.text
    wrong = {**sent, "data": {**canonical_invoice(), "totl": "1.00"}}
    refused = asked.post("/v1/preview/journal", {"connection": CONNECTION, "facts": [wrong]})
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "events.data_invalid"


def test_an_invoice_is_previewed_to_the_cent(asked: Asked) -> None:
    draft = {
        "customer": "cus_1", "currency": "USD", "issued_at": ISSUED_AT,
        "lines": [
            {"product": "prod_1", "quantity": "3", "unit_price": "0.3335", "discount": "0.10"},
            {"product": "prod_2", "quantity": "1", "unit_price": "10.00",
             "taxes": [{"amount": "0.83", "taxable": "10.00", "rate": "ny"}]},
        ],
    }  # fmt: skip
    answer = asked.post("/v1/preview/invoice", {"connection": CONNECTION, "draft": draft}).json()
    made, rounding = answer["invoice"], answer["rounding"]
    assert (made["subtotal"], made["discount_total"], made["tax_total"], made["total"]) == (
        "11.00",
        "0.10",
        "0.83",
        "11.73",
    )
    assert rounding["rule"] == "half_up"
    assert rounding["lines"] == [{"line": "preview-1", "exact": "1.0005", "rounded": "1.00", "residue": "0.0005"}]
    (event_of,) = answer["roots"][0]["events"]
    lines = event_of["journals"][0]["entry"]["lines"]
    assert sum(Decimal(line["debit"]) for line in lines) == sum(Decimal(line["credit"]) for line in lines)


def test_a_draft_that_can_not_be_billed_names_the_line(asked: Asked) -> None:
    draft = {
        "customer": "cus_1", "currency": "USD", "issued_at": ISSUED_AT,
        "lines": [{"quantity": "1", "unit_price": "1.00", "discount": "0.001"}],
    }  # fmt: skip
    answer = asked.post("/v1/preview/invoice", {"connection": CONNECTION, "draft": draft})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/lines/0/discount"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"customer": "cus_404"}, "order.customer_unknown"),
        ({"total": "31.00"}, "order.sum_wrong"),
        ({"lines": [], "total": "0.00"}, "order.lines_missing"),
        ({"start_date": None}, "order.term_missing"),
        ({"end_date": "2026-02-01"}, "order.term_invalid"),
        ({"currency": "GBP"}, "posting.rate_missing"),
        (
            {"lines": [{"outside_id": "1", "product": "p", "quantity": "1", "unit_price": "9.00", "total": "30.00"}]},
            "order.line_sum_wrong",
        ),
        (
            {
                "total": "60.00",
                "lines": [
                    {"outside_id": "1", "product": "p", "quantity": "2", "unit_price": "30.00", "total": "60.00"}
                ],
            },
            "credit.limit_exceeded",
        ),
    ],
)
def test_an_order_that_can_not_be_carried_out_says_why(asked: Asked, changes: dict[str, Any], code: str) -> None:
    answer = asked.post("/v1/validate/order", {"connection": CONNECTION, "order": order(**changes)})
    assert answer.status_code == 200, answer.text
    assert code in codes(answer), answer.json()
    assert not answer.json()["accepted"]


def test_a_good_order_is_accepted(asked: Asked) -> None:
    answer = asked.post("/v1/validate/order", {"connection": CONNECTION, "order": order()})
    assert answer.json() == {"accepted": True, "reasons": []}


def test_a_closed_period_stands_against_an_order(asked: Asked, database: Database) -> None:
    with database.unit(
        tenants=[TENANT], kind="periods", actor="test", reason="a test", recorded_at=asked.harness.clock.now()
    ) as unit:
        unit.connection.execute(
            text(
                "INSERT INTO erp_period (tenant_id, connection, company, name, start_day, end_day, state, seen_at, position)"
                " VALUES (:tenant, 'tryton', 'AURORA-US', '2026-02', '2026-02-01', '2026-03-01', 'closed', :now, 1)"
            ),
            {"tenant": TENANT, "now": asked.harness.clock.now()},
        )
    answer = asked.post("/v1/validate/order", {"connection": CONNECTION, "order": order()})
    assert "erp.period_closed" in codes(answer)


def test_credit_is_what_is_open_against_the_limit(asked: Asked) -> None:
    first = asked.get("/v1/customers/cus_1/credit", as_of="2026-01-10").json()
    (usd,) = first["currencies"]
    assert (usd["open_amount"], usd["balance"], usd["limit"], usd["available"]) == (
        "100.00",
        "100.00",
        "150.00",
        "50.00",
    )
    assert not first["blocked"]
    tell(
        asked.harness,
        webhook("charge.succeeded", charge(), created=at(5)),
        webhook("invoice_payment.paid", application(), created=at(5)),
    )
    (usd,) = asked.get("/v1/customers/cus_1/credit", as_of="2026-01-10").json()["currencies"]
    assert (usd["balance"], usd["available"]) == ("0.00", "150.00")
    (usd,) = asked.get("/v1/customers/cus_1/credit", as_of="2026-01-04").json()["currencies"]
    assert usd["balance"] == "100.00"


def test_a_customer_over_the_limit_is_blocked_with_the_reason(asked: Asked) -> None:
    more = invoice(total=9_000, id="in_2", number="A-2")
    tell(asked.harness, webhook("invoice.finalized", more, created=at(4)))
    answer = asked.get("/v1/customers/cus_1/credit", as_of="2026-01-10")
    assert answer.json()["blocked"]
    assert codes(answer) == {"credit.limit_exceeded"}


def test_a_customer_nobody_knows_is_a_problem(asked: Asked) -> None:
    answer = asked.get("/v1/customers/cus_404/credit")
    assert answer.status_code == 404
    assert answer.json()["code"] == "customer.unknown"


def test_master_data_says_what_an_erp_calls_a_key_or_why_not(asked: Asked) -> None:
    rows = asked.get("/v1/master-data/accounts", key="accounts_receivable").json()["rows"]
    assert {row["entity"] for row in rows} == {"aurora-us", "aurora-de"}
    assert all(row["code"] and not row["reason"] for row in rows)
    missing = asked.get("/v1/master-data/accounts", key="no_such_account").json()["rows"]
    assert {row["reason"] for row in missing} == {"mapping.missing"}
    (customer_row,) = [
        row
        for row in asked.get("/v1/master-data/customers", key="cus_1").json()["rows"]
        if row["entity"] == "aurora-us"
    ]
    assert customer_row["reason"] == "erp.record_missing"
    books = asked.get("/v1/master-data/books").json()["rows"]
    assert {row["key"] for row in books} == {"us-gaap", "de-ifrs"}


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/preview/journal", {}, "connection.unknown"),
        ("/v1/preview/journal", {"connection": "nowhere"}, "connection.unknown"),
        ("/v1/preview/journal", {"connection": CONNECTION, "facts": []}, "preview.root_unknown"),
        ("/v1/preview/journal", {"connection": CONNECTION, "fact": []}, "http.request_invalid"),
        (
            "/v1/preview/journal",
            {"connection": CONNECTION, "facts": [{"kind": "cat", "object": {}}]},
            "http.request_invalid",
        ),
        ("/v1/preview/journal", {"connection": CONNECTION, "facts": [1]}, "json.invalid"),
        ("/v1/preview/invoice", {"connection": CONNECTION}, "http.request_invalid"),
        ("/v1/validate/order", {"connection": CONNECTION}, "http.request_invalid"),
        ("/v1/validate/order", {"connection": CONNECTION, "order": {"type": "invoice"}}, "events.data_invalid"),
    ],
)
def test_a_wrong_question_is_a_problem(asked: Asked, path: str, body: Any, code: str) -> None:
    answer = asked.post(path, body)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.json()["code"] == code


def test_a_key_that_only_sends_may_not_ask(asked: Asked) -> None:
    answer = asked.client.get("/v1/master-data/books", headers={"authorization": f"Bearer {asked.sending}"})
    assert answer.status_code == 403
