"""Each fault of the simulated ERP, as the connector sees it and as the ERP's books show it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_run import Run
from revline.connectors.simulated.connector import BATCH_BYTES_MAX, batches
from revline.connectors.simulated.control import RecordEdit, edit
from revline.connectors.simulated.faults import Fault
from revline.connectors.simulated.queries import trial_balance
from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.wire import Kind
from revline.core.documents import Document, DocumentKind
from revline.core.farside import (
    Accepted,
    NotSent,
    Outcome,
    Placed,
    Posted,
    PreparedStep,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.jobs import Poll
from revline.core.problem import Problem
from tests.contract.simulated.world import TOKEN, SimulatedSystem


def journals(system: SimulatedSystem, count: int) -> list[Document]:
    return [make.journal(world=system.world, name=f"entry-{number}") for number in range(count)]


def submit(system: SimulatedSystem, documents: Sequence[Document]) -> Sequence[Outcome]:
    run = Run(system)
    steps = [run.prepared(document, "create") for document in documents]
    return asyncio.run(system.connector.submit(steps=steps))


def made(system: SimulatedSystem, kind: Kind = Kind.JOURNALS) -> int:
    return len(system.simulator.ledger.records[kind])


@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.FAIL_AFTER, Fault.UNREADABLE])
def test_an_effect_without_its_answer_is_uncertain(fault: Fault) -> None:
    system = SimulatedSystem()
    system.strike(fault)
    outcomes = submit(system, journals(system, 3))
    assert [type(outcome) for outcome in outcomes] == [Uncertain] * 3
    assert made(system) == 3


@pytest.mark.parametrize("fault", [Fault.FAIL_BEFORE, Fault.OUTAGE])
def test_no_effect_and_no_word_of_it_is_uncertain_too(fault: Fault) -> None:
    system = SimulatedSystem()
    system.strike(fault)
    assert isinstance(submit(system, journals(system, 1))[0], Uncertain)
    assert made(system) == 0


def test_an_outage_ends_after_its_count_of_calls() -> None:
    system = SimulatedSystem()
    system.strike(Fault.OUTAGE, count=2)
    document = journals(system, 1)
    outcomes = [submit(system, document)[0] for _ in range(3)]
    assert [type(outcome) for outcome in outcomes] == [Uncertain, Uncertain, Posted]


def test_an_outage_without_a_count_ends_when_it_is_lifted() -> None:
    system = SimulatedSystem()
    system.strike(Fault.OUTAGE, count=None)
    document = journals(system, 1)
    assert isinstance(submit(system, document)[0], Uncertain)
    assert not asyncio.run(system.connector.health()).reachable
    system.simulator.faults.lift()
    assert isinstance(submit(system, document)[0], Posted)


def test_a_throttling_storm_says_when_to_come_back() -> None:
    system = SimulatedSystem()
    system.strike(Fault.THROTTLE, seconds="7", count=5)
    outcomes = [submit(system, journals(system, 2)) for _ in range(5)]
    assert all(each == Throttled(retry_after=timedelta(seconds=7)) for outcome in outcomes for each in outcome)
    assert made(system) == 0
    assert system.simulator.faults.states()[0].fired == 5


def test_a_slow_answer_comes_too_late_but_its_effect_is_there() -> None:
    system = SimulatedSystem()
    system.strike(Fault.SLOW_ANSWER, seconds="60")
    assert isinstance(submit(system, journals(system, 1))[0], Uncertain)
    assert made(system) == 1


def test_a_slow_call_takes_effect_after_it_was_given_up() -> None:
    system = SimulatedSystem()
    system.strike(Fault.SLOW, seconds="60")
    assert isinstance(submit(system, journals(system, 1))[0], Uncertain)
    assert made(system) == 0
    assert system.transport.settle() == 1
    assert made(system) == 1


def test_a_period_locked_in_the_middle_of_a_batch_rejects_the_rest() -> None:
    system = SimulatedSystem()
    system.strike(Fault.PERIOD_LOCK, keep=2)
    outcomes = submit(system, journals(system, 4))
    assert [type(outcome) for outcome in outcomes] == [Posted, Posted, Rejected, Rejected]
    assert isinstance(outcomes[3], Rejected)
    assert (outcomes[3].problem.code, outcomes[3].problem.field) == ("erp.period_closed", "2026-01")


def test_what_a_batch_left_out_was_not_sent() -> None:
    system = SimulatedSystem()
    system.strike(Fault.PARTIAL, keep=1)
    outcomes = submit(system, journals(system, 3))
    assert [type(outcome) for outcome in outcomes] == [Posted, NotSent, NotSent]
    assert made(system) == 1


def test_results_missing_from_an_answer_are_uncertain() -> None:
    system = SimulatedSystem()
    system.strike(Fault.SHORT_ANSWER, keep=1)
    outcomes = submit(system, journals(system, 3))
    assert [type(outcome) for outcome in outcomes] == [Posted, Uncertain, Uncertain]
    assert made(system) == 3


def test_a_lagging_search_shows_a_record_once_it_has_settled() -> None:
    system = SimulatedSystem(mode=Mode.LOOKUP)
    system.strike(Fault.LOOKUP_LAG, operation="*.search", seconds="30", count=None)
    document = journals(system, 1)[0]
    submit(system, [document])
    run = Run(system)
    assert asyncio.run(run.held(document)) == ()
    system.clock.moment += timedelta(seconds=30)
    assert len(asyncio.run(run.held(document))) == 1


def test_a_key_makes_one_record_however_often_it_is_sent() -> None:
    system = SimulatedSystem(mode=Mode.KEY)
    document = journals(system, 1)
    first, again = submit(system, document)[0], submit(system, document)[0]
    assert first == again
    assert isinstance(first, Posted)
    assert made(system) == 1


def test_a_key_used_for_other_content_is_refused_with_what_it_made() -> None:
    system = SimulatedSystem(mode=Mode.KEY)
    document = journals(system, 1)[0]
    submit(system, [document])
    content = msgspec.structs.replace(document.content, memo="another memo")
    refused = submit(system, [msgspec.structs.replace(document, content=content)])[0]
    assert isinstance(refused, Rejected)
    assert (refused.problem.code, refused.problem.field) == ("erp.record_differs", "memo")
    assert made(system) == 1


def test_without_a_unique_reference_sending_twice_makes_two_records_and_search_shows_both() -> None:
    system = SimulatedSystem(mode=Mode.LOOKUP)
    document = journals(system, 1)
    first, second = submit(system, document)[0], submit(system, document)[0]
    assert isinstance(first, Posted)
    assert isinstance(second, Posted)
    assert first.record.erp_id != second.record.erp_id
    assert len(asyncio.run(Run(system).held(document[0]))) == 2


def test_without_any_search_a_reference_can_not_be_looked_up() -> None:
    system = SimulatedSystem(mode=Mode.NEITHER)
    document = journals(system, 1)[0]
    posted = submit(system, [document])[0]
    found = asyncio.run(
        system.connector.lookup(kind=DocumentKind.JOURNAL, references=[document.external_reference], company="US01")
    )
    assert isinstance(found, Problem)
    assert isinstance(posted, Posted)
    assert posted.record.external_reference == ""


def test_a_record_edited_in_the_erp_differs_in_the_fields_that_were_edited() -> None:
    system = SimulatedSystem()
    document = journals(system, 1)[0]
    posted = submit(system, [document])[0]
    assert isinstance(posted, Posted)
    change = RecordEdit(kind=Kind.JOURNALS, id=posted.record.erp_id, fields={"memo": "changed by hand"})
    edit(ledger=system.simulator.ledger, body=change, at=system.clock.now())
    run = Run(system)
    held = asyncio.run(run.held(document))[0]
    (difference,) = system.connector.difference(document=document, record=held, context=run.context)
    assert (difference.field, difference.theirs) == ("memo", "changed by hand")
    page = asyncio.run(
        system.connector.list_changed(record_kind="journals", company="US01", cursor=posted.record.version, limit=10)
    )
    assert not isinstance(page, Problem)
    assert [record.erp_id for record in page.records] == [posted.record.erp_id]


def test_two_steps_place_a_draft_first_and_a_repeated_step_finds_it() -> None:
    system = SimulatedSystem(two_step="journal")
    document = journals(system, 1)[0]
    assert system.connector.manifest.capability(DocumentKind.JOURNAL).steps == ("create", "post")  # type: ignore[union-attr]
    first, again = submit(system, [document])[0], submit(system, [document])[0]
    assert isinstance(first, Placed)
    assert again == first
    run = Run(system)
    run.records[document.document_id] = first.record
    post = run.prepared(document, "post")
    outcomes = [asyncio.run(system.connector.submit(steps=[post]))[0] for _ in range(2)]
    assert [type(outcome) for outcome in outcomes] == [Posted, Posted]
    assert isinstance(submit(system, [document])[0], Posted)


def test_a_struck_share_of_calls_is_the_same_in_every_run_of_a_seed() -> None:
    fired = []
    for _ in range(2):
        system = SimulatedSystem()
        system.strike(Fault.BUSY, percent=30, seed=11, count=None)
        fired.append([isinstance(submit(system, journals(system, 1))[0], NotSent) for _ in range(40)])
    assert fired[0] == fired[1]
    assert 3 < sum(fired[0]) < 25


def test_a_wrong_token_is_told_apart_from_an_erp_that_is_down() -> None:
    system = SimulatedSystem()
    wrong = system.connect({"baseUrl": "https://erp.example"}, token="not-the-token")
    found = asyncio.run(wrong.health())
    assert found.reachable
    assert "unauthorized" in found.detail
    system.transport.reachable = False
    assert not asyncio.run(system.connector.health()).reachable


def test_a_removed_customer_in_the_mapping_of_records_is_a_missing_record() -> None:
    system = SimulatedSystem()
    run = Run(system)
    buyer = make.customer(world=system.world)
    found = system.connector.prepare(
        document=make.invoice(world=system.world, buyer=buyer), step="create", context=run.context
    )
    assert isinstance(found, Problem)
    assert (found.code, found.field) == ("erp.record_missing", f"documents:{buyer.document_id}")


def test_an_account_the_erp_does_not_know_is_the_field_of_the_problem() -> None:
    system = SimulatedSystem()
    del system.simulator.ledger.companies["US01"].accounts["1000"]
    outcome = submit(system, journals(system, 1))[0]
    assert isinstance(outcome, Rejected)
    assert (outcome.problem.code, outcome.problem.field) == ("erp.rejected", "1000")
    assert TOKEN not in outcome.evidence


def test_an_invoice_in_a_second_currency_books_what_its_journal_expects() -> None:
    system = SimulatedSystem()
    run = Run(system)
    buyer = make.customer(world=system.world)
    asyncio.run(run.posted(buyer))
    bill = make.invoice(world=system.world, buyer=buyer)
    content = msgspec.structs.replace(bill.content, rate=Decimal("1.10"))
    entries = asyncio.run(run.entries(msgspec.structs.replace(bill, currency="EUR", content=content)))
    assert [(entry.account, entry.debit - entry.credit, entry.currency_amount) for entry in entries] == [
        ("1100", Decimal("132.00"), Decimal("120.00")),
        ("2400", Decimal("-110.00"), Decimal("-100.00")),
        ("2200", Decimal("-22.00"), Decimal("-20.00")),
    ]
    assert entries[0].party_reference == buyer.external_reference


def test_a_record_deleted_in_the_erp_is_found_nowhere_and_can_be_made_again() -> None:
    system = SimulatedSystem()
    document = journals(system, 1)[0]
    posted = submit(system, [document])[0]
    assert isinstance(posted, Posted)
    change = RecordEdit(kind=Kind.JOURNALS, id=posted.record.erp_id, state="deleted")
    edit(ledger=system.simulator.ledger, body=change, at=system.clock.now())
    assert trial_balance(ledger=system.simulator.ledger, company="US01").rows == ()
    found = asyncio.run(system.connector.read(record=posted.record))
    assert isinstance(found, Problem)
    assert found.code == "erp.record_missing"
    assert asyncio.run(Run(system).held(document)) == ()
    again = submit(system, [document])[0]
    assert isinstance(again, Posted)
    assert again.record.erp_id != posted.record.erp_id


def test_a_call_takes_no_more_documents_or_bytes_than_the_erp_does() -> None:
    small = PreparedStep(
        document_id="d",
        kind=DocumentKind.JOURNAL,
        step="create",
        operation="o",
        external_reference="R",
        body=b"x" * 100,
    )
    big = msgspec.structs.replace(small, body=b"x" * BATCH_BYTES_MAX)
    sizes = [len(batch) for batch in batches(steps=[small] * 7 + [big, big] + [small] * 2, documents_max=3)]
    assert sizes == [3, 3, 1, 1, 1, 2]
    assert list(batches(steps=[], documents_max=3)) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"idempotency": "luck"},
        {"twoStep": "invoices"},
        {"batchMax": "0"},
        {"slots": "many"},
        {"bucketPerSecond": "-1"},
        {"callTimeoutSeconds": "1e9"},
        {"baseUrl": "http://erp.example"},
    ],
)
def test_a_setting_that_can_not_be_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        SimulatedSystem().connect({"baseUrl": "https://erp.example", **settings})


def polled(system: SimulatedSystem, step: PreparedStep, handle: str) -> Outcome:
    return asyncio.run(system.connector.poll(polls=[Poll(step=step, handle=handle)]))[0]


def test_a_job_is_asked_for_until_it_has_made_its_documents() -> None:
    system = SimulatedSystem()
    system.strike(Fault.JOB, seconds="30")
    documents = journals(system, 2)
    run = Run(system)
    steps = [run.prepared(document, "create") for document in documents]
    outcomes = asyncio.run(system.connector.submit(steps=steps))
    assert [type(one) for one in outcomes] == [Accepted] * 2
    handles = [one.handle for one in outcomes if isinstance(one, Accepted)]
    assert isinstance(polled(system, steps[1], handles[1]), Accepted)
    assert made(system) == 0
    system.clock.moment += timedelta(seconds=31)
    ended = polled(system, steps[1], handles[1])
    assert isinstance(ended, Posted)
    assert ended.record.external_reference == documents[1].external_reference
    assert made(system) == 2


def test_a_job_that_the_erp_knows_no_more_and_a_result_that_is_missing_are_uncertain() -> None:
    system = SimulatedSystem()
    run = Run(system)
    step = run.prepared(journals(system, 1)[0], "create")
    system.strike(Fault.JOB)
    accepted = asyncio.run(system.connector.submit(steps=[step]))[0]
    assert isinstance(accepted, Accepted)
    assert isinstance(polled(system, step, "JOB-999999/0"), Uncertain)
    assert isinstance(polled(system, step, accepted.handle), Posted)
    assert isinstance(polled(system, step, "JOB-000001/7"), Uncertain)
