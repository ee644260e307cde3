"""Documents to Tryton's values, and how a found record differs from one. Pure: no wire, no clock.

A body is the JSON of one document's part of a call. Codes that Tryton knows by number only when it is sent stand in it as
`{"__code__": [kind, code]}`; amounts and days stand as Tryton writes them. So the bytes depend on the intent alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from revline.connectors.tryton.manifest import APPLY, CREATE, INVOICE, MODELS, MOVE, PARTY, POST, SETTLEMENT, VOID
from revline.connectors.tryton.records import Values, joined, line_text, plain
from revline.connectors.tryton.wire import decode_object, encode_value
from revline.core.differences import FieldDifference, differences_of
from revline.core.documents import (
    ApplicationContent,
    CreditMemoContent,
    CustomerContent,
    Document,
    InvoiceContent,
    InvoiceContentTax,
    InvoiceVoidContent,
    JournalContent,
)
from revline.core.farside import ErpRecord, PrepareContext, PreparedStep
from revline.core.journal import JournalLine
from revline.core.money import at_least_in_scale
from revline.core.problem import Problem, ProblemError, problem

TEXT_MAX: Final = 200
CODE: Final = "__code__"
DEFAULT_INVOICE_JOURNAL: Final = "REV"
DEFAULT_JOURNAL: Final = "MISC"


def prepare_step(*, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
    """The exact body of one step. Problems: mapping.missing, erp.record_missing, erp.rejected, erp.kind_unsupported."""
    try:
        body = _post_body(document, context) if step == POST else _first_body(document, context)
    except ProblemError as error:
        return error.problem
    return PreparedStep(
        document_id=document.document_id,
        kind=document.kind,
        step=step,
        operation=f"{document.kind.value}.{step} {context.mapping.company}",
        external_reference=document.external_reference,
        body=json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=encode_value).encode(),
    )


def body_of(*, step: PreparedStep) -> Values:
    """The body of a prepared step, with amounts and days as Python has them."""
    body: Values = json.loads(step.body, object_hook=decode_object, parse_float=Decimal)
    return body


def codes_in(*, node: Any) -> set[tuple[str, str]]:
    """Every (kind, code) a body names."""
    if isinstance(node, dict):
        if CODE in node:
            return {(node[CODE][0], node[CODE][1])}
        return set().union(*(codes_in(node=item) for item in node.values()))
    if isinstance(node, list):
        return set().union(*(codes_in(node=item) for item in node))
    return set()


def with_numbers(*, node: Any, numbers: Mapping[tuple[str, str], int]) -> Any:
    """The same with every code replaced by Tryton's number. KeyError for one that has none."""
    if isinstance(node, dict):
        if CODE in node:
            return numbers[node[CODE][0], node[CODE][1]]
        return {key: with_numbers(node=item, numbers=numbers) for key, item in node.items()}
    if isinstance(node, list):
        return [with_numbers(node=item, numbers=numbers) for item in node]
    return node


# -- documents to bodies


def _application(document: Document, content: ApplicationContent, context: PrepareContext) -> Values:
    payment = _record(content.payment_document, context)
    return {
        "step": APPLY,
        "model": SETTLEMENT,
        "company": context.mapping.company,
        "invoice": int(_record(content.invoice_document, context).erp_id),
        "payment": [payment.record_kind, int(payment.erp_id)],
        "currency": document.currency,
        "amount": content.amount,
        "reference": document.external_reference,
    }


