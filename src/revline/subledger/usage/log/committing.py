"""One commit: dedupe, chunks, one record, one wait for the disk. Used by one thread at a time."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from revline.core.clock import Clock
from revline.core.problem import Problem, problem
from revline.platform.tenancy.data_keys import DataKeys
from revline.subledger.usage.decoding.content import complete
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
    nonce_of,
    record_bytes,
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

KEY_SECONDS: Final = timedelta(seconds=1)


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
        self._ciphers: dict[str, tuple[int, Callable[[bytes, bytes, bytes], bytes], bytes]] = {}
        self._seen: set[str] = set()
        self._looked_at = EPOCH
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
        refused = self._ready({one.decoded.tenant_id for one in submissions if one.decoded.storable}, received)
        held = submissions if not refused else [one for one in submissions if _tenant_of(one) not in refused]
        complete([one.decoded for one in held])
        contents = [one.decoded.made() for one in held]
        verdicts = self.identities.meet(
            list(chain.from_iterable([one.keys for one in contents])),
            list(chain.from_iterable([one.digests for one in contents])),
        )
        given, parts = self._parts(held, verdicts, received)
        try:
            self._write(parts, held, received)
        except OSError as error:
            self.stopped = problem("usage.log_stopped", f"writing to {self.folder.name} failed: {error.strerror}")
            return Group(answers=[self.stopped] * len(submissions), batches=[])
        self.identities.turn(last_sequence=self.next_sequence - 1)
        answers: list[Answers | Problem] = list(given)
        if refused:
            answered = iter(given)
            answers = [refused.get(_tenant_of(one)) or next(answered) for one in submissions]
        return Group(answers=answers, batches=[batch for mine in parts.values() for batch, _ in mine])

    def _parts(
        self, held: Sequence[Submission], verdicts: bytes, received: datetime
    ) -> tuple[list[Answers], dict[str, list[tuple[CommittedBatch, bytes]]]]:
        """The answers, and each tenant's batches with their text: sequences run on from tenant to tenant."""
        by_tenant: dict[str, list[tuple[int, Decoded, bytes]]] = {}
        start = 0
        for index, one in enumerate(held):
            decoded = one.decoded
            end = start + decoded.storable
            part = (index, decoded, verdicts[start:end])
            by_tenant.setdefault(decoded.tenant_id, []).append(part)
            start = end
        answers: list[Any] = [None] * len(held)
        parts: dict[str, list[tuple[CommittedBatch, bytes]]] = {}
        sequence, shard = self.next_sequence, self.shard
        for tenant_id, pieces in by_tenant.items():
            for index, decoded, mine in pieces:
                answers[index] = Answers(decoded, mine, sequence, received)
                count = mine.count(ACCEPTED)
                if not count:
                    continue
                if count == len(mine):
                    batch = CommittedBatch(
                        tenant_id, shard, sequence, received, count, decoded.rows, None, decoded.events
                    )
                    text = decoded.made().text
                else:
                    batch, text = _some(decoded, mine, shard, sequence, received)
                parts.setdefault(tenant_id, []).append((batch, text))
                sequence += count
        return answers, parts

    def _write(
        self, parts: Mapping[str, list[tuple[CommittedBatch, bytes]]], held: Sequence[Submission], received: datetime
    ) -> None:
        offsets = [offset for one in held for offset in one.offsets]
        if not parts and not offsets:
            return
        assert self._writer is not None
        metas, body, events = [], [], 0
        for tenant_id, mine in parts.items():
            key_id, encrypt, name = self._ciphers[tenant_id]
            first = mine[0][0].first_sequence
            if len(mine) == 1:
                count, lines = mine[0][0].count, mine[0][1]
            else:
                count, lines = sum([batch.count for batch, _ in mine]), b"".join([text for _, text in mine])
            sealed = encrypt(nonce_of(first), lines, name)
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
        self._last_of, self._ciphers, self._seen = {}, {}, set()
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

    def _ready(self, tenants: Iterable[str], now: datetime) -> dict[str, Problem]:
        """Has the cipher of each tenant's current key at hand; those whose key can't be had, and why. It is looked for newer keys
        once a second."""
        if abs(now - self._looked_at) > KEY_SECONDS:
            self._looked_at, self._seen = now, set()
        refused = {}
        for tenant_id in tenants:
            if tenant_id in self._seen:
                continue
            key = self.keys.current(tenant_id)
            if isinstance(key, Problem):
                refused[tenant_id] = key
                continue
            found = self._ciphers.get(tenant_id)
            if found is None or found[0] != key.key_id:
                assert self._writer is not None
                cipher = cipher_of(key, salt=self._writer.header.salt)
                self._ciphers[tenant_id] = (key.key_id, cipher.encrypt, tenant_id.encode())
            self._seen.add(tenant_id)
        return refused

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


def _tenant_of(submission: Submission) -> str:
    """Whose key it needs: nobody's without events."""
    return submission.decoded.tenant_id if submission.decoded.storable else ""


def _some(
    decoded: Decoded, verdicts: bytes, shard: int, sequence: int, received: datetime
) -> tuple[CommittedBatch, bytes]:
    """The batch and the lines of the events that were accepted, where others were not."""
    kept = [place for place, verdict in enumerate(verdicts) if verdict == ACCEPTED]
    batch = CommittedBatch(
        tenant_id=decoded.tenant_id,
        shard=shard,
        first_sequence=sequence,
        received_at=received,
        count=len(kept),
        rows=decoded.rows,
        kept=kept if decoded.rows is not None else None,
        events=[decoded.events[place] for place in kept] if decoded.rows is None else (),
    )
    return batch, b"\n".join([*[decoded.lines[place] for place in kept], b""])


_MICROSECOND: Final = EPOCH.resolution
