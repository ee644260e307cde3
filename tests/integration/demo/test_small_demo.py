"""The small demonstration as a user starts it: it proves itself, leaves the console open, and ends whatever it started."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`revline demo --small --keep`, ended whatever happens."""
    command = [sys.executable, "-m", "revline", "demo", "--small", "--keep", "--folder", str(tmp_path / "demo")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REVLINE_")}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment | {"PYTHONUNBUFFERED": "1"},
    )
    yield process
    if process.poll() is None:
        process.terminate()
        process.wait(timeout=60)


def descendants(process_id: int) -> set[int]:
    """Every process under one, as the kernel has them."""
    found: set[int] = set()
    for children in Path(f"/proc/{process_id}/task").glob("*/children"):
        for one in map(int, children.read_text().split()):
            found |= {one} | descendants(one)
    return found


def said_until(process: subprocess.Popen[str], end: str) -> str:
    """What it says up to a line."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if end in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def test_every_total_is_equal_everybody_is_told_and_the_console_opens(demo: subprocess.Popen[str]) -> None:
    said = said_until(demo, "Press Ctrl-C")
    assert "Every total is equal." in said
    assert "NOT E" not in said
    assert re.search(r"charge lines come to ([\d,.]+) USD; whoever made the events counts \1 USD", said)
    assert re.search(r"A mapping is missing +netsuite +taxes:txr_birch_20", said)
    for whom in ("Stripe invoices", "Salesforce orders", "webhook endpoint"):
        told, right = re.search(rf"{whom} +(\d+) +(\d+)", said).groups()  # type: ignore[union-attr]
        assert int(told) == int(right) > 0
    assert re.search(r"birch: \d+ facts in, \d+ documents posted, 0 cases open", said)
    address = re.search(r"console is open: (\S+)", said).group(1)  # type: ignore[union-attr]
    number = re.search(r"Search (\S+),", said).group(1)  # type: ignore[union-attr]
    email, password = (re.search(rf"{name} +(\S+)", said).group(1) for name in ("e-mail", "password"))  # type: ignore[union-attr]
    with httpx2.Client(base_url=address, trust_env=False, follow_redirects=True, timeout=30) as browser:
        token = re.search(r'name="token" value="([^"]+)"', browser.get("/login").text).group(1)  # type: ignore[union-attr]
        landed = browser.post("/login", data={"email": email, "password": password, "token": token})
        assert "/t/" in str(landed.url), landed.text[:500]
        way = browser.get("/t/birch/trace", params={"id": number, "as": "timeline"}).text
    for kind in ("order", "quote", "opportunity", "subscription", "invoice"):
        assert kind in way
    started = descendants(demo.pid)
    assert started
    demo.terminate()
    assert demo.wait(timeout=60) == 130
    assert not [one for one in started if Path(f"/proc/{one}").exists()]
