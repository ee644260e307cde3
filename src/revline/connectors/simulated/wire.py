"""The bodies of the simulated ERP's API, shared by its server and by the connector. Knows neither books nor documents.

Amounts are plain decimal strings; currencies ISO 4217 codes; days YYYY-MM-DD. Accounts are the company's own codes, records
are named by the ids the ERP gave. Source: docs/reference/simulated-erp.md.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from revline.core.money import Amount, amount_text, decode_hook

BATCH_MAX = 100
BODY_BYTES_MAX = 8_000_000
LINES_MAX = 5_000
LOOKUP_MAX = 100
PAGE_MAX = 500


class Kind(StrEnum):
    """The ERP's collections, as they stand in its paths."""

    CUSTOMERS = "customers"
    INVOICES = "invoices"
    INVOICE_VOIDS = "invoice-voids"
    CREDIT_MEMOS = "credit-memos"
    PAYMENTS = "payments"
    REFUNDS = "refunds"
    DEPOSITS = "deposits"
    APPLICATIONS = "applications"
    JOURNALS = "journals"


Day = date


class CustomerBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A customer, shared by all companies."""

    external_reference: str = ""
    idempotency_key: str = ""
    name: str
    email: str = ""
    currency: str = ""
    address: dict[str, str] = {}
    tax_ids: tuple[tuple[str, str], ...] = ()
    source_id: str = ""


class InvoiceLineBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """amount: without tax, in the invoice's currency, negative for what is taken off."""

    account: str
    amount: Amount
    description: str = ""
    product: str = ""
    quantity: Amount | None = None
    source_line: str = ""
    service_start: Day | None = None
    service_end: Day | None = None
    dimensions: dict[str, str] = {}


class TaxLineBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A manual tax line: the amount is taken as it is, never computed."""

    account: str
    amount: Amount
    taxable: Amount
    code: str = ""
    description: str = ""
    source_line: str = ""
    dimensions: dict[str, str] = {}


class InvoiceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An invoice, or a credit memo with amounts to the customer's good. rate: functional units per unit of currency; None
    takes the company's own rate. invoice: on a credit memo, the invoice it is set against, or ""."""

    external_reference: str = ""
    idempotency_key: str = ""
    company: str
    number: str = ""
    customer: str
    currency: str
    date: Day
    due_date: Day | None = None
    receivable_account: str
    rate: Amount | None = None
    lines: tuple[InvoiceLineBody, ...]
    tax_lines: tuple[TaxLineBody, ...] = ()
    total: Amount
    invoice: str = ""
    memo: str = ""


class InvoiceVoidBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Undo an invoice in full, on a day of its own."""

    external_reference: str = ""
    idempotency_key: str = ""
    company: str
    invoice: str
    date: Day
    memo: str = ""


class MoneyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment, refund or deposit: `amount`, positive, leaves from_account (credit) for to_account (debit)."""

    external_reference: str = ""
    idempotency_key: str = ""
    company: str
    customer: str = ""
    currency: str
    date: Day
    amount: Amount
    from_account: str
    to_account: str
    rate: Amount | None = None
    memo: str = ""
    dimensions: dict[str, str] = {}


class ApplicationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment (or a journal that credits the customer's receivable) set against an invoice. No ledger entry."""

    external_reference: str = ""
    idempotency_key: str = ""
    company: str
    invoice: str
    payment: str
    payment_kind: Kind = Kind.PAYMENTS
    currency: str
    amount: Amount
    date: Day


class JournalLineBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line. debit, credit: in `currency`; functional_*: in the company's. conversion: need not balance in its currency."""

    account: str
    debit: Amount
    credit: Amount
    currency: str
    functional_debit: Amount
    functional_credit: Amount
    conversion: bool = False
    customer: str = ""
    description: str = ""
    dimensions: dict[str, str] = {}


class JournalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A journal entry; balances in the functional currency and, but for conversion lines, in each currency."""

    external_reference: str = ""
    idempotency_key: str = ""
    company: str
    date: Day
    memo: str = ""
    lines: tuple[JournalLineBody, ...]


class PostBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Post a draft."""

    id: str


Body = CustomerBody | InvoiceBody | InvoiceVoidBody | MoneyBody | ApplicationBody | JournalBody

BODY_TYPES: dict[Kind, type[Any]] = {
    Kind.CUSTOMERS: CustomerBody,
    Kind.INVOICES: InvoiceBody,
    Kind.INVOICE_VOIDS: InvoiceVoidBody,
    Kind.CREDIT_MEMOS: InvoiceBody,
    Kind.PAYMENTS: MoneyBody,
    Kind.REFUNDS: MoneyBody,
    Kind.DEPOSITS: MoneyBody,
    Kind.APPLICATIONS: ApplicationBody,
    Kind.JOURNALS: JournalBody,
}

_DECODERS: dict[type[Any], msgspec.json.Decoder[Any]] = {}


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """Why something was refused. code: stable; field: the value or place at fault, "" when none."""

    code: str
    message: str
    field: str = ""


class EntryBody(msgspec.Struct, frozen=True, kw_only=True):
    """One general-ledger line. debit, credit: functional. currency_amount: signed in `currency`, debit positive."""

    line: int
    account: str
    debit: Amount
    credit: Amount
    currency: str
    currency_amount: Amount
    date: Day
    customer: str = ""
    customer_reference: str = ""


class RecordBody(msgspec.Struct, frozen=True, kw_only=True):
    """A record as the ERP shows it. version: grows with every change of any record. open_amount: unpaid or unapplied.

    fields: everything a user of the ERP could compare or change, as text.
    """

    kind: Kind
    id: str
    number: str
    state: str
    version: str
    external_reference: str = ""
    company: str = ""
    currency: str = ""
    total: Amount | None = None
    open_amount: Amount | None = None
    date: Day | None = None
    fields: dict[str, str] = {}


class ItemAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to one document. status: as HTTP would say it. With 409 `record` is the one that has the reference."""

    status: int
    record: RecordBody | None = None
    entries: tuple[EntryBody, ...] | None = None
    error: ErrorBody | None = None


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One result per document, in order. HTTP 200 whatever became of them."""

    results: tuple[ItemAnswer, ...]


class JobAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """HTTP 202: the documents were taken in and are made later. job: what to ask for."""

    job: str


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """How a job stands: running, or ended with one result per document, in order."""

    job: str
    state: str
    results: tuple[ItemAnswer, ...] = ()


class FoundAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found."""

    records: tuple[RecordBody, ...]


class ChangesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of records by version. next_cursor: "" on the last page."""

    records: tuple[RecordBody, ...]
    next_cursor: str = ""


class PeriodBody(msgspec.Struct, frozen=True, kw_only=True):
    """An accounting period: days from `start` up to, and not with, `end`. state: open, soft_closed or closed."""

    name: str
    start: Day
    end: Day
    state: str


class PeriodsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A company's periods, oldest first."""

    periods: tuple[PeriodBody, ...]


class BalanceBody(msgspec.Struct, frozen=True, kw_only=True):
    """What was booked on one account, in one currency and period: functional and in the currency."""

    company: str
    account: str
    currency: str
    period: str
    debit: Amount
    credit: Amount
    currency_debit: Amount
    currency_credit: Amount


class TrialBalanceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A company's trial balance. Sums are exact."""

    company: str
    functional_currency: str
    debit: Amount
    credit: Amount
    rows: tuple[BalanceBody, ...]


class HealthAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it is up, and how much it holds."""

    status: str
    version: str
    mode: str
    records: int


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every refusal that is not about one document."""

    error: ErrorBody


def decode(data: bytes | msgspec.Raw, kind: type[Any]) -> Any:
    """A body of type `kind`. msgspec.ValidationError or DecodeError when it isn't one."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind, dec_hook=decode_hook)
    return decoder.decode(data)


def encode(value: Any) -> bytes:
    """The JSON bytes of a body; amounts as plain strings."""
    return _ENCODER.encode(value)


def _encode_hook(value: Any) -> str:
    if isinstance(value, Decimal):
        return amount_text(value)
    raise NotImplementedError(f"no way to encode {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_encode_hook)
