"""The unit of work: steps, ordinals, projections, changes, rollback, dry runs, threads."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import sqlalchemy.exc
from sqlalchemy import select, text

from revline.platform.store import tables
from revline.platform.store.chain import verify_chain
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit, UnitError, open_counter
from tests.integration.store.conftest import TRIAL, attempt, parcel, parcel_note, shelf


def a_unit(trial: Database, moment: datetime, *tenants: str, **options: Any) -> AbstractContextManager[Unit]:
    named = tenants or ("alpha",)
    return trial.unit(tenants=named, kind="accept", actor="key:1", reason="a test", recorded_at=moment, **options)


def rows_of(trial: Database, table: Any, *tenants: str) -> list[dict[str, Any]]:
    with trial.read(tenants=tenants or ("alpha",)) as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


def test_each_unit_is_one_step_of_its_tenant(trial: Database, moment: datetime) -> None:
    for number in (1, 2, 3):
        with a_unit(trial, moment) as unit:
            unit.record(parcel, tenant_id="alpha", id=f"p{number}")
        assert unit.positions == {"alpha": number}
    assert [row["position"] for row in rows_of(trial, tables.unit)] == [1, 2, 3]


def test_rows_get_position_and_ordinal_in_the_order_recorded(trial: Database, moment: datetime) -> None:
    with a_unit(trial, moment) as unit:
        unit.record(parcel_note, tenant_id="alpha", parcel_id="b", note="before its parcel")
        unit.record(parcel, tenant_id="alpha", id="b")
        assert unit.record(parcel, tenant_id="alpha", id="a") == 3
    assert [(row["id"], row["position"], row["ordinal"]) for row in rows_of(trial, parcel)] == [
        ("a", 1, 3),
        ("b", 1, 2),
    ]
    assert [row["ordinal"] for row in rows_of(trial, parcel_note)] == [1]


def test_a_unit_over_tenants_steps_only_those_it_wrote_for(trial: Database, moment: datetime) -> None:
    with a_unit(trial, moment, "gamma", "alpha", "beta") as unit:
        unit.record(parcel, tenant_id="gamma", id="g")
        unit.project(shelf, key=["key"], tenant_id="alpha", key_="s", state="full")
    assert unit.positions == {"alpha": 1, "gamma": 1}
    assert unit.row_counts == {"alpha": 0, "gamma": 1}
    assert rows_of(trial, tables.unit, "beta") == []


def test_a_unit_without_rows_takes_no_step(trial: Database, moment: datetime) -> None:
    with a_unit(trial, moment) as unit:
        unit.connection.execute(text("SELECT 1"))
    assert unit.positions == {}


def test_a_projection_is_inserted_then_updated_and_stamped(trial: Database, moment: datetime) -> None:
    with a_unit(trial, moment) as unit:
        unit.project(shelf, key=["key"], tenant_id="alpha", key_="s", state="empty", weight=1)
        unit.project(shelf, key=["key"], tenant_id="alpha", key_="s", state="half")
    with a_unit(trial, moment) as unit:
        unit.project(shelf, key=["key"], tenant_id="alpha", key_="s", state="full")
        unit.project(shelf, key=["key"], tenant_id="alpha", key_="t", state="empty")
    assert [(row["key"], row["state"], row["weight"], row["position"]) for row in rows_of(trial, shelf)] == [
        ("s", "full", 1, 2),
        ("t", "empty", None, 2),
    ]


def test_a_finished_row_moves_to_history(trial: Database, moment: datetime, trial_counts: Any) -> None:
    with a_unit(trial, moment) as unit:
        for key in ("s", "t"):
            unit.project(shelf, key=["key"], tenant_id="alpha", key_=key, state="full")
    with a_unit(trial, moment) as unit:
        unit.change(shelf, key=["key"], tenant_id="alpha", key_="s", state="gone", archived=True)
    assert trial_counts() == {"shelf_live": 1, "shelf_history": 1}
    assert [(row["key"], row["archived"], row["position"]) for row in rows_of(trial, shelf)] == [
        ("s", True, 2),
        ("t", False, 1),
    ]


def test_recorded_rows_move_to_history_and_their_chain_holds(trial: Database, moment: datetime) -> None:
    with a_unit(trial, moment) as unit:
        for name in ("a", "b"):
            unit.record(attempt, tenant_id="alpha", id=name, outcome="posted")
    with a_unit(trial, moment) as unit:
        assert unit.archive(attempt, tenant_id="alpha", id="a") == 1
        assert unit.archive(attempt, tenant_id="alpha", id="a") == 0
    assert [(row["id"], row["archived"]) for row in rows_of(trial, attempt)] == [("a", True), ("b", False)]
    with trial.read(tenants=["alpha"]) as connection:
        report = verify_chain(connection, tenant_id="alpha", tables_of=TRIAL)
    assert (report.holds, report.row_count) == (True, 2)
    with (
        pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"),
        a_unit(trial, moment) as unit,
    ):
        unit.connection.execute(text("UPDATE attempt SET outcome = 'other', archived = true"))
    with pytest.raises(UnitError, match="parcel has no history"), a_unit(trial, moment) as unit:
        unit.archive(parcel, tenant_id="alpha", id="a")


def test_a_change_of_a_row_that_is_not_there_undoes_the_unit(trial: Database, moment: datetime) -> None:
    def change_nothing() -> None:
        with a_unit(trial, moment) as unit:
            unit.record(parcel, tenant_id="alpha", id="p")
            unit.change(shelf, key=["key"], tenant_id="alpha", key_="none", state="x")

    with pytest.raises(UnitError, match="1 rows of shelf were to change, 0 are there"):
        change_nothing()
    assert rows_of(trial, parcel) == []


def test_this_position_stands_for_the_step_to_come(trial: Database, moment: datetime) -> None:
    with a_unit(trial, moment) as unit:
        unit.record(parcel, tenant_id="alpha", id="p", count=unit.this_position)
    assert rows_of(trial, parcel)[0]["count"] == 1
    with trial.read(tenants=["alpha"]) as connection:
        assert verify_chain(connection, tenant_id="alpha", tables_of=TRIAL).holds


def test_an_error_in_the_block_leaves_nothing(trial: Database, moment: datetime) -> None:
    def fail() -> None:
        with a_unit(trial, moment) as unit:
            unit.record(parcel, tenant_id="alpha", id="p")
            unit.connection.execute(shelf.insert().values(tenant_id="alpha", key="s", state="x", position=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert rows_of(trial, parcel) == []
    assert rows_of(trial, shelf) == []


def test_an_error_of_the_database_at_the_end_leaves_nothing_and_the_pool_well(
    trial: Database, moment: datetime
) -> None:
    def refer_to_nothing() -> None:
        with a_unit(trial, moment) as unit:
            unit.record(parcel, tenant_id="alpha", id="p")
            unit.record(parcel_note, tenant_id="alpha", parcel_id="unknown", note="x")

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        refer_to_nothing()
    assert rows_of(trial, parcel) == []
    with a_unit(trial, moment) as unit:
        unit.record(parcel, tenant_id="alpha", id="p")
    assert unit.positions == {"alpha": 1}


def test_a_dry_run_goes_the_whole_way_and_leaves_nothing(trial: Database, moment: datetime) -> None:
    with a_unit(trial, moment, dry_run=True) as unit:
        unit.record(parcel, tenant_id="alpha", id="p")
    assert unit.positions == {"alpha": 1}
    assert rows_of(trial, parcel) == []
    with pytest.raises(psycopg.errors.ForeignKeyViolation), a_unit(trial, moment, dry_run=True) as unit:
        unit.record(parcel_note, tenant_id="alpha", parcel_id="unknown", note="x")


def test_transactions_do_not_nest(trial: Database, moment: datetime) -> None:
    with a_unit(trial, moment), pytest.raises(UnitError, match="already open"), a_unit(trial, moment, "beta"):
        pass
    with trial.read(tenants=["alpha"]), pytest.raises(UnitError, match="already open"), trial.control():
        pass


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tenant_id": "beta", "id": "p"}, "does not name the tenant 'beta'"),
        ({"tenant_id": "alpha", "id": "p", "colour": "red"}, "no column colour"),
        ({"tenant_id": "alpha", "id": 7}, "id takes str, not int"),
        ({"tenant_id": "alpha", "id": "p", "amount": 1.5}, "amount takes Decimal, not float"),
        ({"tenant_id": "alpha", "id": "p", "amount": Decimal("0.00001")}, "keeps 4 decimals"),
        ({"tenant_id": "alpha", "id": "p", "amount": Decimal("NaN")}, "finite"),
        ({"tenant_id": "alpha", "id": "p", "count": True}, "count takes int, not bool"),
        ({"tenant_id": "alpha", "id": "p", "sent_at": datetime(2026, 1, 1)}, "time with a zone"),  # noqa: DTZ001
        ({"tenant_id": "alpha", "id": "p", "label": "a\x00b"}, "null character"),
        ({"tenant_id": "alpha", "id": "p", "marks": [1]}, "list of texts"),
    ],
)
def test_a_value_the_database_would_store_otherwise_is_refused(
    trial: Database, moment: datetime, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnitError, match=said), a_unit(trial, moment) as unit:
        unit.record(parcel, **values)


def test_recorded_rows_can_not_be_changed_by_the_application(trial: Database, moment: datetime) -> None:
    with a_unit(trial, moment) as unit:
        unit.record(parcel, tenant_id="alpha", id="p")
    for statement in ("UPDATE parcel SET label = 'x'", "DELETE FROM parcel", "DELETE FROM unit"):
        with pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"), a_unit(trial, moment) as unit:
            unit.connection.execute(text(statement))


def test_a_unit_says_who_and_why(trial: Database, moment: datetime) -> None:
    with (
        pytest.raises(UnitError, match="its actor"),
        trial.unit(tenants=["alpha"], kind="accept", actor="", reason="x", recorded_at=moment),
    ):
        pass
    with (
        pytest.raises(UnitError, match="no time zone"),
        trial.unit(tenants=["alpha"], kind="k", actor="a", reason="x", recorded_at=moment.replace(tzinfo=None)),
    ):
        pass


def test_a_tenant_without_a_counter_can_not_be_written_for(trial: Database, moment: datetime) -> None:
    with pytest.raises(UnitError, match="no counter for omega"), a_unit(trial, moment, "omega") as unit:
        unit.record(parcel, tenant_id="omega", id="p")
    with trial.control() as connection:
        open_counter(connection, tenant_id="omega")
        open_counter(connection, tenant_id="omega")
    with a_unit(trial, moment, "omega") as unit:
        unit.record(parcel, tenant_id="omega", id="p")


def test_threads_take_steps_one_after_another(trial: Database, moment: datetime) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(20):
                order = ("alpha", "beta") if number % 2 else ("beta", "alpha")
                with a_unit(trial, moment, *order) as unit:
                    for tenant in order:
                        unit.record(parcel, tenant_id=tenant, id=f"{name}-{number}")
        except BaseException as failure:  # noqa: BLE001 - handed to the test
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for tenant in ("alpha", "beta"):
        assert [row["position"] for row in rows_of(trial, tables.unit, tenant)] == list(range(1, 81))
        with trial.read(tenants=[tenant]) as connection:
            assert verify_chain(connection, tenant_id=tenant, tables_of=TRIAL).holds


def test_many_rows_go_in_a_few_statements(trial: Database, moment: datetime) -> None:
    with a_unit(trial, moment) as unit:
        for number in range(12_000):
            unit.record(parcel, tenant_id="alpha", id=f"p{number}", marks=["a", 'b"\\'], content={"n": number})
    assert unit.row_counts == {"alpha": 12_000}
    with trial.read(tenants=["alpha"]) as connection:
        report = verify_chain(connection, tenant_id="alpha", tables_of=TRIAL)
    assert (report.holds, report.row_count) == (True, 12_000)
