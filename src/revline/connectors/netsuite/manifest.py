"""What NetSuite can do over SuiteTalk REST, as data: capabilities, limits, error table, surprises, problems, settings.

What is marked as from memory was not found in Oracle's documentation; where the connector depends on it, a setting of the
connection changes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.documents import DocumentKind
from revline.core.farside import ErrorRule, Gotcha, Idempotency, KindCapability, Manifest
from revline.core.problem import Mender, Retryable, define

CREATE: Final = "create"
VOID: Final = "void"
APPLY: Final = "apply"
BATCH_MAX: Final = 100
APPLICATION: Final = "application"
RECORDS: Final = {
    DocumentKind.CUSTOMER: "customer",
    DocumentKind.ITEM: "serviceSaleItem",
    DocumentKind.INVOICE: "invoice",
    DocumentKind.INVOICE_VOID: "creditMemo",
    DocumentKind.CREDIT_MEMO: "creditMemo",
    DocumentKind.PAYMENT: "customerPayment",
    DocumentKind.APPLICATION: "customerPayment",
    DocumentKind.REFUND: "customerRefund",
    DocumentKind.DEPOSIT: "deposit",
    DocumentKind.JOURNAL: "journalEntry",
}
TYPE_CODES: Final = {
    "invoice": "CustInvc",
    "creditMemo": "CustCred",
    "customerPayment": "CustPymt",
    "customerRefund": "CustRfnd",
    "deposit": "Deposit",
    "journalEntry": "Journal",
}
"""REST record type -> the type that queries of transactions show."""

_DOCUMENTED: Final = "documented by Oracle, not tried on a live account"
_MEMORY: Final = "from memory, not found in Oracle's documentation; try it in a sandbox"

DUPLICATE: Final = "netsuite.duplicate"
"""A taken reference. The connector looks up the record that has it, so no document is left with this problem."""

ERRORS: Final = (
    ErrorRule(
        far_code="USER_ERROR",
        pattern=r"not within the date range of your accounting period|period (is|has been) (closed|locked)"
        r"|(closed|locked) (accounting )?period",
        problem_code="erp.period_closed",
    ),
    ErrorRule(
        far_code="USER_ERROR",
        pattern=r"Please enter value\(s\) for:|You must enter a value for",
        problem_code="netsuite.value_missing",
    ),
    ErrorRule(far_code="USER_ERROR", pattern=r"already exists|DUP_(RCRD|ENTITY)", problem_code=DUPLICATE),
    ErrorRule(far_code="USER_ERROR", pattern=r"Invalid Field Value", problem_code="netsuite.reference_invalid"),
    ErrorRule(far_code="USER_ERROR", pattern=r"has been locked", problem_code="netsuite.record_locked"),
    ErrorRule(far_code="USER_ERROR", pattern="", problem_code="erp.rejected"),
    ErrorRule(far_code="NONEXISTENT_ID", pattern="", problem_code="erp.record_missing"),
    ErrorRule(far_code="INVALID_LOGIN", pattern="", problem_code="erp.credentials_refused"),
    ErrorRule(far_code="CONCURRENCY_LIMIT_EXCEEDED", pattern="", problem_code="erp.busy"),
    ErrorRule(far_code="INVALID_CONTENT", pattern=r"already exists", problem_code=DUPLICATE),
    ErrorRule(far_code="INVALID_CONTENT", pattern="", problem_code="netsuite.request_invalid"),
    ErrorRule(far_code="INVALID_REQUEST", pattern="", problem_code="netsuite.request_invalid"),
    ErrorRule(far_code="INVALID_PARAMETER", pattern="", problem_code="netsuite.request_invalid"),
    ErrorRule(far_code="INVALID_HEADER", pattern="", problem_code="netsuite.request_invalid"),
)
"""First match wins; any other code is erp.rejected, but for UNEXPECTED_ERROR, after which nobody knows."""

GOTCHAS: Final = (
    Gotcha(
        title="No key protects a single synchronous create",
        detail="The idempotency key counts for asynchronous requests only. A document's reference goes in as external id, which is"
        " unique for a record type; a second create is refused and the record that has it is read and compared.",
        verified=f"the key: {_DOCUMENTED}; the words of the refusal: {_MEMORY} (setting duplicatePattern)",
    ),
    Gotcha(
        title="Upsert by PUT is not used",
        detail="PUT on eid:REFERENCE would write over what a person has since changed on a posted record. A create that is"
        " refused as a duplicate, and a comparison, show such a change instead.",
        verified="by design; PUT with an external id is documented by Oracle",
    ),
    Gotcha(
        title="An idempotency key also answers for failures",
        detail="A batch with the key of an earlier one is answered 400 IDEMPOTENCY_ERROR with that job's address. Its successes"
        " are believed; what failed then is sent again by itself, since its reason may be mended by now.",
        verified=f"the answer: {_DOCUMENTED}; how long a key lives: not documented",
    ),
    Gotcha(
        title="There is no void over REST",
        detail="A void becomes a credit memo made from the invoice by !transform/creditMemo, dated the void's day and applied in"
        " full; its memo begins with the word Void, and such an invoice reads as cancelled.",
        verified=_MEMORY,
    ),
    Gotcha(
        title="Taxes are item lines",
        detail="NetSuite's tax codes compute from a rate and round by themselves. The tax engine's own cents go in as lines of the"
        " service item that the mapping's taxes name, whose income account is the tax liability. Give that item an account of a"
        " type your account lets items use.",
        verified=f"by design; which account types an item takes: {_MEMORY}",
    ),
    Gotcha(
        title="An item decides the income account",
        detail="A line has no account of its own. The item is the product's record, or the mapping's product, or the setting"
        " item.ACCOUNT of the mapping; one whose income account is known to be another than the rule chose is refused first.",
        verified="documented by Oracle for item lines, not tried on a live account",
    ),
    Gotcha(
        title="Codes in the mapping are internal ids",
        detail="Accounts, items, departments, classes, locations and subsidiaries are named by internal id, never by number or"
        " name; currencies by their ISO code, whose id is asked for.",
        verified=_DOCUMENTED,
    ),
    Gotcha(
        title="A journal has one currency and one rate",
        detail="A journal whose lines have several, or whose amounts are no product of the rate, is booked in the subsidiary's"
        " currency with each line's own currency and amount at the head of its memo (setting mixedJournals refuse: not at all)."
        " Its receivable lines then can't be applied to invoices in another currency: choose native payments there.",
        verified=f"by design; one currency and rate a journal: {_MEMORY}",
    ),
    Gotcha(
        title="Journals between subsidiaries are another record",
        detail="A journal of one legal entity goes to one subsidiary. advIntercompanyJournalEntry exists and is not sent.",
        verified=_DOCUMENTED,
    ),
    Gotcha(
        title="NetSuite books realized exchange differences itself",
        detail="Applying a payment at another rate than the invoice's adds lines to the payment's own ledger impact. Let no rule"
        " of a book on NetSuite book them for native applications.",
        verified=_MEMORY,
    ),
    Gotcha(
        title="An application has no record",
        detail="A payment's list of applied invoices is changed, and the document's reference is added to the payment's memo,"
        " where look-up finds it: leave these notes there. A journal's credit is applied by a payment of nothing that carries the"
        " reference.",
        verified=f"the list: {_DOCUMENTED}; the payment of nothing: {_MEMORY}",
    ),
    Gotcha(
        title="A refund may have to name what it pays out",
        detail="Where NetSuite takes no refund without a credit, let refunds be journals in that book.",
        verified=_MEMORY,
    ),
    Gotcha(
        title="Period locks of one subsidiary are learned from refusals",
        detail="Periods are read as closed, locked or open for the whole account. A lock for one subsidiary shows as the refusal"
        " of a document, which then waits.",
        verified=f"columns closed, alllocked and arlocked: {_MEMORY}",
    ),
    Gotcha(
        title="Columns of queries",
        detail="Ledger lines are read from transactionaccountingline and transactionline of the primary book (setting"
        " accountingBook); the sign of foreignamount is debit positive.",
        verified=f"queries over REST: {_DOCUMENTED}; tables and columns: {_MEMORY}",
    ),
    Gotcha(
        title="The concurrency limit is the account's",
        detail="SOAP, REST and RESTlets of every integration share it (Standard 5). The answer is 429 without Retry-After; the"
        " default of 4 slots leaves one for others.",
        verified=_DOCUMENTED,
    ),
    Gotcha(
        title="Approval routing keeps a record out of the ledger",
        detail="A record that waits for approval books nothing and shows as entries that differ. Let the role of the integration"
        " post without approval.",
        verified=_MEMORY,
    ),
    Gotcha(
        title="Document numbers",
        detail="NetSuite numbers its documents; the invoice's number from billing goes into otherRefNum, or, with the setting"
        " numbers: ours, into tranId, which needs Allow Override in NetSuite's numbering.",
        verified=_MEMORY,
    ),
    Gotcha(
        title="Modification times have a grain of one second",
        detail="They are in the time zone of the integration's user. A record changed in the second of the last one seen can be"
        " missed: list with an overlap.",
        verified=_MEMORY,
    ),
    Gotcha(
        title="What is not sent",
        detail="Tax numbers, a customer's further subsidiaries and currencies, service periods of lines.",
        verified="by design",
    ),
)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How one account is spoken to; see `options_of`."""

    one_world: bool = True
    item_record: str = "serviceSaleItem"
    numbers: str = "erp"
    mixed_journals: str = "functional"
    batches: str = "async"
    accounting_book: str = "1"
    job_wait: timedelta = timedelta(seconds=20)
    job_poll: timedelta = timedelta(seconds=5)


