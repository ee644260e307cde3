"""POST /v1/usage: who may, what a body may be, how events are answered, and how a wrong request is told what is wrong with it."""

from __future__ import annotations

import gzip
import random
import threading
import time
import zlib
from typing import Any

import msgspec
import psycopg
import pyarrow as arrow
import pytest

from revline.core.problem import CATALOGUE, problem
from revline.doors.usage.bodies import UNPACKED_BESIDE_FROM
from revline.doors.usage.ports import UsageLimits
from revline.platform.access.roles import Role
from tests.integration.usage.conftest import BODY_BYTES_MAX, Door, event, principal_of


def refused(answer: Any, code: str) -> dict[str, Any]:
    """The problem document of a refused request, complete and of the catalogue."""
    told: dict[str, Any] = answer.json()
    assert (told["code"], answer.status_code) == (code, CATALOGUE[code].status), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["status"] == answer.status_code
    assert told["remedy"]
    assert told["correlation_id"] == answer.headers["x-correlation-id"]
    return told


def zstd(data: bytes) -> bytes:
    sink = arrow.BufferOutputStream()
    with arrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


# ---- what is answered


def test_one_event_is_accepted_and_a_repeat_of_it_is_a_duplicate(door: Door) -> None:
    first, again = door.send(event()), door.send(event())
    assert first.status_code == 200
    assert first.json() == {"counts": {"accepted": 1}, "events": [{"verdict": "accepted"}]}
    assert again.json() == {"counts": {"duplicate": 1}, "events": [{"verdict": "duplicate"}]}
    assert first.headers["cache-control"] == "no-store"


def test_a_batch_is_answered_event_by_event_in_its_order(door: Door) -> None:
    door.send(event(2))
    answer = door.send([event(1), event(2), event(2, subject="cus_2"), {"no": "event"}])
    told = answer.json()
    assert answer.status_code == 200
    assert [each["verdict"] for each in told["events"]] == ["accepted", "duplicate", "conflict", "invalid"]
    assert told["counts"] == {"accepted": 1, "duplicate": 1, "conflict": 1, "invalid": 1}
    assert told["events"][2]["id"] == "e2"
    conflict = told["events"][2]["problem"]
    assert conflict["code"] == "usage.conflict"
    assert conflict["remedy"]
    assert conflict["correlation_id"] == answer.headers["x-correlation-id"]


def test_one_event_that_is_refused_answers_with_its_problem(door: Door) -> None:
    door.send(event())
    refused(door.send(event(subject="cus_2")), "usage.conflict")


@pytest.mark.parametrize("kind", ["application/json", "application/cloudevents+json; charset=utf-8"])
def test_content_types_of_one_event(door: Door, kind: str) -> None:
    assert door.send(event(), content_type=kind).status_code == 200


@pytest.mark.parametrize("kind", ["application/json", "Application/CloudEvents-Batch+JSON"])
def test_content_types_of_a_batch(door: Door, kind: str) -> None:
    assert door.send([event()], content_type=kind).status_code == 200


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("zstd", zstd), ("identity", bytes)])
def test_a_packed_body_is_unpacked(door: Door, name: str, pack: Any) -> None:
    body = pack(msgspec.json.encode([event(number) for number in range(50)]))
    assert door.send(body, content_encoding=name).json()["counts"] == {"accepted": 50}


# ---- what a body may not be


def test_another_content_type_is_refused(door: Door) -> None:
    told = refused(door.send(event(), content_type="text/csv"), "usage.content_type")
    assert "application/cloudevents-batch+json" in told["remedy"]
    refused(door.send(event(), content_type="application/json; charset=latin-1"), "usage.content_type")
    refused(door.send(event(), content_type="application/cloudevents-batch+json"), "usage.content_type")
    refused(door.send([event()], content_type="application/cloudevents+json"), "usage.content_type")


