"""Documents to NetSuite's bodies. Pure: no wire, no clock.

Neutral keys become internal ids here and nowhere else; a key without a code is `mapping.missing`. A prepared body is an envelope:
the record type, its values with amounts and currencies marked, and what must be looked up when it is sent.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Final

from revline.connectors.netsuite.journals import journal_values
from revline.connectors.netsuite.manifest import RECORDS, Options
from revline.connectors.netsuite.marks import amount_mark, currency_mark, dimensions_of, identity, mapped, memo_of
from revline.core.canonical import Address
from revline.core.documents import (
    ApplicationContent,
    CreditMemoContent,
    CustomerContent,
    Document,
    DocumentKind,
    InvoiceContent,
    InvoiceContentLine,
    InvoiceContentTax,
    InvoiceVoidContent,
    ItemContent,
    JournalContent,
    MoneyContent,
)
from revline.core.farside import ErpRecord, PrepareContext, PreparedStep
from revline.core.hashing import canonical_bytes
from revline.core.problem import Problem, ProblemError, problem

NAME_MAX: Final = 83
Values = dict[str, Any]


def prepare_step(*, document: Document, step: str, context: PrepareContext, options: Options) -> PreparedStep | Problem:
    """The exact envelope of one step. Problems: mapping.missing, erp.record_missing, netsuite.*."""
    try:
        envelope = _envelope(document, context, options)
    except ProblemError as error:
        return error.problem
    return PreparedStep(
        document_id=document.document_id,
        kind=document.kind,
        step=step,
        operation=f"{envelope['record']}.{step}",
        external_reference=document.external_reference,
        body=canonical_bytes(envelope),
    )


def _envelope(document: Document, context: PrepareContext, options: Options) -> Values:
    content = document.content
    match content:
        case CustomerContent():
            values = _customer(document, content, context, options)
        case ItemContent():
            values = _item(document, content, context, options)
            return {"record": options.item_record, "values": values}
        case InvoiceContent():
            values = _invoice(document, content, context, options)
        case CreditMemoContent():
            return _credit_memo(document, content, context, options)
        case InvoiceVoidContent():
            return _void(document, content, context)
        case MoneyContent():
            values = _money(document, content, context, options)
        case ApplicationContent():
            return _application(document, content, context, options)
        case JournalContent():
            values = journal_values(document=document, content=content, context=context, options=options)
        case _:
            raise TypeError(f"{document.kind} is not among the manifest's kinds")
    return {"record": RECORDS[document.kind], "values": values}


def _customer(document: Document, content: CustomerContent, context: PrepareContext, options: Options) -> Values:
    name = _name(content.name or content.outside_id)
    reference = f" [{document.external_reference}]"
    values: Values = {
        "externalId": document.external_reference,
        "companyName": name,
        "entityId": name[: NAME_MAX - len(reference)] + reference,
        "isPerson": False,
    }
    if options.one_world:
        values["subsidiary"] = identity(context.mapping.company)
    if content.email:
        values["email"] = content.email
    if content.currency:
        values["currency"] = currency_mark(content.currency)
    if address := _address(content.address):
        values["addressBook"] = {"items": [{"defaultBilling": True, "addressBookAddress": address}]}
    return values


def _address(address: Address) -> Values:
    found = {"addr1": address.line1, "addr2": address.line2, "city": address.city, "state": address.region}
    found |= {"zip": address.postal_code}
    shown: Values = {name: value for name, value in found.items() if value}
    if address.country:
        shown["country"] = identity(address.country)
    return shown


def _item(document: Document, content: ItemContent, context: PrepareContext, options: Options) -> Values:
    reference = f" [{document.external_reference}]"
    values: Values = {
        "externalId": document.external_reference,
        "itemId": _name(content.code or content.name)[: NAME_MAX - len(reference)] + reference,
        "displayName": _name(content.name),
        "incomeAccount": identity(mapped(context.mapping.accounts, content.account, "accounts")),
    }
    if options.one_world:
        values["subsidiary"] = {"items": [identity(context.mapping.company)]}
        values["includeChildren"] = True
    if schedule := context.mapping.settings.get("taxSchedule"):
        values["taxSchedule"] = identity(schedule)
    return values


def _name(text: str) -> str:
    return " ".join(text.split())[:NAME_MAX].strip()


def _dated(document: Document, context: PrepareContext, options: Options, *, rate: Decimal) -> Values:
    """What every transaction carries. The rate is ours unless the mapping's setting rateFrom says erp."""
    values: Values = {
        "externalId": document.external_reference,
        "tranDate": day_of(document).isoformat(),
        "currency": currency_mark(document.currency),
    }
    if options.one_world:
        values["subsidiary"] = identity(context.mapping.company)
    if document.currency != context.functional_currency and context.mapping.settings.get("rateFrom") != "erp":
        values["exchangeRate"] = amount_mark(rate)
    return values