def options_of(*, settings: Mapping[str, str]) -> Options:
    """Options of a connection.

    Settings, all optional: oneWorld (true, false), itemRecord, numbers (erp, ours), mixedJournals (functional, refuse), batches
    (async, none), accountingBook (internal id), jobWaitSeconds (how long one send waits for its job), jobPollSeconds. ValueError
    for one that can't be.
    """
    return Options(
        one_world=_one_of(settings, "oneWorld", "true", "false") == "true",
        item_record=settings.get("itemRecord", "serviceSaleItem"),
        numbers=_one_of(settings, "numbers", "erp", "ours"),
        mixed_journals=_one_of(settings, "mixedJournals", "functional", "refuse"),
        batches=_one_of(settings, "batches", "async", "none"),
        accounting_book=settings.get("accountingBook", "1"),
        job_wait=timedelta(seconds=_whole(settings, "jobWaitSeconds", 20)),
        job_poll=timedelta(seconds=_whole(settings, "jobPollSeconds", 5)),
    )


def errors_of(*, settings: Mapping[str, str]) -> tuple[ErrorRule, ...]:
    """The error table of a connection.

    Settings closedPeriodPattern and duplicatePattern are tried before it. ValueError for no pattern.
    """
    own = []
    for name, code in (("closedPeriodPattern", "erp.period_closed"), ("duplicatePattern", DUPLICATE)):
        pattern = settings.get(name, "")
        if pattern:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"the setting {name} is no pattern: {error}") from None
            own.append(ErrorRule(far_code="USER_ERROR", pattern=pattern, problem_code=code))
    return (*own, *ERRORS)


