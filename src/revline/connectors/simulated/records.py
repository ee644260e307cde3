"""The simulated ERP's records and general ledger: made from documents, one at a time.

Deterministic, without I/O or clock.
The same calls in the same order give the same ids and the same books; that is how the ERP restarts from its file.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from revline.connectors.simulated.impact import Leg, entries_of, impact_of, invalid, mirrored
from revline.connectors.simulated.setup import Company, SetupBody
from revline.connectors.simulated.shown import shown_fields
from revline.connectors.simulated.wire import (
    ApplicationBody,
    CustomerBody,
    EntryBody,
    ErrorBody,
    InvoiceVoidBody,
    Kind,
    RecordBody,
)

ZERO: Final = Decimal(0)
PREFIXES: Final = {
    Kind.CUSTOMERS: "CUST",
    Kind.INVOICES: "INV",
    Kind.INVOICE_VOIDS: "VOID",
    Kind.CREDIT_MEMOS: "CM",
    Kind.PAYMENTS: "PMT",
    Kind.REFUNDS: "RFD",
    Kind.DEPOSITS: "DEP",
    Kind.APPLICATIONS: "APP",
    Kind.JOURNALS: "JE",
}


DELETED: Final = "deleted"
"""A record somebody removed: it is found nowhere, and its ledger lines are gone with it."""


class Mode(StrEnum):
    """key: a document sent again under its idempotency key is answered with the record it made. unique: an external reference
    names one record of a kind. lookup: it can be searched, but is not unique (so too with keys). neither: it is a memo that can't
    be searched."""

    KEY = "key"
    UNIQUE = "unique"
    LOOKUP = "lookup"
    NEITHER = "neither"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A record with what the ERP needs of it. at: when it was last changed, for searches that lag."""

    record: RecordBody
    body: Any
    entries: tuple[EntryBody, ...]
    at: datetime


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of this program
    """The ERP refuses; carries why, and the record that is in the way."""

    def __init__(self, error: ErrorBody, *, existing: Stored | None = None, missing: bool = False) -> None:
        super().__init__(error.code)
        self.error = error
        self.existing = existing
        self.missing = missing