def _first_body(document: Document, context: PrepareContext) -> Values:
    content = document.content
    company = context.mapping.company
    match content:
        case CustomerContent():
            return {"step": CREATE, "model": PARTY, "company": company, "values": _party(document, content)}
        case InvoiceContent() | CreditMemoContent():
            return {
                "step": CREATE,
                "model": INVOICE,
                "company": company,
                "day": _day(document),
                "journal": _journal_code(context, "invoiceJournal", DEFAULT_INVOICE_JOURNAL),
                "conversion": _conversion(document, content, context),
                "values": _invoice(document, content, context),
            }
        case JournalContent():
            journal = _journal_code(
                context, f"journal.{content.event_kind}", context.mapping.settings.get("journal", DEFAULT_JOURNAL)
            )
            return {
                "step": CREATE,
                "model": MOVE,
                "company": company,
                "day": _day(document),
                "journal": journal,
                "values": _move(document, content, context, journal),
            }
        case InvoiceVoidContent():
            return {
                "step": VOID,
                "model": MOVE,
                "company": company,
                "day": _day(document),
                "journal": context.mapping.settings.get("journal", DEFAULT_JOURNAL),
                "invoice": int(_record(content.invoice_document, context).erp_id),
                "reference": document.external_reference,
            }
        case ApplicationContent():
            return _application(document, content, context)
    raise ProblemError(
        problem("erp.kind_unsupported", f"Tryton gets a {document.kind} as a journal", field=document.kind.value)
    )


def _post_body(document: Document, context: PrepareContext) -> Values:
    own = _record(document.document_id, context)
    return {
        "step": POST,
        "model": MODELS[document.kind],
        "company": context.mapping.company,
        "id": int(own.erp_id),
        "day": _day(document),
        "journal": _journal_code(context, "journal", DEFAULT_JOURNAL),
    }


def _party(document: Document, content: CustomerContent) -> Values:
    address = content.address
    place: Values = {
        "street": _text("\n".join(part for part in (address.line1, address.line2) if part)),
        "city": _text(address.city),
        "postal_code": _text(address.postal_code),
    }
    return {
        "name": _text(content.name or content.outside_id),
        "code": document.external_reference,
        "addresses": [["create", [place]]],
    }


def _invoice(document: Document, content: InvoiceContent | CreditMemoContent, context: PrepareContext) -> Values:
    """An out invoice; a credit memo is one with negative quantities, which Tryton numbers as a credit note."""
    sign = -1 if isinstance(content, CreditMemoContent) else 1
    party = _record(content.customer_document, context)
    company, currency = _code("company", context.mapping.company), _code("currency", document.currency)
    lines = [
        {
            "type": "line",
            "company": company,
            "currency": currency,
            "account": _account(line.account, context),
            "description": _text(line.description or content.number),
            # One unit at the line's net: a price times a broken quantity would be rounded by Tryton.
            "quantity": sign if line.net >= 0 else -sign,
            "unit_price": abs(line.net),
        }
        for line in content.lines
    ]
    due = content.due_date if isinstance(content, InvoiceContent) else None
    return {
        "type": "out",
        "company": company,
        "currency": currency,
        "party": int(party.erp_id),
        "invoice_address": _address_of(party),
        "journal": _code("journal", _journal_code(context, "invoiceJournal", DEFAULT_INVOICE_JOURNAL)),
        "account": _account(content.receivable, context),
        "invoice_date": content.document_date,
        "accounting_date": _day(document),
        "payment_term_date": due,
        "reference": document.external_reference,
        "description": _text(content.number),
        "comment": _text(content.memo),
        "lines": [["create", lines]],
        "taxes": [["create", [_tax(tax, sign, context) for tax in content.taxes]]],
    }


def _tax(tax: InvoiceContentTax, sign: int, context: PrepareContext) -> Values:
    return {
        "manual": True,
        "account": _account(tax.account, context),
        "description": _text(tax.description or tax.rate or "Tax"),
        "base": sign * tax.taxable,
        "amount": sign * tax.amount,
    }


def _conversion(document: Document, content: InvoiceContent | CreditMemoContent, context: PrepareContext) -> Values:
    return {"from": document.currency, "to": context.functional_currency, "rate": content.rate}


def _move(document: Document, content: JournalContent, context: PrepareContext, journal: str) -> Values:
    parties = {party: int(_record(identity, context).erp_id) for party, identity in content.customer_documents}
    lines = [
        _move_line(line, content, parties.get(line.party) if line.party else None, context) for line in content.lines
    ]
    return {
        "company": _code("company", context.mapping.company),
        "journal": _code("journal", journal),
        "date": _day(document),
        "description": document.external_reference,
        "lines": [["create", lines]],
    }