def manifest_of(*, settings: Mapping[str, str]) -> Manifest:
    """The manifest of a connection.

    Settings, all optional: slots (calls at once, 4), callTimeoutSeconds (60), effectBoundSeconds (900: NetSuite ends a request
    after 15 minutes), lookupLagSeconds (0), bucketPerSecond (10), idempotency
    (unique_reference, or lookup for an account that takes an external id twice).
    """
    batch = 1 if options_of(settings=settings).batches == "none" else BATCH_MAX
    unique = Idempotency(_one_of(settings, "idempotency", "unique_reference", "lookup"))

    def kind(of: DocumentKind, step: str, *, idempotency: Idempotency = unique, most: int = batch) -> KindCapability:
        masters = {DocumentKind.CUSTOMER, DocumentKind.ITEM, DocumentKind.APPLICATION}
        return KindCapability(
            kind=of, steps=(step,), idempotency=idempotency, batch_max=most, reads_entries=of not in masters
        )

    return Manifest(
        connector="netsuite",
        version="SuiteTalk REST v1",
        title="NetSuite",
        kinds=(
            kind(DocumentKind.CUSTOMER, CREATE),
            kind(DocumentKind.ITEM, CREATE),
            kind(DocumentKind.INVOICE, CREATE),
            kind(DocumentKind.INVOICE_VOID, VOID, most=1),
            kind(DocumentKind.CREDIT_MEMO, CREATE),
            kind(DocumentKind.PAYMENT, CREATE),
            kind(DocumentKind.APPLICATION, APPLY, idempotency=Idempotency.LOOKUP, most=1),
            kind(DocumentKind.REFUND, CREATE),
            kind(DocumentKind.DEPOSIT, CREATE),
            kind(DocumentKind.JOURNAL, CREATE),
        ),
        effect_bound=timedelta(seconds=_whole(settings, "effectBoundSeconds", 900)),
        lookup_lag=timedelta(seconds=_whole(settings, "lookupLagSeconds", 0)),
        slots=max(1, _whole(settings, "slots", 4)),
        bucket_per_second=Decimal(max(1, _whole(settings, "bucketPerSecond", 10))),
        bucket_burst=BATCH_MAX,
        call_timeout=timedelta(seconds=max(1, _whole(settings, "callTimeoutSeconds", 60))),
        errors=errors_of(settings=settings),
        gotchas=GOTCHAS,
        listed=("customer", options_of(settings=settings).item_record, *TYPE_CODES),
    )


