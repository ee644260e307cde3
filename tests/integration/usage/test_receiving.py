"""From bytes to the log and back: one shard, several shards, shards that another process owns."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from revline.core.problem import Problem
from revline.doors.usage.receiving import Receiver, Shard, shard_of
from revline.doors.usage.shards import ADDRESS_FILE, InnerDoor, LocalShard, RemoteShard
from revline.subledger.usage.log.log import UsageLog
from tests.integration.usage.conftest import event
from tests.integration.usage.world import FixedCatalogues, Heard, opened, receiver_in, receiver_over


def sent(receiver: Receiver, body: object, *, tenant_id: str = "alpha") -> Heard:
    heard = Heard()
    receiver.submit(tenant_id=tenant_id, body=msgspec.json.encode(body), told=heard)
    return heard


def test_events_are_answered_in_order_and_once(tmp_path: Path) -> None:
    with receiver_in(tmp_path) as receiver:
        sent(receiver, event(2)).result()
        mixed = [event(1), event(2), event(2, subject="cus_2"), {"no": "event"}, event(3)]
        assert sent(receiver, mixed).verdicts() == ["accepted", "duplicate", "conflict", "invalid", "accepted"]


def test_a_business_event_is_sent_to_its_own_address(tmp_path: Path) -> None:
    with receiver_in(tmp_path) as receiver:
        (answer,) = sent(receiver, event(type="revline.invoice.v1")).each()
        assert answer.problem is not None
        assert answer.problem.code == "usage.not_usage"
        assert "/v1/events" in answer.problem.entry.remedy


def test_an_event_that_nests_too_deep_is_told_of(tmp_path: Path) -> None:
    deep = b'{"id":"d","source":"s","type":"api.call","subject":"c","data":{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}}"
    with receiver_in(tmp_path) as receiver:
        heard = Heard()
        body = b"[" + deep + b"," + msgspec.json.encode(event()) + b"]"
        receiver.submit(tenant_id="alpha", body=body, told=heard)
        found = heard.result()
        assert isinstance(found, Problem)
        assert (found.code, found.detail) == ("usage.body_invalid", "the body nests too deep")
        each = Heard()
        receiver.submit_each(tenant_id="alpha", texts=[deep, msgspec.json.encode(event())], told=each)
        assert each.verdicts() == ["invalid", "accepted"]


def test_types_that_must_be_read_first_are_read_beside(tmp_path: Path) -> None:
    log = opened(tmp_path)
    receiver = Receiver(catalogues=FixedCatalogues(forgetful=True), shards={0: LocalShard(log)}, events_max=10)
    assert sent(receiver, event()).verdicts() == ["accepted"]
    receiver.close()
    log.close()


def test_a_body_of_too_many_events_is_refused_whole(tmp_path: Path) -> None:
    log = opened(tmp_path)
    receiver = Receiver(catalogues=FixedCatalogues(), shards={0: LocalShard(log)}, events_max=2)
    found = sent(receiver, [event(1), event(2), event(3)]).result()
    assert isinstance(found, Problem)
    assert found.code == "usage.too_many_events"
    assert log.watermark == 0
    receiver.close()
    log.close()


# ---- several shards


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[list[UsageLog]]:
    made = [opened(tmp_path / str(number), shard=number) for number in range(4)]
    yield made
    for log in made:
        log.close()


def test_an_identity_always_meets_the_same_shard(logs: list[UsageLog]) -> None:
    shards: dict[int, Shard] = {number: LocalShard(log) for number, log in enumerate(logs)}
    with receiver_over(shards) as receiver:
        events = [event(number) for number in range(100)]
        assert sent(receiver, events).verdicts() == ["accepted"] * 100
        assert sent(receiver, [*reversed(events), {"no": "event"}]).verdicts() == ["duplicate"] * 100 + ["invalid"]
        assert sent(receiver, [{"no": "event"}]).verdicts() == ["invalid"]
        assert sent(receiver, []).verdicts() == []
    watermarks = [log.watermark for log in logs]
    assert sum(watermarks) == 100
    assert min(watermarks) > 10


def test_one_shard_that_is_away_leaves_the_whole_request_to_be_sent_again(logs: list[UsageLog], tmp_path: Path) -> None:
    away = RemoteShard(tmp_path / "nowhere")
    shards: dict[int, Shard] = {0: LocalShard(logs[0]), 1: away}
    events = [event(number) for number in range(50)]
    with receiver_over(shards) as receiver:
        found = sent(receiver, events).result()
        assert isinstance(found, Problem)
        assert found.code == "usage.shard_away"
    taken = logs[0].watermark
    assert 0 < taken < 50
    with receiver_over({0: LocalShard(logs[0]), 1: LocalShard(logs[1])}) as receiver:
        assert sorted(sent(receiver, events).verdicts()) == ["accepted"] * (50 - taken) + ["duplicate"] * taken


def test_virtual_shards_are_spread_evenly_and_for_ever() -> None:
    assert [shard_of(virtual, shards=4) for virtual in (0, 15, 16, 31, 32, 47, 48, 63)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert {shard_of(virtual, shards=1) for virtual in range(64)} == {0}
    assert [shard_of(virtual, shards=64) for virtual in range(64)] == list(range(64))


# ---- a shard of another process


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[tuple[UsageLog, InnerDoor]]:
    log, catalogues = opened(tmp_path), FixedCatalogues()
    door = InnerDoor(shard=LocalShard(log), folder=tmp_path, types_of=catalogues.read)
    yield log, door
    door.close()
    log.close()


def test_events_reach_the_process_that_owns_the_shard(owner: tuple[UsageLog, InnerDoor], tmp_path: Path) -> None:
    remote = RemoteShard(tmp_path)
    with receiver_over({0: remote}) as receiver:
        assert receiver.not_ready() == ()
        heard = [sent(receiver, [event(number), event(number, subject="other")]) for number in range(200)]
        assert {tuple(one.verdicts()) for one in heard} == {("accepted", "conflict")}
        conflict = heard[0].each()[1].problem
        assert conflict is not None
        assert conflict.code == "usage.conflict"
        remote.close()
    assert owner[0].watermark == 200


def test_who_does_not_know_the_secret_is_not_let_in(owner: tuple[UsageLog, InnerDoor], tmp_path: Path) -> None:
    address = tmp_path / ADDRESS_FILE
    assert address.stat().st_mode & 0o077 == 0
    known = msgspec.json.decode(address.read_bytes())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ADDRESS_FILE).write_bytes(msgspec.json.encode({**known, "secret": "0" * 64}))
    with receiver_over({0: RemoteShard(tmp_path / "elsewhere")}) as receiver:
        found = sent(receiver, event()).result()
        assert isinstance(found, Problem)
        assert found.code in {"usage.unanswered", "usage.shard_away"}
    assert owner[0].watermark == 0


def test_an_owner_that_goes_away_and_another_that_comes(tmp_path: Path) -> None:
    log, catalogues = opened(tmp_path), FixedCatalogues()
    door = InnerDoor(shard=LocalShard(log), folder=tmp_path, types_of=catalogues.read)
    with receiver_over({0: RemoteShard(tmp_path)}) as receiver:
        assert sent(receiver, event()).verdicts() == ["accepted"]
        door.close()
        log.close()
        found = sent(receiver, event()).result()
        assert isinstance(found, Problem)
        assert found.entry.status == 503
        log = opened(tmp_path)
        door = InnerDoor(shard=LocalShard(log), folder=tmp_path, types_of=catalogues.read)
        assert sent(receiver, event()).verdicts() == ["duplicate"]
        door.close()
        log.close()


def test_an_owner_that_hangs_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Neither whoever hands over, who must go on at once, nor for ever whoever waits for the answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = {"port": silent.getsockname()[1], "secret": "0" * 64}
        (tmp_path / ADDRESS_FILE).write_bytes(msgspec.json.encode(address))
        with receiver_over({0: RemoteShard(tmp_path, answer_seconds=0.4)}) as receiver:
            began = time.monotonic()
            heard = [
                sent(receiver, [event(number, data={"tokens": 1, "note": "x" * 1_000}) for number in range(1_000)])
            ]
            heard += [sent(receiver, event(number)) for number in range(50)]
            assert time.monotonic() - began < 2
            found = [one.result() for one in heard]
    assert {one.code for one in found if isinstance(one, Problem)} <= {"usage.unanswered", "usage.shard_away"}
    assert len(found) == 51


# ---- requests of one event


def test_single_events_that_come_together_are_each_answered_for_themselves(tmp_path: Path) -> None:
    with receiver_in(tmp_path) as receiver:
        assert sent(receiver, event(7)).verdicts() == ["accepted"]
        bodies: list[tuple[object, str]] = []
        for number in range(10, 200):
            bodies += [
                (event(number), "accepted"),
                (event(7), "duplicate"),
                (event(7, subject="x"), "conflict"),
                (event(number, data={"tokens": "many"}, id=f"bad{number}"), "invalid"),
                (event(number, type="revline.invoice.v1", id=f"elsewhere{number}"), "invalid"),
            ]
        heard = [(sent(receiver, body), wanted) for body, wanted in bodies]
        for one, wanted in heard:
            (answer,) = one.each()
            assert answer.verdict.value == wanted
            assert (answer.problem is not None) == (wanted in {"conflict", "invalid"})
        broken = Heard()
        receiver.submit(tenant_id="alpha", body=b'{"id":', told=broken)
        found = broken.result()
        assert isinstance(found, Problem)
        assert found.code == "usage.body_invalid"


def test_single_events_of_several_tenants_stay_apart(tmp_path: Path) -> None:
    with receiver_in(tmp_path) as receiver:
        heard = [sent(receiver, event(number % 50), tenant_id=("alpha", "beta")[number % 2]) for number in range(200)]
        counts: dict[str, int] = {}
        for one in heard:
            (verdict,) = one.verdicts()
            counts[verdict] = counts.get(verdict, 0) + 1
        assert counts == {"accepted": 50, "duplicate": 150}
