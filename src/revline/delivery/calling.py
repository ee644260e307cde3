"""Makes the calls that were marked: sends steps, polls far-side jobs, looks up. It never raises for what a far side or a connector
does: whatever goes wrong leaves what was sent uncertain, and what was asked unanswered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from revline.core.documents import DocumentState
from revline.core.farside import (
    Accepted,
    ErpRecord,
    Idempotency,
    Outcome,
    Placed,
    Posted,
    PreparedStep,
    Rejected,
    Uncertain,
)
from revline.core.jobs import Poll, Polling
from revline.core.problem import Problem
from revline.delivery.marking import Call, Ready
from revline.delivery.service import lease_ended
from revline.delivery.settlements import context_of
from revline.delivery.values import Answered, Looked, LookUp, Result
from revline.platform.logs import log

ENDED: Final = (Posted, Placed, Rejected)
"""What a job comes to that its own call would have come to."""


async def submit(call: Call) -> Sequence[Outcome]:
    """The outcomes of a call; whatever goes wrong around the connector leaves every step uncertain."""
    steps = [ready.prepared for ready in call.members if ready.prepared is not None]
    connector = call.members[0].head.far.connector
    limit = connector.manifest.call_timeout.total_seconds() * 2
    try:
        outcomes = await asyncio.wait_for(connector.submit(steps=steps), timeout=limit)
    except TimeoutError:
        return [Uncertain(evidence="the connector gave no answer in twice its time-out")] * len(steps)
    except Exception as error:  # noqa: BLE001 - see the log; nothing is known of the effect
        log().error("delivery.connector_failed", connector=connector.manifest.connector, exc_info=error)
        return [Uncertain(evidence=f"the connector failed: {type(error).__name__}")] * len(steps)
    if len(outcomes) != len(steps):
        evidence = f"{len(steps)} steps were sent, {len(outcomes)} outcomes came back"
        return [Uncertain(evidence=evidence)] * len(steps)
    return outcomes


async def look_up(call: Call) -> list[Result]:
    """What became of each member: its job's end, or what the far side holds under its reference."""
    connector = call.members[0].head.far.connector
    limit = connector.manifest.call_timeout.total_seconds() * (2 + len(call.members))
    try:
        return await asyncio.wait_for(_look_up_all(call), timeout=limit)
    except TimeoutError:
        evidence = "the look-up took too long"
    except Exception as error:  # noqa: BLE001 - see the log; nothing is known of the effect
        log().error("delivery.connector_failed", connector=connector.manifest.connector, exc_info=error)
        evidence = f"the look-up failed: {type(error).__name__}"
    failed = Problem(code="erp.unreachable", detail=evidence)
    return [_looked(ready, failed) for ready in call.members]


def results_of(call: Call, outcomes: Sequence[Outcome]) -> list[Result]:
    """Each member's outcome; of a look-up that was not made, that it wasn't."""
    found: list[Result] = []
    for ready, number, outcome in zip(call.members, call.attempts, outcomes, strict=True):
        if ready.prepared is None:
            found.append(_looked(ready, lease_ended()))
        else:
            found.append(Answered(head=ready.head, prepared=ready.prepared, attempt=number, outcome=outcome))
    return found


async def _look_up_all(call: Call) -> list[Result]:
    """Jobs are asked for first; only what none of them tells the end of is looked up."""
    polled = await _polled(call.members)
    left = [ready for ready in call.members if not isinstance(_outcome(polled, ready), ENDED)]
    held = await _held(left)
    results: list[Result] = []
    for ready in call.members:
        answered, outcome = polled.get(_name(ready)), _outcome(polled, ready)
        found = held.get(_name(ready), ())
        if answered is not None and (isinstance(outcome, ENDED) or (isinstance(outcome, Uncertain) and not found)):
            results.append(answered)
        else:
            results.append(await _as_found(ready, found, outcome))
    return results


async def _as_found(ready: Ready, found: tuple[ErpRecord, ...] | Problem, polled: Outcome | None) -> Looked:
    read: Posted | Placed | Problem | None = None
    if isinstance(found, tuple) and len(found) == 1:
        read = await ready.head.far.connector.read(record=found[0])
        if _listed_only(ready):
            return _as_listed(ready, read)
    running = polled.poll_after if isinstance(polled, Accepted) else None
    return _looked(ready, found, read, running=running)


def _as_listed(ready: Ready, read: Posted | Placed | Problem) -> Looked:
    """Where nothing can be searched, the record is what it reads as now."""
    if isinstance(read, Problem):
        return _looked(ready, () if read.code == "erp.record_missing" else read)
    return _looked(ready, (read.record,), read)


async def _held(members: Sequence[Ready]) -> Mapping[str, tuple[ErpRecord, ...] | Problem]:
    """What the far side holds of each member. Where nothing can be searched: the record that a listing showed of it, if one did."""
    if not members:
        return {}
    first = members[0].head
    if _listed_only(members[0]):
        known = {_name(ready): ready.head.loaded.records.get(_name(ready)) for ready in members}
        return {name: () if record is None else (record,) for name, record in known.items()}
    capability = first.far.connector.manifest.capability(first.loaded.standing.kind)
    if capability is None or not capability.searchable:
        return {_name(ready): () for ready in members}
    references = [ready.head.loaded.document.external_reference for ready in members]
    answer = await first.far.connector.lookup(
        kind=first.loaded.standing.kind, references=references, company=first.far.mapping.company
    )
    if isinstance(answer, Problem):
        return {_name(ready): answer for ready in members}
    return {
        _name(ready): tuple(answer.get(reference, ())) for ready, reference in zip(members, references, strict=True)
    }


async def _polled(members: Sequence[Ready]) -> Mapping[str, Answered]:
    """What came of the jobs that work on these, of those that could be asked for, in one call of the connector."""
    connector = members[0].head.far.connector
    if not isinstance(connector, Polling):
        return {}
    asked: list[tuple[Ready, PreparedStep]] = []
    for ready in members:
        standing = ready.head.loaded.standing
        if standing.state is not DocumentState.ACCEPTED or not standing.handle:
            continue
        step = connector.prepare(
            document=ready.head.loaded.document, step=standing.step, context=context_of(ready.head)
        )
        if not isinstance(step, Problem):
            asked.append((ready, step))
    polls = [Poll(step=step, handle=ready.head.loaded.standing.handle) for ready, step in asked]
    outcomes = await connector.poll(polls=polls) if polls else ()
    return {
        _name(ready): Answered(
            head=ready.head, prepared=step, attempt=ready.head.loaded.standing.attempts, outcome=outcome
        )
        for (ready, step), outcome in zip(asked, outcomes, strict=True)
    }


def _outcome(polled: Mapping[str, Answered], ready: Ready) -> Outcome | None:
    found = polled.get(_name(ready))
    return None if found is None else found.outcome


def _looked(
    ready: Ready,
    found: tuple[ErpRecord, ...] | Problem,
    read: Posted | Placed | Problem | None = None,
    *,
    running: timedelta | None = None,
) -> Looked:
    assert isinstance(ready.decision, LookUp)
    return Looked(head=ready.head, asked=ready.decision, found=found, read=read, running=running)


def _listed_only(ready: Ready) -> bool:
    capability = ready.head.far.connector.manifest.capability(ready.head.loaded.standing.kind)
    return capability is not None and capability.idempotency is Idempotency.NEITHER


def _name(ready: Ready) -> str:
    return ready.head.loaded.standing.document_id
