"""What waits for others: one case on what really stands still, with the count and money of all behind it, and none for those."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from revline.core.documents import Document, DocumentState, Rank
from revline.core.farside import NotSent, Outcome, PreparedStep, Rejected
from revline.core.problem import problem
from revline.delivery import acts, bulk, naming, revisions, standstill
from revline.delivery.chains import Why
from revline.delivery.permitted import Act
from revline.delivery.telling import Teller
from revline.delivery.values import Timing
from revline.platform.cases import queries as cases
from revline.platform.cases.behind import most_behind
from revline.platform.cases.queries import AtRisk, Case
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem, Fault
from tests.integration.delivery.world import World, customer, document_id, journal, naming_customer


@pytest.fixture
def world(database: Database) -> World:
    return World(database, FakeConnector(FarSystem()), timing=Timing(overdue=timedelta(hours=4)))


def tell(world: World) -> None:
    world.clock.moment += timedelta(minutes=1)
    Teller(database=world.database, actor="worker:test", timing=world.timing).tell(recorded_at=world.clock.now())


def open_cases(world: World) -> dict[str, Case]:
    """By code; fails when a code has more than one."""
    with world.database.read(tenants=["alpha"]) as connection:
        found = cases.cases(connection, tenant_id="alpha")
    by_code = {one.code: one for one in found}
    assert len(by_code) == len(found), f"one case each, not {[one.detail for one in found]}"
    return by_code


def refuse(*names: str) -> Fault:
    refused = {document_id(name) for name in names}

    def fault(step: PreparedStep) -> Outcome | None:
        return Rejected(problem=problem("erp.rejected", "no")) if step.document_id in refused else None

    return fault


def busy(name: str) -> Fault:
    def fault(step: PreparedStep) -> Outcome | None:
        return NotSent(problem=problem("erp.busy", "busy")) if step.document_id == document_id(name) else None

    return fault


def waive(world: World, name: str) -> None:
    answer = acts.waive(
        world.database,
        tenant_id="alpha",
        document_id=document_id(name),
        actor="person:ann",
        reason="no effect is needed",
        recorded_at=world.clock.now(),
    )
    assert answer is None


def chain(world: World) -> None:
    """A customer, an invoice of it with a credit in its lane, a payment, an application of both, and a journal after that."""
    world.write(
        customer("acme"),
        journal("invoice", rank=Rank.INVOICE, after=["acme"], amount="100.00"),
        journal("credit", rank=Rank.INVOICE, lane="invoice", amount="20.00"),
        journal("payment", rank=Rank.PAYMENT, amount="100.00"),
        journal("application", rank=Rank.APPLICATION, after=["invoice", "payment"], amount="100.00"),
        journal("closing", rank=Rank.JOURNAL, after=["application"], amount="5.00"),
    )


def test_a_refused_document_has_the_one_case_of_all_that_waits_behind_it(world: World) -> None:
    world.connector.before = refuse("acme")
    chain(world)
    world.deliver()
    tell(world)
    (case,) = open_cases(world).values()
    assert (case.code, case.subject_id, case.behind) == ("erp.rejected", document_id("acme"), 4)
    assert case.behind_money == (AtRisk(currency="USD", amount=Decimal("225.00")),)
    with world.database.read(tenants=["alpha"]) as connection:
        way = standstill.way_ahead(connection, tenant_id="alpha", document_id=document_id("closing"))
    assert [link.document_id for link in way.links] == [document_id(n) for n in ("application", "invoice", "acme")]
    assert world.state("payment") is DocumentState.POSTED, "what does not depend on it goes on"


def test_all_behind_wake_when_the_refused_document_goes_on_and_the_case_closes(world: World) -> None:
    world.connector.before = refuse("acme")
    chain(world)
    world.deliver()
    world.connector.before = lambda step: None
    acts.resend(
        world.database,
        tenant_id="alpha",
        document_id=document_id("acme"),
        actor="person:ann",
        reason="mended",
        recorded_at=world.clock.now(),
    )
    world.deliver()
    tell(world)
    assert open_cases(world) == {}
    assert world.posted_in_order()[-1] == document_id("closing")
    assert len(world.far.effects) == 6


def test_the_case_worth_most_behind_it_comes_first(world: World) -> None:
    world.connector.before = refuse("small", "large")
    world.write(
        journal("small", rank=Rank.INVOICE),
        journal("large", rank=Rank.INVOICE),
        *(journal(f"s{number}", after=["small"], amount="1.00") for number in range(3)),
        journal("l", after=["large"], amount="900.00"),
    )
    world.deliver()
    tell(world)
    with world.database.read(tenants=["alpha"]) as connection:
        by_money = most_behind(connection, tenant_id="alpha", currency="USD")
        by_count = most_behind(connection, tenant_id="alpha")
    assert [one.subject_id for one in by_money] == [document_id("large"), document_id("small")]
    assert [one.subject_id for one in by_count] == [document_id("small"), document_id("large")]


def test_what_others_wait_for_too_long_is_one_case_on_what_really_stands_still(world: World) -> None:
    world.connector.before = busy("acme")
    chain(world)
    world.deliver()
    tell(world)
    assert open_cases(world) == {}, "it is not late yet"
    world.age_waits(timedelta(hours=5))
    tell(world)
    tell(world)
    (case,) = open_cases(world).values()
    assert (case.code, case.subject_id, case.behind) == ("document.overdue", document_id("acme"), 4)
    world.connector.before = lambda step: None
    world.pass_time(timedelta(hours=1))
    world.deliver()
    assert open_cases(world) == {}


def test_an_overdue_case_is_not_kept_when_nothing_waits_any_more(world: World) -> None:
    world.connector.before = lambda step: NotSent(problem=problem("erp.busy", "busy"))
    world.write(customer("acme"), journal("invoice", rank=Rank.INVOICE, after=["acme"]))
    world.deliver()
    world.age_waits(timedelta(hours=5))
    tell(world)
    assert set(open_cases(world)) == {"document.overdue"}
    waive(world, "invoice")
    tell(world)
    assert open_cases(world) == {}


def test_a_predecessor_that_was_never_written_is_one_case_whatever_waits_for_it(world: World) -> None:
    world.write(
        journal("a", rank=Rank.INVOICE, after=["ghost"], amount="10.00"),
        journal("b", rank=Rank.INVOICE, after=["ghost"], amount="11.00"),
        journal("c", rank=Rank.PAYMENT, after=["b"], amount="12.00"),
    )
    world.deliver()
    world.age_waits(timedelta(days=2))
    world.pass_time(timedelta(minutes=1))
    world.deliver()
    tell(world)
    (case,) = open_cases(world).values()
    assert (case.code, case.subject_id, case.behind) == ("document.predecessor_missing", document_id("ghost"), 3)
    assert case.behind_money == (AtRisk(currency="USD", amount=Decimal("33.00")),)
    world.write(customer("ghost"))
    tell(world)
    assert open_cases(world) == {}, "it is there now"
    world.pass_time(timedelta(minutes=1))
    world.deliver()
    assert world.state("c") is DocumentState.POSTED


def test_a_waived_document_whose_record_others_need_is_one_case_until_its_record_is_named(world: World) -> None:
    world.connector.before = refuse("acme")
    world.write(
        customer("acme"),
        naming_customer("invoice", "acme", rank=Rank.INVOICE, amount="40.00"),
        naming_customer("second", "acme", rank=Rank.INVOICE, amount="2.00"),
        journal("application", rank=Rank.APPLICATION, after=["invoice"], amount="40.00"),
        journal("needs nothing", rank=Rank.INVOICE, after=["acme"]),
    )
    world.deliver()
    waive(world, "acme")
    world.deliver()
    tell(world)
    (case,) = open_cases(world).values()
    assert (case.code, case.subject_id, case.behind) == ("document.waived_ahead", document_id("acme"), 3)
    assert case.behind_money == (AtRisk(currency="USD", amount=Decimal("82.00")),)
    assert world.state("needs nothing") is DocumentState.POSTED, "order alone is satisfied by a waived document"
    with world.database.read(tenants=["alpha"]) as connection:
        links = standstill.links_ahead(connection, tenant_id="alpha", document_ids=[document_id("invoice")])
    assert [link.why for link in links[document_id("invoice")]] == [Why.RECORD]

    world.deliver()
    assert world.far.lookups == [], "nothing spins while a person decides"
    named = naming.name_record(
        world.database,
        tenant_id="alpha",
        document_id=document_id("acme"),
        record=naming.NamedRecord(erp_id="77", number="C-77", unread=True),
        read=None,
        actor="person:ann",
        reason="it was entered by hand",
        recorded_at=world.clock.now(),
    )
    assert isinstance(named, naming.Named)
    world.deliver()
    assert {world.state(name) for name in ("invoice", "second", "application")} == {DocumentState.POSTED}
    assert open_cases(world) == {}


def test_the_case_of_a_waived_document_closes_when_what_waits_is_waived_too(world: World) -> None:
    world.connector.before = refuse("acme")
    world.write(customer("acme"), naming_customer("invoice", "acme", rank=Rank.INVOICE))
    world.deliver()
    waive(world, "acme")
    world.deliver()
    assert set(open_cases(world)) == {"document.waived_ahead"}
    waive(world, "invoice")
    world.deliver()
    tell(world)
    assert open_cases(world) == {}


def test_a_waived_document_the_far_side_has_lets_what_names_it_go_on_at_once(world: World) -> None:
    world.connector.before = refuse("acme")
    world.write(customer("acme"), naming_customer("invoice", "acme", rank=Rank.INVOICE))
    world.deliver()
    naming.name_record(
        world.database,
        tenant_id="alpha",
        document_id=document_id("acme"),
        record=naming.NamedRecord(erp_id="77", unread=True),
        read=None,
        actor="person:ann",
        reason="the ERP has it",
        recorded_at=world.clock.now(),
    )
    world.deliver()
    assert world.state("acme") is DocumentState.WAIVED
    assert world.state("invoice") is DocumentState.POSTED
    assert open_cases(world) == {}


def test_a_record_belongs_to_one_document(world: World) -> None:
    world.connector.before = refuse("acme")
    world.write(customer("acme"), customer("other"))
    world.deliver()
    taken = world.show("other").records[0]
    answer = naming.name_record(
        world.database,
        tenant_id="alpha",
        document_id=document_id("acme"),
        record=naming.NamedRecord(erp_id=taken["erp_id"], record_kind=taken["record_kind"], unread=True),
        read=None,
        actor="person:ann",
        reason="the ERP has it",
        recorded_at=world.clock.now(),
    )
    assert answer is not None
    assert answer.code == "document.record_taken"
    assert world.state("acme") is DocumentState.REJECTED


def test_a_new_revision_waits_for_what_it_names_and_for_nothing_else(world: World) -> None:
    """What the old revision waited for may never come."""
    world.write(journal("sale", rank=Rank.INVOICE, after=["ghost"]))
    world.deliver()
    revise(world, journal("sale", rank=Rank.INVOICE))
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert world.show("sale").waits_for == ()


def test_a_new_revision_against_the_order_is_a_programming_error(world: World) -> None:
    world.write(journal("payment", rank=Rank.PAYMENT, credit_account="unmapped"), journal("late", rank=Rank.PAYOUT))
    world.deliver()
    with pytest.raises(ValueError, match="can't wait"):
        revise(world, journal("payment", rank=Rank.PAYMENT, after=["late"]))


def test_the_case_of_a_refused_document_closes_when_it_is_taken_back(world: World) -> None:
    world.connector.before = refuse("sale")
    world.write(journal("sale"))
    world.deliver()
    assert set(open_cases(world)) == {"erp.rejected"}
    with world.database.unit(
        tenants=["alpha"], kind="derive", actor="person:ann", reason="reprocess", recorded_at=world.clock.now()
    ) as unit:
        revisions.supersede_unsent(unit, tenant_id="alpha", document_ids=[document_id("sale")])
    assert open_cases(world) == {}


def test_more_behind_than_are_counted_is_said(world: World) -> None:
    world.connector.before = refuse("first")
    world.write(*(journal("first" if number == 0 else f"d{number}", lane="one") for number in range(9)))
    world.deliver()
    with world.database.read(tenants=["alpha"]) as connection:
        group = standstill.behind(connection, tenant_id="alpha", document_id=document_id("first"), limit=5)
        every = standstill.behind(connection, tenant_id="alpha", document_id=document_id("first"))
    assert (len(group.documents), group.more) == (5, True)
    assert (len(every.documents), every.more) == (8, False)


def test_an_act_on_many_takes_what_waits_behind_a_document(world: World) -> None:
    world.connector.before = refuse("acme")
    chain(world)
    world.deliver()
    given = {"behind": document_id("acme")}
    found: list[str] = []
    after = ""
    with world.database.read(tenants=["alpha"]) as connection:
        for _ in range(3):
            page, after = bulk.choose(connection, act=Act.WAIVE, tenant_id="alpha", given=given, after=after, limit=2)
            found += [one.subject.identity for one in page]
    assert found == sorted(document_id(name) for name in ("invoice", "credit", "application", "closing"))
    assert after == ""


def test_what_waits_in_another_tenant_is_not_counted(world: World) -> None:
    world.connector.before = refuse("acme")
    for tenant in ("alpha", "beta"):
        world.write(customer("acme"), journal("invoice", rank=Rank.INVOICE, after=["acme"]), tenant=tenant)
    world.deliver()
    tell(world)
    (case,) = open_cases(world).values()
    assert case.behind == 1


def revise(world: World, document: Document) -> None:
    with world.database.unit(
        tenants=["alpha"], kind="derive", actor="person:ann", reason="reprocess", recorded_at=world.clock.now()
    ) as unit:
        answer = revisions.new_revision(unit, tenant_id="alpha", document=document, configuration_version=2)
    assert answer == 2
