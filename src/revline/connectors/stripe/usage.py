"""Metered use told to Stripe: one meter event a report, cancelled by an adjustment, once in effect however often it is sent.

The identifier of an event is our external reference: for a day at least Stripe refuses a second one, and that refusal proves the
first. A report is prepared for a minute of its own on its customer and meter; so once a day has passed since it was prepared, the
summary of that minute says whether it arrived: what was sent before then shows in it, what was sent since its identifier guards.
Sources: docs.stripe.com/api/billing/meter-event, /meter-event-adjustment, /meter-event-summary,
docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api; the refusal's words as of the simulator's tests [M].
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from revline.connectors.sdk.source import SourceBusy
from revline.connectors.sdk.wire import HttpAnswer
from revline.connectors.stripe.client import StripeClient, error_of
from revline.core.clock import Clock
from revline.core.documents import Document, DocumentKind, UsageContent
from revline.core.exact_json import parse_object
from revline.core.farside import (
    ErpRecord,
    Gotcha,
    Idempotency,
    KindCapability,
    NotSent,
    Outcome,
    Posted,
    PreparedStep,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.money import amount_text
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.usage.outward import problems  # noqa: F401 - defines usage.report_final

REPORT: Final = "report"
EVENTS: Final = "/v1/billing/meter_events"
ADJUSTMENTS: Final = "/v1/billing/meter_event_adjustments"
METERS: Final = "/v1/billing/meters"
REPORT_KINDS: Final = frozenset({EVENTS, ADJUSTMENTS})
UNIQUE_FOR: Final = timedelta(hours=24)
SAFE_FOR: Final = timedelta(hours=23)
"""How long after it was prepared a report is sent without asking first: an hour less than an identifier is unique."""
DIGITS_MAX: Final = 15
NAME_MAX: Final = 100
_EXISTS: Final = "event already exists with identifier"
_CANCELLED: Final = "already cancel"
_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
_MINUTE: Final = timedelta(minutes=1)

USAGE: Final = KindCapability(
    kind=DocumentKind.USAGE,
    steps=(REPORT,),
    idempotency=Idempotency.KEY,
    batch_max=1,
    reads_entries=False,
    searchable=False,
)
USAGE_GOTCHAS: Final = (
    Gotcha(
        title="An event of use is unique by its identifier for a day only",
        detail="Later the summary of the minute it was sent for says whether it arrived; nothing is sent twice.",
        verified="documented (meter events); shown on the simulated Stripe with the official library 16.1.0",
    ),
    Gotcha(
        title="An event counts up to 35 days back and five minutes ahead, and is cancelled within a day",
        detail="What is older becomes a case. Less use is told as a negative value; an invoice never counts below zero.",
        verified="documented (meter events, record usage); shown on the simulated Stripe",
    ),
    Gotcha(
        title="A finished invoice takes no more use",
        detail="Use that is told after it is on no invoice. It shows as used without bill.",
        verified="documented (record usage); shown on the simulated Stripe",
    ),
    Gotcha(
        title="The meter must sum",
        detail="What is told adds to what was told before, so the meter's formula is sum and it takes raw events.",
        verified="documented (meters); shown on the simulated Stripe",
    ),
)


def prepare_report(*, document: Document, step: str) -> PreparedStep | Problem:
    """The request of one report, or of the cancellation of one. Pure."""
    content = document.content
    if step != REPORT or not isinstance(content, UsageContent):
        return problem("erp.kind_unsupported", f"no step {step} of {document.kind.value}", field=document.kind.value)
    refused = _unfit(content)
    if refused is not None:
        return refused
    fields = _cancellation(content) if content.cancels else _event(content, reference=document.external_reference)
    body = urlencode(fields).encode()
    operation = ADJUSTMENTS if content.cancels else EVENTS
    return PreparedStep(
        document_id=document.document_id,
        kind=document.kind,
        step=step,
        operation=operation,
        external_reference=document.external_reference,
        body=body,
        idempotency_key=f"{document.external_reference}-{int(content.prepared_at.timestamp())}",
    )


def _event(content: UsageContent, *, reference: str) -> list[tuple[str, str]]:
    return [
        ("event_name", content.meter),
        ("identifier", reference),
        ("timestamp", str(int(content.at.timestamp()))),
        ("payload[stripe_customer_id]", content.customer.outside_id),
        ("payload[value]", amount_text(content.value.normalize())),
    ]


def _cancellation(content: UsageContent) -> list[tuple[str, str]]:
    return [("event_name", content.meter), ("type", "cancel"), ("cancel[identifier]", content.cancels)]


def _unfit(content: UsageContent) -> Problem | None:
    """Why Stripe would not take it, known before anything is sent."""
    if not 0 < len(content.meter) <= NAME_MAX:
        return problem("erp.rejected", f"a meter's event name has 1 to {NAME_MAX} characters", field=content.meter[:60])
    if len(amount_text(abs(content.value).normalize()).replace(".", "").lstrip("0")) > DIGITS_MAX:
        detail = f"{amount_text(content.value)} has more than {DIGITS_MAX} digits"
        return problem("erp.rejected", detail, field=content.meter)
    return None


class MeterReports:
    """Sends reports of one account. refused: what an answer means that is neither success nor about meters."""

    def __init__(self, *, client: StripeClient, clock: Clock, refused: Callable[[HttpAnswer], Outcome]) -> None:
        self._client, self._clock, self._refused = client, clock, refused
        self._meters: dict[str, str] = {}

    async def told(self, step: PreparedStep) -> Outcome:
        """Send one prepared report. One prepared long ago is looked for first."""
        prepared = datetime.fromtimestamp(int(step.idempotency_key.rpartition("-")[2]), UTC)
        if step.operation == EVENTS and self._clock.now() - prepared >= SAFE_FOR:
            found = await self._arrived(step)
            if found is not None:
                return found
        # No idempotency key is sent: Stripe would give a refusal again after what it named was mended. The identifier suffices.
        answer = await self._client.caller.send(method="POST", path=step.operation, content=step.body, headers=_FORM)
        if isinstance(answer, NotSent | Uncertain):
            return answer
        return self._taken(answer, step) if answer.status == 200 else self._judged(answer, step)

    def _taken(self, answer: HttpAnswer, step: PreparedStep) -> Outcome:
        found = parse_object(answer.body, depth_max=40)
        if isinstance(found, Problem) or not str(found.get("object", "")).startswith("billing.meter_event"):
            return Uncertain(evidence=self._client.caller.mask(f"HTTP 200 without an event: {answer.evidence}"))
        return Posted(record=_record(step))

    def _judged(self, answer: HttpAnswer, step: PreparedStep) -> Outcome:
        """A refusal that proves an earlier send is success; so is one of a cancellation that was made."""
        error = error_of(answer)
        message = str(error.get("message") or "")
        proof = _EXISTS if step.operation == EVENTS else _CANCELLED
        if answer.status == 400 and proof in message.lower():
            return Posted(record=_record(step))
        if answer.status == 400 and error.get("param") == "timestamp":
            detail = self._client.caller.mask(message)[:300]
            return Rejected(problem=problem("usage.report_too_old", detail, field=_field(step, "event_name")))
        if answer.status == 400 and "within 24 hours" in message:
            detail = self._client.caller.mask(message)[:300]
            return Rejected(problem=problem("usage.report_final", detail, field=_field(step, "event_name")))
        return self._refused(answer)

    async def _arrived(self, step: PreparedStep) -> Outcome | None:
        """What the report's own minute says: that it arrived, that something else is there, or nothing (None)."""
        meter = await self._meter_id(_field(step, "event_name"))
        if isinstance(meter, Problem):
            return _unasked(meter)
        at = int(_field(step, "timestamp"))
        query = [
            ("customer", _field(step, "payload[stripe_customer_id]")),
            ("start_time", str(at)),
            ("end_time", str(at + int(_MINUTE.total_seconds()))),
        ]
        page = await self._client.page(path=f"{METERS}/{meter}/event_summaries", query=query)
        if page is None or isinstance(page, Problem):
            return _unasked(page or problem("source.refused", "Stripe has the meter no more"))
        found = sum((_number(one.get("aggregated_value")) for one in page[0]), Decimal(0))
        wanted = Decimal(_field(step, "payload[value]"))
        if found == wanted:
            return Posted(record=_record(step))
        if found == 0:
            return None
        detail = f"its minute holds {amount_text(found)} where {amount_text(wanted)} or nothing was expected"
        return Rejected(problem=problem("usage.report_unproven", detail, field=_field(step, "event_name")))

    async def _meter_id(self, event_name: str) -> str | Problem:
        if event_name not in self._meters:
            found = await self._client.whole(path=METERS)
            if found is None or isinstance(found, Problem):
                return found or problem("source.refused", "Stripe lists no meters")
            self._meters = {str(one.get("event_name")): str(one.get("id")) for one in found}
        known = self._meters.get(event_name)
        if known is None:
            return problem("source.refused", f"Stripe has no meter for the event name {event_name[:60]}")
        return known


def _unasked(why: Problem) -> Outcome:
    """Nothing was sent, since nobody could say what had arrived."""
    if isinstance(why, SourceBusy):
        return Throttled(retry_after=why.retry_after)
    return NotSent(problem=problem("erp.unreachable", why.detail))


def _number(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value or 0))


def _field(step: PreparedStep, name: str) -> str:
    return dict(parse_qsl(step.body.decode(), keep_blank_values=True)).get(name, "")


def _record(step: PreparedStep) -> ErpRecord:
    identifier = _field(step, "identifier") or _field(step, "cancel[identifier]")
    return ErpRecord(
        record_kind=step.operation,
        erp_id=identifier,
        number=identifier,
        state="posted",
        external_reference=step.external_reference,
        content=tuple(sorted(parse_qsl(step.body.decode()))),
    )


define(
    code="usage.report_too_old",
    title="Billing takes no use of that time any more",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Bill it by hand in the billing system or give it up, then waive the case with a reason.",
)
define(
    code="usage.report_unproven",
    title="Nobody can say whether use arrived at billing",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Something else tells this meter use of the same customer. Compare its events with ours; then retry or waive the case.",
)
