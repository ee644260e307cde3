"""Documents to the simulated ERP's bodies and its records back. Pure: no wire, no clock.

Neutral keys become the ERP's codes here and nowhere else; a key without a code is `mapping.missing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from revline.connectors.simulated import wire
from revline.connectors.simulated.manifest import COLLECTIONS, CREATE, POST
from revline.connectors.simulated.shown import shown_fields
from revline.connectors.simulated.wire import BODY_TYPES, EntryBody, Kind, RecordBody
from revline.core.canonical import Address
from revline.core.differences import FieldDifference, differences_of
from revline.core.documents import (
    ApplicationContent,
    CreditMemoContent,
    CustomerContent,
    Document,
    InvoiceContent,
    InvoiceContentLine,
    InvoiceContentTax,
    InvoiceVoidContent,
    JournalContent,
    MoneyContent,
)
from revline.core.farside import ErpEntry, ErpRecord, PrepareContext, PreparedStep
from revline.core.hashing import canonical_bytes
from revline.core.problem import Problem, ProblemError, problem


def prepare_step(
    *, document: Document, step: str, context: PrepareContext, keyed: bool = False
) -> PreparedStep | Problem:
    """The exact body of one step. keyed: what makes a record names the intent as its idempotency key, whatever its content.

    Problems: mapping.missing, erp.record_missing, erp.kind_unsupported.
    """
    key = document.external_reference if keyed and step == CREATE else ""
    try:
        body = _post_body(document, context) if step == POST else _create_body(document, context)
        body = msgspec.structs.replace(body, idempotency_key=key) if key else body
    except ProblemError as error:
        return error.problem
    return PreparedStep(
        document_id=document.document_id,
        kind=document.kind,
        step=step,
        operation=f"{COLLECTIONS[document.kind].value}.{step}",
        external_reference=document.external_reference,
        body=canonical_bytes(body),
        idempotency_key=key,
    )


def expected_fields(*, step: PreparedStep) -> Mapping[str, str]:
    """The fields a record made by this create step shows."""
    return shown_fields(wire.decode(step.body, BODY_TYPES[COLLECTIONS[step.kind]]))


def record_difference(*, document: Document, record: ErpRecord, context: PrepareContext) -> tuple[FieldDifference, ...]:
    """The fields in which a record differs from the intent; the field of the problem when the intent can't be prepared."""
    step = prepare_step(document=document, step=CREATE, context=context)
    if isinstance(step, Problem):
        return (FieldDifference(field=step.field or step.code, ours=step.detail),)
    ours = {**expected_fields(step=step), "record_kind": COLLECTIONS[document.kind].value}
    theirs = {**dict(record.content), "record_kind": record.record_kind}
    if record.external_reference:
        ours["external_reference"], theirs["external_reference"] = (
            document.external_reference,
            record.external_reference,
        )
    return differences_of(expected=ours, found=theirs)


def erp_record(*, record: RecordBody) -> ErpRecord:
    """A record of the ERP in Revline's words."""
    return ErpRecord(
        record_kind=record.kind.value,
        erp_id=record.id,
        number=record.number,
        state=record.state,
        version=record.version,
        external_reference=record.external_reference,
        currency=record.currency,
        amount=record.total,
        accounting_date=record.date,
        content=tuple(sorted(record.fields.items())),
    )


def erp_entries(*, entries: tuple[EntryBody, ...]) -> tuple[ErpEntry, ...]:
    """Ledger lines of the ERP in Revline's words. party_reference: the customer's external reference."""
    return tuple(
        ErpEntry(
            line=entry.line,
            account=entry.account,
            debit=entry.debit,
            credit=entry.credit,
            currency=entry.currency,
            currency_amount=entry.currency_amount,
            day=entry.date,
            party_reference=entry.customer_reference,
        )
        for entry in entries
    )


def _create_body(document: Document, context: PrepareContext) -> msgspec.Struct:
    content = document.content
    match content:
        case CustomerContent():
            return _customer(document, content)
        case InvoiceContent():
            return _invoice(document, content, context)
        case CreditMemoContent():
            invoice = _record(content.invoice_document, context).erp_id if content.invoice_document else ""
            return _invoice(document, content, context, invoice=invoice)
        case InvoiceVoidContent():
            return wire.InvoiceVoidBody(
                external_reference=document.external_reference,
                company=context.mapping.company,
                invoice=_record(content.invoice_document, context).erp_id,
                date=_day(document),
            )
        case MoneyContent():
            return _money(document, content, context)
        case ApplicationContent():
            return _application(document, content, context)
        case JournalContent():
            return _journal(document, content, context)
    raise TypeError(f"{document.kind} is not among the manifest's kinds")


def _post_body(document: Document, context: PrepareContext) -> wire.PostBody:
    return wire.PostBody(id=_record(document.document_id, context).erp_id)


def _customer(document: Document, content: CustomerContent) -> wire.CustomerBody:
    return wire.CustomerBody(
        external_reference=document.external_reference,
        name=content.name,
        email=content.email,
        currency=content.currency,
        address=_address(content.address),
        tax_ids=content.tax_ids,
        source_id=content.outside_id,
    )


def _address(address: Address) -> dict[str, str]:
    return {name: value for name, value in msgspec.structs.asdict(address).items() if value}