class Ledger:
    """Companies, records and their ledger lines."""

    def __init__(self, *, mode: Mode) -> None:
        self.mode = mode
        self.companies: dict[str, Company] = {}
        self.two_step: frozenset[Kind] = frozenset()
        self.required_fields: dict[Kind, tuple[str, ...]] = {}
        self.records: dict[Kind, dict[str, Stored]] = {kind: {} for kind in Kind}
        self._by_reference: dict[tuple[Kind, str], list[str]] = defaultdict(list)
        self._by_key: dict[tuple[Kind, str], str] = {}
        self._version = 0

    def set_up(self, *, body: SetupBody) -> None:
        """Take companies and house rules."""
        for setup in body.companies:
            known = self.companies.get(setup.code)
            if known is None:
                self.companies[setup.code] = Company(setup=setup)
            else:
                known.extend(setup=setup)
        if body.two_step is not None:
            self.two_step = frozenset(body.two_step)
        if body.required_fields is not None:
            self.required_fields = dict(body.required_fields)

    def find(self, *, kind: Kind, reference: str) -> list[Stored]:
        """Every record of a kind under an external reference, oldest first."""
        found = [self.records[kind][record_id] for record_id in self._by_reference.get((kind, reference), [])]
        return [stored for stored in found if stored.record.state != DELETED]

    def get(self, *, kind: Kind, record_id: str) -> Stored:
        """One record; Refused not_found."""
        stored = self.records[kind].get(record_id)
        if stored is None or stored.record.state == DELETED:
            message = f"there is no {kind.value} record {record_id[:40]!r}"
            raise Refused(ErrorBody(code="not_found", message=message, field=record_id[:40]), missing=True)
        return stored

    def replayed(self, *, kind: Kind, body: Any) -> Stored | None:
        """The record this very body made under its idempotency key; Refused key_reused for another body. None: it is new."""
        record_id = self._by_key.get((kind, body.idempotency_key)) if self.mode is Mode.KEY else None
        if record_id is None:
            return None
        stored = self.records[kind][record_id]
        deleted = stored.record.state == DELETED
        if deleted or stored.body != body:
            message = f"{kind.value} {record_id} was made under the key {body.idempotency_key[:80]}"
            error = ErrorBody(code="key_reused", message=message, field="idempotency_key")
            raise Refused(error, existing=None if deleted else stored)
        return stored

    def create(self, *, kind: Kind, body: Any, at: datetime) -> Stored:
        """Make a record, posted at once unless its kind has two steps."""
        reference = body.external_reference
        if self.mode is Mode.UNIQUE and reference and (found := self.find(kind=kind, reference=reference)):
            message = f"{kind.value} {found[0].record.id} has the external reference {reference}"
            raise Refused(ErrorBody(code="duplicate_reference", message=message, field=reference), existing=found[0])
        for name in self.required_fields.get(kind, ()):
            if not getattr(body, name, None):
                raise Refused(ErrorBody(code="required_field", message=f"{name} is required", field=name))
        self._check(kind=kind, body=body)
        number = f"{PREFIXES[kind]}-{len(self.records[kind]) + 1:06d}"
        is_draft = kind in self.two_step
        record = RecordBody(
            kind=kind,
            id=number,
            number=getattr(body, "number", "") or number,
            state="draft" if is_draft else "posted",
            version="",
            external_reference=reference,
            company=getattr(body, "company", ""),
            currency=getattr(body, "currency", ""),
            total=self._total(kind=kind, body=body),
            date=getattr(body, "date", None),
            fields=shown_fields(body),
        )
        stored = Stored(record=record, body=body, entries=(), at=at)
        if not is_draft:
            stored = self._posted(stored=stored, at=at)
        if reference:
            self._by_reference[(kind, reference)].append(number)
        if self.mode is Mode.KEY and body.idempotency_key:
            self._by_key[(kind, body.idempotency_key)] = number
        return self._keep(stored=stored, at=at)

    def post(self, *, kind: Kind, record_id: str, at: datetime) -> Stored:
        """Post a draft; one that is posted already is answered as it is."""
        stored = self.get(kind=kind, record_id=record_id)
        if stored.record.state != "draft":
            return stored
        self._check(kind=kind, body=stored.body)
        return self._keep(stored=self._posted(stored=stored, at=at), at=at)

    def edit(self, *, kind: Kind, record_id: str, fields: dict[str, str], state: str, at: datetime) -> Stored:
        """What a person does to a record in the ERP behind everybody's back. The ledger stays, unless it is deleted."""
        stored = self.get(kind=kind, record_id=record_id)
        record = msgspec.structs.replace(
            stored.record, fields=stored.record.fields | fields, state=state or stored.record.state
        )
        return self._keep(stored=msgspec.structs.replace(stored, record=record), at=at)

    def changes(self, *, kind: Kind, company: str, after: int, limit: int) -> tuple[list[Stored], bool]:
        """Records changed after a version, oldest change first, and whether there are more."""
        found = [stored for stored in self.records[kind].values() if int(stored.record.version) > after]
        found = [stored for stored in found if stored.record.state != DELETED]
        found = [stored for stored in found if not company or stored.record.company in {company, ""}]
        found.sort(key=lambda stored: int(stored.record.version))
        return found[:limit], len(found) > limit

    def visible(self, *, kind: Kind, company: str, reference: str, now: datetime, lag: timedelta) -> list[Stored]:
        """What a search shows: records of the company that have settled for at least `lag`."""
        return [
            stored
            for stored in self.find(kind=kind, reference=reference)
            if stored.record.company in {company, ""} and now - stored.at >= lag
        ]

    def _keep(self, *, stored: Stored, at: datetime) -> Stored:
        self._version += 1
        record = msgspec.structs.replace(stored.record, version=str(self._version))
        kept = msgspec.structs.replace(stored, record=record, at=at)
        self.records[record.kind][record.id] = kept
        return kept

    def _company(self, code: str) -> Company:
        company = self.companies.get(code)
        if company is None:
            raise Refused(
                ErrorBody(code="unknown_company", message=f"there is no company {code[:40]!r}", field=code[:40])
            )
        return company

    def _total(self, *, kind: Kind, body: Any) -> Decimal | None:
        if kind is Kind.INVOICE_VOIDS:
            return self.get(kind=Kind.INVOICES, record_id=body.invoice).record.total
        if kind is Kind.JOURNALS:
            return sum((line.functional_debit for line in body.lines), ZERO)
        return getattr(body, "total", None) if hasattr(body, "total") else getattr(body, "amount", None)

    def _check(self, *, kind: Kind, body: Any) -> None:
        """Rules that hold when a document is made and again when it is posted."""
        if isinstance(body, CustomerBody):
            if not body.name:
                raise Refused(invalid("a customer has a name", "name"))
            return
        company = self._company(body.company)
        if error := company.day_refused(day=body.date):
            raise Refused(error)
        customers = {getattr(body, "customer", "")} | {
            getattr(line, "customer", "") for line in getattr(body, "lines", ())
        }
        for customer in customers - {""}:
            if customer not in self.records[Kind.CUSTOMERS]:
                raise Refused(
                    ErrorBody(code="unknown_customer", message=f"no customer {customer[:40]!r}", field=customer[:40])
                )
        impact = impact_of(company=company, kind=kind, body=body)
        if isinstance(impact, ErrorBody):
            raise Refused(impact)
        if isinstance(body, ApplicationBody):
            self._check_application(body=body)
        if isinstance(body, InvoiceVoidBody):
            self._check_void(body=body)

    def _same_company(self, *, kind: Kind, record_id: str, company: str) -> Stored:
        stored = self.get(kind=kind, record_id=record_id)
        if stored.record.company != company:
            raise Refused(invalid(f"{record_id} belongs to another company", "company"))
        if stored.record.state == "draft":
            raise Refused(ErrorBody(code="not_posted", message=f"{record_id} is a draft", field=record_id))
        return stored

    def _check_void(self, *, body: InvoiceVoidBody) -> None:
        invoice = self._same_company(kind=Kind.INVOICES, record_id=body.invoice, company=body.company)
        if invoice.record.state == "cancelled":
            raise Refused(ErrorBody(code="already_void", message=f"{body.invoice} is void", field=body.invoice))
        if invoice.record.open_amount != invoice.record.total:
            message = f"{body.invoice} has payments or credits set against it"
            raise Refused(ErrorBody(code="invoice_applied", message=message, field=body.invoice))

    def _check_application(self, *, body: ApplicationBody) -> None:
        if body.payment_kind not in {Kind.PAYMENTS, Kind.JOURNALS} or body.amount <= 0:
            raise Refused(invalid("a positive amount of a payment or a journal is applied", "amount"))
        invoice = self._same_company(kind=Kind.INVOICES, record_id=body.invoice, company=body.company)
        payment = self._same_company(kind=body.payment_kind, record_id=body.payment, company=body.company)
        if invoice.record.currency != body.currency or body.currency not in _currencies(payment):
            raise Refused(ErrorBody(code="currency_mismatch", message="the currencies differ", field=body.currency))
        open_amount = invoice.record.open_amount or ZERO
        unapplied = payment.record.open_amount or ZERO
        if invoice.record.state == "cancelled" or body.amount > min(open_amount, unapplied):
            message = f"open on {body.invoice}: {open_amount}; unapplied on {body.payment}: {unapplied}"
            raise Refused(ErrorBody(code="over_applied", message=message, field=body.invoice))

    def _posted(self, *, stored: Stored, at: datetime) -> Stored:
        """The record as it is once posted, after its effects on other records."""
        body, kind = stored.body, stored.record.kind
        entries: tuple[EntryBody, ...] = ()
        open_amount: Decimal | None = None
        match kind:
            case Kind.CUSTOMERS:
                pass
            case Kind.INVOICE_VOIDS:
                entries = self._void(invoice_id=body.invoice, day=body.date, at=at)
            case Kind.APPLICATIONS:
                self._settle(kind=Kind.INVOICES, record_id=body.invoice, amount=body.amount, at=at)
                self._settle(kind=body.payment_kind, record_id=body.payment, amount=body.amount, at=at)
            case _:
                company = self._company(body.company)
                legs = impact_of(company=company, kind=kind, body=body)
                if isinstance(legs, ErrorBody):
                    raise Refused(legs)
                entries = self._named(entries=entries_of(legs=legs, day=body.date))
                open_amount = self._open_amount(kind=kind, body=body, company=company, legs=legs)
        if kind is Kind.CREDIT_MEMOS and body.invoice:
            invoice = self._same_company(kind=Kind.INVOICES, record_id=body.invoice, company=body.company)
            used = min(invoice.record.open_amount or ZERO, body.total)
            self._settle(kind=Kind.INVOICES, record_id=body.invoice, amount=used, at=at)
            open_amount = body.total - used
        record = msgspec.structs.replace(stored.record, state="posted", open_amount=open_amount)
        return msgspec.structs.replace(stored, record=record, entries=entries)

    def _named(self, *, entries: tuple[EntryBody, ...]) -> tuple[EntryBody, ...]:
        customers = self.records[Kind.CUSTOMERS]
        return tuple(
            msgspec.structs.replace(entry, customer_reference=customers[entry.customer].record.external_reference)
            if entry.customer
            else entry
            for entry in entries
        )

    def _open_amount(self, *, kind: Kind, body: Any, company: Company, legs: tuple[Leg, ...]) -> Decimal | None:
        if kind in {Kind.INVOICES, Kind.CREDIT_MEMOS}:
            return Decimal(body.total)
        if kind is Kind.PAYMENTS:
            return Decimal(body.amount)
        if kind is Kind.JOURNALS:
            received = [
                -leg.amount for leg in legs if leg.customer and company.accounts[leg.account].kind == "receivable"
            ]
            return max(sum(received, ZERO), ZERO)
        return None

    def _settle(self, *, kind: Kind, record_id: str, amount: Decimal, at: datetime) -> None:
        stored = self.get(kind=kind, record_id=record_id)
        left = (stored.record.open_amount or ZERO) - amount
        state = "paid" if kind is Kind.INVOICES and not left else stored.record.state
        record = msgspec.structs.replace(stored.record, open_amount=left, state=state)
        self._keep(stored=msgspec.structs.replace(stored, record=record), at=at)

    def _void(self, *, invoice_id: str, day: date, at: datetime) -> tuple[EntryBody, ...]:
        stored = self.get(kind=Kind.INVOICES, record_id=invoice_id)
        record = msgspec.structs.replace(stored.record, state="cancelled", open_amount=ZERO)
        self._keep(stored=msgspec.structs.replace(stored, record=record), at=at)
        return mirrored(entries=stored.entries, day=day)


def _currencies(stored: Stored) -> set[str]:
    if stored.record.kind is Kind.JOURNALS:
        return {line.currency for line in stored.body.lines if line.customer}
    return {stored.record.currency}
