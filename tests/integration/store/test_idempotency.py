"""Remembered writes: once, again, with another input, expired, at the same time, undone."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from revline.core.problem import Problem
from revline.platform.store.engine import Database
from revline.platform.store.idempotency import (
    LIFE,
    FirstTime,
    Repeated,
    conclude,
    field_digests,
    input_hash_of,
    remember,
)
from revline.platform.store.unit import Unit

ORDER = {"customer": "c1", "amount": "12.50", "note": None}


def look_up(unit: Unit, request: dict[str, Any] = ORDER, *, key: str = "k1") -> FirstTime | Repeated | Problem:
    return remember(unit, tenant_id="alpha", key=key, input_hash=input_hash_of(request), digests=field_digests(request))


def send(database: Database, moment: datetime, request: dict[str, Any] = ORDER, **options: Any) -> Any:
    with database.unit(
        tenants=["alpha"], kind="order", actor="key:1", reason="API", recorded_at=moment, **options
    ) as unit:
        found = look_up(unit, request)
        if isinstance(found, FirstTime):
            conclude(unit, found, answer={"id": "o1"})
    return found


def test_the_same_key_and_input_gets_the_stored_answer(database: Database, moment: datetime) -> None:
    assert isinstance(send(database, moment), FirstTime)
    assert send(database, moment) == Repeated(answer={"id": "o1"}, position=1)
    assert send(database, moment, {"amount": "12.50", "customer": "c1"}) == Repeated(answer={"id": "o1"}, position=1)


def test_the_same_key_with_another_input_is_a_conflict_naming_the_fields(database: Database, moment: datetime) -> None:
    send(database, moment)
    found = send(database, moment, {**ORDER, "amount": "13.50", "colour": "red"})
    assert isinstance(found, Problem)
    assert found.code == "idempotency.key_reused"
    assert [error.pointer for error in found.errors] == ["/amount", "/colour"]
    assert "amount, colour" in found.detail


def test_an_expired_key_is_new(database: Database, moment: datetime) -> None:
    send(database, moment)
    assert isinstance(send(database, moment + LIFE - timedelta(seconds=1)), Repeated)
    assert isinstance(send(database, moment + LIFE, {"other": 1}), FirstTime)
    assert send(database, moment + LIFE, {"other": 1}) == Repeated(answer={"id": "o1"}, position=2)


def test_a_key_belongs_to_its_tenant(database: Database, moment: datetime) -> None:
    send(database, moment)
    with database.unit(tenants=["beta"], kind="order", actor="a", reason="r", recorded_at=moment) as unit:
        found = remember(unit, tenant_id="beta", key="k1", input_hash=b"other")
    assert isinstance(found, FirstTime)


def test_what_was_undone_is_not_remembered(database: Database, moment: datetime) -> None:
    def fail() -> None:
        with database.unit(tenants=["alpha"], kind="order", actor="a", reason="r", recorded_at=moment) as unit:
            look_up(unit)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert isinstance(send(database, moment, dry_run=True), FirstTime)
    assert isinstance(send(database, moment), FirstTime)


def test_of_many_at_once_one_does_the_work_and_the_others_get_its_answer(database: Database, moment: datetime) -> None:
    found: list[Any] = []
    together = threading.Barrier(4)

    def work() -> None:
        together.wait()
        found.append(send(database, moment))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(one).__name__ for one in found) == ["FirstTime", "Repeated", "Repeated", "Repeated"]
    assert all(one.answer == {"id": "o1"} for one in found if isinstance(one, Repeated))
