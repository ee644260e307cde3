"""Fixtures of the console's tests in a browser: one world and one server a session, one browser context a test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from revline.doors.console.security import SESSION
from revline.platform.access.sessions import NewSession
from tests.databases import TestServer
from tests.ui.world import KEY, World, build_world

CHROMIUM = Path("/usr/bin/chromium")
SCREENSHOTS = "REVLINE_SCREENSHOTS"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers one runs them all: a world and a browser are slow to make."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("ui"))


@pytest.fixture(scope="session")
def world(
    test_server: TestServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[World]:
    """The world, in a database of its own."""
    name = f"ui_{getattr(request.config, 'workerinput', {}).get('workerid', 'alone')}"
    test_server.new_database(name)
    one = build_world(dsn=test_server.server.dsn("revline_app", name), folder=tmp_path_factory.mktemp("ui"))
    yield one
    one.close()


@contextmanager
def served(*, dsn: str, folder: Path) -> Iterator[str]:
    """`revline serve` in its own process; gives its address."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("REVLINE_")},
        "REVLINE_DSN": dsn,
        "REVLINE_PORT": "0",
        "REVLINE_CURSOR_KEY": KEY.decode(),
        "REVLINE_DATA_FOLDER": str(folder),
        "REVLINE_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "revline", "serve"], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    address = ""
    for line in process.stderr:
        if "serving on " in line:
            address = line.partition("serving on ")[2].strip()
            break
    assert address, "the server did not start"
    yield address
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture(scope="session")
def server(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server over the shared world."""
    with served(dsn=world.dsn, folder=tmp_path_factory.mktemp("served")) as address:
        yield address


@pytest.fixture(scope="session")
def base_url(server: str) -> str:
    """Where pages are."""
    return server


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Debian's Chromium, kept from talking to anybody."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    return {
        **browser_type_launch_args,
        "executable_path": str(CHROMIUM),
        "args": [*arguments, "--disable-component-update", "--disable-sync", "--force-prefers-reduced-motion"],
    }


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    """Where pages are, how large, in which zone."""
    return {
        **browser_context_args,
        "viewport": {"width": 1440, "height": 900},
        "timezone_id": "Europe/Berlin",
        "locale": "en-GB",
    }


@pytest.fixture
def page(page: Any, server: str) -> Iterator[Any]:
    """A page that fails its test on any console error, page error, or request to another origin."""
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))

    def asked(request: Any) -> None:
        if not request.url.startswith((server, "data:", "blob:")):
            wrong.append(f"off-origin: {request.url}")

    page.on("request", asked)
    page.expected_errors = []
    yield page
    left = [one for one in wrong if not any(known in one for known in page.expected_errors)]
    assert left == []


@pytest.fixture
def log_in(page: Any, world: World, base_url: str) -> Callable[[str], Any]:
    """Lets somebody in, by e-mail; gives the page they land on. The form itself has tests of its own: a password is slow to
    check, and is meant to be."""

    def go(email: str) -> Any:
        with ThreadPoolExecutor(max_workers=1) as pool:
            person = pool.submit(world.runtime.services.people.find, email=email).result()
            assert person is not None
            made = pool.submit(world.runtime.services.sessions.start, person_id=person.person_id).result()
        assert isinstance(made, NewSession)
        page.context.clear_cookies()
        page.context.add_cookies([{"name": SESSION, "value": made.token, "url": base_url, "httpOnly": True}])
        page.goto("/")
        page.wait_for_url("**/t/**")
        return page

    return go


@pytest.fixture
def picture(page: Any) -> Callable[[str], None]:
    """Saves a picture of the page, light and dark, to the folder REVLINE_SCREENSHOTS names; nothing when it names none."""

    def take(name: str) -> None:
        folder = os.environ.get(SCREENSHOTS, "")
        if not folder:
            return
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=str(Path(folder) / f"{name}-{scheme}.png"), full_page=True)
        page.emulate_media(color_scheme=None)

    return take
