"""Files of usage in a bucket: sealed, read through a bounded cache, merged and removed there, against an S3 that runs here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from revline.platform.store.engine import Database
from revline.subledger.usage.store.s3 import FileCache, S3Objects
from tests.usage_rows import START, Room, read_ids, usage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    found = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    found.create_bucket(Bucket="usage")
    yield found
    server.stop()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[FileCache]:
    found = FileCache(folder=tmp_path / "cache", bytes_max=20_000)
    yield found
    found.close()


@pytest.fixture
def objects(client: Any, cache: FileCache, request: pytest.FixtureRequest) -> S3Objects:
    return S3Objects(client=client, bucket="usage", cache=cache, prefix=f"{request.node.name}/")


def test_usage_is_sealed_into_a_bucket_and_read_from_it(database: Database, tmp_path: Path, objects: S3Objects) -> None:
    room = Room(database=database, folder=tmp_path, objects=objects)
    shard = room.shard()
    shard.commit(alpha=[usage("a")], beta=[usage("z")])
    room.sealer.seal(["alpha", "beta"])
    shard.commit(alpha=[usage("b", at=START + timedelta(days=40))])
    room.sealer.seal(["alpha"])
    assert (read_ids(room), read_ids(room, "beta")) == (["a", "b"], ["z"])
    assert sorted({one.key.split("/")[1] for one in objects.listed(prefix="tenants/")}) == ["alpha", "beta"]


def test_what_is_read_stays_and_what_is_not_makes_room(objects: S3Objects, cache: FileCache) -> None:
    for name in "abc":
        objects.put(key=f"tenants/x/{name}", body=name.encode() * 9_000)
    with objects.at_hand(key="tenants/x/a", size_bytes=9_000) as first:
        with objects.at_hand(key="tenants/x/b", size_bytes=9_000) as second:
            with objects.at_hand(key="tenants/x/c", size_bytes=9_000) as third:
                assert [path.read_bytes()[:1] for path in (first, second, third)] == [b"a", b"b", b"c"]
            assert cache.bytes == 18_000
            assert not third.exists()
        assert second.exists()
        assert first.exists()
    with objects.at_hand(key="tenants/x/c", size_bytes=9_000) as again:
        assert again.read_bytes() == b"c" * 9_000
    assert cache.bytes <= 20_000


def test_an_object_that_is_gone_is_said_to_be(objects: S3Objects) -> None:
    objects.put(key="tenants/x/a", body=b"a")
    objects.delete(key="tenants/x/a")
    objects.delete(key="tenants/x/a")
    with pytest.raises(FileNotFoundError), objects.at_hand(key="tenants/x/a", size_bytes=1):
        pass


def test_no_key_leads_out_of_the_prefix(objects: S3Objects) -> None:
    for key in ("../other", "/etc/passwd", "tenants/../../x", ""):
        with pytest.raises(ValueError, match="not a key"):
            objects.put(key=key, body=b"")


def test_what_a_dead_process_cached_is_removed(tmp_path: Path) -> None:
    left = FileCache(folder=tmp_path, bytes_max=10)
    kept = FileCache(folder=tmp_path, bytes_max=10)
    left._owner, owner = -1, left._owner
    import os  # noqa: PLC0415 - what a kill does to a lock

    os.close(owner)
    FileCache(folder=tmp_path, bytes_max=10).close()
    assert list(tmp_path.iterdir()) == [kept._folder]
    kept.close()