def _invoice(document: Document, content: InvoiceContent, context: PrepareContext, options: Options) -> Values:
    values = _dated(document, context, options, rate=content.rate) | _billed(content, context)
    values |= _numbered(content.number, options) | memo_of(f"{content.number} {content.memo}")
    if content.due_date is not None:
        values["dueDate"] = content.due_date.isoformat()
    return values


def _numbered(number: str, options: Options) -> Values:
    if not number:
        return {}
    return {"tranId": number} if options.numbers == "ours" else {"otherRefNum": number[:45]}


def _billed(content: InvoiceContent | CreditMemoContent, context: PrepareContext) -> Values:
    lines = [_item_line(line, context) for line in content.lines] + [_tax_line(tax, context) for tax in content.taxes]
    return {
        "entity": identity(record_of(content.customer_document, context).erp_id),
        "account": identity(mapped(context.mapping.accounts, content.receivable, "accounts")),
        "item": {"items": lines},
    }


def _item_line(line: InvoiceContentLine, context: PrepareContext) -> Values:
    values: Values = {"item": identity(_item_of(line, context)), "amount": amount_mark(line.net)}
    if line.quantity > 0:
        values["quantity"] = amount_mark(line.quantity)
    return values | _described(line.description, line.dimensions, context)


def _item_of(line: InvoiceContentLine, context: PrepareContext) -> str:
    """The item of a line: the product's own record when it credits the line's account, else the mapping's item for the account
    or, for a product without a record, the mapping's product."""
    mapping = context.mapping
    account = mapped(mapping.accounts, line.account, "accounts")
    if line.item_document:
        record = record_of(line.item_document, context)
        credited = dict(record.content).get("incomeaccount", account)
        by_account = mapping.settings.get(f"item.{line.account}", "")
        if credited != account and by_account:
            return by_account
        if credited != account:
            detail = f"item {record.erp_id} credits account {credited}, the rule chose {line.account} ({account})"
            raise ProblemError(problem("netsuite.item_account_differs", detail, field=f"item:{record.erp_id}"))
        return record.erp_id
    return mapping.products.get(line.product) or mapped(mapping.settings, f"item.{line.account}", "settings")


def _tax_line(tax: InvoiceContentTax, context: PrepareContext) -> Values:
    """The engine's own cents as a line of their own: NetSuite's tax codes would compute, and round, by themselves."""
    mapping = context.mapping
    by_account = mapping.settings.get(f"item.{tax.account}")
    item = mapping.taxes.get(tax.rate) or by_account or mapped(mapping.taxes, tax.rate, "taxes")
    values: Values = {"item": identity(item), "amount": amount_mark(tax.amount)}
    return values | _described(tax.description, tax.dimensions, context)


def _described(description: str, dimensions: tuple[tuple[str, str], ...], context: PrepareContext) -> Values:
    values: Values = {"description": description[:999]} if description else {}
    if code := context.mapping.settings.get("taxCode"):
        values["taxCode"] = identity(code)
    return values | dimensions_of(dimensions, context)


