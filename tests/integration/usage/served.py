"""`revline` as a real process that takes usage, over a test's database."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from revline.platform.access.roles import Role
from tests.integration.cli.conftest import Cli

ROOT = Path(__file__).resolve().parents[3]
TYPES = """apiVersion: revline/v1
kind: EventType
metadata: {name: api-call, tenant: acme}
spec: {title: API calls, type: api.call, fields: {tokens: {kind: decimal}, cached: {kind: boolean}}}
"""


def environment_of(*, app_dsn: str, owner_dsn: str, folder: Path, **more: str) -> dict[str, str]:
    return {
        "REVLINE_DSN": app_dsn,
        "REVLINE_OWNER_DSN": owner_dsn,
        "REVLINE_DATA_FOLDER": str(folder / "data"),
        "REVLINE_PORT": "0",
        **more,
    }


def prepared(environment: dict[str, str], folder: Path) -> str:
    """Applies the starter with a type of usage event; gives a key that may send."""
    cli = Cli(environment)
    cli("init", folder / "starter")
    (folder / "starter" / "90-usage.yaml").write_text(TYPES, encoding="utf-8")
    cli("config", "apply", folder / "starter")
    made = cli("keys", "issue", "--role", Role.INGEST.value, "--json").data
    return str(made["key"])


@contextmanager
def running(environment: dict[str, str], *command: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that serves; gives the process and its address. Ended by SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "revline", *command],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    assert process.stderr is not None
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                yield process, found[0]
                break
        else:
            raise AssertionError(f"it did not start: {''.join(said)}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        process.wait(timeout=20)
        process.stderr.close()
        assert "Traceback" not in rest, rest


@contextmanager
def serving_usage(*, app_dsn: str, owner_dsn: str, folder: Path) -> Iterator[tuple[str, str]]:
    """The address of a shard's process and a key."""
    environment = environment_of(app_dsn=app_dsn, owner_dsn=owner_dsn, folder=folder)
    key = prepared(environment, folder)
    with running(environment, "usage-shard", "--port", "0") as (_, url):
        yield url, key
