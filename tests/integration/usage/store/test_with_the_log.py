"""The log, its waiting rows and the sealed files together: every acknowledged event is read exactly once, here and elsewhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from revline.app.usage_store import Storing, objects_of, reader_of
from revline.core.clock import SystemClock
from revline.core.problem import Problem, problem
from revline.platform.settings import Settings
from revline.platform.store.engine import Database
from revline.platform.tenancy.record import register_tenant
from revline.subledger.usage.decoding.decode import decode
from revline.subledger.usage.log.log import UsageLog
from revline.subledger.usage.log.values import Submission
from revline.subledger.usage.store.reading import UsageReader
from tests.integration.usage.world import KEYS, FixedCatalogues, opened
from tests.usage_rows import START

CATALOGUES = FixedCatalogues()


class Unconfigured:
    """A directory in which no tenant has a configuration: nothing is aggregated ahead."""

    def configuration(self, *, tenant_id: str) -> Problem:
        return problem("configuration.missing", tenant_id)


class Owner:
    """One process that owns shard 0."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.settings = Settings(data_folder=folder, usage_shards=1)
        self.log: UsageLog
        self.begin()

    def begin(self) -> None:
        self.log = opened(self.folder / "usage" / "shards" / "0")
        self.storing = Storing(
            settings=self.settings,
            database=self.database,
            clock=SystemClock(),
            directory=Unconfigured(),
            types_of=CATALOGUES.read,
        )
        assert self.storing.follow(self.log) is None
        self.reader = self.reader_with(own=True)

    def reader_with(self, *, own: bool) -> UsageReader:
        return reader_of(
            settings=self.settings,
            database=self.database,
            clock=SystemClock(),
            keys=KEYS,
            types_of=CATALOGUES.read,
            own=self.storing.tail if own else None,
            owned={0} if own else (),
        )

    def send(self, tenant_id: str, *ids: str) -> None:
        types = CATALOGUES.read(tenant_id)
        events = [
            {"id": one, "source": "app", "type": "api.call", "subject": "acme", "data": {"tokens": 5}} for one in ids
        ]
        events = [{**one, "time": START.isoformat()} for one in events]
        decoded = decode(json.dumps(events).encode(), types)
        assert not isinstance(decoded, Problem)
        answers = self.log.submit(Submission(decoded=decoded)).result(10)
        assert not isinstance(answers, Problem)
        assert answers.accepted == len(ids)

    def starts_again(self) -> None:
        self.log.close()
        self.begin()

    def ids(self, tenant_id: str = "alpha", *, elsewhere: bool = False) -> list[str]:
        reader = self.reader_with(own=False) if elsewhere else self.reader
        with reader.open(tenant_id=tenant_id) as reading:
            found = [] if reading.tail is None else reading.tail["id"].to_pylist()
            for one in reading.files():
                found += pq.read_table(one.path, partitioning=None)["id"].to_pylist()
        return sorted(found)


@pytest.fixture
def owner(database: Database, tmp_path: Path) -> Iterator[Owner]:
    with database.control() as connection:
        for tenant_id in ("alpha", "beta"):
            register_tenant(connection, tenant_id=tenant_id, created_at=START)
    found = Owner(database, tmp_path)
    yield found
    found.log.close()


def wait_for(owner: Owner, through: int) -> None:
    """Until what was acknowledged has been handed over: it is, beside the acknowledgement."""
    for _ in range(1_000):
        if owner.storing.tail.through().get(0, 0) >= through:
            return
        threading.Event().wait(0.005)
    raise AssertionError(owner.storing.tail.through())


def test_acknowledged_usage_is_read_in_its_process_and_in_others(owner: Owner) -> None:
    owner.send("alpha", "a", "b")
    owner.send("beta", "c")
    wait_for(owner, 3)
    assert (owner.ids(), owner.ids("beta")) == (["a", "b"], ["c"])
    assert (owner.ids(elsewhere=True), owner.ids("beta", elsewhere=True)) == (["a", "b"], ["c"])


def test_each_event_is_read_once_through_seals_and_starts(owner: Owner) -> None:
    owner.send("alpha", "a", "b")
    owner.starts_again()
    assert owner.ids() == ["a", "b"]
    owner.storing.sealer.seal(["alpha"])
    owner.send("alpha", "c")
    wait_for(owner, 3)
    assert owner.ids() == owner.ids(elsewhere=True) == ["a", "b", "c"]
    owner.starts_again()
    assert owner.ids() == owner.ids(elsewhere=True) == ["a", "b", "c"]
    assert [rows for _, rows, _ in owner.storing.tail.waiting()] == [1]
    owner.storing.sealer.seal(["alpha"])
    owner.starts_again()
    assert owner.ids() == ["a", "b", "c"]
    assert owner.storing.tail.waiting() == ()


def test_the_log_is_told_what_it_need_not_keep(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(owner.log, "delete_through", lambda sealed: told.append((sealed("alpha"), sealed("beta"))))
    owner.send("alpha", "a")
    owner.send("beta", "b")
    wait_for(owner, 2)
    owner.storing.sealer.seal(["alpha"])
    owner.storing.sealer.seal(["beta"])
    assert told == [(2, 0), (2, 2)]


def test_sealed_files_lie_with_their_tenant(owner: Owner) -> None:
    owner.send("alpha", "a")
    wait_for(owner, 1)
    owner.storing.sealer.seal(["alpha"])
    found = [one.key for one in objects_of(owner.settings).listed(prefix="tenants/")]
    assert len(found) == 1
    assert found[0].startswith("tenants/alpha/")
