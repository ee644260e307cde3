"""Telling Salesforce what became of its records."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeVar

import pytest

from revline.connectors.salesforce.farside import SalesforceFarSide, build
from revline.connectors.salesforce.simulator import Org, SimulatedSalesforce, quote_to_order
from revline.connectors.salesforce.simulator.faults import LIMIT_EXCEEDED, ROW_LOCKED, UNAVAILABLE, Fault
from revline.connectors.salesforce.simulator.schema import Field
from revline.core.documents import Document, DocumentKind, FeedbackContent, Rank
from revline.core.farside import (
    EntityMapping,
    ErpRecord,
    NotSent,
    Outcome,
    Posted,
    PrepareContext,
    PreparedStep,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from tests.contract.salesforce.orgs import SECRETS, HandClock, an_org, asked_of, connection_to, reading, serving, whole

T = TypeVar("T")
CONTEXT = PrepareContext(mapping=EntityMapping(company="", accounts={}), functional_currency="USD", records={})
CUSTOM = {"Order": (Field(name="ERP_State__c"), Field(name="ERP_Number__c"))}
FIELDS = (("ERP_Number__c", "INV-7"), ("ERP_State__c", "posted"))


def told(target: SourceObject, fields: tuple[tuple[str, str], ...] = FIELDS, message_type: str = "") -> Document:
    return Document(
        document_id="document",
        kind=DocumentKind.FEEDBACK,
        connection="crm",
        entity="us",
        book="",
        external_reference="REFERENCE",
        event_id="",
        journal_id="",
        lane_key="order",
        rank=Rank.FEEDBACK,
        predecessors=(),
        currency="",
        amount=Decimal(0),
        accounting_date=None,
        content=FeedbackContent(target=target, fields=fields, message_type=message_type),
    )


def an_order() -> tuple[Org, HandClock, str]:
    org, clock = an_org(custom=CUSTOM)
    return org, clock, quote_to_order(org=org).order


def target(order: str) -> SourceObject:
    return SourceObject(connection="crm", kind="order", outside_id=order)


def with_far_side(server: SimulatedSalesforce, work: Callable[[SalesforceFarSide], Awaitable[T]]) -> T:
    async def run() -> T:
        connector = build(
            connection=connection_to(server),
            secrets=SECRETS,
            transport=None,
            clock=server.clock,
            random=random.Random(1),
        )
        try:
            return await work(connector)
        finally:
            await connector.close()

    return asyncio.run(run())


def prepared(connector: SalesforceFarSide, document: Document) -> PreparedStep:
    found = connector.prepare(document=document, step="write", context=CONTEXT)
    assert isinstance(found, PreparedStep), found
    return found


async def write(connector: SalesforceFarSide, document: Document) -> Outcome:
    (outcome,) = await connector.submit(steps=[prepared(connector, document)])
    return outcome


def test_fields_are_written_and_read_back() -> None:
    org, _, order = an_order()

    async def work(connector: SalesforceFarSide) -> tuple[Outcome, object]:
        outcome = await write(connector, told(target(order)))
        assert isinstance(outcome, Posted)
        return outcome, await connector.read(record=outcome.record)

    with serving(org) as server:
        _, read = with_far_side(server, work)
    record = org.records["Order"][order]
    assert (record["ERP_State__c"], record["ERP_Number__c"]) == ("posted", "INV-7")
    assert isinstance(read, Posted)
    assert read.record.content == FIELDS


@pytest.mark.parametrize(
    ("kind", "identity"),
    [
        ("Order", "../../limits"),
        ("../query", "801000000000001"),
        ("Order", "x?fields=Name"),
        ("Order", ""),
        ("Order/x", "é"),
    ],
)
def test_a_record_a_person_names_is_no_path_to_something_else(kind: str, identity: str) -> None:
    org, _, _ = an_order()

    async def work(connector: SalesforceFarSide) -> object:
        record = ErpRecord(record_kind=kind, erp_id=identity, state="posted", external_reference="r")
        return await connector.read(record=record)

    with serving(org) as server:
        read = with_far_side(server, work)
    assert isinstance(read, Problem)
    assert read.code == "erp.record_missing", "it was not asked for"


def test_the_same_values_again_change_nothing_and_are_no_news_to_us() -> None:
    org, _clock, order = an_order()
    with serving(org) as server:
        before = whole(reading(server, lambda reader: reader.changes_page(cursor="", limit=200)))

        async def work(connector: SalesforceFarSide) -> list[Outcome]:
            return [await write(connector, told(target(order))) for _ in range(2)]

        first, second = with_far_side(server, work)
        after = whole(reading(server, lambda reader: reader.changes_page(cursor=before.next_cursor, limit=200)))
    assert first == second
    assert isinstance(first, Posted)
    assert len(after.bodies) == 1
    assert asked_of(after.bodies[0]) == ()


def test_an_empty_value_clears_the_field() -> None:
    org, _, order = an_order()
    with serving(org) as server:
        with_far_side(server, lambda connector: write(connector, told(target(order))))
        with_far_side(server, lambda connector: write(connector, told(target(order), (("ERP_Number__c", ""),))))
    assert org.records["Order"][order]["ERP_Number__c"] is None


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (LIMIT_EXCEEDED, Throttled, ""),
        (ROW_LOCKED, NotSent, "erp.busy"),
        (UNAVAILABLE, NotSent, "erp.busy"),
        (Fault(path="/sobjects/", lost=True), Uncertain, ""),
        (Fault(path="/sobjects/", status=500, code="UNKNOWN_EXCEPTION"), Uncertain, ""),
        (Fault(path="/sobjects/", status=400, code="FIELD_CUSTOM_VALIDATION_EXCEPTION"), Rejected, "erp.rejected"),
        (
            Fault(path="/sobjects/", status=403, code="INSUFFICIENT_ACCESS_OR_READONLY"),
            NotSent,
            "erp.credentials_refused",
        ),
    ],
)
def test_every_failure_has_its_outcome(fault: Fault, kind: type, code: str) -> None:
    org, _, order = an_order()
    with serving(org) as server:
        server.api.faults.add(fault)
        outcome = with_far_side(server, lambda connector: write(connector, told(target(order))))
        assert isinstance(outcome, kind), outcome
        assert not code or outcome.problem.code == code
        again = with_far_side(server, lambda connector: write(connector, told(target(order))))
    assert isinstance(again, Posted)
    assert org.records["Order"][order]["ERP_State__c"] == "posted"


def test_a_record_that_is_gone_and_a_field_that_is_not_there_are_refused() -> None:
    org, _, _ = an_order()
    draft = {"AccountId": next(iter(org.records["Account"])), "EffectiveDate": "2026-09-01", "Status": "Draft"}
    order = org.create(object_name="Order", values=draft)
    with serving(org) as server:
        wrong = with_far_side(server, lambda connector: write(connector, told(target(order), (("Typo__c", "x"),))))
        org.delete(object_name="Order", record_id=order)
        gone = with_far_side(server, lambda connector: write(connector, told(target(order))))
    assert isinstance(wrong, Rejected)
    assert wrong.problem.code == "erp.rejected"
    assert isinstance(gone, Rejected)
    assert gone.problem.code == "erp.record_missing"


def test_what_is_no_record_of_salesforce_is_refused_before_it_leaves() -> None:
    org, _, order = an_order()
    refused = [
        told(SourceObject(connection="crm", kind="invoice", outside_id=order)),
        told(SourceObject(connection="crm", kind="order", outside_id="../Account/001")),
        told(target(order), message_type="invoice.posted"),
        told(target(order), ()),
    ]

    async def work(connector: SalesforceFarSide) -> list[object]:
        return [connector.prepare(document=one, step="write", context=CONTEXT) for one in refused]

    with serving(org) as server:
        assert all(isinstance(one, Problem) for one in with_far_side(server, work))
        assert server.api.calls == []
        health = with_far_side(server, lambda connector: connector.health())
    assert health.reachable
    assert "calls left" in health.detail
