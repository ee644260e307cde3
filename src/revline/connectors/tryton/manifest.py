"""What Tryton can do and what surprises in it, as data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

from revline.core.documents import DocumentKind
from revline.core.farside import ErrorRule, Gotcha, Idempotency, KindCapability, Manifest
from revline.core.problem import Mender, Retryable, define

CREATE: Final = "create"
POST: Final = "post"
VOID: Final = "void"
APPLY: Final = "apply"

PARTY: Final = "party.party"
INVOICE: Final = "account.invoice"
MOVE: Final = "account.move"
SETTLEMENT: Final = "account.invoice.payment"
"""Our name of a payment line on an invoice: Tryton keeps a relation there, not a record with a name."""

BATCH_MAX: Final = 20
CALL_TIMEOUT_SECONDS: Final = 60
EFFECT_BOUND_SECONDS: Final = 60

MODELS: Final[Mapping[DocumentKind, str]] = {
    DocumentKind.CUSTOMER: PARTY,
    DocumentKind.INVOICE: INVOICE,
    DocumentKind.CREDIT_MEMO: INVOICE,
    DocumentKind.JOURNAL: MOVE,
}

_TRIED: Final = "tried on Tryton 8.2 (trytond 8.2.1, account_invoice 8.2.0) with PostgreSQL 18, by tests/real"
_READ: Final = "read in the source of trytond 8.2.1"

GOTCHAS: Final = (
    Gotcha(
        title="Deferred revenue on an invoice line needs an account of a deposit type",
        detail="Tryton takes revenue accounts and, with the module account_deposit, deposit accounts on customer invoice lines; any"
        " other balance account is refused.",
        verified=_TRIED,
    ),
    Gotcha(
        title="Invoices are numbered in date order",
        detail="Posting is refused when a later invoice date was numbered in the same sequence. A late invoice gets the last"
        " numbered date as its invoice date; its accounting date, which the ledger goes by, stays.",
        verified=_TRIED,
    ),
    Gotcha(
        title="A void is a credit with refund, not a cancel",
        detail="Cancel books the undoing on the invoice's own day, or on today when that period is closed, and needs the company's"
        " cancel option. The credit wizard with refund takes a date, needs no option, and leaves the invoice cancelled. Where its"
        " date can't be numbered or its rate is another one, a dated reversal move settles the invoice instead (it reads as paid).",
        verified=_TRIED,
    ),
    Gotcha(
        title="The tax engine's cents stay when the tax lines are manual",
        detail="Tax lines are sent as manual lines without a Tryton tax: nothing recomputes them. Tryton's own tax report by code"
        " has no part in them.",
        verified=_TRIED,
    ),
    Gotcha(
        title="Payment lines alone don't make an invoice paid",
        detail="They reduce the amount to pay; the state changes when the receivable's lines are reconciled. That is done when"
        " nothing is left and both sides are equal in the company's currency; else Tryton would book an exchange difference"
        " dated today.",
        verified=_TRIED,
    ),
    Gotcha(
        title="A payment settles as whole lines",
        detail="A move line can pay one invoice only, so an application takes a receivable line of exactly its amount.",
        verified=_TRIED,
    ),
    Gotcha(
        title="No idempotency key, and references are not unique",
        detail="A customer invoice with a used reference posts without a word. The reference stands in an invoice's reference, a"
        " move's description, a party's code (which is unique), and in a note on the invoice for a void or an application.",
        verified=_TRIED,
    ),
    Gotcha(
        title="A void and an application are confirmed by sending them again",
        detail="Neither has a record with a reference. A note on the invoice claims the intent before it is carried out; sent"
        " again, what is done under our note is confirmed, and what is done without it is somebody else's and refused. Notes"
        " can't be searched for by text, so look-up finds nothing for these two kinds.",
        verified=_TRIED,
    ),
    Gotcha(
        title="One writer",
        detail="Several writers at once meet 503 on the number sequence's lock; so one slot and batches of twenty.",
        verified="tried on Tryton 8.2 with four clients",
    ),
    Gotcha(
        title="The user needs the company filter All",
        detail="Records of other companies than the user's present one stay hidden whatever the call's context says, unless the"
        " user's company filter is set to All.",
        verified=_TRIED,
    ),
    Gotcha(
        title="Foreign-currency invoices are converted by Tryton",
        detail="Each line and the total are converted at Tryton's own rate of the invoice date and rounded half-even; what the"
        " lines leave goes to the currency exchange account, from where a move with the invoice as origin gives it back to the"
        " receivable, as in the journal. The rate is compared before the invoice is made.",
        verified=_TRIED,
    ),
    Gotcha(
        title="Printing takes much of a post",
        detail="Posting renders the invoice report in the same request, after the commit: an error there is an error of a posted"
        " invoice, so states are read again after any refusal. A plain text report spares the time.",
        verified=_TRIED,
    ),
    Gotcha(
        title="Errors are told apart by kind",
        detail="Messages follow the user's language. A closed period is known by reading the period, not by the message.",
        verified=_TRIED,
    ),
    Gotcha(
        title="Long answers are labelled gzip whatever the client accepts",
        detail="The body may be plain; it is recognised by its first bytes.",
        verified=_TRIED,
    ),
    Gotcha(
        title="Write dates are those of a transaction's start",
        detail="A long transaction commits records with an earlier write date than others seen before: list with an overlap.",
        verified=_READ,
    ),
    Gotcha(
        title="What is not sent",
        detail="Dimensions (no analytic module is required), e-mail addresses, tax numbers, countries and regions of addresses.",
        verified="by design",
    ),
)

ERRORS: Final = (
    ErrorRule(far_code="UserError", pattern="period of the day is not open", problem_code="erp.period_closed"),
    ErrorRule(far_code="UserError", pattern="", problem_code="erp.rejected"),
    ErrorRule(far_code="UserWarning", pattern="", problem_code="erp.rejected"),
    ErrorRule(far_code="ConcurrencyException", pattern="", problem_code="erp.busy"),
    ErrorRule(far_code="401", pattern="", problem_code="erp.credentials_refused"),
    ErrorRule(far_code="403", pattern="", problem_code="erp.credentials_refused"),
    ErrorRule(far_code="503", pattern="", problem_code="erp.busy"),
)

WARNINGS_ALLOWED: Final = ("invoice_payment_term",)
"""A due date in the past: usual for what is booked after the fact."""


def _kind(kind: DocumentKind, *steps: str, idempotency: Idempotency = Idempotency.LOOKUP) -> KindCapability:
    return KindCapability(
        searchable=kind not in {DocumentKind.INVOICE_VOID, DocumentKind.APPLICATION},
        kind=kind,
        steps=steps,
        idempotency=idempotency,
        batch_max=BATCH_MAX,
        reads_entries=kind not in {DocumentKind.CUSTOMER, DocumentKind.APPLICATION},
    )


def manifest_of(*, settings: Mapping[str, str]) -> Manifest:
    """The manifest of a connection. Settings effectBoundSeconds and callTimeoutSeconds change the defaults (60 and 60)."""
    return Manifest(
        connector="tryton",
        version="8.2",
        title="Tryton 8.2",
        kinds=(
            _kind(DocumentKind.CUSTOMER, CREATE, idempotency=Idempotency.UNIQUE_REFERENCE),
            _kind(DocumentKind.INVOICE, CREATE, POST),
            _kind(DocumentKind.INVOICE_VOID, VOID),
            _kind(DocumentKind.CREDIT_MEMO, CREATE, POST),
            _kind(DocumentKind.JOURNAL, CREATE, POST),
            _kind(DocumentKind.APPLICATION, APPLY),
        ),
        effect_bound=timedelta(seconds=_seconds(settings, "effectBoundSeconds", EFFECT_BOUND_SECONDS)),
        lookup_lag=timedelta(0),
        slots=1,
        bucket_per_second=Decimal(10),
        bucket_burst=BATCH_MAX,
        call_timeout=timedelta(seconds=_seconds(settings, "callTimeoutSeconds", CALL_TIMEOUT_SECONDS)),
        errors=ERRORS,
        warnings_allowed=WARNINGS_ALLOWED,
        gotchas=GOTCHAS,
        listed=(PARTY, INVOICE, MOVE),
    )


def _seconds(settings: Mapping[str, str], name: str, default: int) -> int:
    text = settings.get(name, str(default))
    if not text.isdigit() or not 1 <= int(text) <= 3_600:
        raise ValueError(f"the setting {name} is a whole number of seconds from 1 to 3600, not {text!r}")
    return int(text)


define(
    code="tryton.code_unknown",
    title="Tryton has no record of a code in the mapping",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Correct the code in the Mapping, or create the record in Tryton in this company; then retry the cause.",
)
define(
    code="tryton.rate_differs",
    title="Tryton would convert at another rate than the journal",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Bring Tryton's currency rate of that day and the rate table in line, then retry the cause.",
)
define(
    code="tryton.payment_not_whole",
    title="Tryton has no open receivable line of the applied amount",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Settle the invoice in Tryton by hand and waive the case, or free the payment's line there and retry.",
)