def _invoice(
    document: Document, content: InvoiceContent | CreditMemoContent, context: PrepareContext, *, invoice: str = ""
) -> wire.InvoiceBody:
    return wire.InvoiceBody(
        external_reference=document.external_reference,
        company=context.mapping.company,
        number=content.number,
        customer=_record(content.customer_document, context).erp_id,
        currency=document.currency,
        date=_day(document),
        due_date=content.due_date if isinstance(content, InvoiceContent) else None,
        receivable_account=_account(content.receivable, context),
        rate=_rate(content.rate, context),
        lines=tuple(_invoice_line(line, context) for line in content.lines),
        tax_lines=tuple(_tax_line(tax, context) for tax in content.taxes),
        total=content.total,
        invoice=invoice,
        memo=content.memo,
    )


def _invoice_line(line: InvoiceContentLine, context: PrepareContext) -> wire.InvoiceLineBody:
    products = context.mapping.products
    return wire.InvoiceLineBody(
        account=_account(line.account, context),
        amount=line.net,
        description=line.description,
        product=_mapped(products, line.product, "products") if products and line.product else line.product,
        quantity=line.quantity,
        source_line=line.source_line,
        service_start=line.service_start,
        service_end=line.service_end,
        dimensions=_dimensions(line.dimensions, context),
    )


def _tax_line(tax: InvoiceContentTax, context: PrepareContext) -> wire.TaxLineBody:
    taxes = context.mapping.taxes
    return wire.TaxLineBody(
        account=_account(tax.account, context),
        amount=tax.amount,
        taxable=tax.taxable,
        code=_mapped(taxes, tax.rate, "taxes") if taxes and tax.rate else tax.rate,
        description=tax.description,
        source_line=tax.source_line,
        dimensions=_dimensions(tax.dimensions, context),
    )


def _money(document: Document, content: MoneyContent, context: PrepareContext) -> wire.MoneyBody:
    customer = _record(content.customer_document, context).erp_id if content.customer_document else ""
    return wire.MoneyBody(
        external_reference=document.external_reference,
        company=context.mapping.company,
        customer=customer,
        currency=document.currency,
        date=_day(document),
        amount=content.amount,
        from_account=_account(content.from_account, context),
        to_account=_account(content.to_account, context),
        rate=_rate(content.rate, context),
        memo=content.reference,
        dimensions=_dimensions(content.dimensions, context),
    )


def _application(document: Document, content: ApplicationContent, context: PrepareContext) -> wire.ApplicationBody:
    payment = _record(content.payment_document, context)
    return wire.ApplicationBody(
        external_reference=document.external_reference,
        company=context.mapping.company,
        invoice=_record(content.invoice_document, context).erp_id,
        payment=payment.erp_id,
        payment_kind=Kind(payment.record_kind),
        currency=document.currency,
        amount=content.amount,
        date=_day(document),
    )


def _journal(document: Document, content: JournalContent, context: PrepareContext) -> wire.JournalBody:
    customers = {party: _record(identity, context).erp_id for party, identity in content.customer_documents}
    return wire.JournalBody(
        external_reference=document.external_reference,
        company=context.mapping.company,
        date=_day(document),
        memo=content.memo,
        lines=tuple(
            wire.JournalLineBody(
                account=_account(line.account, context),
                debit=line.debit,
                credit=line.credit,
                currency=line.currency,
                functional_debit=line.functional_debit,
                functional_credit=line.functional_credit,
                conversion=line.conversion,
                customer=customers.get(line.party, "") if line.party is not None else "",
                description=line.description,
                dimensions=_dimensions(line.dimensions, context),
            )
            for line in content.lines
        ),
    )


def _mapped(mapping: Mapping[str, str], key: str, name: str) -> str:
    code = mapping.get(key)
    if code is None:
        raise ProblemError(
            problem("mapping.missing", f"the mapping names no code for {name} {key}", field=f"{name}:{key}")
        )
    return code


def _account(key: str, context: PrepareContext) -> str:
    return _mapped(context.mapping.accounts, key, "accounts")


def _dimensions(dimensions: tuple[tuple[str, str], ...], context: PrepareContext) -> dict[str, str]:
    """Far codes of dimension values. A dimension the mapping does not name goes as it is: the ERP has free dimensions."""
    return {
        name: _mapped(context.mapping.dimensions[name], value, f"dimensions:{name}")
        if name in context.mapping.dimensions
        else value
        for name, value in dimensions
    }


def _record(document_id: str, context: PrepareContext) -> ErpRecord:
    record = context.records.get(document_id)
    if record is None:
        detail = f"the ERP is not known to hold a record for document {document_id}"
        raise ProblemError(problem("erp.record_missing", detail, field=f"documents:{document_id}"))
    return record


def _rate(rate: Decimal, context: PrepareContext) -> Decimal | None:
    """The rate our journal used, unless the mapping's setting rateFrom says the ERP has rates of its own."""
    return None if context.mapping.settings.get("rateFrom") == "erp" else rate


def _day(document: Document) -> date:
    if document.accounting_date is None:
        raise ProblemError(
            problem("erp.rejected", "a document of this kind has an accounting date", field="accounting_date")
        )
    return document.accounting_date


def item_of(data: Any) -> wire.ItemAnswer | None:
    """The answer to one document, or None when it isn't one."""
    try:
        item: wire.ItemAnswer = wire.decode(data, wire.ItemAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return item
