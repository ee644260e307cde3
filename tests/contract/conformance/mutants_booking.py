"""Planted defects in what is booked: amounts, signs, days, currencies, customers, dimensions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from revline.connectors.simulated.conformance import CODES, SimulatedSystem
from revline.core.documents import CustomerContent, Document, DocumentKind, JournalContent
from revline.core.farside import (
    EntityMapping,
    ErpConnector,
    ErpRecord,
    Outcome,
    Placed,
    Posted,
    PrepareContext,
    PreparedStep,
    Rejected,
)
from revline.core.ids import EXTERNAL_REFERENCE_LENGTH
from revline.core.problem import Problem
from tests.contract.conformance.wrapping import Body, Mutant, Wrapped, judges, prepares, sends

Kind = DocumentKind
SIDES = ("debit", "credit", "functional_debit", "functional_credit")


def _each(lines: Sequence[dict[str, Any]], names: Sequence[str], change: Any) -> None:
    for line in lines:
        for name in names:
            line[name] = change(line[name])


def _through_float(body: Body) -> None:
    _each(body["lines"], SIDES, lambda text: format(Decimal(float(text)).quantize(Decimal("0.01")), "f"))


def _swap(body: Body) -> None:
    for line in body["lines"]:
        line["debit"], line["credit"] = line["credit"], line["debit"]
        line["functional_debit"], line["functional_credit"] = line["functional_credit"], line["functional_debit"]


def _next_day(body: Body) -> None:
    body["date"] = (date.fromisoformat(body["date"]) + timedelta(days=1)).isoformat()


def _of_currency(code: str, change: Any) -> Any:
    def edit(body: Body) -> None:
        _each([line for line in body["lines"] if line["currency"] == code], ("debit", "credit"), change)

    return edit


def _only_functional(body: Body) -> None:
    for line in body["lines"]:
        line |= {"currency": "USD", "debit": line["functional_debit"], "credit": line["functional_credit"]}


def _no_customer(body: Body) -> None:
    for line in body["lines"]:
        line["customer"] = ""


def _total(body: Body) -> None:
    parts = [*body["lines"], *body["tax_lines"]]
    body["total"] = str(sum((Decimal(part["amount"]) for part in parts), Decimal("0.00")))


def _no_sign(body: Body) -> None:
    _each(body["lines"], ("amount",), lambda text: text.lstrip("-"))
    _total(body)


def _own_tax(body: Body) -> None:
    for tax in body["tax_lines"]:
        computed = Decimal(tax["taxable"]) * Decimal("0.2")
        tax["amount"] = str(computed.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP))
    _total(body)


def _no_tax(body: Body) -> None:
    body["tax_lines"] = []
    _total(body)


def _turn_money(body: Body) -> None:
    body["from_account"], body["to_account"] = body["to_account"], body["from_account"]


def _replaced(document: Document, **values: Any) -> Document:
    return msgspec.structs.replace(document, content=msgspec.structs.replace(document.content, **values))


def _short_name(document: Document, context: PrepareContext) -> tuple[Document, PrepareContext]:
    content = document.content
    return (_replaced(document, name=content.name[:40]) if isinstance(content, CustomerContent) else document), context


def _no_dimensions(document: Document, context: PrepareContext) -> tuple[Document, PrepareContext]:
    content = document.content
    if not isinstance(content, JournalContent):
        return document, context
    lines = tuple(msgspec.structs.replace(line, dimensions=()) for line in content.lines)
    return _replaced(document, lines=lines), context


def _with_mapping(context: PrepareContext, **values: Any) -> PrepareContext:
    return msgspec.structs.replace(context, mapping=msgspec.structs.replace(context.mapping, **values))


def _guessed_account(document: Document, context: PrepareContext) -> tuple[Document, PrepareContext]:
    guessed = {"account_nobody_mapped": "9999"}
    return document, _with_mapping(context, accounts=guessed | dict(context.mapping.accounts))


def _unmapped_dimensions(document: Document, context: PrepareContext) -> tuple[Document, PrepareContext]:
    return document, _with_mapping(context, dimensions={})


def _own_company(document: Document, context: PrepareContext) -> tuple[Document, PrepareContext]:
    mapping: EntityMapping = context.mapping
    return document, _with_mapping(context, company=mapping.company if len(mapping.company) == 4 else "US01")


def _key_of_lines(document: Document, context: PrepareContext) -> tuple[Document, PrepareContext]:
    content = document.content
    if not isinstance(content, JournalContent):
        return document, context
    said = (document.accounting_date, [(line.account, line.debit, line.credit) for line in content.lines])
    key = hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:EXTERNAL_REFERENCE_LENGTH].upper()
    return msgspec.structs.replace(document, external_reference=key), context


class RandomBytes(Wrapped):
    """Puts something new into every request."""

    count = 0

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        made = self.inner.prepare(document=document, step=step, context=context)
        self.count += 1
        return made if isinstance(made, Problem) else msgspec.structs.replace(made, body=made.body + b" " * self.count)


class CreditAsInvoice(Wrapped):
    """Sends a credit memo where invoices go."""

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        made = self.inner.prepare(document=document, step=step, context=context)
        if isinstance(made, Problem) or document.kind is not Kind.CREDIT_MEMO:
            return made
        return msgspec.structs.replace(made, kind=Kind.INVOICE, operation=f"invoices.{step}")


class WrongInvoice(Wrapped):
    """Applies to the first invoice it knows."""

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        made = self.inner.prepare(document=document, step=step, context=context)
        if isinstance(made, Problem) or document.kind is not Kind.APPLICATION:
            return made
        body: Body = msgspec.json.decode(made.body)
        body["invoice"] = next(one.erp_id for one in context.records.values() if one.record_kind == "invoices")
        return msgspec.structs.replace(made, body=msgspec.json.encode(body))


class NothingRead(Wrapped):
    """Never reads the ledger lines, and says there are none."""

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        found = await self.inner.read(record=record)
        return msgspec.structs.replace(found, entries=()) if isinstance(found, Posted) else found


def _without_tax(outcome: Outcome, _: SimulatedSystem) -> Outcome:
    if not isinstance(outcome, Posted) or outcome.record.record_kind != "invoice-voids":
        return outcome
    left = tuple(entry for entry in outcome.entries or () if entry.account != CODES["tax_payable"])
    return msgspec.structs.replace(outcome, entries=left)


def _draft_is_done(outcome: Outcome, _: SimulatedSystem) -> Outcome:
    return Posted(record=outcome.record) if isinstance(outcome, Placed) else outcome


def _applied_anyway(outcome: Outcome, _: SimulatedSystem) -> Outcome:
    if isinstance(outcome, Rejected) and "over_applied" in outcome.problem.detail:
        return Posted(record=ErpRecord(record_kind="applications", erp_id="APP-000001", state="posted"))
    return outcome


def _mutant(name: str, defect: str, caught_by: str, plant: Any, *, variant: str = "unique") -> Mutant:
    planted: Any = plant
    return Mutant(name=name, defect=defect, caught_by=caught_by, plant=_typed(planted), variant=variant)


def _typed(plant: Any) -> Any:
    def made(system: SimulatedSystem) -> ErpConnector:
        connector: ErpConnector = plant(system)
        return connector

    return made


MUTANTS = (
    _mutant("debit and credit swapped", "sends debits as credits", "a journal is booked as it is",
            sends(Kind.JOURNAL, _swap)),
    _mutant("entries not read", "takes no ledger lines for the ledger lines", "ledger lines read back as booked",
            NothingRead),
    _mutant("wrong day", "books on the day it is somewhere else", "a day stays the day it is",
            sends(Kind.JOURNAL, _next_day)),
    _mutant("customer reference lost", "leaves the customer off the receivable line",
            "a receivable line names its customer", sends(Kind.JOURNAL, _no_customer)),
    _mutant("dimension dropped", "sends and compares without dimensions", "a dimension reaches the record",
            prepares(_no_dimensions, compares=True)),
    _mutant("dimension sent as it is", "sends a dimension value that nobody mapped", "a missing dimension is named",
            prepares(_unmapped_dimensions)),
    _mutant("account guessed", "books on a guessed account where the mapping has none",
            "a missing mapping is named", prepares(_guessed_account)),
    _mutant("bytes that change", "prepares other bytes each time", "prepare gives the same bytes", RandomBytes),
    _mutant("company by default", "books in the first company when it does not know the one named",
            "an unknown company is refused", prepares(_own_company)),
    _mutant("key made of the lines", "makes a journal's key of its day and its lines", "equal documents are two records",
            prepares(_key_of_lines, compares=True)),
    _mutant("name cut", "cuts names at 40 characters, also when it compares", "a long name comes back whole",
            prepares(_short_name, compares=True)),
    _mutant("tax dropped", "sends an invoice without its tax", "an invoice with tax is booked by the ERP",
            sends(Kind.INVOICE, _no_tax)),
    _mutant("void leaves tax", "undoes an invoice but for its tax", "a void mirrors the invoice", judges(_without_tax)),
    _mutant("credit sign", "sends a credit memo as an invoice", "a credit memo mirrors the invoice", CreditAsInvoice),
    _mutant("payment turned round", "debits the receivable for a payment", "a payment credits the receivable",
            sends(Kind.PAYMENT, _turn_money)),
    _mutant("refund turned round", "books a refund as a payment", "a refund debits the receivable",
            sends(Kind.REFUND, _turn_money)),
    _mutant("deposit turned round", "takes a deposit out of the bank", "a deposit debits the bank",
            sends(Kind.DEPOSIT, _turn_money)),
    _mutant("over-application taken", "calls a refused application applied",
            "an application settles an invoice once", judges(_applied_anyway)),
    _mutant("application to the wrong invoice", "applies to the first invoice it knows",
            "parts of a payment settle their invoice only", WrongInvoice),
    _mutant("placed reported as posted", "calls a draft posted", "a draft is placed, not posted",
            judges(_draft_is_done), variant="two steps"),
    _mutant("float amount", "sends amounts through a float", "an amount a float can't hold is exact",
            sends(Kind.JOURNAL, _through_float)),
    _mutant("second currency dropped", "sends functional amounts only", "a second currency stands beside the first",
            sends(Kind.JOURNAL, _only_functional)),
    _mutant("wrong currency scale", "takes every currency for one of cents", "a currency without decimals is exact",
            sends(Kind.JOURNAL, _of_currency("JPY", lambda text: str(Decimal(text) * 100)))),
    _mutant("third decimal rounded", "rounds every currency to cents", "a currency of three decimals is exact",
            sends(Kind.JOURNAL, _of_currency("KWD", lambda text: str(Decimal(text).quantize(Decimal("0.01")))))),
    _mutant("tax computed anew", "computes tax instead of taking it", "the tax engine's cents stay",
            sends(Kind.INVOICE, _own_tax)),
    _mutant("negative amount made positive", "takes the sign off a discount", "a discount line is taken off",
            sends(Kind.INVOICE, _no_sign)),
    _mutant("rate dropped", "sends a foreign invoice at a rate of one",
            "an invoice abroad stands in both currencies", sends(Kind.INVOICE, lambda body: body.update(rate="1"))),
)  # fmt: skip
"""One defect or more for each case of what is booked."""
