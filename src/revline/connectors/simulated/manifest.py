"""What the simulated ERP can do, as data. A connection's settings choose its mode, so one connector shows every behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from revline.connectors.simulated.wire import BATCH_MAX, Kind
from revline.core.documents import DocumentKind
from revline.core.farside import ErrorRule, Gotcha, Idempotency, KindCapability, Manifest
from revline.core.money import parse_amount
from revline.core.problem import Problem

COLLECTIONS: Final = {
    DocumentKind.CUSTOMER: Kind.CUSTOMERS,
    DocumentKind.INVOICE: Kind.INVOICES,
    DocumentKind.INVOICE_VOID: Kind.INVOICE_VOIDS,
    DocumentKind.CREDIT_MEMO: Kind.CREDIT_MEMOS,
    DocumentKind.PAYMENT: Kind.PAYMENTS,
    DocumentKind.REFUND: Kind.REFUNDS,
    DocumentKind.DEPOSIT: Kind.DEPOSITS,
    DocumentKind.APPLICATION: Kind.APPLICATIONS,
    DocumentKind.JOURNAL: Kind.JOURNALS,
}
CREATE: Final = "create"
POST: Final = "post"
DEFAULT_BATCH_MAX: Final = 50

ERRORS: Final = (
    ErrorRule(far_code="period_closed", pattern="", problem_code="erp.period_closed"),
    ErrorRule(far_code="unauthorized", pattern="", problem_code="erp.credentials_refused"),
    ErrorRule(far_code="unknown_customer", pattern="", problem_code="erp.record_missing"),
    ErrorRule(far_code="not_found", pattern="", problem_code="erp.record_missing"),
    ErrorRule(far_code="busy", pattern="", problem_code="erp.busy"),
)
"""First match wins; any other code is erp.rejected."""

GOTCHAS: Final = (
    Gotcha(
        title="A batch answers 200 whatever became of its documents",
        detail="Each document has a status of its own; results that are missing are uncertain.",
        verified="documented, and shown by its contract tests",
    ),
    Gotcha(
        title="A void is refused once money is set against the invoice",
        detail="The answer is invoice_applied; the ERP has no way to take an application back.",
        verified="documented, and shown by its contract tests",
    ),
    Gotcha(
        title="503 busy is before any effect, 500 is not",
        detail="Only 503 with the code busy may be sent again without a look.",
        verified="documented, and shown by its contract tests",
    ),
)


def manifest_of(*, settings: Mapping[str, str]) -> Manifest:
    """The manifest of one connection.

    Settings, all optional: idempotency (key, unique_reference, lookup or neither), twoStep (document kinds with a comma between,
    made as drafts), batchMax, slots, callTimeoutSeconds, effectBoundSeconds, lookupLagSeconds,
    bucketPerSecond. ValueError for one that can't be.
    """
    idempotency = Idempotency(settings.get("idempotency", Idempotency.UNIQUE_REFERENCE.value))
    two_step = {DocumentKind(name.strip()) for name in settings.get("twoStep", "").split(",") if name.strip()}
    batch_max = int(settings.get("batchMax", DEFAULT_BATCH_MAX))
    slots = int(settings.get("slots", 8))
    per_second = parse_amount(settings.get("bucketPerSecond", "1000"))
    if isinstance(per_second, Problem) or per_second <= 0:
        raise ValueError("bucketPerSecond is a positive number")
    if not 1 <= batch_max <= BATCH_MAX or not 1 <= slots <= 256:
        raise ValueError(f"batchMax is 1 to {BATCH_MAX}, slots 1 to 256")
    return Manifest(
        connector="simulated",
        version="1.0",
        title="Simulated ERP",
        kinds=tuple(
            KindCapability(
                kind=kind,
                steps=(CREATE, POST) if kind in two_step else (CREATE,),
                idempotency=idempotency,
                batch_max=batch_max,
            )
            for kind in COLLECTIONS
        ),
        effect_bound=_seconds(settings, "effectBoundSeconds", "2"),
        lookup_lag=_seconds(settings, "lookupLagSeconds", "0"),
        slots=slots,
        bucket_per_second=per_second,
        bucket_burst=1_000,
        call_timeout=_seconds(settings, "callTimeoutSeconds", "10"),
        errors=ERRORS,
        gotchas=GOTCHAS,
        listed=tuple(kind.value for kind in COLLECTIONS.values()),
    )


def _seconds(settings: Mapping[str, str], name: str, default: str) -> timedelta:
    seconds = float(settings.get(name, default))
    if not 0 <= seconds <= 3_600:
        raise ValueError(f"{name} is 0 to 3600")
    return timedelta(seconds=seconds)
