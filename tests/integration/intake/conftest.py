"""What intake's tests share: a clock that stands, ids from a seed, and channels without a vendor."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from revline.core.canonical import CanonicalObject, Customer, Payment, PaymentStatus
from revline.core.facts import Name, TranslatedFact
from revline.core.hashing import digest_text
from revline.core.ids import SourceObject
from revline.core.money import Amount
from revline.core.problem import Problem, problem
from revline.intake.service import Intake
from revline.intake.values import Channel, Input
from revline.platform.store.engine import Database

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class StandingClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment


class Line(msgspec.Struct, frozen=True):
    """The wire format of the tests' source: one small object."""

    event: str
    kind: str
    outside_id: str
    text: str = ""
    invoice: str = ""
    hours_ahead: int = 0


def _read(*, body: bytes) -> tuple[TranslatedFact, ...] | Problem:
    try:
        line = msgspec.json.decode(body, type=Line)
    except msgspec.DecodeError:
        return problem("json.invalid", "not a line of the tests' source")
    if line.kind not in {"customer", "payment"}:
        return problem("intake.value_invalid", f"no {line.kind} here", field=line.kind)
    source = SourceObject(connection="shop", kind=line.kind, outside_id=line.outside_id)
    names = (Name(kind="invoice_number", value=line.invoice),) if line.invoice else ()
    fact = TranslatedFact(
        source=source,
        source_event=line.event,
        event_type=f"{line.kind}.seen",
        occurred_at=NOON + timedelta(hours=line.hours_ahead),
        content_digest=digest_text([line.kind, line.outside_id, line.text]),
        order_key=(0, 1),
        snapshot=_snapshot(line),
        roots=(source,),
        names=names,
    )
    return (fact,)


def _snapshot(line: Line) -> CanonicalObject:
    if line.kind == "customer":
        return Customer(outside_id=line.outside_id, name=line.text or "Ada")
    return Payment(
        outside_id=line.outside_id,
        status=PaymentStatus.SUCCEEDED,
        currency="USD",
        amount=Amount(line.text or "10.00"),
        created_at=NOON,
    )


def _proved(*, headers: Mapping[str, str], body: bytes, now: datetime) -> Problem | None:
    del headers, body, now
    return None


def shop(tenant_id: str = "alpha") -> Channel:
    """The tests' source connection of a tenant."""
    return Channel(
        tenant_id=tenant_id,
        connection="shop",
        connector="tests",
        entity="alpha-inc",
        translator="tests 1",
        translate=_read,
        translate_object=_read,
        verify=_proved,
    )


def line(
    event: str, outside_id: str, *, kind: str = "customer", text: str = "", invoice: str = "", ahead: int = 0
) -> Input:
    """One input of the tests' source."""
    body = msgspec.json.encode(Line(event, kind, outside_id, text, invoice, ahead))
    return Input(body=body, content_type="application/json", received_at=NOON)


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def random_bytes() -> Callable[[int], bytes]:
    return random.Random(1).randbytes


@pytest.fixture
def intake(database: Database, clock: StandingClock, random_bytes: Callable[[int], bytes]) -> Intake:
    return Intake(database=database, clock=clock, random_bytes=random_bytes)
