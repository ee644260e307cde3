"""A log takes events, answers each, and has them again after it was opened anew."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from revline.core.problem import Problem
from revline.platform.tenancy.data_keys import MemoryDataKeys
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.decode import decode
from revline.subledger.usage.decoding.values import Decoded
from revline.subledger.usage.events import Verdict
from revline.subledger.usage.kinds import EventType, FieldKind, UsageField
from revline.subledger.usage.log.log import UsageLog
from revline.subledger.usage.log.reading import read_tail
from revline.subledger.usage.log.rows import to_table
from revline.subledger.usage.log.values import Offset, Submission

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


def opened(folder: Path) -> UsageLog:
    log = UsageLog.open(folder=folder, shard=0, keys=KEYS, clock=At())
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
