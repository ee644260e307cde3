"""revline-usage, the sender for product code: nothing lost, nothing twice, whatever the network, the server or the process do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[3]
CLIENT = ROOT / "clients" / "python-usage" / "src"
sys.path.insert(0, str(CLIENT))

from revline_usage import HttpTransport, NotAnEvent, OutboxFull, Refused, Reply, Sender, SenderProblem  # noqa: E402

MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Server:
    """A transport that answers as the server does; what it is told to say comes first."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], Any] = {}
        self.sizes: list[int] = []
        self.say: list[Reply] = []
        self.refuse: Mapping[str, str] = {}
        self.lose_answers = 0

    def post(self, body: bytes) -> Reply:
        events = msgspec.json.decode(body)
        self.sizes.append(len(events))
        if self.say:
            return self.say.pop(0)
        told = []
        for one in events:
            key = (one["source"], one["id"])
            verdict = self.refuse.get(one["id"]) or ("duplicate" if key in self.stored else "accepted")
            if verdict == "accepted":
                self.stored[key] = one
            wrong = verdict in {"conflict", "invalid"}
            told.append({"verdict": verdict, **({"problem": {"code": "usage." + verdict}} if wrong else {})})
        if self.lose_answers:
            self.lose_answers -= 1
            return Reply(0, {})
        return Reply(200, {"events": told})

    def close(self) -> None:
        pass


@pytest.fixture
def server() -> Server:
    return Server()


def sender(tmp_path: Path, server: Any, **more: Any) -> Sender:
    given = {"background": False, "source": "//app", **more}
    return Sender(outbox=tmp_path / "outbox.sqlite", transport=server, **given)


# ---- events


def test_an_event_is_on_disk_when_send_returns_and_gone_when_it_is_answered(tmp_path: Path, server: Server) -> None:
    usage = sender(tmp_path, server)
    identity = usage.send(
        type="api.call", subject="cus_1", data={"tokens": 12, "seconds": Decimal("0.350")}, time=MOMENT
    )
    assert usage.waiting() == 1
    assert (tmp_path / "outbox.sqlite").stat().st_mode & 0o077 == 0
    assert usage.step() == 0
    assert usage.waiting() == 0
    assert server.stored["//app", identity] == {
        "specversion": "1.0",
        "id": identity,
        "source": "//app",
        "type": "api.call",
        "subject": "cus_1",
        "time": "2026-03-01T12:00:00Z",
        "data": {"tokens": 12, "seconds": "0.350"},
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"data": {"x": 0.1}}, "float"),
        ({"data": {"x": Decimal("NaN")}}, "finite"),
        ({"data": {"x": object()}}, "no word"),
        ({"data": {"x": {"y": [1.5]}}}, "float"),
        ({"subject": ""}, "subject"),
        ({"subject": "é" * 200}, "subject"),
        ({"time": datetime(2026, 3, 1)}, "time zone"),  # noqa: DTZ001 - what is refused
        ({"data": {"x": "y" * 70_000}}, "bytes"),
    ],
)
def test_what_can_t_be_an_event_is_told_at_once(tmp_path: Path, server: Server, given: Any, says: str) -> None:
    usage = sender(tmp_path, server)
    with pytest.raises(NotAnEvent, match=says):
        usage.send(**{"type": "api.call", "subject": "cus_1", **given})
    assert usage.waiting() == 0


def test_ids_are_in_order_of_time_and_never_the_same(tmp_path: Path, server: Server) -> None:
    usage = sender(tmp_path, server)
    made = [usage.send(type="t", subject="s") for _ in range(200)]
    assert len(set(made)) == 200
    assert all(one[14] == "7" and one[19] in "89ab" and len(one) == 36 for one in made)


def test_a_void_names_what_it_takes_back(tmp_path: Path, server: Server) -> None:
    usage = sender(tmp_path, server)
    usage.void(id="e1", subject="cus_1", reason="sent by mistake")
    usage.step()
    ((_, event),) = server.stored.items()
    assert (event["type"], event["data"]["id"]) == ("revline.usage.void", "e1")


# ---- batches, answers, back-off


def test_events_go_in_batches_by_number_and_by_size(tmp_path: Path, server: Server) -> None:
    usage = sender(tmp_path, server, batch_events=40, batch_bytes=4_000)
    for number in range(100):
        usage.send(type="t", subject="s", data={"x": "y" * (10 if number < 60 else 800)})
    assert usage.flush(timeout=5)
    assert server.sizes[0] <= 40
    assert max(server.sizes) <= 40
    assert server.sizes[-1] <= 4
    assert len(server.stored) == 100


