"""Bulk import of NDJSON: CloudEvents, a provider's API objects or its events, one a line, for one connection.

Streams with limits, takes batches in one unit of work each, and writes what was refused to a rejects file that can be mended and
imported again. An import that was cut off is simply run again: what was taken in is a duplicate. Knows no command line.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO, Final

import msgspec

from revline.core import exact_json
from revline.core.clock import Clock
from revline.core.problem import Problem, problem
from revline.intake.service import Intake
from revline.intake.values import INPUTS_PER_UNIT_MAX, Channel, Form, Input, Outcome, Verdict, WhenUnreadable

BATCH: Final = 200
BATCH_BYTES_MAX: Final = 16 * 1024 * 1024
LINE_BYTES_MAX: Final = exact_json.BYTES_MAX
REJECTED_RAW_BYTES_MAX: Final = 64 * 1024
CONTENT_TYPE: Final = "application/x-ndjson"


class ImportState(StrEnum):
    """complete: the file was read to its end. stopped: the caller asked to stop between two batches."""

    COMPLETE = "complete"
    STOPPED = "stopped"


class ImportProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import is. lines: read so far, blank ones left out. bytes_read: of the file. counts: lines by outcome."""

    lines: int
    bytes_read: int
    counts: Mapping[str, int]


class ImportSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did. facts: new ones. rejected: lines in the rejects file. codes: rejected lines by problem code."""

    state: ImportState
    lines: int
    bytes_read: int
    facts: int
    rejected: int
    counts: Mapping[str, int]
    codes: Mapping[str, int]


class Reject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the rejects file. raw: the line as text, in raw_base64 when it is not UTF-8. cut: raw is its beginning."""

    line: int
    problem: Problem
    raw: str = ""
    raw_base64: str = ""
    cut: bool = False


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a file, or what another format made of some. problem: why it is refused before anything reads it. raw: what stood
    in the file, where that is not `data`."""

    number: int
    data: bytes
    problem: Problem | None = None
    raw: bytes = b""
    too_long: bool = False


def lines_read(stream: BinaryIO, *, line_bytes_max: int) -> Iterator[tuple[Line | None, int]]:
    """Each line with how many bytes of the stream it took; None for a blank one. At most `line_bytes_max` of a line are held."""
    number = 0
    while data := stream.readline(line_bytes_max + 1):
        number += 1
        size = len(data)
        too_long = len(data) > line_bytes_max and not data.endswith(b"\n")
        rest = data
        while too_long and rest and not rest.endswith(b"\n"):
            rest = stream.readline(line_bytes_max + 1)
            size += len(rest)
        data = data.strip(b" \t\r\n")
        if number == 1:
            data = data.removeprefix(b"\xef\xbb\xbf")
        yield (Line(number=number, data=data, too_long=too_long) if data else None), size


class Importer:
    """Imports files into one connection.

    rejects: where refused lines go, opened by the caller. batch: lines in one unit of work. line_bytes_max: a longer line is
    refused and skipped. when_unreadable: refused lines go to the rejects file; with KEEP what can't be translated is kept with
    a case instead. read: how the stream is read when it is not NDJSON.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        clock: Clock,
        channel: Channel,
        actor: str,
        reason: str,
        batch: int = BATCH,
        line_bytes_max: int = LINE_BYTES_MAX,
        when_unreadable: WhenUnreadable = WhenUnreadable.REFUSE,
        read: Callable[[BinaryIO], Iterator[Line]] | None = None,
    ) -> None:
        if not 0 < batch <= INPUTS_PER_UNIT_MAX:
            raise ValueError(f"a batch has 1 to {INPUTS_PER_UNIT_MAX} lines")
        self._intake = intake
        self._clock = clock
        self._channel = channel
        self._actor = actor
        self._reason = reason
        self._batch = batch
        self._line_bytes_max = line_bytes_max
        self._when = when_unreadable
        self._other_format = read
        self._lines = self._bytes = self._facts = self._rejected = 0
        self._counts: dict[str, int] = {}
        self._codes: dict[str, int] = {}

    def run(
        self,
        *,
        stream: BinaryIO,
        rejects: BinaryIO,
        progress: Callable[[ImportProgress], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> ImportSummary:
        """Imports to the end of `stream`, telling `progress` after every batch; `stop` is asked between batches.

        Raises what the database raises; everything up to the last batch stands then.
        """
        state = ImportState.COMPLETE
        for lines in self._batches(stream):
            self._take(lines, rejects)
            progress(ImportProgress(lines=self._lines, bytes_read=self._bytes, counts=dict(self._counts)))
            if stop():
                state = ImportState.STOPPED
                break
        rejects.flush()
        return ImportSummary(
            state=state,
            lines=self._lines,
            bytes_read=self._bytes,
            facts=self._facts,
            rejected=self._rejected,
            counts=dict(self._counts),
            codes=dict(self._codes),
        )

    def _batches(self, stream: BinaryIO) -> Iterator[list[Line]]:
        waiting: list[Line] = []
        size = 0
        for line in self._read(stream) if self._other_format is None else self._counted(stream, self._other_format):
            waiting.append(line)
            size += len(line.data)
            if len(waiting) >= self._batch or size >= BATCH_BYTES_MAX:
                yield waiting
                waiting, size = [], 0
        if waiting:
            yield waiting

    def _read(self, stream: BinaryIO) -> Iterator[Line]:
        for line, size in lines_read(stream, line_bytes_max=self._line_bytes_max):
            self._bytes += size
            if line is not None:
                self._lines += 1
                yield line

    def _counted(self, stream: BinaryIO, read: Callable[[BinaryIO], Iterator[Line]]) -> Iterator[Line]:
        for line in read(stream):
            self._lines += 1
            self._bytes += len(line.raw or line.data)
            yield line

    def _take(self, lines: list[Line], rejects: BinaryIO) -> None:
        now = self._clock.now()
        verdicts = iter(self._accept([line for line in lines if not (line.too_long or line.problem)], now))
        for line in lines:
            if line.problem is not None:
                verdict = Verdict(outcome=Outcome.INVALID, problem=line.problem)
            elif line.too_long:
                detail = f"the line is longer than {self._line_bytes_max} bytes"
                verdict = Verdict(outcome=Outcome.INVALID, problem=problem("json.too_large", detail))
            else:
                verdict = next(verdicts)
            self._counts[verdict.outcome.value] = self._counts.get(verdict.outcome.value, 0) + 1
            self._facts += len(verdict.fact_ids)
            if verdict.problem is not None and verdict.outcome is not Outcome.KEPT:
                self._reject(line, verdict.problem, rejects)

    def _accept(self, lines: list[Line], now: datetime) -> tuple[Verdict, ...]:
        if not lines:
            return ()
        return self._intake.accept(
            channel=self._channel,
            inputs=[Input(body=line.data, content_type=CONTENT_TYPE, received_at=now) for line in lines],
            actor=self._actor,
            reason=self._reason,
            form=Form.OBJECT,
            when_unreadable=self._when,
        )

    def _reject(self, line: Line, why: Problem, rejects: BinaryIO) -> None:
        self._rejected += 1
        self._codes[why.code] = self._codes.get(why.code, 0) + 1
        rejects.write(msgspec.json.encode(rejected(line, why)) + b"\n")


def rejected(line: Line, why: Problem) -> Reject:
    """A refused line as the rejects file holds it."""
    data = (line.raw or line.data)[:REJECTED_RAW_BYTES_MAX]
    cut = line.too_long or len(data) < len(line.raw or line.data)
    try:
        return Reject(line=line.number, problem=why, raw=data.decode(), cut=cut)
    except UnicodeDecodeError:
        return Reject(line=line.number, problem=why, raw_base64=base64.b64encode(data).decode(), cut=cut)
