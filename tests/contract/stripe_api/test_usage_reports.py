"""Metered use told to Stripe: meter events that count once, whatever becomes of the answers, and what can't be told any more."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from revline.connectors.stripe.farside import StripeFarSide, build
from revline.core.documents import Document, DocumentKind, Rank, UsageContent, decode_document
from revline.core.farside import (
    EntityMapping,
    NotSent,
    Outcome,
    Posted,
    PrepareContext,
    PreparedStep,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.hashing import canonical_bytes
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.platform.tenancy.kinds import Connection
from tests.contract.stripe_api.conftest import JANUARY, Shop

CONTEXT = PrepareContext(mapping=EntityMapping(company="", accounts={}), functional_currency="USD", records={})
DAY = 86_400


class At:
    """A clock that says what the shop's account says."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._shop.running.stripe.now(), UTC)


class Metering:
    """One meter and one customer of a shop, and reports of its use."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.meter = shop.library.billing.meters.create(
            {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
        )
        self.customer = shop.library.customers.create({"name": "Ada"}).id

    def document(
        self, value: str, *, reference: str = "ABCDEFGHIJKLMNOP", at: int = JANUARY - 3_600, cancels: str = "",
        customer: str = "",
    ) -> Document:  # fmt: skip
        start = datetime.fromtimestamp(JANUARY - 31 * DAY, UTC)
        content = UsageContent(
            tenant="acme",
            customer=SourceObject(connection="stripe", kind="customer", outside_id=customer or self.customer),
            meter="calls", measure="quantity", value=Decimal(value), unit="call",
            at=datetime.fromtimestamp(at, UTC), window_start=start, window_end=start + timedelta(days=31),
            quantity=Decimal(value), amount=Decimal("1.00"), currency="USD",
            prepared_at=datetime.fromtimestamp(JANUARY, UTC), cancels=cancels,
        )  # fmt: skip
        return Document(
            document_id=reference.lower(), kind=DocumentKind.USAGE, connection="stripe", entity="", book="",
            external_reference=reference, event_id="", journal_id="", lane_key="lane", rank=Rank.FEEDBACK,
            predecessors=(), currency="USD", amount=Decimal("1.00"), accounting_date=None, content=content,
        )  # fmt: skip

    def send(self, document: Document) -> Outcome:
        async def run() -> Outcome:
            connector = self.far_side()
            try:
                step = connector.prepare(document=document, step="report", context=CONTEXT)
                assert isinstance(step, PreparedStep), step
                return (await connector.submit(steps=[step]))[0]
            finally:
                await connector.close()

        return asyncio.run(run())

    def far_side(self) -> StripeFarSide:
        return build(
            connection=Connection(connector="stripe", settings={"baseUrl": self.shop.running.base_url}),
            secrets={"apiKey": self.shop.running.key},
            transport=None,
            clock=At(self.shop),
            random=random.Random(1),
        )

    def fault(self, kind: str, **given: Any) -> None:
        self.shop.running.do(lambda simulated: simulated.add_fault(kind, **given))

    def used(self) -> list[float]:
        found = self.shop.library.billing.meters.event_summaries.list(
            self.meter.id,
            {"customer": self.customer, "start_time": JANUARY - 40 * DAY, "end_time": JANUARY + 40 * DAY},
        )
        return [one.aggregated_value for one in found.data]


@pytest.fixture
def metering(shop: Shop) -> Metering:
    return Metering(shop)


def test_a_report_counts_in_its_minute_and_names_itself_by_our_reference(metering: Metering) -> None:
    outcome = metering.send(metering.document("1250.5"))
    assert isinstance(outcome, Posted)
    assert (outcome.record.erp_id, outcome.record.external_reference) == ("ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOP")
    assert metering.used() == [1250.5]


@pytest.mark.parametrize("fault", ["lose_answer", "fail"])
def test_an_answer_that_was_lost_is_uncertain_and_sending_again_counts_once(metering: Metering, fault: str) -> None:
    metering.fault(fault, path="/v1/billing")
    assert isinstance(metering.send(metering.document("5")), Uncertain)
    assert isinstance(metering.send(metering.document("5")), Posted)
    assert isinstance(metering.send(metering.document("5")), Posted)
    assert metering.used() == [5]


def test_after_a_day_the_minute_of_a_report_says_that_it_arrived(metering: Metering) -> None:
    metering.fault("lose_answer", path="/v1/billing")
    assert isinstance(metering.send(metering.document("5")), Uncertain)
    metering.shop.at += 2 * DAY
    assert isinstance(metering.send(metering.document("5")), Posted)
    assert metering.used() == [5]


def test_after_a_day_a_report_that_never_left_is_sent(metering: Metering) -> None:
    metering.shop.at += 2 * DAY
    for _ in range(3):
        assert isinstance(metering.send(metering.document("5")), Posted)
    assert metering.used() == [5]


def test_what_fails_between_asking_and_sending_counts_once_however_late(metering: Metering) -> None:
    for days in (0, 1, 1, 2, 5):
        metering.shop.at += days * DAY
        metering.fault("lose_answer", path="/v1/billing/meter_events")
        metering.send(metering.document("5"))
    metering.shop.running.do(lambda simulated: simulated.faults.clear())
    assert isinstance(metering.send(metering.document("5")), Posted)
    assert metering.used() == [5]


def test_a_minute_that_holds_something_else_is_a_persons_work(metering: Metering) -> None:
    metering.send(metering.document("3", reference="SOMETHINGELSE234"))
    metering.shop.at += 2 * DAY
    outcome = metering.send(metering.document("5"))
    assert isinstance(outcome, Rejected)
    assert (outcome.problem.code, metering.used()) == ("usage.report_unproven", [3])


def test_nothing_is_sent_when_nobody_can_say_what_arrived(metering: Metering) -> None:
    metering.shop.at += 2 * DAY
    metering.fault("throttle", path="/v1/billing/meters")
    assert isinstance(metering.send(metering.document("5")), Throttled)
    metering.fault("fail", path="/v1/billing/meters")
    assert isinstance(metering.send(metering.document("5")), NotSent)
    assert metering.used() == [0]


def test_less_use_is_told_as_a_negative_value(metering: Metering) -> None:
    metering.send(metering.document("5"))
    metering.send(metering.document("-2", reference="CORRECTION234567", at=JANUARY - 7_200))
    assert metering.used() == [3]


def test_a_report_is_cancelled_once_and_within_a_day(metering: Metering) -> None:
    metering.send(metering.document("5"))
    metering.fault("lose_answer", path="/v1/billing")
    cancelling = metering.document("-5", reference="CORRECTION234567", cancels="ABCDEFGHIJKLMNOP")
    assert isinstance(metering.send(cancelling), Uncertain)
    assert isinstance(metering.send(cancelling), Posted)
    assert metering.used() == [0]
    metering.send(metering.document("7", reference="ANOTHERREPORT234", at=JANUARY - 7_200))
    metering.shop.at += DAY
    late = metering.send(metering.document("-7", reference="CORRECTION765432", cancels="ANOTHERREPORT234"))
    assert isinstance(late, Rejected)
    assert late.problem.code == "usage.report_final"


def test_use_that_is_too_old_is_a_case_of_its_own(metering: Metering) -> None:
    outcome = metering.send(metering.document("5", at=JANUARY - 36 * DAY))
    assert isinstance(outcome, Rejected)
    assert outcome.problem.code == "usage.report_too_old"


def test_a_refusal_is_judged_anew_once_its_cause_is_mended(metering: Metering) -> None:
    refused = metering.send(metering.document("5", customer="cus_sim0000000002"))
    assert isinstance(refused, Rejected)
    assert refused.problem.code == "erp.record_missing"
    assert metering.shop.library.customers.create({"name": "Bob"}).id == "cus_sim0000000002"
    assert isinstance(metering.send(metering.document("5", customer="cus_sim0000000002")), Posted)


@pytest.mark.parametrize(
    ("fault", "outcome"), [("throttle", Throttled), ("conflict", Throttled), ("refuse_key", NotSent)]
)
def test_what_failures_mean(metering: Metering, fault: str, outcome: type[Any]) -> None:
    metering.fault(fault)
    assert isinstance(metering.send(metering.document("5")), outcome)


def test_what_stripe_would_not_take_is_not_sent(metering: Metering) -> None:
    made = metering.far_side().prepare(document=metering.document("1234567890.123456"), step="report", context=CONTEXT)
    assert isinstance(made, Problem)
    assert made.code == "erp.rejected"


def test_a_report_is_the_same_document_after_it_was_stored(metering: Metering) -> None:
    document = metering.document("5")
    assert decode_document(canonical_bytes(document)) == document
