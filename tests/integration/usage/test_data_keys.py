"""Data keys are made once, found again by another process, rotated and wrapped anew, and never without their key-encryption key."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select

from revline.core.problem import Problem
from revline.platform.store.engine import Database
from revline.platform.tenancy.data_keys import DataKey
from revline.platform.tenancy.key_encryption import LocalKeyEncryption
from revline.platform.tenancy.stored_data_keys import FRESH_SECONDS, StoredDataKeys
from revline.platform.tenancy.tables import tenant_data_key
from tests.conftest import FIRST_MOMENT

OLD, NEW = b"o" * 32, b"n" * 32


class At:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self):
        return FIRST_MOMENT

    def passed(self) -> float:
        return self.seconds


def keys_of(
    database: Database, *, key: bytes = OLD, older: tuple[bytes, ...] = (), at: At | None = None
) -> StoredDataKeys:
    at = at or At()
    encryption = LocalKeyEncryption(key=key, older=older, random_bytes=os.urandom)
    return StoredDataKeys(
        database=database, encryption=encryption, clock=at, random_bytes=os.urandom, seconds=at.passed
    )


def current(keys: StoredDataKeys, tenant: str = "alpha") -> DataKey:
    found = keys.current(tenant)
    assert isinstance(found, DataKey)
    return found


def test_another_process_finds_the_same_keys_and_each_tenant_has_its_own(database: Database) -> None:
    one, other = keys_of(database), keys_of(database)
    assert current(one).secret == current(other).secret != current(one, "beta").secret
    assert one.identity_seed("alpha") == other.identity_seed("alpha") != one.identity_seed("beta")
    assert "***" in repr(current(one))


def test_processes_that_start_together_end_with_one_key(database: Database) -> None:
    processes = [keys_of(database) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(current, processes))
    assert len({key.secret for key in found}) == 1
    assert len({process.identity_seed("alpha") for process in processes}) == 1


def test_a_rotated_key_is_current_and_the_old_one_still_opens(database: Database) -> None:
    at = At()
    writer, reader = keys_of(database), keys_of(database, at=at)
    first, seed = current(reader), reader.identity_seed("alpha")
    assert writer.rotate(tenant_id="alpha", actor="person:ada", reason="yearly") == 2
    assert current(writer).key_id == 2
    assert current(reader).key_id == 1
    at.seconds = FRESH_SECONDS + 1
    current(reader)
    reader.close()
    assert current(reader).key_id == 2
    old = reader.by_id("alpha", 1)
    assert isinstance(old, DataKey)
    assert old.secret == first.secret
    assert reader.identity_seed("alpha") == seed


def test_keys_are_wrapped_anew_and_the_old_key_encryption_key_can_go(database: Database) -> None:
    before = current(keys_of(database)).secret
    changed = keys_of(database, key=NEW, older=(OLD,))
    assert changed.rewrap(tenant_id="alpha", actor="person:ada", reason="the vault moved") == 2
    assert changed.rewrap(tenant_id="alpha", actor="person:ada", reason="again") == 0
    assert current(keys_of(database, key=NEW)).secret == before


def test_under_another_key_encryption_key_nothing_opens_and_nothing_is_made(database: Database) -> None:
    current(keys_of(database))
    found = keys_of(database, key=NEW).current("alpha")
    assert isinstance(found, Problem)
    assert found.code == "keys.unavailable"
    with database.read(tenants=["alpha"]) as connection:
        assert (
            len(
                connection.execute(select(tenant_data_key.c.key_id).where(tenant_data_key.c.tenant_id == "alpha")).all()
            )
            == 2
        )


def test_a_key_moved_to_another_tenant_does_not_open(database: Database) -> None:
    encryption = LocalKeyEncryption(key=OLD, random_bytes=os.urandom)
    wrapped = encryption.wrap(b"s" * 32, bound_to="alpha/1")
    assert isinstance(wrapped, bytes)
    assert isinstance(encryption.unwrap(wrapped, name=encryption.name, bound_to="beta/1"), Problem)
    assert encryption.unwrap(wrapped, name=encryption.name, bound_to="alpha/1") == b"s" * 32
