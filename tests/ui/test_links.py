"""Every link of a tenant's pages leads somewhere, and no page on the way shows a secret or anything of the other tenant."""

from __future__ import annotations

import html
import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import httpx2

from revline.core.problem import Problem
from revline.doors.console.security import SESSION
from revline.platform.access.sessions import NewSession
from tests.harness import SECRETS
from tests.ui.world import CANARY, PASSWORD, PEOPLE, World

PAGES_MAX = 250
LINK = re.compile(r'(?:href|data-href)="(/[^"#]*)"')


def session_of(world: World, email: str) -> NewSession:
    with ThreadPoolExecutor(max_workers=1) as pool:
        person = pool.submit(world.runtime.services.people.find, email=email).result()
        assert person is not None
        made = pool.submit(world.runtime.services.sessions.start, person_id=person.person_id).result()
    assert not isinstance(made, Problem)
    return made


def test_every_link_leads_somewhere_and_shows_no_secret(world: World, server: str) -> None:
    session = session_of(world, "finn@example.com")
    hidden = [*SECRETS.values(), world.erp.token, PASSWORD, "argon2id", session.token, CANARY, "nils@example.com"]
    waiting, seen = deque(["/t/birch"]), {"/t/birch"}
    shapes: dict[str, int] = {}
    with httpx2.Client(base_url=server, cookies={SESSION: session.token}, trust_env=False, timeout=60) as client:
        while waiting and len(seen) < PAGES_MAX:
            path = waiting.popleft()
            answer = client.get(path, follow_redirects=False)
            assert answer.status_code in {200, 303}, (path, answer.text[-3_000:])
            text = (
                answer.text
                if "text/" in answer.headers.get("content-type", "text/")
                else answer.content.decode("latin-1")
            )
            for secret in hidden:
                assert secret not in text, (path, secret[:6])
            assert "/t/aurora" not in text, path
            if not answer.headers.get("content-type", "").startswith("text/html"):
                continue
            for found in map(html.unescape, LINK.findall(text)):
                # Of pages of one shape a few are enough.
                shape = re.sub(r"[a-z0-9]{20,}|[0-9]+", "*", found.partition("cursor=")[0])
                if found in seen or found.startswith("/static/") or shapes.get(shape, 0) >= 4:
                    continue
                shapes[shape] = shapes.get(shape, 0) + 1
                seen.add(found)
                waiting.append(found)
    assert len(seen) > 40


def test_pages_of_every_role_show_nothing_of_the_other_tenant(world: World, server: str) -> None:
    for email, (_, _, tenant) in PEOPLE.items():
        other = {"birch": "aurora", "aurora": "birch"}.get(tenant)
        if other is None:
            continue
        session = session_of(world, email)
        with httpx2.Client(base_url=server, cookies={SESSION: session.token}, trust_env=False, timeout=60) as client:
            assert client.get(f"/t/{tenant}").status_code == 200
            for path in ("", "/audit", "/connections", "/cases", "/deliveries", "/people", "/audit?format=csv"):
                answer = client.get(f"/t/{other}{path}")
                assert answer.status_code == 404, (email, path)
            assert client.get("/all").status_code == 403
