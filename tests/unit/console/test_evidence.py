"""How an uncertain outcome and a listing are shown: every value a row may hold is rendered, none is taken for markup."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import ChoiceLoader, DictLoader, Environment

from revline.doors.console.rendering import make_environment

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LAYOUT = '{% import "ui.html" as ui with context %}{% block page %}{% endblock %}'
DELIVERY = '{% extends "layout.html" %}{% block page %}{% include "evidence.html" %}{% endblock %}'


def environment() -> Environment:
    assets: Any = SimpleNamespace(url=lambda *given, **more: "")
    found = make_environment(assets=assets)
    assert found.loader is not None
    found.loader = ChoiceLoader([DictLoader({"layout.html": LAYOUT, "shown.html": DELIVERY}), found.loader])
    return found


def rendered(template: str, **values: Any) -> str:
    visit = SimpleNamespace(may=lambda permission: True, session=SimpleNamespace(form_token="token"))
    return environment().get_template(template).render(visit=visit, now=NOON, url=lambda *given, **more: "#", **values)


@pytest.mark.parametrize("waited_until", [None, NOON])
def test_a_line_of_evidence_shows_what_was_asked_what_came_back_and_what_followed(
    waited_until: datetime | None,
) -> None:
    record = {"record_kind": "invoices", "erp_id": "17", "number": "INV-17", "state": "posted", "version": "3"}
    line = {
        "at": NOON,
        "asked": "look_up",
        "attempt": 1,
        "waited_until": waited_until,
        "records": [record],
        "detail": "memo is <b>theirs</b> there, ours here",
        "conclusion": "differs",
    }
    page = rendered(
        "shown.html", shown=SimpleNamespace(account=("Sent again as attempt 2: because.",), evidence=(line,))
    )
    assert "Sent again as attempt 2" in page
    assert "INV-17" in page
    assert "&lt;b&gt;theirs" in page
    assert "<b>theirs" not in page


def test_a_document_that_went_its_way_shows_nothing_of_it() -> None:
    assert rendered("shown.html", shown=SimpleNamespace(account=(), evidence=())).strip() == ""


def test_a_connection_shows_what_its_listings_found() -> None:
    names = ("records", "ours", "resolved", "doubled", "unexpected", "missing", "changed")
    counts = {name: number for number, name in enumerate(names, start=11)}
    one = SimpleNamespace(
        record_kind="invoices",
        company="US01",
        running=True,
        gap_at=NOON,
        gap="the cursor is forgotten",
        problem_code="erp.unreachable",
        problem_detail="nobody answered",
        ended_at=None,
        **counts,
    )
    spec = SimpleNamespace(connector="simulated", sandbox=False, entity="", pool="", settings={})
    page = rendered(
        "connection.html",
        name="erp",
        spec=spec,
        source=False,
        pool=None,
        health=("quiet", ""),
        heard=None,
        posted=None,
        backlog=[],
        causes=[],
        mappings=[],
        translator="",
        secrets=[],
        listed=[one],
    )
    for said in ("US01", "being listed", "the cursor is forgotten", "nobody answered", "List again"):
        assert said in page, said
