"""The audit chain: what was written verifies after its way through PostgreSQL; whatever is tampered with is found."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revline.platform.store.chain import verify_chain
from revline.platform.store.engine import Database
from revline.platform.store.roles import SUPERUSER
from tests.databases import TestServer
from tests.integration.store.conftest import TRIAL, parcel, parcel_note

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=700)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
parcels = st.fixed_dictionaries(
    {},
    optional={
        "amount": st.none() | st.decimals(-(10**15), 10**15, places=4) | st.integers(-(10**15), 10**15),
        "rate": st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20),
        "count": st.none() | st.integers(-(2**63), 2**63 - 1),
        "is_fragile": st.none() | st.booleans(),
        "sent_on": st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31)),
        "sent_at": st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones),  # noqa: DTZ001
        "label": st.none() | texts,
        "seal": st.none() | st.binary(max_size=700),
        "marks": st.none() | st.lists(texts, max_size=4),
        "content": st.none() | st.lists(documents, max_size=3) | st.dictionaries(texts, documents, max_size=3),
    },
)


def verified(trial: Database) -> Any:
    with trial.read(tenants=["alpha"]) as connection:
        return verify_chain(connection, tenant_id="alpha", tables_of=TRIAL)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(parcels, min_size=1, max_size=4))
def test_any_value_verifies_after_a_round_trip(
    trial: Database, test_server: TestServer, trial_name: str, rows: list[dict[str, Any]]
) -> None:
    before = verified(trial).head_position
    with trial.unit(
        tenants=["alpha"], kind="accept", actor="äöü", reason="x", recorded_at=datetime(2026, 1, 1, tzinfo=UTC)
    ) as unit:
        for number, values in enumerate(rows):
            unit.record(parcel, tenant_id="alpha", id=f"{before}-{number}", **values)
    report = verified(trial)
    assert report.findings == ()
    assert report.head_position == before + 1


@pytest.fixture
def written(trial: Database, moment: datetime) -> Database:
    """Three units of two parcels and a note each."""
    for number in range(3):
        with trial.unit(tenants=["alpha"], kind="accept", actor="a", reason="r", recorded_at=moment) as unit:
            for name in ("x", "y"):
                unit.record(parcel, tenant_id="alpha", id=f"{name}{number}", label="same", content={"n": [1, "2"]})
            unit.record(parcel_note, tenant_id="alpha", parcel_id=f"x{number}", note=str(number))
    return trial


def tamper(test_server: TestServer, trial_name: str, *statements: str) -> None:
    with psycopg.connect(test_server.server.dsn(SUPERUSER, trial_name)) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            assert connection.execute(statement.encode()).rowcount > 0


def test_an_untouched_chain_holds(written: Database) -> None:
    report = verified(written)
    assert (report.holds, report.unit_count, report.row_count, report.head_position) == (True, 3, 9, 3)


@pytest.mark.parametrize(
    ("statements", "position", "code"),
    [
        (["UPDATE parcel SET label = 'other' WHERE id = 'x1'"], 2, "unit.altered"),
        (["UPDATE parcel SET label = NULL WHERE id = 'x1'"], 2, "unit.altered"),
        (["""UPDATE parcel SET content = '{"n": [1, 2]}' WHERE id = 'x0'"""], 1, "unit.altered"),
        (["DELETE FROM parcel WHERE id = 'y2'"], 3, "rows.counted"),
        (["DELETE FROM parcel_note WHERE parcel_id = 'x2'"], 3, "rows.counted"),
        (["INSERT INTO parcel_note VALUES ('alpha', 2, 4, 'x1', 'added')"], 2, "rows.counted"),
        (["INSERT INTO parcel_note VALUES ('alpha', 9, 1, 'x1', 'added')"], 4, "row.without_unit"),
        (["INSERT INTO parcel_note VALUES ('alpha', 0, 1, 'x1', 'added')"], 4, "row.without_unit"),
        (
            [
                "UPDATE parcel SET ordinal = 9 WHERE id = 'x1'",
                "UPDATE parcel SET ordinal = 1 WHERE id = 'y1'",
                "UPDATE parcel SET ordinal = 2 WHERE id = 'x1'",
            ],
            2,
            "unit.altered",
        ),
        (["UPDATE parcel SET position = 1, ordinal = 9 WHERE id = 'x1'"], 1, "rows.counted"),
        (["UPDATE unit SET actor = 'b' WHERE position = 2"], 2, "unit.altered"),
        (
            ["UPDATE unit SET recorded_at = recorded_at + interval '1 microsecond' WHERE position = 2"],
            2,
            "unit.altered",
        ),
        (["UPDATE unit SET hash = sha256('x') WHERE position = 2"], 3, "unit.unlinked"),
        (["DELETE FROM unit WHERE position = 2"], 3, "unit.missing"),
        (["DELETE FROM unit WHERE position = 3"], 0, "chain.cut"),
        (["DELETE FROM unit WHERE position = 3", "DELETE FROM parcel WHERE position = 3"], 0, "chain.cut"),
        (["DELETE FROM counter WHERE tenant_id = 'alpha'"], 0, "chain.cut"),
    ],
)
def test_whatever_is_tampered_with_is_found(
    written: Database, test_server: TestServer, trial_name: str, statements: list[str], position: int, code: str
) -> None:
    tamper(test_server, trial_name, *statements)
    report = verified(written)
    assert (position, code) in [(finding.position, finding.code) for finding in report.findings]


def test_another_tenants_chain_is_not_touched(written: Database, test_server: TestServer, trial_name: str) -> None:
    tamper(test_server, trial_name, "UPDATE parcel SET label = 'other' WHERE id = 'x1'")
    with written.read(tenants=["beta"]) as connection:
        assert verify_chain(connection, tenant_id="beta", tables_of=TRIAL).holds
