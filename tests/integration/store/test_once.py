"""Work with a key: done once whatever becomes of its answer, refused without a trace, once also when asked twice at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text

from revline.core.problem import Problem
from revline.platform.store import once
from revline.platform.store.engine import Database
from revline.platform.store.idempotency import LIFE, Repeated

OTHER: dict[str, Any] = {"amount": "2"}


def register(database: Database, moment: datetime, key: str = "order") -> int:
    """A unit with an effect of its own; gives its position."""
    with database.unit(tenants=["alpha"], kind="order", actor="key:1", reason="API", recorded_at=moment) as unit:
        statement = text("SELECT count(*) FROM idempotency WHERE tenant_id = 'alpha' AND key LIKE :key || '%'")
        number = unit.connection.execute(statement, {"key": key}).scalar_one()
        unit.project(
            once.tables.idempotency, key=("tenant_id", "key"), tenant_id="alpha", key_=f"{key} {number}",
            input_hash=b"x", field_digests={}, actor="key:1", reason="API", created_at=moment, expires_at=moment + LIFE,
        )  # fmt: skip
    return unit.positions["alpha"]


def effects(database: Database) -> int:
    with database.read(tenants=["alpha"]) as connection:
        return int(connection.execute(text("SELECT count(*) FROM unit WHERE kind = 'order'")).scalar_one())


def ask(
    database: Database,
    moment: datetime,
    work: Callable[[], Any],
    *,
    said: dict[str, Any] | None = None,
    pause: Callable[[float], None] = lambda _: None,
) -> Any:
    asked = once.Request(
        tenant_id="alpha", key="k", said=said or {"amount": "1"}, actor="key:1", reason="API", at=moment
    )
    return once.once(database, request=asked, work=work, kept=lambda answer: {"position": answer}, pause=pause)


def test_it_is_done_once_and_answered_alike(database: Database, moment: datetime) -> None:
    first = ask(database, moment, lambda: register(database, moment))
    again = ask(database, moment, lambda: register(database, moment))
    assert again == Repeated(answer={"position": first}, position=first)
    assert effects(database) == 1
    other = ask(database, moment, lambda: register(database, moment), said=OTHER)
    assert isinstance(other, Problem)
    assert (other.code, other.field) == ("idempotency.key_reused", "amount")
    assert effects(database) == 1
    assert isinstance(ask(database, moment + LIFE, lambda: register(database, moment)), int)


def test_a_refusal_takes_no_key_and_is_judged_anew(database: Database, moment: datetime) -> None:
    busy = Problem(code="order.refused", detail="not now")
    assert ask(database, moment, lambda: busy) is busy
    assert isinstance(ask(database, moment, lambda: register(database, moment), said=OTHER), int)


def test_what_failed_takes_no_key(database: Database, moment: datetime) -> None:
    def failing() -> int:
        with database.unit(tenants=["alpha"], kind="order", actor="key:1", reason="API", recorded_at=moment):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(database, moment, failing)
    assert isinstance(ask(database, moment, lambda: register(database, moment)), int)


def test_work_of_several_units_is_one_request(database: Database, moment: datetime) -> None:
    def twice() -> int:
        register(database, moment)
        return register(database, moment)

    assert isinstance(ask(database, moment, twice), int)
    assert isinstance(ask(database, moment, twice), Repeated)
    assert effects(database) == 2


def test_an_answer_that_was_not_kept_is_no_reason_to_do_it_again(
    database: Database, moment: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(once, "_keep", dies)
        with pytest.raises(KeyboardInterrupt):
            ask(database, moment, lambda: register(database, moment))
    pauses: list[float] = []
    again = ask(database, moment, lambda: register(database, moment), pause=pauses.append)
    assert isinstance(again, Problem)
    assert again.code == "idempotency.answer_lost"
    assert len(pauses) == once.LOOKS
    assert effects(database) == 1


def test_of_many_at_once_one_does_it_and_all_get_its_answer(database: Database, moment: datetime) -> None:
    found: list[Any] = []
    ready = threading.Barrier(4)

    def work() -> int:
        ready.wait(timeout=10)
        return register(database, moment)

    def sender() -> None:
        found.append(ask(database, moment, work, pause=threading.Event().wait))

    senders = [threading.Thread(target=sender) for _ in range(4)]
    for one in senders:
        one.start()
    for one in senders:
        one.join()
    assert effects(database) == 1
    answers = {one.answer["position"] if isinstance(one, Repeated) else one for one in found}
    assert len(answers) == 1