def _credit_memo(document: Document, content: CreditMemoContent, context: PrepareContext, options: Options) -> Values:
    values = _dated(document, context, options, rate=content.rate) | _billed(content, context)
    values |= _numbered(content.number, options) | memo_of(f"{content.number} {content.memo}")
    envelope: Values = {"record": "creditMemo", "values": values}
    # What did not lower the invoice must not take the place of a payment that is still to be applied to it.
    applied = content.total if content.applied is None else content.applied
    if content.invoice_document and applied > 0:
        invoice = record_of(content.invoice_document, context).erp_id
        envelope["applyUpTo"] = {"doc": invoice, "amount": amount_mark(applied)}
    return envelope


def _void(document: Document, content: InvoiceVoidContent, context: PrepareContext) -> Values:
    """A credit memo made of the invoice itself. mirrors: what the invoice shows, turned round."""
    invoice = record_of(content.invoice_document, context)
    apply = {"doc": identity(invoice.erp_id), "apply": True, "amount": amount_mark(document.amount)}
    values: Values = {
        "externalId": document.external_reference,
        "tranDate": day_of(document).isoformat(),
        "apply": {"items": [apply]},
    } | memo_of(f"Void of {content.number or invoice.number or invoice.erp_id}")
    mirrors = {
        name: amount_mark(-Decimal(value)) if name.startswith("item.") else value
        for name, value in invoice.content
        if name != "trandate"
    }
    return {"record": "creditMemo", "source": invoice.erp_id, "values": values, "mirrors": mirrors}


def _money(document: Document, content: MoneyContent, context: PrepareContext, options: Options) -> Values:
    accounts = context.mapping.accounts
    source, target = (mapped(accounts, key, "accounts") for key in (content.from_account, content.to_account))
    values = _dated(document, context, options, rate=content.rate) | memo_of(content.reference)
    header = dimensions_of(content.dimensions, context)
    if document.kind is DocumentKind.DEPOSIT:
        line: Values = {"account": identity(source), "amount": amount_mark(content.amount)}
        return values | {"account": identity(target), "other": {"items": [line | header]}}
    values |= {"customer": identity(record_of(content.customer_document, context).erp_id)} | header
    if document.kind is DocumentKind.PAYMENT:
        return values | {
            "account": identity(target),
            "arAcct": identity(source),
            "payment": amount_mark(content.amount),
            "autoApply": False,
        }
    return values | {
        "account": identity(source),
        "arAcct": identity(target),
        "total": amount_mark(content.amount),
    }


def _application(document: Document, content: ApplicationContent, context: PrepareContext, options: Options) -> Values:
    """What is to be set against what; a payment's list is changed, a journal's credit needs a payment of nothing."""
    invoice, payment = record_of(content.invoice_document, context), record_of(content.payment_document, context)
    amount = amount_mark(content.amount)
    if payment.record_kind != "journalEntry":
        applied = {"payment": payment.erp_id, "invoice": invoice.erp_id, "amount": amount}
        return {"record": payment.record_kind, "values": {}, "applied": applied}
    customer = dict(invoice.content).get("entity", "")
    if not customer:
        detail = f"invoice {invoice.erp_id} was not read back from NetSuite, so its customer isn't known"
        raise ProblemError(problem("erp.record_missing", detail, field=f"documents:{content.invoice_document}"))
    values = _dated(document, context, options, rate=Decimal(1)) | {"customer": identity(customer)}
    values.pop("exchangeRate", None)
    values |= {
        "payment": amount_mark(Decimal(0)),
        "autoApply": False,
        "apply": {"items": [{"doc": identity(invoice.erp_id), "apply": True, "amount": amount}]},
        "credit": {"items": [{"doc": identity(payment.erp_id), "apply": True, "amount": amount}]},
    }
    return {"record": "customerPayment", "values": values}


def record_of(document_id: str, context: PrepareContext) -> ErpRecord:
    """What NetSuite holds for a document this one names."""
    record = context.records.get(document_id)
    if record is None:
        detail = f"NetSuite is not known to hold a record for document {document_id}"
        raise ProblemError(problem("erp.record_missing", detail, field=f"documents:{document_id}"))
    return record


def day_of(document: Document) -> date:
    """The day it counts."""
    if document.accounting_date is None:
        detail = "a document of this kind has an accounting date"
        raise ProblemError(problem("erp.rejected", detail, field="accounting_date"))
    return document.accounting_date
