"""The usage log of one shard: takes submissions, commits them in groups, answers each event, tells its subscribers.

An answer is given when the record that holds the event is on disk. One thread commits, another tells subscribers. It knows no
meter, no Parquet and no PostgreSQL.
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

from revline.core.clock import Clock
from revline.core.problem import Problem, problem
from revline.platform.logs import log
from revline.platform.tenancy.data_keys import DataKeys
from revline.subledger.usage.log.committing import Committer, Group
from revline.subledger.usage.log.files import LogWriter, ReadFile, cut_torn, read_all
from revline.subledger.usage.log.identities import Identities
from revline.subledger.usage.log.owner import Ownership, take
from revline.subledger.usage.log.reading import TypesOf, batch_of, identities_of, lines_of
from revline.subledger.usage.log.records import SALT_BYTES, FileHeader
from revline.subledger.usage.log.values import (
    Answers,
    CommittedBatch,
    LogLimits,
    Offset,
    Offsets,
    Sealed,
    Submission,
    Subscriber,
)

Done = Callable[[Answers | Problem], None]


class UsageLog:
    """A shard's log, opened by the one process that owns it. Safe to use from many threads."""

    def __init__(self, *, committer: Committer, ownership: Ownership, limits: LogLimits) -> None:
        self._committer = committer
        self._ownership = ownership
        self._limits = limits
        self._waiting: queue.SimpleQueue[Sequence[tuple[Submission, Done]] | None] = queue.SimpleQueue()
        self._waiting_events = 0
        self._counting = threading.Lock()
        self._committing = threading.Lock()
        self._committed: queue.SimpleQueue[list[CommittedBatch] | None] = queue.SimpleQueue()
        self._behind_events = 0
        self._subscribers: tuple[Subscriber, ...] = ()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._commit_groups, name="usage-commit", daemon=True),
            threading.Thread(target=self._tell, name="usage-tell", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    def open(
        cls, *, folder: Path, shard: int, keys: DataKeys, clock: Clock, limits: LogLimits | None = None
    ) -> UsageLog | Problem:
        """Opens a shard's folder after reading every checksum in it; an end that was torn is put aside.

        Problems: usage.log_owned while another process has it, usage.log_damaged when an acknowledged record can't be read,
        keys.unavailable when a tenant's key can't be had.
        """
        ownership = take(folder)
        if isinstance(ownership, Problem):
            return ownership
        limits = limits or LogLimits()
        committer = _recover(folder, shard, keys, clock, limits, ownership)
        if isinstance(committer, Problem):
            ownership.release()
            return committer
        return cls(committer=committer, ownership=ownership, limits=limits)

    @property
    def shard(self) -> int:
        return self._committer.shard

    @property
    def watermark(self) -> int:
        """The sequence of the last acknowledged event; 0 before the first."""
        return self._committer.next_sequence - 1

    @property
    def identities(self) -> Identities:
        """Every identity the log knows."""
        return self._committer.identities

    @property
    def stopped(self) -> Problem | None:
        """Why nothing is acknowledged any more; None while all is well."""
        return self._committer.stopped

    def offsets(self) -> Offsets:
        """Where each stream goes on: (topic, partition) to the next offset."""
        return dict(self._committer.offsets)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tells a follower of everything committed from now on. Subscribe before the first submission."""
        self._subscribers = (*self._subscribers, subscriber)

    def recovered(self, *, types_of: TypesOf, sealed: Sealed) -> Iterator[CommittedBatch | Problem]:
        """What the files held when the log was opened and is not sealed: each tenant's events after `sealed`."""
        for file in read_all(self._committer.folder):
            if isinstance(file, Problem):
                yield file
                return
            wanted = self._committer.first_new_sequence
            for lines in lines_of(
                file.header,
                file.records,
                keys=self._committer.keys,
                wanted=lambda one, end=wanted: (  # type: ignore[misc]
                    one.first_sequence < end and one.first_sequence + one.events - 1 > sealed(one.tenant_id)
                ),
            ):
                if isinstance(lines, Problem):
                    yield lines
                    continue
                types = types_of(lines.chunk.tenant_id)
                yield types if isinstance(types, Problem) else batch_of(lines, shard=self.shard, types=types)

    def submit(self, submission: Submission) -> Future[Answers | Problem]:
        """Queues a submission. The result: its answers once its events are on disk; else usage.busy or usage.log_stopped."""
        future: Future[Answers | Problem] = Future()
        self.submit_then(submission, future.set_result)
        return future

    def submit_then(self, submission: Submission, done: Done) -> None:
        """Queues a submission and calls `done` with what `submit` would give: on the committer's thread, so it must be quick."""
        self.submit_all([(submission, done)])

    def submit_all(self, submissions: Sequence[tuple[Submission, Done]]) -> None:
        """Queues submissions that are to stand in one record, each with whom to tell, as `submit_then` does."""
        refusal = self._refusal(sum([submission.decoded.storable for submission, _ in submissions]))
        if refusal is None:
            self._waiting.put(submissions)
            return
        for _, done in submissions:
            done(refusal)

    def commit(self, submissions: Sequence[Submission]) -> list[Answers | Problem]:
        """Commits submissions in one record on the caller's thread, and gives what `submit` would give for each.

        For a caller that has nothing else to do meanwhile (an import, a consumer): it saves the way to another thread and back.
        """
        events = sum([submission.decoded.storable for submission in submissions])
        refusal = self._refusal(events)
        if refusal is not None:
            return [refusal] * len(submissions)
        return self._commit(submissions, events)

    def delete_through(self, sealed: Sealed) -> int:
        """Deletes the finished files of which every tenant's events are sealed; how many."""
        return self._committer.delete_through(sealed)

    def close(self) -> None:
        """Commits what waits, tells subscribers, and gives the folder free."""
        if self._closed:
            return
        self._closed = True
        self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._committer.close()
        self._ownership.release()

    def _refusal(self, events: int) -> Problem | None:
        if self._committer.stopped is not None:
            return self._committer.stopped
        if self._closed:
            return problem("usage.log_stopped", "the log is closed")
        with self._counting:
            if self._waiting_events and self._waiting_events + events > self._limits.waiting_events_max:
                return problem("usage.busy", f"{self._waiting_events} events wait to be committed")
            if self._behind_events > self._limits.behind_events_max:
                return problem("usage.busy", f"{self._behind_events} committed events wait to be taken up")
            self._waiting_events += events
        return None

    def _commit_groups(self) -> None:
        ended = False
        while not ended:
            waiting = self._waiting.get()
            if waiting is None:
                break
            group = list(waiting)
            events = sum([submission.decoded.storable for submission, _ in group])
            while events < self._limits.group_events_max:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                    break
                group.extend(more)
                events += sum([submission.decoded.storable for submission, _ in more])
            answers = self._commit([submission for submission, _ in group], events)
            for (_, done), answer in zip(group, answers, strict=True):
                try:
                    done(answer)
                except Exception:  # noqa: BLE001 - what one sender does with its answer holds up nobody else's
                    log().exception("usage.answer_failed")
        self._committed.put(None)

    def _commit(self, submissions: Sequence[Submission], events: int) -> list[Answers | Problem]:
        with self._committing:
            try:
                done = self._committer.commit(submissions)
            except Exception:  # noqa: BLE001 - memory and disk may no longer agree, so nothing more is acknowledged
                done = Group(answers=[self._stop("a commit failed unexpectedly")] * len(submissions), batches=[])
            if self._subscribers and done.batches:
                self._committed.put(done.batches)
            with self._counting:
                self._waiting_events -= events
                self._behind_events += sum([batch.count for batch in done.batches]) if self._subscribers else 0
        return done.answers

    def _stop(self, detail: str) -> Problem:
        stopped = self._committer.stopped = self._committer.stopped or problem("usage.log_stopped", detail)
        log().exception("usage.log_stopped", code="usage.log_stopped")
        return stopped

    def _tell(self) -> None:
        while (batches := self._committed.get()) is not None:
            try:
                for subscriber in self._subscribers:
                    subscriber.on_committed(batches)
            except Exception:  # noqa: BLE001 - what it missed it gets from the files when the log is opened anew
                self._stop("a subscriber failed")
            with self._counting:
                self._behind_events -= sum(batch.count for batch in batches)


def _recover(
    folder: Path, shard: int, keys: DataKeys, clock: Clock, limits: LogLimits, ownership: Ownership
) -> Committer | Problem:
    identities = Identities.open(folder, hot_max=limits.hot_events_max)
    if isinstance(identities, Problem):
        return identities
    committer = Committer(
        folder=folder,
        shard=shard,
        fence=ownership.fence,
        keys=keys,
        clock=clock,
        limits=limits,
        identities=identities,
    )
    offsets: dict[tuple[str, int], int] = {}
    covered = identities.covered_through
    next_sequence: int | None = None
    for file in read_all(folder):
        if isinstance(file, Problem):
            identities.close()
            return file
        if next_sequence is None and file.header.first_sequence > covered + 1:
            identities.close()
            return problem("usage.log_damaged", f"events from {covered + 1} on are missing before {file.path.name}")
        failed = _take_file(file, committer, offsets)
        if failed is not None:
            identities.close()
            return failed
        next_sequence = file.next_sequence
    if covered >= (next_sequence or 1):
        identities.close()
        return problem(
            "usage.log_damaged", f"events up to {covered} were acknowledged, and the log ends before", field=str(folder)
        )
    cut_torn(folder)
    header = FileHeader(
        shard=shard,
        fence=ownership.fence,
        first_sequence=next_sequence or 1,
        salt=secrets.token_bytes(SALT_BYTES),
        offsets=tuple(Offset(topic=topic, partition=part, next_offset=at) for (topic, part), at in offsets.items()),
    )
    committer.start(LogWriter(folder=folder, header=header), offsets=offsets)
    return committer


def _take_file(file: ReadFile, committer: Committer, offsets: dict[tuple[str, int], int]) -> Problem | None:
    """Takes what a file holds: offsets, and the identities that are in no run yet."""
    if file.header.shard != committer.shard:
        return problem("usage.log_damaged", f"{file.path.name} is of shard {file.header.shard}, not {committer.shard}")
    _take_offsets(offsets, file.header.offsets)
    for record in file.records:
        _take_offsets(offsets, record.meta.offsets)
    covered = committer.identities.covered_through
    for lines in lines_of(
        file.header, file.records, keys=committer.keys, wanted=lambda one: one.first_sequence > covered
    ):
        if isinstance(lines, Problem):
            return lines
        seed = committer.keys.identity_seed(lines.chunk.tenant_id)
        if isinstance(seed, Problem):
            return seed
        committer.identities.meet(*identities_of(lines.lines, seed=seed))
    committer.remember(file)
    return None


def _take_offsets(into: dict[tuple[str, int], int], offsets: Sequence[Offset]) -> None:
    for one in offsets:
        into[one.topic, one.partition] = one.next_offset


__all__ = ["Group", "UsageLog"]
