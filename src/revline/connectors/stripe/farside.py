"""Tells Stripe what became of its objects: metadata on the object, once in effect by Stripe's own idempotency key.

Revline's far-side port for documents of kind feedback. Judges outcomes; keeps no state but its connections.
Sources: docs.stripe.com/metadata (50 keys, 40 and 500 characters), /api/idempotent_requests (a key is kept 24 hours at least).
"""

from __future__ import annotations

import random as random_module
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx2

from revline.connectors.sdk.telling import TellingFields
from revline.connectors.sdk.wire import HttpAnswer
from revline.connectors.stripe.client import BUCKET_PER_SECOND, CALL_TIMEOUT, SLOTS, StripeClient, client_of, error_of
from revline.connectors.stripe.usage import REPORT_KINDS, USAGE, USAGE_GOTCHAS, MeterReports, prepare_report
from revline.core.clock import Clock
from revline.core.differences import FieldDifference
from revline.core.documents import Document, DocumentKind
from revline.core.exact_json import parse_object
from revline.core.farside import (
    ErpRecord,
    ErrorRule,
    Gotcha,
    Health,
    Idempotency,
    KindCapability,
    Manifest,
    NotSent,
    Outcome,
    Placed,
    Posted,
    PrepareContext,
    PreparedStep,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.hashing import digest_text
from revline.core.problem import Problem, problem
from revline.platform.tenancy.kinds import Connection

WRITE: Final = "write"
KEYS_MAX: Final = 50
KEY_LENGTH_MAX: Final = 40
VALUE_LENGTH_MAX: Final = 500
DIGEST_LENGTH: Final = 16
PATHS: Final[Mapping[str, str]] = {
    "customer": "/v1/customers",
    "product": "/v1/products",
    "price": "/v1/prices",
    "subscription": "/v1/subscriptions",
    "subscription_schedule": "/v1/subscription_schedules",
    "invoice": "/v1/invoices",
    "credit_memo": "/v1/credit_notes",
    "payment": "/v1/charges",
    "payment_intent": "/v1/payment_intents",
    "refund": "/v1/refunds",
    "dispute": "/v1/disputes",
    "payout": "/v1/payouts",
}
"""Canonical kind -> where the object that takes metadata is. Others of Stripe's objects (invoice payments, balance transactions)
take none."""

MANIFEST: Final = Manifest(
    connector="stripe",
    version="1",
    title="Stripe: metadata on its objects, use on its meters",
    kinds=(
        KindCapability(
            kind=DocumentKind.FEEDBACK,
            steps=(WRITE,),
            idempotency=Idempotency.KEY,
            batch_max=1,
            reads_entries=False,
            searchable=False,
        ),
        USAGE,
    ),
    effect_bound=timedelta(seconds=60),
    lookup_lag=timedelta(0),
    slots=SLOTS,
    bucket_per_second=Decimal(BUCKET_PER_SECOND),
    bucket_burst=int(BUCKET_PER_SECOND),
    call_timeout=CALL_TIMEOUT,
    errors=(
        ErrorRule(far_code="resource_missing", pattern="", problem_code="erp.record_missing"),
        ErrorRule(far_code="lock_timeout", pattern="", problem_code="erp.busy"),
    ),
    gotchas=(
        Gotcha(
            title="Metadata is merged, and an empty value removes its key",
            detail="Keys that Revline does not write stay as they are. All of an object together may be 50.",
            verified="documented (metadata); shown on the simulated Stripe with the official library 16.1.0",
        ),
        Gotcha(
            title="Writing metadata makes an event",
            detail="customer.updated, invoice.updated and so on come back; nothing is booked by them, since nothing else changed.",
            verified="documented (events); shown on the simulated Stripe",
        ),
        Gotcha(
            title="A key that comes again after a refusal gives the refusal again",
            detail="So the key changes with the content: a corrected telling is another request.",
            verified="documented (idempotent requests); shown on the simulated Stripe",
        ),
        *USAGE_GOTCHAS,
    ),
)


class StripeFarSide(TellingFields):
    """core.farside.ErpConnector for Stripe: metadata (feedback) and meter events (usage)."""

    def __init__(self, *, client: StripeClient, clock: Clock) -> None:
        super().__init__(manifest=MANIFEST)
        self._client, self._clock = client, clock
        self._meters = MeterReports(client=client, clock=clock, refused=self._refused)

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        del context
        if document.kind is DocumentKind.USAGE:
            return prepare_report(document=document, step=step)
        content = self._content(document=document, step=step, wanted=WRITE)
        if isinstance(content, Problem):
            return content
        path = PATHS.get(content.target.kind)
        if path is None:
            detail = f"a {content.target.kind[:60]} takes no metadata at Stripe"
            return problem("erp.kind_unsupported", detail, field=content.target.kind[:60])
        refused = _over_limits(content.fields)
        if refused is not None:
            return refused
        body = urlencode([(f"metadata[{name}]", value) for name, value in content.fields]).encode()
        target = f"{path}/{quote(content.target.outside_id, safe='')}"
        return PreparedStep(
            document_id=document.document_id,
            kind=document.kind,
            step=step,
            operation=target,
            external_reference=document.external_reference,
            body=body,
            idempotency_key=f"{document.external_reference}-{digest_text([target, body.decode()])[:DIGEST_LENGTH]}",
        )

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        if document.kind is DocumentKind.USAGE:
            return ()
        return super().difference(document=document, record=record, context=context)

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        if len({step.operation for step in steps}) > 1:
            raise ValueError("steps of one submit share one operation")
        return await super().submit(steps=steps)

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        if record.record_kind in REPORT_KINDS:
            # An event of use can't be read again; what all of them come to can (its meter's summaries).
            return Posted(record=record)
        found = await self._client.get(path=f"{record.record_kind}/{quote(record.erp_id, safe='')}")
        if isinstance(found, Problem):
            return problem("erp.unreachable", found.detail)
        if found is None or found.get("deleted") is True:
            return problem("erp.record_missing", "Stripe has the object no more", field=record.record_kind)
        return Posted(record=_record(path=record.record_kind, found=found, reference=record.external_reference))

    async def health(self) -> Health:
        found = await self._client.get(path="/v1/events", query=[("limit", "1")])
        refused = isinstance(found, Problem)
        detail = found.detail if isinstance(found, Problem) else "answered"
        return Health(reachable=not refused, detail=detail, checked_at=self._clock.now())

    async def close(self) -> None:
        await self._client.caller.close()

    async def _told(self, step: PreparedStep) -> Outcome:
        if step.kind is DocumentKind.USAGE:
            return await self._meters.told(step)
        answer = await self._client.caller.send(
            method="POST",
            path=step.operation,
            content=step.body,
            headers={"content-type": "application/x-www-form-urlencoded", "idempotency-key": step.idempotency_key},
        )
        if isinstance(answer, NotSent | Uncertain):
            return answer
        if answer.status != 200:
            return self._refused(answer)
        found = parse_object(answer.body, depth_max=40)
        if isinstance(found, Problem) or not isinstance(found.get("id"), str):
            return Uncertain(evidence=self._client.caller.mask(f"HTTP 200 without an object: {answer.evidence}"))
        path = step.operation.rpartition("/")[0]
        return Posted(record=_record(path=path, found=found, reference=step.external_reference))

    def _refused(self, answer: HttpAnswer) -> Outcome:
        """409 and 429 come before any effect; what else Stripe could not finish may have taken effect, and its key tells."""
        error = error_of(answer)
        code = str(error.get("code") or error.get("type") or "")
        said = self._client.caller.mask(f"{code}: {error.get('message') or ''}")[:300]
        if answer.status in {409, 429}:
            return Throttled(retry_after=self._client.wait_of(answer))
        if answer.status in {401, 403}:
            return NotSent(problem=problem("erp.credentials_refused", said))
        if answer.status >= 500 or answer.headers.get("stripe-should-retry") == "true":
            return Uncertain(evidence=self._client.caller.mask(answer.evidence))
        rule = next((one for one in MANIFEST.errors if one.far_code == code), None)
        mapped = rule.problem_code if rule else "erp.rejected"
        field = str(error.get("param") or code)[:100]
        return Rejected(problem=problem(mapped, said, field=field), evidence=self._client.caller.mask(answer.evidence))


def _over_limits(fields: Sequence[tuple[str, str]]) -> Problem | None:
    if not 0 < len(fields) <= KEYS_MAX:
        return problem("erp.rejected", f"Stripe takes 1 to {KEYS_MAX} metadata keys", field="metadata")
    for name, value in fields:
        if not 0 < len(name) <= KEY_LENGTH_MAX or "[" in name or "]" in name:
            detail = f"{name[:80]!r} is no metadata key: 1 to {KEY_LENGTH_MAX} characters without brackets"
            return problem("erp.rejected", detail, field=name[:80])
        if len(value) > VALUE_LENGTH_MAX:
            detail = f"{name} has {len(value)} characters; metadata takes {VALUE_LENGTH_MAX}"
            return problem("erp.rejected", detail, field=name)
    return None


def _record(*, path: str, found: Mapping[str, Any], reference: str) -> ErpRecord:
    metadata = found.get("metadata")
    content = {str(name): str(value) for name, value in metadata.items()} if isinstance(metadata, dict) else {}
    return ErpRecord(
        record_kind=path,
        erp_id=str(found.get("id", "")),
        state="posted",
        external_reference=reference,
        content=tuple(sorted(content.items())),
    )


def build(
    *,
    connection: Connection,
    secrets: Mapping[str, str],
    transport: httpx2.AsyncBaseTransport | None,
    clock: Clock,
    random: random_module.Random,
) -> StripeFarSide:
    """The far side of one connection. Secret apiKey; setting baseUrl for a simulator. KeyError or ValueError: what is missing."""
    del random
    return StripeFarSide(
        client=client_of(connection=connection, secrets=secrets, transport=transport, clock=clock), clock=clock
    )