def test_an_answer_that_is_lost_costs_a_repeat_and_nothing_else(tmp_path: Path, server: Server) -> None:
    usage = sender(tmp_path, server)
    server.lose_answers = 1
    usage.send(type="t", subject="s")
    assert usage.step() > 0
    assert usage.waiting() == 1
    assert usage.step() == 0
    assert (usage.waiting(), len(server.stored), server.sizes) == (0, 1, [1, 1])


def test_refused_events_are_told_and_kept_and_the_others_go_on(tmp_path: Path, server: Server) -> None:
    heard: list[Refused] = []
    usage = sender(tmp_path, server, on_refused=heard.append)
    server.refuse = {"e2": "conflict", "e3": "invalid"}
    for number in range(1, 5):
        usage.send(type="t", subject="s", id=f"e{number}")
    usage.step()
    assert [(one.id, one.verdict) for one in heard] == [("e2", "conflict"), ("e3", "invalid")]
    assert [(one.id, one.problem["code"]) for one in usage.refused()] == [
        ("e2", "usage.conflict"),
        ("e3", "usage.invalid"),
    ]
    assert usage.waiting() == 0
    assert (usage.forget_refused(), usage.refused()) == (2, [])


def test_the_server_s_word_on_when_to_come_again_counts(tmp_path: Path, server: Server) -> None:
    heard: list[SenderProblem] = []
    usage = sender(tmp_path, server, on_problem=heard.append)
    server.say = [Reply(429, {"code": "usage.busy", "detail": "full"}, retry_after=17.0)]
    usage.send(type="t", subject="s")
    assert usage.step() >= 17
    assert (heard[0].status, heard[0].code) == (429, "usage.busy")
    assert usage.waiting() == 1


def test_pauses_grow_and_have_an_end(tmp_path: Path, server: Server) -> None:
    usage = sender(tmp_path, server)
    usage.send(type="t", subject="s")
    server.say = [Reply(503, {})] * 60
    pauses = [usage.step() for _ in range(60)]
    assert min(pauses) > 0
    assert max(pauses[:2]) <= 2
    assert max(pauses) <= 60


def test_a_key_that_is_refused_keeps_the_events(tmp_path: Path, server: Server) -> None:
    usage = sender(tmp_path, server)
    usage.send(type="t", subject="s")
    server.say = [Reply(401, {"code": "access.key_unknown"}), Reply(403, {"code": "access.tenant_closed"})]
    assert usage.step() > 0
    assert usage.step() > 0
    assert (usage.waiting(), usage.refused()) == (1, [])
    assert usage.step() == 0


def test_a_request_that_is_refused_is_halved_down_to_the_event_it_is_for(tmp_path: Path) -> None:
    class Picky(Server):
        def post(self, body: bytes) -> Reply:
            if b'"bad"' in body:
                self.sizes.append(body.count(b'"id"'))
                return Reply(400, {"code": "usage.body_invalid"})
            return super().post(body)

    server = Picky()
    usage = sender(tmp_path, server)
    for number in range(64):
        usage.send(type="t", subject="s", id="bad" if number == 37 else f"e{number}")
    assert usage.flush(timeout=5)
    assert len(server.stored) == 63
    assert [one.id for one in usage.refused()] == ["bad"]


def test_a_full_outbox_says_so_and_drops_nothing(tmp_path: Path, server: Server) -> None:
    usage = sender(tmp_path, server, events_max=3)
    for _ in range(3):
        usage.send(type="t", subject="s")
    with pytest.raises(OutboxFull):
        usage.send(type="t", subject="s")
    usage.step()
    usage.send(type="t", subject="s")
    assert usage.waiting() == 1


# ---- processes


def test_what_one_process_left_the_next_one_sends(tmp_path: Path, server: Server) -> None:
    first = sender(tmp_path, server)
    first.send(type="t", subject="s", id="e1")
    server.say = [Reply(0, {})]
    assert not first.close(timeout=0)
    second = sender(tmp_path, server)
    assert second.waiting() == 1
    assert second.flush(timeout=5)
    assert ("//app", "e1") in server.stored


def test_one_sends_at_a_time_and_another_takes_over_when_it_is_gone(tmp_path: Path, server: Server) -> None:
    now = [1_000.0]
    first = sender(tmp_path, server, seconds=lambda: now[0])
    second = sender(tmp_path, server, seconds=lambda: now[0])
    first.send(type="t", subject="s")
    first.step()
    second.send(type="t", subject="s")
    assert second.step() > 0
    assert len(server.stored) == 1
    now[0] += 61
    assert second.step() == 0
    assert len(server.stored) == 2


