"""Asynchronous batches: up to a hundred records in one request, one job, and for each record an answer of its own.

The key of a batch is made of its exact bytes, so the same request twice is one job. A job that is followed to its end is judged by
what NetSuite then holds, and for what is not there by the task's own result.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final

from revline.connectors.netsuite.client import NetSuiteClient
from revline.connectors.netsuite.creating import STRICT, Creator, Ready, not_asked
from revline.connectors.netsuite.errors import error_of
from revline.connectors.netsuite.manifest import Options
from revline.connectors.netsuite.marks import encoded
from revline.connectors.netsuite.outcomes import Made, Taken, Verdict, verdict
from revline.connectors.netsuite.reading import Held, Reader
from revline.connectors.sdk.wire import HttpAnswer
from revline.core.farside import Accepted, NotSent, Outcome, PreparedStep, Rejected, Throttled, Uncertain
from revline.core.jobs import Poll
from revline.core.problem import Problem, ProblemError, problem

COLLECTION: Final = "application/vnd.oracle.resource+json; type=collection"
IDEMPOTENCY_ERROR: Final = "IDEMPOTENCY_ERROR"
FIRST_PAUSE: Final = timedelta(milliseconds=250)
POLLS_MAX: Final = 100
SINGLY_MAX: Final = 20
"""Documents of a refused batch that are sent by themselves at once; more would outlast the time one send has."""
_JOB: Final = re.compile(r"/async/v1/job/([0-9]+)\Z")
_HANDLE: Final = re.compile(r"([0-9]{1,18})/task/([0-9]{1,3})\Z")

Pause = Callable[[float], Awaitable[None]]


class Batcher:
    """Sends batches and follows their jobs. pause: how to wait between two polls, given in seconds."""

    def __init__(
        self, *, client: NetSuiteClient, reader: Reader, creator: Creator, options: Options, pause: Pause
    ) -> None:
        self._client = client
        self._reader = reader
        self._creator = creator
        self._options = options
        self._pause = pause

    async def send(self, steps: Sequence[PreparedStep]) -> list[Outcome]:
        """One outcome for each step, in order."""
        try:
            found = await self._creator.ready(steps)
        except ProblemError as error:
            return [not_asked(error.problem)] * len(steps)
        outcomes: dict[int, Outcome] = {
            place: Rejected(problem=each) for place, each in enumerate(found) if isinstance(each, Problem)
        }
        ready = [each for each in found if isinstance(each, Ready)]
        if len(ready) == 1:
            outcomes[ready[0].place] = await self._creator.one(ready[0])
        elif ready:
            outcomes |= await self._batch(ready)
        return [outcomes[place] for place in range(len(steps))]

    async def poll(self, polls: Sequence[Poll]) -> list[Outcome]:
        """What became of records of jobs, in order: Accepted while their job runs. Each job is asked for once."""
        outcomes: dict[int, Outcome] = {}
        jobs: dict[str, list[tuple[int, int]]] = {}
        for place, one in enumerate(polls):
            named = _HANDLE.match(one.handle)
            if named is None:
                outcomes[place] = Uncertain(evidence=f"{one.handle[:100]!r} is no handle of a job")
            else:
                jobs.setdefault(named.group(1), []).append((place, int(named.group(2))))
        for job, members in jobs.items():
            found = await self._polled(job, [polls[place] for place, _ in members], [task for _, task in members])
            outcomes |= {place: outcome for (place, _), outcome in zip(members, found, strict=True)}
        return [outcomes[place] for place in range(len(polls))]

    async def _polled(self, job: str, polls: Sequence[Poll], tasks: Sequence[int]) -> list[Outcome]:
        """The outcomes of records of one job."""
        done = await self._done(job)
        if done is not True:
            return [done or Accepted(handle=one.handle, poll_after=self._options.job_poll) for one in polls]
        try:
            found = await self._creator.ready([one.step for one in polls])
        except ProblemError as error:
            return [not_asked(error.problem)] * len(polls)
        ready = [each for each in found if isinstance(each, Ready)]
        ended = await self._finished(ready, job, [tasks[each.place] for each in ready], followed=False) if ready else {}
        return [Uncertain(evidence=each.detail) if isinstance(each, Problem) else ended[each.place] for each in found]

    async def _batch(self, ready: Sequence[Ready]) -> dict[int, Outcome]:
        content = encoded({"items": [each.body for each in ready]})
        headers = {"content-type": COLLECTION, "prefer": "respond-async", "x-netsuite-idempotency-key": key_of(content)}
        answer = await self._client.call(
            method="POST", path=f"/record/v1/{ready[0].record}", content=content, headers=STRICT | headers
        )
        if not isinstance(answer, HttpAnswer):
            return {each.place: answer for each in ready}
        job = _JOB.search(answer.headers.get("location", ""))
        error = error_of(body=answer.body)
        followed = answer.status == 400 and error is not None and error.code == IDEMPOTENCY_ERROR
        if job is None or not (answer.status == 202 or followed):
            refused = verdict(answer=answer, rules=self._client.errors, mask=self._client.mask)
            if isinstance(refused, Rejected):
                return await self._singly(ready)
            return {each.place: Uncertain(evidence=self._client.mask(answer.evidence)) for each in ready}
        return await self._follow(ready, job.group(1), followed=followed)

    async def _singly(self, ready: Sequence[Ready]) -> dict[int, Outcome]:
        """A batch refused as a whole made nothing; one record that can't be read must take no good one with it."""
        outcomes: dict[int, Outcome] = {}
        last: Outcome | None = None
        for number, each in enumerate(ready):
            if number >= SINGLY_MAX:
                last = NotSent(
                    problem=problem("erp.busy", "its batch was refused as a whole; it goes with fewer others")
                )
            elif not isinstance(last, Throttled | NotSent):
                last = await self._creator.one(each)
            outcomes[each.place] = last
        return outcomes

    async def _follow(self, ready: Sequence[Ready], job: str, *, followed: bool) -> dict[int, Outcome]:
        """Poll within the bound; what still runs then is accepted, with a handle to poll it by."""
        waited, pause = timedelta(0), FIRST_PAUSE
        for _ in range(POLLS_MAX):
            if await self._done(job) is True:
                places = list(range(1, len(ready) + 1))
                return await self._finished(ready, job, places, followed=followed)
            if waited + pause > self._options.job_wait:
                break
            await self._pause(pause.total_seconds())
            waited, pause = waited + pause, min(pause * 2, self._options.job_poll)
        return {
            each.place: Accepted(handle=f"{job}/task/{number}", poll_after=self._options.job_poll)
            for number, each in enumerate(ready, start=1)
        }

    async def _done(self, job: str) -> bool | NotSent | Throttled | Uncertain:
        """Whether a job says it is completed; a failed poll says nothing of the job."""
        answer = await self._client.call(method="GET", path=f"/async/v1/job/{job}")
        if not isinstance(answer, HttpAnswer):
            return False if isinstance(answer, Throttled | Uncertain) else answer
        error = error_of(body=answer.body)
        if answer.status == 404 and error is not None:
            return Uncertain(evidence=f"job {job} is gone: {error.detail[:300]}")
        return answer.status == 200 and b'"completed":true' in answer.body.replace(b" ", b"")

    async def _finished(
        self, ready: Sequence[Ready], job: str, tasks: Sequence[int], *, followed: bool
    ) -> dict[int, Outcome]:
        """Each record's own outcome. The refusals of an earlier job that was followed are not believed, but sent again."""
        references = [each.step.external_reference for each in ready]
        held: dict[str, list[Held]] = {}
        try:
            for one in await self._reader.by_reference(record=ready[0].record, references=references):
                held.setdefault(one.record.external_reference, []).append(one)
        except ProblemError as error:
            evidence = f"job {job} ended and its records can't be read: {error.problem.detail}"
            return {each.place: Uncertain(evidence=evidence[:2_000]) for each in ready}
        outcomes: dict[int, Outcome] = {}
        again: list[Ready] = []
        for each, task in zip(ready, tasks, strict=True):
            found = held.get(each.step.external_reference, [])
            if found:
                outcomes[each.place] = self._creator.existing(each.step, found, evidence=f"job {job}")
                continue
            outcomes[each.place] = await self._of_task(each, job, task)
            if followed and isinstance(outcomes[each.place], Rejected):
                again.append(each)
        return outcomes | await self._singly(again)

    async def _of_task(self, ready: Ready, job: str, task: int) -> Outcome:
        """A record that is not there: the task says why."""
        answer = await self._client.call(method="GET", path=f"/async/v1/job/{job}/task/{task}/result")
        if not isinstance(answer, HttpAnswer):
            return Uncertain(evidence=f"job {job} ended and task {task} has no result that can be read")
        found: Verdict = verdict(answer=answer, rules=self._client.errors, mask=self._client.mask)
        if isinstance(found, Made | Taken):
            return (await self._creator.settled([(ready, found)]))[0]
        return found


def key_of(content: bytes) -> str:
    """A key for exactly these bytes, in the form of a UUID."""
    digest = hashlib.sha256(content).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
