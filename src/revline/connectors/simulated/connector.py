"""The connector to the simulated ERP: Revline's far-side port over its API. Judges outcomes; keeps no state but its connections."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import httpx2
import msgspec

from revline.connectors.sdk.http import HttpCaller, retry_after
from revline.connectors.sdk.wire import HttpAnswer
from revline.connectors.simulated import wire
from revline.connectors.simulated.client import SimulatedErpClient, error_of, problem_of_error
from revline.connectors.simulated.manifest import COLLECTIONS, CREATE, manifest_of
from revline.connectors.simulated.translate import (
    erp_entries,
    erp_record,
    expected_fields,
    item_of,
    prepare_step,
    record_difference,
)
from revline.connectors.simulated.wire import ItemAnswer, Kind
from revline.core.clock import Clock
from revline.core.differences import FieldDifference, differences_of, differences_text
from revline.core.documents import Document, DocumentKind
from revline.core.farside import (
    Accepted,
    ChangedPage,
    ErpPeriod,
    ErpRecord,
    Health,
    Idempotency,
    Manifest,
    NotSent,
    Outcome,
    PeriodState,
    Placed,
    Posted,
    PrepareContext,
    PreparedStep,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.jobs import Poll
from revline.core.problem import Problem, problem
from revline.platform.tenancy.kinds import Connection

THROTTLE_DEFAULT: Final = timedelta(seconds=1)
POLL_AFTER: Final = timedelta(seconds=1)
BATCH_BYTES_MAX: Final = wire.BODY_BYTES_MAX // 2


def batches(*, steps: Sequence[PreparedStep], documents_max: int) -> Iterator[Sequence[PreparedStep]]:
    """The steps in order, in calls that are small enough; a document that is too big by itself goes alone and is refused alone."""
    start = size = 0
    for place, step in enumerate(steps):
        if place > start and (place - start >= documents_max or size + len(step.body) > BATCH_BYTES_MAX):
            yield steps[start:place]
            start, size = place, 0
        size += len(step.body) + 1
    if start < len(steps):
        yield steps[start:]


class SimulatedConnector:
    """core.farside.ErpConnector for the simulated ERP."""

    def __init__(
        self, *, manifest: Manifest, client: SimulatedErpClient, clock: Clock, random_source: random.Random
    ) -> None:
        self._manifest = manifest
        self._client = client
        self._clock = clock
        self._random = random_source

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        capability = self._manifest.capability(document.kind)
        if capability is None or step not in capability.steps:
            return problem(
                "erp.kind_unsupported", f"no step {step} of {document.kind.value}", field=document.kind.value
            )
        keyed = capability.idempotency is Idempotency.KEY
        return prepare_step(document=document, step=step, context=context, keyed=keyed)

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        return record_difference(document=document, record=record, context=context)

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        """At most the manifest's batch_max documents and BATCH_BYTES_MAX a call; more go in several calls, one after the other."""
        if len({step.operation for step in steps}) > 1:
            raise ValueError("steps of one submit share one operation")
        outcomes: list[Outcome] = []
        capability = self._manifest.capability(steps[0].kind) if steps else None
        size = capability.batch_max if capability else 1
        for batch in batches(steps=steps, documents_max=size):
            outcomes.extend(await self._send(batch))
        return outcomes

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        found: dict[str, tuple[ErpRecord, ...]] = dict.fromkeys(references, ())
        for start in range(0, len(references), wire.LOOKUP_MAX):
            page = references[start : start + wire.LOOKUP_MAX]
            answer = await self._client.search(kind=COLLECTIONS[kind], company=company, references=page)
            if isinstance(answer, Problem):
                return answer
            for record in answer.records:
                if record.external_reference in found:
                    found[record.external_reference] += (erp_record(record=record),)
        return found

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        answer = await self._client.read(kind=Kind(record.record_kind), record_id=record.erp_id)
        if isinstance(answer, Problem):
            return answer
        if answer.record is None or answer.record.id != record.erp_id:
            return problem("erp.unreachable", "the ERP answered with another record than was asked for")
        return _standing(answer)

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        """A record's `version` is its place in this list, so the last version seen is a cursor for later too."""
        kind = Kind(record_kind)
        answer = await self._client.changes(
            kind=kind, company=company, cursor=cursor, limit=min(max(limit, 1), wire.PAGE_MAX)
        )
        if isinstance(answer, Problem):
            return answer
        records = tuple(erp_record(record=record) for record in answer.records)
        resume = records[-1].version if records else ""
        return ChangedPage(records=records, next_cursor=answer.next_cursor, resume=resume)

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        answer = await self._client.periods(company=company)
        if isinstance(answer, Problem):
            return answer
        known = {state.value: state for state in PeriodState}
        return tuple(
            ErpPeriod(
                company=company,
                name=period.name,
                start=period.start,
                end=period.end,
                state=known.get(period.state, PeriodState.UNKNOWN),
            )
            for period in answer.periods
        )

    async def health(self) -> Health:
        answer = await self._client.health()
        now = self._clock.now()
        if isinstance(answer, Problem):
            reachable = answer.code == "erp.credentials_refused"
            return Health(reachable=reachable, detail=answer.detail, checked_at=now)
        return Health(reachable=True, version=answer.version, detail=f"{answer.records} records", checked_at=now)

    async def close(self) -> None:
        await self._client.caller.close()

    async def poll(self, *, polls: Sequence[Poll]) -> Sequence[Outcome]:
        """What jobs made of steps: Accepted again while one runs, or while nobody answers. handle: job/place."""
        jobs = {one.handle.partition("/")[0]: None for one in polls}
        states = {job: await self._client.job(job=job) for job in jobs}
        return [self._of_job(one, states[one.handle.partition("/")[0]]) for one in polls]

    def _of_job(self, one: Poll, state: wire.JobState | Problem) -> Outcome:
        place = one.handle.partition("/")[2]
        if isinstance(state, Problem) and state.code == "erp.record_missing":
            return Uncertain(evidence=f"the ERP knows no job {one.handle[:60]}")
        if isinstance(state, Problem) or state.state != "ended":
            return Accepted(handle=one.handle, poll_after=POLL_AFTER)
        if not place.isdecimal() or int(place) >= len(state.results):
            return Uncertain(evidence=f"{state.job} ended with {len(state.results)} results, none for this document")
        item = state.results[int(place)]
        return self._of_item(one.step, item, HttpAnswer(status=200, headers={}, body=wire.encode(item)))

    async def _send(self, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        first = steps[0]
        answer = await self._client.send_documents(
            kind=COLLECTIONS[first.kind],
            step=first.step,
            bodies=[step.body for step in steps],
            request_id=f"{first.external_reference}-{self._random.getrandbits(48):012x}",
        )
        if isinstance(answer, NotSent | Uncertain):
            return [answer] * len(steps)
        if len(steps) == 1 and answer.status in {200, 201, 409}:
            item = item_of(answer.body)
            if item is None or item.status != answer.status:
                return [self._uncertain(answer)]
            return [self._of_item(first, item, answer)]
        if answer.status == 202:
            return self._taken(steps, answer)
        if answer.status != 200:
            return [self._refused(answer)] * len(steps)
        return self._of_batch(steps, answer)

    def _taken(self, steps: Sequence[PreparedStep], answer: HttpAnswer) -> Sequence[Outcome]:
        """A job is to make the documents; each is asked for by its place in it."""
        try:
            taken: wire.JobAnswer = wire.decode(answer.body, wire.JobAnswer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return [self._uncertain(answer)] * len(steps)
        return [Accepted(handle=f"{taken.job}/{place}", poll_after=POLL_AFTER) for place in range(len(steps))]

    def _of_batch(self, steps: Sequence[PreparedStep], answer: HttpAnswer) -> Sequence[Outcome]:
        """Each document's own result; whatever has none, or when there are more results than documents, is uncertain."""
        try:
            batch: wire.BatchAnswer = wire.decode(answer.body, wire.BatchAnswer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return [self._uncertain(answer)] * len(steps)
        if len(batch.results) > len(steps):
            return [self._uncertain(answer)] * len(steps)
        outcomes = [self._of_item(step, item, answer) for step, item in zip(steps, batch.results, strict=False)]
        missing = Uncertain(evidence=f"the batch of {len(steps)} was answered with {len(batch.results)} results")
        return outcomes + [missing] * (len(steps) - len(outcomes))

    def _of_item(self, step: PreparedStep, item: ItemAnswer, answer: HttpAnswer) -> Outcome:
        if item.record is not None and item.status in {200, 201, 409}:
            shown = item.record.external_reference
            if item.record.kind is not COLLECTIONS[step.kind] or shown not in {"", step.external_reference}:
                return Uncertain(evidence=f"asked for {step.external_reference}, answered with {item.record.id}")
            if item.status == 409:
                return self._of_existing(step, item)
            return _standing(item)
        if item.error is None:
            return self._uncertain(answer)
        return self._of_error(item.status, item.error, answer)

    def _of_existing(self, step: PreparedStep, item: ItemAnswer) -> Outcome:
        """The record that has the reference already: ours when it is what we meant."""
        found = item.record.fields if item.record else {}
        differing = differences_of(expected=expected_fields(step=step), found=found) if step.step == CREATE else ()
        if not differing:
            return _standing(item)
        named = f"record {item.record.id if item.record else ''} under {step.external_reference}"
        said = self._client.caller.mask(differences_text(differing))
        field = ",".join(one.field for one in differing)[:200]
        return Rejected(problem=problem("erp.record_differs", f"{named}: {said}", field=field), evidence=said)

    def _refused(self, answer: HttpAnswer) -> Outcome:
        """What a call came to that was refused as a whole."""
        if answer.status == 429:
            return Throttled(
                retry_after=retry_after(headers=answer.headers, now=self._clock.now(), default=THROTTLE_DEFAULT)
            )
        error = error_of(answer)
        return self._uncertain(answer) if error is None else self._of_error(answer.status, error, answer)

    def _of_error(self, status: int, error: wire.ErrorBody, answer: HttpAnswer) -> Outcome:
        found = problem_of_error(error, mask=self._client.caller.mask)
        match status:
            case 401 | 403:
                return NotSent(problem=problem("erp.credentials_refused", found.detail))
            case 503 if error.code == "busy":
                return NotSent(problem=found)
            case 400 | 404 | 413 | 422:
                return Rejected(
                    problem=found, evidence=self._client.caller.mask(f"{status} {error.code}: {error.message}")
                )
        return self._uncertain(answer)

    def _uncertain(self, answer: HttpAnswer) -> Uncertain:
        return Uncertain(evidence=self._client.caller.mask(answer.evidence))


def _standing(item: ItemAnswer) -> Posted | Placed:
    if item.record is None:
        raise ValueError("an item without a record stands nowhere")
    record = erp_record(record=item.record)
    if item.record.state == "draft":
        return Placed(record=record)
    return Posted(record=record, entries=None if item.entries is None else erp_entries(entries=item.entries))


def build(
    *,
    connection: Connection,
    secrets: Mapping[str, str],
    transport: httpx2.AsyncBaseTransport | None,
    clock: Clock,
    random: random.Random,
) -> SimulatedConnector:
    """The connector of one connection. Setting baseUrl, secret token; the other settings as `manifest_of` says.

    ValueError or KeyError names what the connection lacks.
    """
    manifest = manifest_of(settings=connection.settings)
    token = secrets["token"]
    if not token.strip():
        raise ValueError("the secret token is empty")
    caller = HttpCaller(
        base_url=connection.settings["baseUrl"],
        transport=transport,
        headers={"authorization": f"Bearer {token}"},
        secrets=(token,),
        call_timeout=manifest.call_timeout,
        slots=manifest.slots,
    )
    return SimulatedConnector(
        manifest=manifest, client=SimulatedErpClient(caller=caller), clock=clock, random_source=random
    )
