"""A log takes events, answers each, and has them again after it was opened anew."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from revline.core.problem import Problem
from revline.platform.tenancy.data_keys import MemoryDataKeys
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.decode import decode
from revline.subledger.usage.decoding.values import Decoded
from revline.subledger.usage.events import Verdict
from revline.subledger.usage.kinds import EventType, FieldKind, UsageField
from revline.subledger.usage.log.files import log_files
from revline.subledger.usage.log.log import UsageLog
from revline.subledger.usage.log.reading import read_tail
from revline.subledger.usage.log.rows import to_table
from revline.subledger.usage.log.values import Answers, CommittedBatch, LogLimits, Offset, Submission

KEYS = MemoryDataKeys(secret=b"a secret of the test")
CALL = EventType(
    title="Calls",
    type="api.call",
    fields={
        "tokens": UsageField(kind=FieldKind.DECIMAL),
        "seconds": UsageField(kind=FieldKind.DECIMAL, scale=3),
        "region": UsageField(kind=FieldKind.TEXT),
    },
)


class At:
    def now(self) -> datetime:
        return datetime(2026, 11, 1, 12, tzinfo=UTC)


def catalogue(tenant: str = "north") -> TypeCatalogue:
    seed = KEYS.identity_seed(tenant)
    assert isinstance(seed, int)
    return TypeCatalogue(tenant_id=tenant, seed=seed, types={"call": CALL})


def decoded(body: bytes, tenant: str = "north") -> Decoded:
    found = decode(body, catalogue(tenant))
    assert isinstance(found, Decoded)
    return found


def event(number: int, data: str = '{"tokens":5,"seconds":1.5,"region":"eu"}', **more: str) -> bytes:
    extra = "".join(f',"{name}":"{value}"' for name, value in more.items())
    return (
        f'{{"specversion":"1.0","id":"e{number}","source":"api","type":"api.call","subject":"acme",'
        f'"time":"2026-11-01T10:00:00Z","data":{data}{extra}}}'
    ).encode()


def opened(folder: Path, *, limits: LogLimits | None = None) -> UsageLog:
    log = UsageLog.open(folder=folder, shard=0, keys=KEYS, clock=At(), limits=limits)
    assert isinstance(log, UsageLog)
    return log


def verdicts(log: UsageLog, body: bytes) -> list[Verdict]:
    answers = log.submit(Submission(decoded=decoded(body))).result(10)
    assert not isinstance(answers, Problem)
    return [each.verdict for each in answers.each()]


def test_an_acknowledged_event_is_a_duplicate_for_ever(tmp_path: Path) -> None:
    log = opened(tmp_path)
    assert verdicts(log, b"[" + event(1) + b"," + event(2) + b"]") == [Verdict.ACCEPTED, Verdict.ACCEPTED]
    rewritten = event(1, '{ "region" : "\\u0065u", "seconds": 15e-1, "tokens": 5.0 }', traceparent="00-1")
    assert verdicts(log, rewritten) == [Verdict.DUPLICATE]
    log.close()
    log = opened(tmp_path)
    assert verdicts(log, event(1)) == [Verdict.DUPLICATE]
    assert verdicts(log, event(1, '{"tokens":6}')) == [Verdict.CONFLICT]
    assert verdicts(log, event(3, '{"tokens":"many"}')) == [Verdict.INVALID]
    assert log.watermark == 2
    log.close()


def test_a_sender_that_can_t_take_its_answer_holds_up_nobody(tmp_path: Path) -> None:
    log = opened(tmp_path)

    def hung_up(_: Answers | Problem) -> None:
        raise ConnectionError("nobody is there any more")

    log.submit_then(Submission(decoded=decoded(event(1))), hung_up)
    assert verdicts(log, event(2)) == [Verdict.ACCEPTED]
    assert log.watermark == 2
    log.close()


def test_events_come_back_as_columns(tmp_path: Path) -> None:
    log = opened(tmp_path)
    future = log.submit(
        Submission(
            decoded=decoded(b"[" + event(1) + b"," + event(2, '{"tokens":7,"extra":[1,2.50]}') + b"]"),
            offsets=(Offset(topic="usage", partition=3, next_offset=17),),
        )
    )
    assert not isinstance(future.result(10), Problem)
    tail = read_tail(tmp_path, tenant_id="north", after=0, keys=KEYS, types=catalogue())
    assert not isinstance(tail, Problem)
    table = to_table(tail)
    assert table["sequence"].to_pylist() == [1, 2]
    assert table["rest"].to_pylist() == [None, '{"extra":[1,2.5]}']
    assert [str(one) for one in table["tokens__d18_0"].to_pylist()] == ["5", "7"]
    log.close()
    log = opened(tmp_path)
    assert log.offsets() == {("usage", 3): 17}
    log.close()


def test_a_field_that_is_missing_and_one_that_is_null_are_the_same(tmp_path: Path) -> None:
    log = opened(tmp_path)
    assert verdicts(log, event(1, '{"tokens":5}')) == [Verdict.ACCEPTED]
    assert verdicts(log, event(1, '{"tokens":5,"seconds":null,"region":null}')) == [Verdict.DUPLICATE]
    log.close()


def test_one_process_owns_a_shard(tmp_path: Path) -> None:
    log = opened(tmp_path)
    other = UsageLog.open(folder=tmp_path, shard=0, keys=KEYS, clock=At())
    assert isinstance(other, Problem)
    assert other.code == "usage.log_owned"
    log.close()
    opened(tmp_path).close()


def test_a_log_of_another_shard_is_not_opened(tmp_path: Path) -> None:
    log = opened(tmp_path)
    assert verdicts(log, event(1)) == [Verdict.ACCEPTED]
    log.close()
    other = UsageLog.open(folder=tmp_path, shard=1, keys=KEYS, clock=At())
    assert isinstance(other, Problem)
    assert other.code == "usage.log_damaged"


def test_too_much_at_once_is_refused_and_nothing_of_it_stored(tmp_path: Path) -> None:
    log = opened(tmp_path, limits=LogLimits(waiting_events_max=3))
    told: list[Answers | Problem] = []
    held, go_on = threading.Event(), threading.Event()

    def hold(answer: Answers | Problem) -> None:
        told.append(answer)
        held.set()
        go_on.wait(10)

    log.submit_then(Submission(decoded=decoded(event(1))), hold)
    held.wait(10)
    waiting = log.submit(Submission(decoded=decoded(b"[" + event(2) + b"," + event(3) + b"]")))
    refused = log.submit(Submission(decoded=decoded(b"[" + event(4) + b"," + event(5) + b"]"))).result(10)
    assert isinstance(refused, Problem)
    assert refused.code == "usage.busy"
    go_on.set()
    assert not isinstance(waiting.result(10), Problem)
    assert verdicts(log, event(4)) == [Verdict.ACCEPTED]
    log.close()


class Follower:
    def __init__(self) -> None:
        self.batches: list[CommittedBatch] = []

    def on_committed(self, batches: Sequence[CommittedBatch]) -> None:
        self.batches.extend(batches)


def test_a_follower_is_given_what_was_accepted_in_order_and_no_more(tmp_path: Path) -> None:
    log, follower = opened(tmp_path), Follower()
    log.subscribe(follower)
    many = b"[" + b",".join(event(number % 90) for number in range(100)) + b"]"
    log.commit([Submission(decoded=decoded(event(1))), Submission(decoded=decoded(event(1), "south"))])
    log.commit([Submission(decoded=decoded(many)), Submission(decoded=decoded(event(95)))])
    log.close()
    assert [(each.tenant_id, each.first_sequence, each.count) for each in follower.batches] == [
        ("north", 1, 1),
        ("south", 2, 1),
        ("north", 3, 89),
        ("north", 92, 1),
    ]
    table = to_table([each for each in follower.batches if each.tenant_id == "north"])
    assert table["sequence"].to_pylist() == [1, *range(3, 93)]
    assert len(set(table["id"].to_pylist())) == 91
    assert table["id"].to_pylist()[-1] == "e95"


def test_the_tail_is_read_from_any_sequence_on(tmp_path: Path) -> None:
    log = opened(tmp_path, limits=LogLimits(file_bytes_max=4_000))
    for number in range(0, 60, 4):
        log.commit(
            [
                Submission(decoded=decoded(b"[" + b",".join(event(number + one) for one in range(3)) + b"]")),
                Submission(decoded=decoded(event(number), "south")),
            ]
        )
    for after in (0, 1, 2, 30, 59, 60):
        found = read_tail(tmp_path, tenant_id="north", after=after, keys=KEYS, types=catalogue())
        assert not isinstance(found, Problem)
        sequences = to_table(found)["sequence"].to_pylist() if found else []
        assert sequences == [one for one in range(after + 1, 61) if one % 4]
    log.close()


def test_files_go_when_all_in_them_is_sealed_and_every_identity_in_a_run(tmp_path: Path) -> None:
    log = opened(tmp_path, limits=LogLimits(file_bytes_max=2_000, hot_events_max=20))
    for number in range(100):
        log.commit([Submission(decoded=decoded(event(number)))])
    log.identities.settle()
    files = len(log_files(tmp_path))
    assert log.delete_through(lambda _: 0) == 0
    assert 0 < log.delete_through(lambda _: 50) < files
    assert log.delete_through(lambda _: 100) > 0
    log.close()
    log = opened(tmp_path)
    assert log.watermark == 100
    assert verdicts(log, event(7)) == [Verdict.DUPLICATE]
    assert verdicts(log, event(7, '{"tokens":6}')) == [Verdict.CONFLICT]
    log.close()


def test_what_was_sealed_under_an_older_key_opens_after_a_rotation(tmp_path: Path) -> None:
    keys = MemoryDataKeys(secret=b"another")
    seed = keys.identity_seed("north")
    assert isinstance(seed, int)
    types = TypeCatalogue(tenant_id="north", seed=seed, types={"call": CALL})
    for number in (1, 2):
        log = UsageLog.open(folder=tmp_path, shard=0, keys=keys, clock=At())
        assert isinstance(log, UsageLog)
        sent = decode(event(number), types)
        assert isinstance(sent, Decoded)
        log.commit([Submission(decoded=sent)])
        log.close()
        keys.rotate("north")
    found = read_tail(tmp_path, tenant_id="north", after=0, keys=keys, types=types)
    assert not isinstance(found, Problem)
    assert to_table(found)["id"].to_pylist() == ["e1", "e2"]


def test_nothing_of_an_event_can_be_read_in_the_file(tmp_path: Path) -> None:
    log = opened(tmp_path)
    verdicts(log, event(1, '{"tokens":5,"region":"liechtenstein"}'))
    log.close()
    assert not any(b"liechtenstein" in path.read_bytes() for path in tmp_path.iterdir())


def test_a_changed_byte_before_the_end_stops_the_opening(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for number in range(3):
        verdicts(log, event(number))
    log.close()
    (path,) = log_files(tmp_path)
    whole = path.read_bytes()
    for place in range(150, len(whole) - 300, 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = UsageLog.open(folder=tmp_path, shard=0, keys=KEYS, clock=At())
        assert isinstance(found, Problem)
        assert found.code == "usage.log_damaged"
    assert log_files(tmp_path) == [path]


def test_an_acknowledged_event_stays_though_its_type_would_refuse_it_now(tmp_path: Path) -> None:
    log = opened(tmp_path)
    verdicts(log, event(1))
    log.close()
    narrow = msgspec.structs.replace(CALL, fields={"tokens": UsageField(kind=FieldKind.BOOLEAN)})
    types = TypeCatalogue(tenant_id="north", seed=catalogue().seed, types={"call": narrow})
    found = read_tail(tmp_path, tenant_id="north", after=0, keys=KEYS, types=types)
    assert not isinstance(found, Problem)
    table = to_table(found)
    assert table["typed"].to_pylist() == [False]
    assert table["rest"].to_pylist() == ['{"region":"eu","seconds":1.5,"tokens":5}']


def test_the_tail_of_a_shard_that_never_wrote_is_empty(tmp_path: Path) -> None:
    """Doors read the log from the first day on, before any event came."""
    assert read_tail(tmp_path, tenant_id="north", after=0, keys=KEYS, types=catalogue()) == []