def _move_line(line: JournalLine, content: JournalContent, party: int | None, context: PrepareContext) -> Values:
    values: Values = {
        "account": _account(line.account, context),
        "debit": line.functional_debit,
        "credit": line.functional_credit,
        "party": party,
        "description": _text(line.description or content.memo),
    }
    if line.currency != content.functional_currency:
        values |= {
            "second_currency": _code("currency", line.currency),
            # Tryton counts digits: a zero side with cents would give a currency without them two too many.
            "amount_second_currency": at_least_in_scale(amount=line.debit - line.credit, code=line.currency),
        }
    return values


def _code(kind: str, code: str) -> Values:
    return {CODE: [kind, code]}


def _account(key: str, context: PrepareContext) -> Values:
    code = context.mapping.accounts.get(key)
    if code is None:
        raise ProblemError(
            problem("mapping.missing", f"the mapping names no code for accounts {key}", field=f"accounts:{key}")
        )
    return _code("account", code)


def _journal_code(context: PrepareContext, name: str, default: str) -> str:
    return context.mapping.settings.get(name, default)


def _record(document_id: str, context: PrepareContext) -> ErpRecord:
    record = context.records.get(document_id)
    if record is None:
        detail = f"Tryton is not known to hold a record for document {document_id}"
        raise ProblemError(problem("erp.record_missing", detail, field=f"documents:{document_id}"))
    return record


def _address_of(party: ErpRecord) -> int:
    number = dict(party.content).get("address", "")
    if not number:
        raise ProblemError(
            problem("erp.record_missing", f"party {party.erp_id} has no address in Tryton", field="party.addresses")
        )
    return int(number)


def _day(document: Document) -> date:
    if document.accounting_date is None:
        raise ProblemError(
            problem("erp.rejected", "a document of this kind has an accounting date", field="accounting_date")
        )
    return document.accounting_date


def _text(text: str) -> str | None:
    """One field's text without control characters; None for none, as Tryton keeps it."""
    clean = "".join(character for character in text if character.isprintable() or character == "\n").strip()
    return clean[:TEXT_MAX] or None


# -- what is compared


def difference_of(*, document: Document, record: ErpRecord, context: PrepareContext) -> tuple[FieldDifference, ...]:
    """The fields in which a found record is not the intent. A party may be enriched in Tryton: its code is enough."""
    step = prepare_step(document=document, step=CREATE, context=context)
    if isinstance(step, Problem):
        return (FieldDifference(field=step.field or step.code, ours=step.detail),)
    body = body_of(step=step)
    expected = {**shown(body=body), "external_reference": document.external_reference}
    found = {**dict(record.content), "external_reference": record.external_reference}
    if not (body["step"] == VOID and record.record_kind == INVOICE):
        expected["record_kind"], found["record_kind"] = body["model"], record.record_kind
    return differences_of(expected=expected, found=found, names=expected)


def shown(*, body: Values) -> dict[str, str]:
    """What a record made of this body shows, in the words of `ErpRecord.content`."""
    if body["model"] == PARTY:
        return {}
    if body["step"] == VOID:
        return {"invoice": str(body["invoice"]), "date": body["day"].isoformat()}
    if body["step"] == APPLY:
        return {
            "invoice": str(body["invoice"]),
            "payment": str(body["payment"][1]),
            "amount": plain(body["amount"]),
        }
    values = body["values"]
    lines = values["lines"][0][1]
    if body["model"] == MOVE:
        return {
            "date": values["date"].isoformat(),
            "lines": joined(
                line_text(
                    line["account"][CODE][1],
                    line["debit"] - line["credit"],
                    line["second_currency"][CODE][1] if "second_currency" in line else "",
                    line.get("amount_second_currency"),
                    line["party"],
                )
                for line in lines
            ),
        }
    return {
        "customer": str(values["party"]),
        "currency": values["currency"][CODE][1],
        "date": values["accounting_date"].isoformat(),
        "lines": joined(line_text(line["account"][CODE][1], line["quantity"] * line["unit_price"]) for line in lines),
        "taxes": joined(line_text(tax["account"][CODE][1], tax["amount"]) for tax in values["taxes"][0][1]),
    }
