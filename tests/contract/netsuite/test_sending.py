"""Tokens, limits, pages, voids, credits and applications against the simulated account."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from revline.connectors.netsuite.conformance import VARIANTS, NetSuiteSystem, mapping
from revline.connectors.netsuite.simulator.faults import Fault
from revline.connectors.netsuite.simulator.setup import RecordEdit, Settings
from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_run import Run, balances
from revline.core.documents import CreditMemoContent, DocumentKind, ItemContent
from revline.core.farside import ErpRecord, NotSent, PeriodState, Posted, Rejected, Throttled
from revline.core.problem import Problem


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_one_token_serves_until_it_is_about_to_end_and_is_renewed_by_the_clock() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        sent = Run(system)
        for number in range(3):
            await sent.posted(make.journal(world=system.world, name=f"t{number}"))
        assert system.account.tokens.issued == 1
        await system.pass_time(timedelta(minutes=59, seconds=30))
        await sent.posted(make.journal(world=system.world, name="late"))
        assert system.account.tokens.issued == 2
        assert "401" not in str(system.account.calls)

    run(work())


def test_a_revoked_token_is_renewed_once_and_the_document_sent_once() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        sent = Run(system)
        await sent.posted(make.journal(world=system.world, name="before"))
        system.account.tokens.revoke_all()
        await sent.posted(make.journal(world=system.world, name="after"))
        assert system.account.tokens.issued == 2
        assert len(system.account.books.transactions) == 2

    run(work())


@pytest.mark.parametrize("form", ["array", "comma"])
def test_the_scope_stands_in_the_assertion_as_the_account_wants_it(form: str) -> None:
    async def work() -> None:
        system = NetSuiteSystem(account_settings=Settings(scope_form=form))
        right = system.connect({"scopeForm": form})
        assert (await right.health()).reachable
        wrong = system.connect({"scopeForm": "comma" if form == "array" else "array"})
        found = await wrong.periods(company="1")
        assert isinstance(found, Problem)
        assert found.code == "erp.credentials_refused"

    run(work())


def test_a_throttled_token_request_is_throttled_and_not_sent() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        system.strike(Fault.THROTTLE, operation="token.issue")
        outcome = await Run(system).first_step(make.journal(world=system.world, name="x"))
        assert isinstance(outcome, Throttled)

    run(work())


def test_a_lost_page_is_noticed_by_the_total() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        await Run(system).posted(make.journal(world=system.world, name="there"))
        system.strike(Fault.PAGE_LOST, operation="suiteql.query")
        found = await system.connector.list_changed(record_kind="journalEntry", company="1", cursor="", limit=10)
        assert isinstance(found, Problem)
        assert "lost" in found.detail

    run(work())


def test_a_void_reads_as_cancelled_and_a_credit_memo_in_full_as_paid() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        sent = Run(system)
        buyer = make.customer(world=system.world)
        await sent.posted(buyer)
        voided = make.invoice(world=system.world, buyer=buyer, name="voided")
        credited = make.invoice(world=system.world, buyer=buyer, name="credited")
        for bill in (voided, credited):
            await sent.posted(bill)
        await sent.posted(make.void(world=system.world, of=voided))
        await sent.posted(make.credit_memo(world=system.world, of=credited, buyer=buyer))
        states = {}
        for bill in (voided, credited):
            found = await system.connector.read(record=sent.records[bill.document_id])
            assert isinstance(found, Posted)
            states[bill.document_id] = found.record.state
        assert list(states.values()) == ["cancelled", "paid"]

    run(work())


def test_a_credit_memo_of_a_paid_invoice_stays_unapplied() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        sent = Run(system)
        buyer = make.customer(world=system.world)
        await sent.posted(buyer)
        bill = make.invoice(world=system.world, buyer=buyer)
        paid = make.money(world=system.world, kind=DocumentKind.PAYMENT, buyer=buyer)
        await sent.posted(bill)
        await sent.posted(paid)
        await sent.posted(make.application(world=system.world, of=bill, payment=paid, amount=Decimal("100.00")))
        memo = make.credit_memo(world=system.world, of=bill, buyer=buyer)
        await sent.posted(memo)
        held = system.account.books.transactions[sent.records[memo.document_id].erp_id]
        assert (held.open, sum(held.applied.values())) == (Decimal("100.00"), Decimal("20.00"))

    run(work())


def test_a_credit_memo_after_the_payment_leaves_room_for_the_payment_that_comes_later() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        sent = Run(system)
        buyer = make.customer(world=system.world)
        await sent.posted(buyer)
        bill = make.invoice(world=system.world, buyer=buyer)
        paid = make.money(world=system.world, kind=DocumentKind.PAYMENT, buyer=buyer)
        await sent.posted(bill)
        memo = make.credit_memo(world=system.world, of=bill, buyer=buyer)
        assert isinstance(memo.content, CreditMemoContent)
        after = msgspec.structs.replace(memo.content, applied=Decimal("30.00"))
        await sent.posted(msgspec.structs.replace(memo, content=after))
        await sent.posted(paid)
        await sent.posted(make.application(world=system.world, of=bill, payment=paid, amount=Decimal("90.00")))
        books = system.account.books
        held = books.transactions[sent.records[memo.document_id].erp_id]
        assert (held.open, sum(held.applied.values())) == (Decimal("90.00"), Decimal("30.00"))
        assert books.transactions[sent.records[bill.document_id].erp_id].open == 0

    run(work())


def test_an_application_is_found_by_its_note_and_not_done_twice() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        sent = Run(system)
        buyer = make.customer(world=system.world)
        await sent.posted(buyer)
        bill = make.invoice(world=system.world, buyer=buyer)
        paid = make.money(world=system.world, kind=DocumentKind.PAYMENT, buyer=buyer)
        await sent.posted(bill)
        await sent.posted(paid)
        part = make.application(world=system.world, of=bill, payment=paid, amount=Decimal("50.00"), name="part")
        rest = make.application(world=system.world, of=bill, payment=paid, amount=Decimal("70.00"), name="rest")
        system.strike(Fault.ANSWER_LOST, operation="customerPayment.patch")
        await sent.first_step(part)
        (found,) = await sent.found(part)
        assert sent.differences(part, found) == ()
        assert sent.differences(rest, found) != ()
        for one in (part, rest):
            await sent.posted(one)
        held = system.account.books.transactions[sent.records[paid.document_id].erp_id]
        assert (held.open, sum(held.applied.values())) == (Decimal(0), Decimal("120.00"))
        seen = await system.connector.read(record=sent.records[rest.document_id])
        assert isinstance(seen, Posted)

    run(work())


def test_an_item_made_for_a_product_is_named_on_the_invoices_line() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        sent = Run(system)
        content = ItemContent(name="Team plan", code="TEAM", account="deferred_revenue", outside_id="prod_1")
        item = make.document(
            world=system.world, name="item", kind=DocumentKind.ITEM, content=content, amount=Decimal(0)
        )
        item = msgspec.structs.replace(item, accounting_date=None)
        await sent.posted(item)
        buyer = make.customer(world=system.world)
        await sent.posted(buyer)
        bill = make.invoice(world=system.world, buyer=buyer)
        content_of = bill.content
        lines = tuple(msgspec.structs.replace(line, item_document=item.document_id) for line in content_of.lines)
        bill = msgspec.structs.replace(bill, content=msgspec.structs.replace(content_of, lines=lines))
        await sent.posted(bill)
        held = system.account.books.transactions[sent.records[bill.document_id].erp_id]
        assert held.legs[1].item == sent.records[item.document_id].erp_id
        assert (await sent.found(item))[0].number.startswith("TEAM [")

    run(work())


def test_an_item_that_credits_another_account_is_refused_before_it_is_sent() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        bare = msgspec.structs.replace(mapping(), settings={"item.tax_payable": "32"})
        sent = Run(system, world=msgspec.structs.replace(system.world, mapping=bare))
        buyer = make.customer(world=system.world)
        await sent.posted(buyer)
        bill = make.invoice(world=system.world, buyer=buyer)
        lines = tuple(msgspec.structs.replace(line, item_document="item") for line in bill.content.lines)
        bill = msgspec.structs.replace(bill, content=msgspec.structs.replace(bill.content, lines=lines))
        sent.records["item"] = ErpRecord(
            record_kind="serviceSaleItem", erp_id="33", state="posted", content=(("incomeaccount", "401"),)
        )
        found = system.connector.prepare(document=bill, step="create", context=sent.context)
        assert isinstance(found, Problem)
        assert (found.code, found.field) == ("netsuite.item_account_differs", "item:33")

    run(work())


def test_a_required_department_that_is_missing_is_named() -> None:
    async def work() -> None:
        system = NetSuiteSystem(account_settings=Settings(required_dimensions=("department",)))
        outcome = await Run(system).first_step(make.journal(world=system.world, name="x"))
        assert isinstance(outcome, Rejected)
        assert (outcome.problem.code, outcome.problem.field) == ("netsuite.value_missing", "Department")

    run(work())


def test_a_refund_without_a_credit_is_refused_where_the_account_wants_one() -> None:
    async def work() -> None:
        system = NetSuiteSystem(account_settings=Settings(refunds_need_credit=True))
        sent = Run(system)
        buyer = make.customer(world=system.world)
        await sent.posted(buyer)
        outcome = await sent.first_step(make.money(world=system.world, kind=DocumentKind.REFUND, buyer=buyer))
        assert isinstance(outcome, Rejected)

    run(work())


def test_a_journal_of_two_currencies_is_kept_in_the_functional_one_and_reads_back_as_it_was() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        sent = Run(system)
        entry = make.journal(
            world=system.world, name="fx", amount=Decimal("100.00"), currency="EUR", rate=Decimal("1.0825")
        )
        first, second = entry.content.lines
        second = msgspec.structs.replace(
            second, currency="USD", debit=Decimal(0), credit=Decimal("108.25"), rate=Decimal(1), conversion=True
        )
        first = msgspec.structs.replace(first, conversion=True)
        entry = msgspec.structs.replace(entry, content=msgspec.structs.replace(entry.content, lines=(first, second)))
        entries = await sent.entries(entry)
        assert [(each.currency, str(each.currency_amount)) for each in entries] == [
            ("EUR", "100.00"),
            ("USD", "-108.25"),
        ]
        assert set(balances(entries).values()) == {Decimal("108.25"), Decimal("-108.25")}
        assert sent.differences(entry, (await sent.found(entry))[0]) == ()
        refusing = system.connect({"mixedJournals": "refuse"})
        found = refusing.prepare(document=entry, step="create", context=sent.context)
        assert isinstance(found, Problem)
        assert found.code == "netsuite.journal_currencies"

    run(work())


def test_a_subsidiary_books_in_its_own_currency_and_lookup_keeps_to_it() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        german = make.World(nonce="de", currency="EUR", day=system.world.day, mapping=mapping(company="3"), rates={})
        sent = Run(system, world=german)
        entry = make.journal(world=german, name="de")
        entries = await sent.entries(entry)
        assert {each.currency for each in entries} == {"EUR"}
        other = await system.connector.lookup(
            kind=DocumentKind.JOURNAL, references=[entry.external_reference], company="1"
        )
        assert other == {entry.external_reference: ()}

    run(work())


def test_an_account_without_subsidiaries_is_spoken_to_without_them() -> None:
    async def work() -> None:
        system = NetSuiteSystem(settings={"oneWorld": "false"}, account_settings=Settings(one_world=False))
        sent = Run(system)
        buyer = make.customer(world=system.world)
        await sent.posted(buyer)
        bill = make.invoice(world=system.world, buyer=buyer)
        await sent.posted(bill)
        again = await sent.first_step(bill)
        assert isinstance(again, Posted)
        periods = await system.connector.periods(company="")
        assert not isinstance(periods, Problem)

    run(work())


def test_a_locked_period_is_soft_closed_and_a_closed_one_closed() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        for state, wanted in (("locked", PeriodState.SOFT_CLOSED), ("closed", PeriodState.CLOSED)):
            system.period(state)
            periods = await system.connector.periods(company="1")
            assert not isinstance(periods, Problem)
            (january,) = (period for period in periods if system.world.day in _days(period.start, period.end))
            assert january.state is wanted

    run(work())


def _days(start: Any, end: Any) -> Any:
    return [start + timedelta(days=number) for number in range((end - start).days)]


def test_a_person_edit_shows_as_a_difference_and_a_deletion_as_missing() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        sent = Run(system)
        entry = make.journal(world=system.world, name="edited")
        await sent.posted(entry)
        number = sent.records[entry.document_id].erp_id
        change = RecordEdit(id=number, amounts={"0": Decimal("101.00"), "1": Decimal("-101.00")})
        system.account.books.edit(change=change, at=system.clock.now())
        system.account.tables.touch(number=number)
        again = await sent.first_step(entry)
        assert isinstance(again, Rejected)
        assert again.problem.code == "erp.record_differs"
        system.account.books.edit(change=RecordEdit(id=number, deleted=True), at=system.clock.now())
        system.account.tables.touch(number=number)
        gone = await system.connector.read(record=sent.records[entry.document_id])
        assert isinstance(gone, Problem)
        assert gone.code == "erp.record_missing"

    run(work())


def test_one_by_one_the_rest_is_not_tried_once_the_account_is_out_of_reach() -> None:
    async def work() -> None:
        system = NetSuiteSystem(settings=VARIANTS["one by one"])
        sent = Run(system)
        steps = [sent.prepared(make.journal(world=system.world, name=f"o{number}")) for number in range(3)]
        system.transport.reachable = False
        outcomes = await system.connector.submit(steps=steps)
        assert all(isinstance(each, NotSent) for each in outcomes)
        assert system.calls <= 2

    run(work())


def test_an_invoice_that_a_person_credits_in_full_is_paid_and_not_void() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        sent = Run(system)
        buyer = make.customer(world=system.world)
        await sent.posted(buyer)
        bill = make.invoice(world=system.world, buyer=buyer)
        await sent.posted(bill)
        number = sent.records[bill.document_id].erp_id
        apply = {"items": [{"doc": {"id": number}, "apply": True, "amount": Decimal("120.00")}]}
        body = {"tranDate": "2026-01-20", "memo": "goodwill", "apply": apply}
        system.account.books.transform(source=number, body=body, at=system.clock.now())
        system.account.touch_all()
        found = await system.connector.read(record=sent.records[bill.document_id])
        assert isinstance(found, Posted)
        assert found.record.state == "paid"

    run(work())
