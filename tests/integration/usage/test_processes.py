"""Real processes over one data folder: who owns which shard, who hands over to whom, and what happens when one is killed."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from revline.doors.api.server import free_port
from tests.integration.cli.conftest import Cli
from tests.integration.usage.conftest import event
from tests.integration.usage.served import ROOT, environment_of, prepared, running

sys.path.insert(0, str(ROOT / "clients" / "python-usage" / "src"))

from revline_usage import Refused, Sender

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(app_dsn: str, owner_dsn: str, tmp_path: Path) -> dict[str, str]:
    return environment_of(app_dsn=app_dsn, owner_dsn=owner_dsn, folder=tmp_path, REVLINE_USAGE_SHARDS="2")


@pytest.fixture
def key(environment: dict[str, str], tmp_path: Path) -> str:
    return prepared(environment, tmp_path)


def asked(url: str, *, key: str = "", body: bytes | None = None) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def sent(url: str, key: str, numbers: range) -> tuple[int, Any]:
    return asked(f"{url}/v1/usage", key=key, body=msgspec.json.encode([event(number) for number in numbers]))


@pytest.fixture
def shard(environment: dict[str, str], key: str) -> Iterator[str]:
    with running(environment, "usage-shard", "--shard", "1", "--port", "0") as (_, url):
        yield url


def test_a_server_owns_what_nobody_has_and_hands_over_the_rest(
    environment: dict[str, str], key: str, tmp_path: Path
) -> None:
    file = tmp_path / "usage.ndjson"
    file.write_bytes(b"\n".join(msgspec.json.encode(event(number)) for number in range(300)))
    cli = Cli(environment)
    with running(environment, "usage-shard", "--shard", "1", "--port", "0") as (owner, shard_url):
        assert asked(f"{shard_url}/livez") == (200, {"status": "alive"})
        assert asked(f"{shard_url}/readyz") == (200, {"status": "ready"})
        # Of the two shards it has one, and nobody owns the other yet: half of the events have nowhere to go.
        assert sent(shard_url, key, range(100))[1]["code"] == "usage.shard_away"
        with running(environment, "serve") as (_, url):
            assert asked(f"{url}/readyz") == (200, {"status": "ready"})
            counts = sent(url, key, range(100))[1]["counts"]
            assert sum(counts.values()) == 100
            assert 0 < counts["accepted"] < 100
            assert sent(shard_url, key, range(200))[1]["counts"] == {"accepted": 100, "duplicate": 100}
            # A command has no shard of its own while others do; it hands its file over.
            assert cli("import", file, "--usage", "--json").data["counts"] == {"accepted": 100, "duplicate": 200}
            refused = cli("usage-shard", "--shard", "1", "--port", "0", code=1)
            assert "usage.log_owned" in refused.said
            owner.send_signal(signal.SIGKILL)
            owner.wait()
            status, told = sent(url, key, range(100))
            assert (status, told["code"]) == (503, "usage.shard_away")
            assert asked(f"{url}/readyz") == (200, {"status": "ready"})
            with running(environment, "usage-shard", "--shard", "1", "--port", "0"):
                assert sent(url, key, range(300))[1]["counts"] == {"duplicate": 300}


def test_a_shard_s_process_serves_usage_and_nothing_else(environment: dict[str, str], key: str, shard: str) -> None:
    assert asked(f"{shard}/v1/facts", key=key)[1]["code"] == "http.not_found"
    assert asked(f"{shard}/v1/usage", key="rk_aaaaaaaa_" + "a" * 32, body=b"{}")[1]["code"] == "access.key_unknown"


def test_the_number_of_shards_can_t_be_changed(environment: dict[str, str], key: str, shard: str) -> None:
    refused = Cli(environment)("usage-shard", "--port", "0", code=1, REVLINE_USAGE_SHARDS="4")
    assert "usage.layout_differs" in refused.said


def test_a_server_that_may_own_no_shard_hands_all_over(environment: dict[str, str], key: str) -> None:
    only = {**environment, "REVLINE_USAGE_IN_SERVE": "false"}
    with running(only, "usage-shard", "--port", "0"), running(only, "serve") as (_, url):
        assert sent(url, key, range(50))[1]["counts"] == {"accepted": 50}


@pytest.mark.chaos
def test_a_sender_and_a_shard_that_is_killed_lose_and_double_nothing(
    environment: dict[str, str], key: str, tmp_path: Path
) -> None:
    port = free_port()
    wanted = 4_000
    verdicts: list[Refused] = []
    with Sender(
        url=f"http://127.0.0.1:{port}",
        key=key,
        outbox=tmp_path / "outbox.sqlite",
        source="//app.example/gateway",
        batch_events=50,
        linger_seconds=0.01,
        on_refused=verdicts.append,
    ) as usage:
        sending = threading.Thread(target=lambda: [_send(usage, number) for number in range(wanted)])
        sending.start()
        for _ in range(3):
            with running(environment, "usage-shard", "--port", str(port)) as (process, _):
                time.sleep(1.5)
                process.kill()
                process.wait()
        with running(environment, "usage-shard", "--port", str(port)) as (_, url):
            sending.join()
            assert usage.flush(timeout=60)
            counts: dict[str, int] = {}
            for start in range(0, wanted, 1_000):
                for name, count in sent(url, key, range(start, start + 1_000))[1]["counts"].items():
                    counts[name] = counts.get(name, 0) + count
    assert verdicts == []
    assert counts == {"duplicate": wanted}


def _send(usage: Sender, number: int) -> None:
    one = event(number)
    usage.send(
        type=one["type"],
        subject=one["subject"],
        id=one["id"],
        data=one["data"],
        time=datetime.fromisoformat(one["time"]),
    )
    time.sleep(0.001)
