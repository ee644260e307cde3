"""Lines of the log read back: by its owner when it starts, by other processes of the machine while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from revline.core.problem import Problem, problem
from revline.platform.tenancy.data_keys import DataKeys
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.content import digests_of, keys_of
from revline.subledger.usage.decoding.decode import decode_each
from revline.subledger.usage.log.files import chunks_of, first_sequence_of, log_files, records_after
from revline.subledger.usage.log.records import ChunkMeta, FileHeader, Record, cipher_of, unseal
from revline.subledger.usage.log.values import CommittedBatch

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TypesOf = Callable[[str], TypeCatalogue | Problem]
"""A tenant's present catalogue."""


class Ciphers:
    """The ciphers of the chunks of one file."""

    def __init__(self, *, keys: DataKeys, salt: bytes) -> None:
        self._keys, self._salt = keys, salt
        self._made: dict[tuple[str, int], AESGCM] = {}

    def of(self, tenant_id: str, key_id: int) -> AESGCM | Problem:
        found = self._made.get((tenant_id, key_id))
        if found is None:
            key = self._keys.by_id(tenant_id, key_id)
            if isinstance(key, Problem):
                return key
            found = self._made[tenant_id, key_id] = cipher_of(key, salt=self._salt)
        return found


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """The canonical lines of one chunk."""

    chunk: ChunkMeta
    received_at: datetime
    lines: list[bytes]


def lines_of(
    header: FileHeader,
    records: Sequence[Record],
    *,
    keys: DataKeys,
    wanted: Callable[[ChunkMeta], bool] = lambda _: True,
) -> Iterator[Lines | Problem]:
    """The opened chunks of a file in order; a problem for one that can't be opened."""
    ciphers = Ciphers(keys=keys, salt=header.salt)
    for record in records:
        received = EPOCH + timedelta(microseconds=record.received_at_micros)
        for index, sealed in chunks_of(record):
            chunk = record.meta.chunks[index]
            if not wanted(chunk):
                continue
            cipher = ciphers.of(chunk.tenant_id, chunk.key_id)
            if isinstance(cipher, Problem):
                yield cipher
                continue
            try:
                text = unseal(
                    cipher, first_sequence=chunk.first_sequence, tenant_id=chunk.tenant_id.encode(), chunk=sealed
                )
            except InvalidTag:
                yield problem("usage.log_damaged", f"a chunk of {chunk.tenant_id} doesn't open under its key")
                continue
            yield Lines(chunk=chunk, received_at=received, lines=text.removesuffix(b"\n").split(b"\n"))


def batch_of(found: Lines, *, shard: int, types: TypeCatalogue) -> CommittedBatch:
    """The events of a chunk. What was accepted stays: where a type, as it is now, would refuse an event, none is taken as known."""
    decoded = decode_each(found.lines, types)
    if decoded.invalid:  # every type of the chunk is read as unknown, so that no event of it is lost
        decoded = decode_each(found.lines, TypeCatalogue(tenant_id=types.tenant_id, seed=types.seed, types={}))
    return CommittedBatch(
        tenant_id=found.chunk.tenant_id,
        shard=shard,
        first_sequence=found.chunk.first_sequence,
        received_at=found.received_at,
        count=decoded.storable,
        rows=decoded.rows,
        events=decoded.events,
    )


def read_tail(
    folder: Path, *, tenant_id: str, after: int, keys: DataKeys, types: TypeCatalogue
) -> list[CommittedBatch] | Problem:
    """A tenant's committed events beyond a sequence, from a shard's folder that another process writes to.

    Only whole records are seen. Make columns of the batches with `rows.to_table`.
    """
    batches = []
    paths = log_files(folder)
    ends = [*map(first_sequence_of, paths[1:]), None][: len(paths)]
    for path, end in zip(paths, ends, strict=True):
        if end is not None and end <= after + 1:
            continue
        try:
            file = records_after(path, after=after)
        except FileNotFoundError:  # deleted by its owner since: its events are sealed
            continue
        if file is None:
            continue
        header, records = file
        for found in lines_of(
            header,
            records,
            keys=keys,
            wanted=lambda one: one.tenant_id == tenant_id and one.first_sequence + one.events > after + 1,
        ):
            if isinstance(found, Problem):
                return found
            batches.append(_beyond(batch_of(found, shard=header.shard, types=types), after))
    return batches


def _beyond(batch: CommittedBatch, after: int) -> CommittedBatch:
    skipped = after + 1 - batch.first_sequence
    if skipped <= 0:
        return batch
    places = range(skipped, batch.count)
    rows = None if batch.rows is None else batch.rows.chosen(places)
    return msgspec.structs.replace(
        batch, first_sequence=after + 1, count=len(places), rows=rows, events=batch.events[skipped:]
    )


class _Identity(msgspec.Struct, gc=False):
    source: str
    id: str


_identities: Final = msgspec.json.Decoder(_Identity)


def identities_of(lines: Sequence[bytes], *, seed: int) -> tuple[list[bytes], list[bytes]]:
    """The keys and the digests of canonical lines, as decoding made them."""
    found = _identities.decode_lines(b"\n".join(lines))
    keys = keys_of([one.source for one in found], [one.id for one in found], seed)
    return keys, digests_of(lines, seed)