def _one_of(settings: Mapping[str, str], name: str, default: str, other: str) -> str:
    text = settings.get(name, default)
    if text not in {default, other}:
        raise ValueError(f"the setting {name} is {default} or {other}, not {text!r}")
    return text


def _whole(settings: Mapping[str, str], name: str, default: int) -> int:
    text = settings.get(name, str(default))
    if not text.isdecimal() or int(text[:6]) > 3_600:
        raise ValueError(f"the setting {name} is a whole number from 0 to 3600, not {text!r}")
    return int(text)


def _define(code: str, title: str, mender: Mender, remedy: str) -> None:
    define(code=code, title=title, status=422, retryable=Retryable.AFTER_FIX, mender=mender, remedy=remedy)


define(
    code=DUPLICATE,
    title="NetSuite has a record under this reference",
    status=409,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Nothing to do: Revline reads that record and compares it with the document.",
)
_define(
    "netsuite.value_missing",
    "NetSuite requires a value that the document has not",
    Mender.CONFIGURATION,
    "Let the posting rule or the entity's default give the dimension named, and the Mapping its code; then retry the cause.",
)
_define(
    "netsuite.reference_invalid",
    "NetSuite has no record of a code, or doesn't take it here",
    Mender.CONFIGURATION,
    "Correct the internal id in the Mapping, or the record in NetSuite (inactive, another subsidiary), then retry the cause.",
)
_define(
    "netsuite.record_locked",
    "A workflow in NetSuite has locked the record",
    Mender.ERP_ADMINISTRATOR,
    "Release the record in NetSuite, or let its workflow pass the integration's role; then retry the case.",
)
_define(
    "netsuite.request_invalid",
    "NetSuite does not understand the request",
    Mender.OPERATOR,
    "Compare the request kept on the attempt with the account's record metadata: a field may be switched off or renamed there.",
)
_define(
    "netsuite.item_account_differs",
    "The item credits another account than the posting rule chose",
    Mender.CONFIGURATION,
    "Bring the item's income account and the rule in line, or map an item of its own for this account; then retry the cause.",
)
_define(
    "netsuite.journal_currencies",
    "A NetSuite journal has one currency and one rate",
    Mender.CONFIGURATION,
    "Let the event be made natively, or set mixedJournals: functional on the connection; then retry the cause.",
)
