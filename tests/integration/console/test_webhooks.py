"""Messages to endpoints on their page: what was told, and telling it again with actor and reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from litestar.testing import TestClient

from revline.app.console import console_ports
from revline.app.runtime import Runtime
from revline.core.problem import Problem, problem
from revline.doors.console.app import create_console
from revline.feedback.replaying import Replayed, WebhookDelivery
from revline.platform.access.roles import Role
from tests.integration.console.conftest import KEY, NOON, Desk, MovingClock


class Told:
    """Sixty messages, of which the one called d07 is on its way and can't be told again now."""

    def __init__(self) -> None:
        self.replays: list[tuple[str, str, str, str]] = []

    def page(self, *, tenant_id: str, state: str, after: tuple[int, int], limit: int) -> Any:
        found = []
        for number in range(after[0] + 1, min(after[0] + limit, 60) + 1):
            one = WebhookDelivery(
                id=f"d{number:02}", message_id=f"msg_{number}", endpoint="partner", type="document.posted",
                about={"kind": "invoice", "id": f"in_{number}"}, state=state or "posted", attempts=1, due_at=None,
                problem_code="", problem_detail="", changed_at=NOON,
            )  # fmt: skip
            found.append((one, (number, 1)))
        return tuple(found) if tenant_id == "beta" else ()

    def replay(self, *, tenant_id: str, delivery_id: str, actor: str, reason: str) -> Replayed | Problem:
        if delivery_id == "d07":
            return problem("document.in_flight", "d07 is on its way")
        self.replays.append((tenant_id, delivery_id, actor, reason))
        return Replayed(id=delivery_id, message_id="msg", state="ready")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def desk(runtime: Runtime, clock: MovingClock, told: Told) -> Iterator[Desk]:
    outbound: Any = told
    seen = replace(runtime, services=replace(runtime.services, outbound=outbound))
    app: Any = create_console(console_ports(seen, key=KEY))
    with TestClient(app=app) as client:
        yield Desk(client, clock, seen)


def test_messages_are_listed_a_page_at_a_time(desk: Desk) -> None:
    desk.person("aud@example.com", (Role.AUDITOR, "beta"))
    desk.log_in("aud@example.com")
    first = desk.get("/t/beta/webhooks").text
    assert "in_1" in first
    assert "msg_51" not in first
    following = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    assert following.startswith("/t/beta/webhooks?cursor=")
    second = desk.get(following).text
    assert "msg_51" in second
    assert 'rel="next"' not in second
    assert desk.get(f"{following}x").status_code == 400
    assert desk.get(following.replace("webhooks", "audit")).status_code == 400, "a cursor is of one list"
    assert len(desk.get("/t/beta/webhooks?format=csv").text.splitlines()) == 61


def test_the_chosen_are_told_again_with_actor_and_reason(desk: Desk, told: Told) -> None:
    olga = desk.person("olga@example.com", (Role.OPERATOR, "beta"))
    desk.log_in("olga@example.com")
    token = desk.token("/t/beta/webhooks")
    data = {"form_token": token, "message": ["d01", "d07"], "reason": "the partner lost it"}
    answer = desk.client.post("/t/beta/webhooks/replay", data=data, follow_redirects=True)
    assert "1 of 2 are told again; d07 is on its way." in answer.text
    assert told.replays == [("beta", "d01", olga.actor, "the partner lost it")]


def test_who_only_reads_is_told_who_may(desk: Desk, told: Told) -> None:
    desk.person("finn@example.com", (Role.FINANCE, "beta"))
    desk.log_in("finn@example.com")
    assert "Takes administrator or operator" in desk.get("/t/beta/webhooks").text
    assert desk.send("/t/beta/webhooks/replay", {"message": "d01", "reason": "because"}).status_code == 403
    assert told.replays == []
