"""The tutorial's commands, run as they stand on the page, come to what the page says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = CHECKOUT / "docs" / "tutorial" / "ten-minutes.md"
LIMIT_SECONDS = 400


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _run(script: str, home: Path) -> str:
    """What the script says; whatever it started ends with it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REVLINE_")}
    process = subprocess.Popen(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=CHECKOUT, env=kept | {"HOME": str(home)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    assert process.returncode == 0, out[-4_000:]
    return out


def test_the_commands_lead_from_an_event_to_a_journal(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 8
    # The page names a port for people; here another program may have it.
    script = "\n".join(blocks).replace("REVLINE_PORT=8420", f"REVLINE_PORT={_free_port()}")
    # `wait` gives the code of what was told to end.
    out = _run(script.replace("\nwait\n", "\nwait || true\n"), tmp_path)
    assert '"counts":{"accepted":2}' in out
    assert '"counts":{"duplicate":2}' in out
    for line in re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL)[0].splitlines():
        assert line.strip() in out or line == "…", f"{line!r} is not in the answer"
    balance, _ = json.JSONDecoder().raw_decode(out[out.index('{"company":"ACME-US"') :])
    rows = {row["account"]: (row["debit"], row["credit"]) for row in balance["rows"]}
    assert {account: rows[account] for account in ("1100", "2400", "2200")} == {
        "1100": ("1440.00", "0.00"),
        "2400": ("0.00", "1200.00"),
        "2200": ("0.00", "240.00"),
    }
    assert "the chain of acme holds" in out
