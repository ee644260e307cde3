"""One commit: dedupe, chunks, one record, one wait for the disk. Used by one thread at a time."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import accumulate, chain
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from revline.core.clock import Clock
from revline.core.problem import Problem, problem
from revline.platform.tenancy.data_keys import DataKeys
from revline.subledger.usage.decoding.values import Decoded
from revline.subledger.usage.log.files import LogWriter, ReadFile
from revline.subledger.usage.log.identities import Identities
from revline.subledger.usage.log.reading import EPOCH
from revline.subledger.usage.log.records import (
    SALT_BYTES,
    ChunkMeta,
    FileHeader,
    RecordMeta,
    cipher_of,
    record_bytes,
    seal,
)
from revline.subledger.usage.log.values import (
    ACCEPTED,
    Answers,
    CommittedBatch,
    LogLimits,
    Offset,
    Sealed,
    Submission,
)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a group of submissions: an answer for each, in order, and what was committed."""

    answers: list[Answers | Problem]
    batches: list[CommittedBatch]


class Committer:
    """Commits groups of submissions to the log's file."""

    def __init__(
        self,
        *,
        folder: Path,
        shard: int,
        fence: int,
        keys: DataKeys,
        clock: Clock,
        limits: LogLimits,
        identities: Identities,
    ) -> None:
        self.folder, self.shard, self.keys = folder, shard, keys
        self.identities = identities
        self.next_sequence = 1
        self.first_new_sequence = 1
        self.offsets: dict[tuple[str, int], int] = {}
        self.stopped: Problem | None = None
        self._fence, self._clock, self._limits = fence, clock, limits
        self._writer: LogWriter | None = None
        self._ciphers: dict[str, tuple[int, AESGCM]] = {}
        self._last_of: dict[str, int] = {}
        self._finished: dict[Path, dict[str, int]] = {}
        self._deleting = threading.Lock()

    def remember(self, file: ReadFile) -> None:
        """Takes a file of an earlier owner: it is finished."""
        last: dict[str, int] = {}
        for record in file.records:
            for chunk in record.meta.chunks:
                last[chunk.tenant_id] = chunk.first_sequence + chunk.events - 1
        self._finished[file.path] = last

    def start(self, writer: LogWriter, *, offsets: dict[tuple[str, int], int]) -> None:
        """Begins to write."""
        self._writer = writer
        self.offsets = dict(offsets)
        self.next_sequence = self.first_new_sequence = writer.header.first_sequence

    def commit(self, submissions: Sequence[Submission]) -> Group:
        """Commits submissions in one record. When the disk refuses, the log stops: nothing is acknowledged from then on."""
        self.stopped = self.stopped or self.identities.failed
        if self.stopped is not None:
            return Group(answers=[self.stopped] * len(submissions), batches=[])
        received = self._clock.now()
        # A submission without events only says how far a stream was read: it is nobody's.
        ciphers = [self._cipher(one.decoded.tenant_id) if one.decoded.storable else None for one in submissions]
        held = [one for one, cipher in zip(submissions, ciphers, strict=True) if not isinstance(cipher, Problem)]
        verdicts = self.identities.meet(
            list(chain.from_iterable([one.decoded.keys for one in held])),
            list(chain.from_iterable([one.decoded.digests for one in held])),
        )
        given, parts = self._parts(held, verdicts, received)
        try:
            self._write(parts, held, received)
        except OSError as error:
            self.stopped = problem("usage.log_stopped", f"writing to {self.folder.name} failed: {error.strerror}")
            return Group(answers=[self.stopped] * len(submissions), batches=[])
        self.identities.turn(last_sequence=self.next_sequence - 1)
        answered = iter(given)
        answers = [cipher if isinstance(cipher, Problem) else next(answered) for cipher in ciphers]
        return Group(answers=answers, batches=[batch for mine in parts.values() for batch, _ in mine])

    def _parts(
        self, held: Sequence[Submission], verdicts: bytes, received: datetime
    ) -> tuple[list[Answers], dict[str, list[tuple[CommittedBatch, bytes]]]]:
        """The answers, and each tenant's batches with their text: sequences run on from tenant to tenant."""
        by_tenant: dict[str, list[int]] = {}
        for index, one in enumerate(held):
            by_tenant.setdefault(one.decoded.tenant_id, []).append(index)
        starts = list(accumulate([one.decoded.storable for one in held], initial=0))
        answers: dict[int, Answers] = {}
        parts: dict[str, list[tuple[CommittedBatch, bytes]]] = {}
        sequence = self.next_sequence
        for tenant_id, indices in by_tenant.items():
            for index in indices:
                decoded, mine = held[index].decoded, verdicts[starts[index] : starts[index + 1]]
                answers[index] = Answers(decoded=decoded, verdicts=mine, first_sequence=sequence, received_at=received)
                kept, text = _kept(decoded, mine)
                if not text:
                    continue
                count = decoded.storable if kept is None else len(kept)
                batch = CommittedBatch(
                    tenant_id=tenant_id,
                    shard=self.shard,
                    first_sequence=sequence,
                    received_at=received,
                    count=count,
                    rows=decoded.rows,
                    kept=None if decoded.rows is None else kept,
                    events=_accepted(decoded, kept),
                )
                parts.setdefault(tenant_id, []).append((batch, text))
                sequence += count
        return [answers[index] for index in range(len(held))], parts

    def _write(
        self, parts: Mapping[str, list[tuple[CommittedBatch, bytes]]], held: Sequence[Submission], received: datetime
    ) -> None:
        offsets = [offset for one in held for offset in one.offsets]
        if not parts and not offsets:
            return
        assert self._writer is not None
        metas, body, events = [], [], 0
        for tenant_id, mine in parts.items():
            key_id, cipher = self._ciphers[tenant_id]
            first = mine[0][0].first_sequence
            count = sum([batch.count for batch, _ in mine])
            lines = mine[0][1] if len(mine) == 1 else b"".join([text for _, text in mine])
            sealed = seal(cipher, first_sequence=first, tenant_id=tenant_id.encode(), lines=lines)
            events += count
            body.append(sealed)
            metas.append(ChunkMeta(tenant_id, key_id, first, count, len(sealed)))
            self._last_of[tenant_id] = first + count - 1
        self._writer.append(
            record_bytes(
                first_sequence=self.next_sequence,
                events=events,
                received_at_micros=(received - EPOCH) // _MICROSECOND,
                before=self._writer.before,
                meta=RecordMeta(metas, offsets),
                body=body,
            )
        )
        self.next_sequence += events
        for offset in offsets:
            self.offsets[offset.topic, offset.partition] = offset.next_offset
        if self._writer.size > self._limits.file_bytes_max:
            self._finish()

    def _finish(self) -> None:
        assert self._writer is not None
        self._writer.close()
        with self._deleting:
            self._finished[self._writer.path] = self._last_of
        self._last_of, self._ciphers = {}, {}
        header = FileHeader(
            shard=self.shard,
            fence=self._fence,
            first_sequence=self.next_sequence,
            salt=secrets.token_bytes(SALT_BYTES),
            offsets=tuple(
                Offset(topic=topic, partition=part, next_offset=at) for (topic, part), at in self.offsets.items()
            ),
        )
        self._writer = LogWriter(folder=self.folder, header=header)

    def _cipher(self, tenant_id: str) -> AESGCM | Problem:
        key = self.keys.current(tenant_id)
        if isinstance(key, Problem):
            return key
        found = self._ciphers.get(tenant_id)
        if found is None or found[0] != key.key_id:
            assert self._writer is not None
            found = self._ciphers[tenant_id] = (key.key_id, cipher_of(key, salt=self._writer.header.salt))
        return found[1]

    def delete_through(self, sealed: Sealed) -> int:
        """Deletes the oldest finished files, up to the first with an event that is not sealed or whose identity is in no run."""
        covered, gone = self.identities.covered_through, 0
        with self._deleting:
            for path, last in sorted(self._finished.items()):
                if not all(sequence <= min(covered, sealed(tenant)) for tenant, sequence in last.items()):
                    break
                path.unlink(missing_ok=True)
                del self._finished[path]
                gone += 1
        return gone

    def close(self) -> None:
        self.identities.close()
        if self._writer is not None:
            self._writer.close()


def _accepted(decoded: Decoded, kept: Sequence[int] | None) -> Sequence[object]:
    return decoded.events if kept is None or decoded.rows is not None else [decoded.events[place] for place in kept]


def _kept(decoded: Decoded, verdicts: bytes) -> tuple[list[int] | None, bytes]:
    """The places of the accepted events, None when all are, and their lines."""
    if not any(verdicts):
        return None, decoded.text
    kept = [place for place, verdict in enumerate(verdicts) if verdict == ACCEPTED]
    return kept, b"\n".join([*[decoded.lines[place] for place in kept], b""]) if kept else b""


_MICROSECOND = EPOCH.resolution