KILLED = """
import sys
from revline_usage import Reply, Sender
class Away:
    def post(self, body): return Reply(0, {})
    def close(self): pass
usage = Sender(outbox=sys.argv[1], source="//app", transport=Away())
number = 0
while True:
    usage.send(type="t", subject="s", id=f"e{number}")
    print(number, flush=True)
    number += 1
"""


def test_a_process_that_is_killed_loses_nothing_it_was_told_is_kept(tmp_path: Path, server: Server) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "outbox.sqlite")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CLIENT)},
    )
    assert running.stdout is not None
    for line in running.stdout:
        if int(line) >= 200:
            break
    running.send_signal(signal.SIGKILL)
    told = 200 + len(running.stdout.readlines())
    running.wait()
    running.stdout.close()
    usage = sender(tmp_path, server, seconds=lambda: time.time() + 120)
    assert usage.flush(timeout=10)
    assert {("//app", f"e{number}") for number in range(told + 1)} <= set(server.stored)


FORKED = """
import os, sys
from revline_usage import Reply, Sender
class Away:
    def post(self, body): return Reply(0, {})
    def close(self): pass
usage = Sender(outbox=sys.argv[1], source="//app", transport=Away())
usage.send(type="t", subject="s", id="parent")
if os.fork() == 0:
    usage.send(type="t", subject="s", id="child")
    os._exit(0)
os.wait()
assert usage.waiting() == 2, usage.waiting()
os._exit(0)
"""


def test_after_a_fork_parent_and_child_both_send(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path / "outbox.sqlite")],
        env={**os.environ, "PYTHONPATH": str(CLIENT)},
        timeout=30,
        check=False,
    )
    assert done.returncode == 0


def test_a_thread_of_its_own_sends_and_threads_may_share_it(tmp_path: Path, server: Server) -> None:
    with sender(tmp_path, server, background=True, linger_seconds=0.01) as usage:
        threads = [
            threading.Thread(target=lambda: [usage.send(type="t", subject="s") for _ in range(50)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert usage.flush(timeout=10)
    assert len(server.stored) == 200


# ---- the real server


def test_against_the_real_server(serving: tuple[str, str], tmp_path: Path) -> None:
    url, key = serving
    heard: list[Refused] = []
    with Sender(
        url=url, key=lambda: key, outbox=tmp_path / "o.sqlite", source="//app", on_refused=heard.append
    ) as usage:
        for number in range(2_500):
            usage.send(type="api.call", subject="cus_1", id=f"e{number}", data={"tokens": number}, time=MOMENT)
        usage.send(type="api.call", subject="cus_1", id="e1", data={"tokens": 77}, time=MOMENT)
        usage.send(type="api.call", subject="cus_1", id="bad", data={"tokens": "many"}, time=MOMENT)
        assert usage.flush(timeout=30)
    assert sorted((one.id, one.verdict, one.problem["code"]) for one in heard) == [
        ("bad", "invalid", "usage.event_invalid"),
        ("e1", "conflict", "usage.conflict"),
    ]


def test_against_the_real_server_with_a_key_that_nobody_has(serving: tuple[str, str], tmp_path: Path) -> None:
    heard: list[SenderProblem] = []
    url, _ = serving
    usage = Sender(
        url=url,
        key="rk_aaaaaaaa_" + "a" * 32,
        outbox=tmp_path / "o.sqlite",
        source="//app",
        background=False,
        on_problem=heard.append,
    )
    usage.send(type="api.call", subject="cus_1")
    usage.step()
    assert (heard[0].status, heard[0].code, usage.waiting()) == (401, "access.key_unknown", 1)


def test_a_server_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert HttpTransport(url=f"http://127.0.0.1:{port}", key="k").post(b"[]").status == 0


@pytest.mark.parametrize("url", ["http://revline.example.com", "ftp://x", "revline.example.com", "https://x/?a=b", ""])
def test_a_key_goes_over_https_only(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        HttpTransport(url=url, key="k")


@pytest.fixture
def serving(app_dsn: str, owner_dsn: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    from tests.integration.usage.served import serving_usage  # noqa: PLC0415

    with serving_usage(app_dsn=app_dsn, owner_dsn=owner_dsn, folder=tmp_path / "server") as found:
        yield found
