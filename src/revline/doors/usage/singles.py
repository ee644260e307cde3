"""Requests of one event each, taken together: while the disk takes one group, the next one gathers. One thread decodes and commits
them, so a thousand small requests cost the log what one large one does.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from revline.core.problem import Problem, problem
from revline.doors.usage.ports import Answers, Given, Told
from revline.platform.logs import log
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.decode import decode, decode_each
from revline.subledger.usage.decoding.values import Decoded
from revline.subledger.usage.events import EventAnswer, Verdict
from revline.subledger.usage.log.values import Answers as LogAnswers

GROUP_MAX: Final = 2_000
_Asked = tuple[str, bytes, Told]
TypesOf = Callable[[str], TypeCatalogue | Problem]
Commit = Callable[[Decoded, Told], None]


class Single(msgspec.Struct, frozen=True, gc=False):
    """The answer to one event among those that were committed with it. place: among the storable ones."""

    answers: LogAnswers
    place: int

    @property
    def verdict(self) -> int:
        """As the log writes it."""
        return self.answers.verdicts[self.place]

    def each(self) -> Sequence[EventAnswer]:
        """As `Taken` says."""
        one = msgspec.structs.replace(
            self.answers,
            decoded=self.answers.decoded.part([self.place]),
            verdicts=self.answers.verdicts[self.place : self.place + 1],
        )
        return one.each()


class Singles:
    """The thread that takes them. types_of: may ask a database. commit: commits on this thread and tells the log's answers."""

    def __init__(self, *, types_of: TypesOf, commit: Commit) -> None:
        self._types_of, self._commit = types_of, commit
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="usage-singles", daemon=True)
        self._thread.start()

    def submit(self, tenant_id: str, body: bytes, told: Told) -> None:
        """Takes one event; told its answer."""
        self._asked.put((tenant_id, body, told))

    def close(self) -> None:
        """Answers what was asked and ends."""
        self._asked.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._asked.get()) is not None:
            group, ended = [first], False
            while len(group) < GROUP_MAX and not ended:
                try:
                    more = self._asked.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                else:
                    group.append(more)
            self._take(group)
            if ended:
                return

    def _take(self, group: Sequence[_Asked]) -> None:
        by_tenant: dict[str, list[_Asked]] = {}
        for one in group:
            by_tenant.setdefault(one[0], []).append(one)
        for tenant_id, asked in by_tenant.items():
            try:
                types = self._types_of(tenant_id)
                if isinstance(types, Problem):
                    _tell_all(asked, types)
                else:
                    self._take_of_tenant(asked, types)
            except Exception as failure:  # noqa: BLE001 - whoever waits must hear of it
                log().error("usage.unread", exc_info=failure)
                _tell_all(asked, problem("service.unavailable", "the events could not be read just now"))

    def _take_of_tenant(self, asked: Sequence[_Asked], types: TypeCatalogue) -> None:
        decoded = decode_each([body for _, body, _ in asked], types)
        wrong = {one.index for one in decoded.invalid}
        for index in wrong:
            _, body, told = asked[index]
            alone = decode(body, types)
            told(alone if isinstance(alone, Problem) else _invalid(alone))
        right = [one for index, one in enumerate(asked) if index not in wrong] if wrong else asked
        if right:
            self._commit(decoded, partial(_tell_each, right))


def _tell_each(asked: Sequence[_Asked], answers: Answers) -> None:
    if isinstance(answers, LogAnswers):
        for place, (_, _, told) in enumerate(asked):
            told(Single(answers, place))
    elif isinstance(answers, Problem):
        _tell_all(asked, answers)
    else:
        for (_, _, told), one in zip(asked, answers.each(), strict=True):
            told(Given([one]))


def _tell_all(asked: Sequence[_Asked], found: Problem) -> None:
    for _, _, told in asked:
        told(found)


def _invalid(decoded: Decoded) -> Given:
    return Given([EventAnswer(id=one.id, verdict=Verdict.INVALID, problem=one.problem) for one in decoded.invalid])
