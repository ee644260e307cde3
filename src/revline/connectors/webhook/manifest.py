"""What an endpoint can be asked, as data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

from revline.core.documents import DocumentKind
from revline.core.farside import ErrorRule, Gotcha, Idempotency, KindCapability, Manifest

SEND: Final = "send"
TIMEOUT_SECONDS_MAX: Final = 30
SLOTS_MAX: Final = 64

ERRORS: Final = (
    ErrorRule(far_code="410", pattern="", problem_code="webhook.endpoint_gone"),
    ErrorRule(far_code="3", pattern="redirect", problem_code="webhook.refused"),
    ErrorRule(far_code="4", pattern="", problem_code="webhook.refused"),
)
"""By status; 429 waits, 408 and 5xx are tried again under the same webhook-id."""

GOTCHAS: Final = (
    Gotcha(
        title="A message can arrive twice",
        detail="A lost answer is sent again, and so is a replay: the endpoint tells them apart by webhook-id, which stays.",
        verified='Standard Webhooks 1.0, "Idempotency"; shown by the contract tests',
    ),
    Gotcha(
        title="Messages about one record come in order, others do not",
        detail="Each subscription has a lane a record: what stands still there holds up that record alone.",
        verified="shown by the integration tests",
    ),
    Gotcha(
        title="410 stops an endpoint",
        detail="No more messages are made for it; they are owed, and sent once the refused ones are tried again and taken.",
        verified='Standard Webhooks 1.0, "Deliverability"; shown by the integration tests',
    ),
    Gotcha(
        title="Redirects are refused, and so are private addresses",
        detail="An endpoint answers itself. The setting allowPrivate admits addresses inside one's own network.",
        verified="shown by the contract tests",
    ),
)


def manifest_of(*, settings: Mapping[str, str]) -> Manifest:
    """The manifest of one endpoint. Settings, all optional: timeoutSeconds (15), slots (4). ValueError for one that can't be."""
    seconds, slots = int(settings.get("timeoutSeconds", "15")), int(settings.get("slots", "4"))
    if not 1 <= seconds <= TIMEOUT_SECONDS_MAX or not 1 <= slots <= SLOTS_MAX:
        raise ValueError(f"timeoutSeconds is 1 to {TIMEOUT_SECONDS_MAX}, slots 1 to {SLOTS_MAX}")
    return Manifest(
        connector="webhook",
        version="1.0",
        title="Outbound webhooks (Standard Webhooks 1.0)",
        kinds=(
            KindCapability(
                kind=DocumentKind.FEEDBACK,
                steps=(SEND,),
                idempotency=Idempotency.KEY,
                reads_entries=False,
                searchable=False,
            ),
        ),
        effect_bound=timedelta(seconds=seconds),
        lookup_lag=timedelta(0),
        slots=slots,
        bucket_per_second=Decimal(50),
        bucket_burst=100,
        call_timeout=timedelta(seconds=seconds),
        errors=ERRORS,
        gotchas=GOTCHAS,
    )
