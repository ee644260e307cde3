"""Documents to Tryton's values: pure, exact, named when something is missing."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from revline.connectors.sdk import conformance_documents as make
from revline.connectors.tryton.manifest import CREATE, INVOICE, POST, manifest_of
from revline.connectors.tryton.records import erp_entries, invoice_record, plain
from revline.connectors.tryton.translate import body_of, codes_in, difference_of, prepare_step, with_numbers
from revline.core.documents import Document, DocumentKind, InvoiceContent
from revline.core.farside import EntityMapping, ErpRecord, Idempotency, PrepareContext, PreparedStep
from revline.core.problem import Problem

WORLD = make.World(
    nonce="n1",
    currency="USD",
    day=date(2026, 3, 16),
    mapping=EntityMapping(
        company="AURORA-US",
        accounts={
            "accounts_receivable": "1100",
            "deferred_revenue": "2400",
            "tax_payable": "2200",
            "bank": "1000",
            "processor_clearing": "1050",
        },
    ),
)
BUYER = make.customer(world=WORLD)
BILL = make.invoice(world=WORLD, buyer=BUYER)
PARTY = ErpRecord(
    record_kind="party.party",
    erp_id="17",
    state="posted",
    external_reference=BUYER.external_reference,
    content=(("address", "23"), ("name", "Conformance")),
)
CONTEXT = PrepareContext(mapping=WORLD.mapping, functional_currency="USD", records={BUYER.document_id: PARTY})


def prepared(document: Document, *, step: str = CREATE, context: PrepareContext = CONTEXT) -> PreparedStep:
    found = prepare_step(document=document, step=step, context=context)
    assert isinstance(found, PreparedStep)
    return found


def refused(document: Document, *, step: str = CREATE, context: PrepareContext = CONTEXT) -> Problem:
    found = prepare_step(document=document, step=step, context=context)
    assert isinstance(found, Problem)
    return found


def record_of(document: Document, **changes: object) -> ErpRecord:
    """The record Tryton would show of an invoice made as it was meant."""
    values = body_of(step=prepared(document))["values"]
    row = {
        "id": 5,
        "state": "draft",
        "reference": values["reference"],
        "currency.": {"code": "USD"},
        "total_amount": Decimal("120.00"),
        "accounting_date": values["accounting_date"],
        "invoice_date": values["invoice_date"],
        "party": values["party"],
    } | changes
    lines = [{"account.": {"code": "2400"}, "amount": Decimal("100.0000")}]
    taxes = [{"account.": {"code": "2200"}, "amount": Decimal("20.00")}]
    return invoice_record(row=row, lines=lines, taxes=taxes)


def test_an_invoice_line_is_one_unit_at_its_net_so_that_nothing_is_rounded() -> None:
    content = BILL.content
    assert isinstance(content, InvoiceContent)
    (line,) = content.lines
    odd = msgspec.structs.replace(content, lines=(msgspec.structs.replace(line, quantity=Decimal("0.333")),))
    values = body_of(step=prepared(msgspec.structs.replace(BILL, content=odd)))["values"]
    (sent,) = values["lines"][0][1]
    assert (sent["quantity"], sent["unit_price"]) == (1, Decimal("100.00"))
    (tax,) = values["taxes"][0][1]
    assert (tax["manual"], tax["base"], tax["amount"]) == (True, Decimal("100.00"), Decimal("20.00"))


def test_a_credit_memo_is_an_invoice_with_its_signs_turned() -> None:
    memo = make.credit_memo(world=WORLD, of=BILL, buyer=BUYER)
    values = body_of(step=prepared(memo))["values"]
    (line,) = values["lines"][0][1]
    (tax,) = values["taxes"][0][1]
    assert (line["quantity"], line["unit_price"]) == (-1, Decimal("100.00"))
    assert (tax["base"], tax["amount"]) == (Decimal("-100.00"), Decimal("-20.00"))


def test_codes_are_named_in_the_body_and_numbered_when_it_is_sent() -> None:
    body = body_of(step=prepared(BILL))
    codes = codes_in(node=body["values"])
    assert codes == {
        ("company", "AURORA-US"),
        ("currency", "USD"),
        ("journal", "REV"),
        ("account", "1100"),
        ("account", "2400"),
        ("account", "2200"),
    }
    numbers = {code: number for number, code in enumerate(sorted(codes), start=1)}
    sent = with_numbers(node=body["values"], numbers=numbers)
    assert sent["account"] == numbers["account", "1100"]
    assert not codes_in(node=sent)


def test_the_external_reference_stands_where_tryton_can_find_it() -> None:
    entry = make.journal(world=WORLD)
    assert body_of(step=prepared(BILL))["values"]["reference"] == BILL.external_reference
    assert body_of(step=prepared(entry))["values"]["description"] == entry.external_reference
    assert body_of(step=prepared(BUYER))["values"]["code"] == BUYER.external_reference


def test_a_document_of_another_company_is_another_call() -> None:
    other = msgspec.structs.replace(CONTEXT, mapping=msgspec.structs.replace(WORLD.mapping, company="AURORA-DE"))
    assert prepared(BILL).operation != prepared(BILL, context=other).operation


def test_what_is_missing_is_named() -> None:
    nobody = msgspec.structs.replace(CONTEXT, records={})
    assert refused(BILL, context=nobody).code == "erp.record_missing"
    unmapped = msgspec.structs.replace(CONTEXT, mapping=EntityMapping(company="AURORA-US", accounts={}))
    assert (refused(BILL, context=unmapped).code, refused(BILL, context=unmapped).field) == (
        "mapping.missing",
        "accounts:deferred_revenue",
    )
    assert refused(BILL, step=POST).code == "erp.record_missing"
    payment = make.money(world=WORLD, kind=DocumentKind.PAYMENT, buyer=BUYER)
    assert refused(payment).code == "erp.kind_unsupported"


def names_of(*, document: Document, record: ErpRecord) -> tuple[str, ...]:
    return tuple(one.field for one in difference_of(document=document, record=record, context=CONTEXT))


def test_a_record_made_as_meant_does_not_differ_and_each_other_field_is_named() -> None:
    assert names_of(document=BILL, record=record_of(BILL)) == ()
    moved = record_of(BILL, accounting_date=date(2026, 4, 1))
    assert names_of(document=BILL, record=moved) == ("date",)
    dearer = make.invoice(world=WORLD, buyer=BUYER, nets=(Decimal("101.00"),))
    assert "lines" in names_of(document=dearer, record=record_of(BILL))
    stranger = record_of(BILL, party=99)
    assert names_of(document=BILL, record=stranger) == ("customer",)


def test_a_late_invoice_date_is_no_difference() -> None:
    assert names_of(document=BILL, record=record_of(BILL, invoice_date=date(2026, 9, 1))) == ()


def test_a_party_may_be_enriched_in_the_erp() -> None:
    renamed = msgspec.structs.replace(PARTY, content=(("address", "23"), ("name", "Another name")))
    assert names_of(document=BUYER, record=renamed) == ()


def test_text_from_outside_can_not_break_a_field() -> None:
    content = msgspec.structs.replace(BUYER.content, name="\x00Ac\u202eme\x1b[31m" + "x" * 500)
    name = body_of(step=prepared(msgspec.structs.replace(BUYER, content=content)))["values"]["name"]
    assert len(name) <= 200
    assert name.isprintable()


def test_ledger_lines_keep_the_second_currency_signed_and_are_in_the_order_made() -> None:
    def line(number: int, debit: str, credit: str, second: str | None) -> dict[str, object]:
        return {
            "id": number,
            "account.": {"code": "1100"},
            "debit": Decimal(debit),
            "credit": Decimal(credit),
            "second_currency.": {"code": "EUR"} if second else None,
            "amount_second_currency": Decimal(second) if second else None,
            "party.": {"code": "C1"} if second else None,
            "date": date(2026, 3, 16),
        }

    lines = [line(9, "0", "12.50", "-10.00"), line(8, "12.50", "0", None)]
    first, second = erp_entries(lines=lines, currency="USD")
    assert (first.line, first.currency, first.currency_amount, first.party_reference) == (
        1,
        "USD",
        Decimal("12.50"),
        "",
    )
    assert (second.currency, second.currency_amount, second.party_reference) == ("EUR", Decimal("-10.00"), "C1")


def test_equal_amounts_have_one_text() -> None:
    assert {plain(Decimal(text)) for text in ("5", "5.0", "5.00")} == {"5"}
    assert (plain(Decimal("-0.00")), plain(Decimal("100")), plain(Decimal("0.10"))) == ("0", "100", "0.1")


def test_the_manifest_says_one_writer_batches_of_twenty_and_look_up_first() -> None:
    manifest = manifest_of(settings={"effectBoundSeconds": "5"})
    invoice = manifest.capability(DocumentKind.INVOICE)
    assert manifest.slots == 1
    assert manifest.effect_bound.total_seconds() == 5
    assert invoice is not None
    assert (invoice.batch_max, invoice.idempotency, invoice.steps) == (20, Idempotency.LOOKUP, (CREATE, POST))
    assert INVOICE == "account.invoice"
    assert all(gotcha.verified for gotcha in manifest.gotchas)