def test_another_packing_is_refused_and_the_known_ones_are_named(door: Door) -> None:
    answer = door.send(event(), content_encoding="br")
    refused(answer, "usage.content_encoding")
    assert answer.headers["accept-encoding"] == "gzip, zstd"
    refused(door.send(event(), content_encoding="gzip, gzip"), "usage.content_encoding")


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_body_that_is_not_packed_as_it_says_is_refused(door: Door, name: str) -> None:
    refused(door.send(event(), content_encoding=name), "usage.body_damaged")
    pack = gzip.compress if name == "gzip" else zstd
    whole = pack(msgspec.json.encode([event(number) for number in range(500)]))
    refused(door.send(whole[: len(whole) // 2], content_encoding=name), "usage.body_damaged")


def test_gzip_with_something_behind_it_is_refused(door: Door) -> None:
    packed = gzip.compress(msgspec.json.encode(event()))
    refused(door.send(packed + packed, content_encoding="gzip"), "usage.body_damaged")


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("zstd", zstd)])
def test_a_small_body_that_unpacks_to_a_huge_one_is_refused_at_the_limit(door: Door, name: str, pack: Any) -> None:
    bomb = pack(b" " * 20_000_000)
    assert len(bomb) < BODY_BYTES_MAX
    refused(door.send(bomb, content_encoding=name), "http.body_too_large")


def test_a_body_that_is_too_large_is_refused(door: Door) -> None:
    refused(door.send(b"x" * (BODY_BYTES_MAX + 1)), "http.body_too_large")

    def parts() -> Any:
        for _ in range(9):
            yield b"x" * (BODY_BYTES_MAX // 8)

    headers = {"content-type": "application/json", "authorization": f"Bearer {door.keys[Role.INGEST]}"}
    refused(door.client.post("/v1/usage", content=parts(), headers=headers), "http.body_too_large")
    assert door.log.submitted == []


def test_a_body_that_is_no_json_is_refused(door: Door) -> None:
    refused(door.send(b"{"), "json.invalid")
    refused(door.send(b""), "json.invalid")


def test_only_post_is_taken(door: Door) -> None:
    answer = door.send(event(), method="GET")
    refused(answer, "http.method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_zstd_that_asks_for_more_memory_than_it_may_is_refused_unread(door: Door) -> None:
    header = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([17 << 3])
    refused(door.send(header + b"\0" * 20, content_encoding="zstd"), "http.body_too_large")


def test_a_large_packed_body_is_unpacked_beside(door: Door) -> None:
    noise = random.Random(7).randbytes(50_000).hex().encode()
    body = msgspec.json.encode(event(data={"note": noise.decode()[:60_000]}))
    assert len(gzip.compress(body)) > UNPACKED_BESIDE_FROM * 0.8
    assert door.send(gzip.compress(body, compresslevel=0), content_encoding="gzip").status_code == 200


def test_bodies_that_wait_are_bounded_before_they_are_read(door: Door) -> None:
    door.log.silent = True
    answers: list[Any] = []
    body = msgspec.json.encode(event(data={"note": "x" * 60_000}))
    waiting = [threading.Thread(target=lambda: answers.append(door.send(body))) for _ in range(2)]
    for thread in waiting:
        thread.start()
    while len(door.log.submitted) < 2:
        time.sleep(0.01)
    answer = door.send(body)
    refused(answer, "usage.under_way")
    assert answer.headers["retry-after"] == "1"
    door.log.answer()
    for thread in waiting:
        thread.join()
    assert sorted(one.status_code for one in answers) == [200, 200]
    assert door.send(event(2)).status_code == 200


# ---- who may


@pytest.mark.parametrize("header", ["", "Bearer nonsense", "Basic cms6", "Bearer rk_aaaaaaaa_" + "a" * 32])
def test_without_a_good_key_nothing_is_taken(door: Door, header: str) -> None:
    answer = door.send(event(), role=None, **({"authorization": header} if header else {}))
    refused(answer, "access.key_unknown")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert door.log.submitted == []


def test_a_key_whose_role_may_not_send_is_refused(door: Door) -> None:
    refused(door.send(event(), role=Role.AUDITOR), "access.forbidden")


def test_a_key_of_a_closed_tenant_is_refused(door: Door) -> None:
    door.asked.active.discard("alpha")
    refused(door.send(event()), "access.tenant_closed")


def test_events_go_to_the_tenant_of_the_key(door: Door) -> None:
    other = door.asked.access.issue(tenant_id="beta", role=Role.INGEST).text
    assert door.send(event(), authorization=f"Bearer {other}").json()["counts"] == {"accepted": 1}
    assert door.send(event()).json()["counts"] == {"accepted": 1}
    assert [tenant for tenant, _ in door.log.submitted] == ["beta", "alpha"]


# ---- keys are remembered


def test_the_database_is_asked_once_for_many_requests(door: Door) -> None:
    for number in range(20):
        door.send(event(number))
    assert door.asked.times == 1


def test_a_wrong_key_is_asked_for_once_too(door: Door) -> None:
    for _ in range(5):
        refused(door.send(event(), authorization="Bearer rk_aaaaaaaa_" + "a" * 32), "access.key_unknown")
    assert door.asked.times == 1


def test_a_revoked_key_is_refused_five_seconds_later_at_the_latest(door: Door) -> None:
    assert door.send(event()).status_code == 200
    who = principal_of(door, Role.INGEST)
    assert door.asked.access.revoke(tenant_id="alpha", key_id=who.key_id)
    door.seconds[0] += 4.9
    assert door.send(event()).status_code == 200
    door.seconds[0] += 0.2
    refused(door.send(event()), "access.key_unknown")


def test_while_the_database_is_away_a_good_key_stays_good_for_a_while(door: Door) -> None:
    assert door.send(event()).status_code == 200
    door.asked.failure = psycopg.OperationalError("the server is away")
    door.seconds[0] += 200
    assert door.send(event()).status_code == 200
    assert door.send(event()).status_code == 200
    assert door.asked.times == 2
    door.seconds[0] += 106
    answer = door.send(event())
    refused(answer, "service.unavailable")
    assert answer.headers["retry-after"]


def test_while_the_database_is_away_an_unknown_key_is_not_let_in(door: Door) -> None:
    door.asked.failure = psycopg.OperationalError("the server is away")
    refused(door.send(event()), "service.unavailable")


def test_a_failure_nobody_foresaw_is_told_without_a_word_of_it(door: Door) -> None:
    door.asked.failure = ValueError("canary-5b1f")
    answer = door.send(event())
    refused(answer, "internal.unexpected")
    assert "canary" not in answer.text


# ---- back-pressure


class TestFewRequests:
    @pytest.fixture
    def limits(self) -> UsageLimits:
        return UsageLimits(requests_per_second=1, requests_burst=3)

    def test_a_key_that_calls_too_often_is_told_to_wait(self, door: Door) -> None:
        answers = [door.send(event(number)) for number in range(4)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429]
        refused(answers[3], "http.too_many_requests")
        assert answers[3].headers["retry-after"] == "1"
        assert answers[0].headers["ratelimit"] == '"key";r=2;t=1'


def test_a_log_that_is_full_is_passed_on_as_later(door: Door) -> None:
    door.log.refusal = problem("usage.under_way", "the queue is full")
    answer = door.send(event())
    refused(answer, "usage.under_way")
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["retryable"] == "yes"
    door.log.refusal = None
    assert door.send(event()).json()["counts"] == {"accepted": 1}


def test_zlib_without_its_gzip_frame_is_not_gzip(door: Door) -> None:
    refused(door.send(zlib.compress(b"{}"), content_encoding="gzip"), "usage.body_damaged")
