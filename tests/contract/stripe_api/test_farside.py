"""Telling Stripe what became of its objects: metadata, once in effect, within Stripe's limits."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest

from revline.connectors.stripe.farside import StripeFarSide, build
from revline.core.clock import SystemClock
from revline.core.documents import Document, DocumentKind, FeedbackContent, Rank
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
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.platform.tenancy.kinds import Connection
from tests.contract.stripe_api.conftest import Shop

CONTEXT = PrepareContext(mapping=EntityMapping(company="", accounts={}), functional_currency="USD", records={})


def telling(kind: str, outside_id: str, *, reference: str = "ABCDEFGHIJKLMNOP", **fields: str) -> Document:
    """A document that tells one object something."""
    target = SourceObject(connection="stripe", kind=kind, outside_id=outside_id)
    return Document(
        document_id=reference.lower(), kind=DocumentKind.FEEDBACK, connection="stripe", entity="", book="",
        external_reference=reference, event_id="", journal_id="", lane_key="lane", rank=Rank.FEEDBACK, predecessors=(),
        currency="", amount=Decimal(0), accounting_date=None,
        content=FeedbackContent(target=target, fields=tuple(sorted(fields.items()))),
    )  # fmt: skip


def far_side(shop: Shop) -> StripeFarSide:
    connection = Connection(connector="stripe", settings={"baseUrl": shop.running.base_url})
    return build(
        connection=connection,
        secrets={"apiKey": shop.running.key},
        transport=None,
        clock=SystemClock(),
        random=random.Random(1),
    )


def send(shop: Shop, document: Document) -> Outcome:
    async def run() -> Outcome:
        connector = far_side(shop)
        try:
            step = connector.prepare(document=document, step="write", context=CONTEXT)
            assert isinstance(step, PreparedStep), step
            return (await connector.submit(steps=[step]))[0]
        finally:
            await connector.close()

    return asyncio.run(run())


def refusal(document: Document) -> Problem:
    connection = Connection(connector="stripe", settings={"baseUrl": "http://127.0.0.1:1"})
    connector = build(
        connection=connection, secrets={"apiKey": "sk_x"}, transport=None, clock=SystemClock(), random=random.Random(1)
    )
    made = connector.prepare(document=document, step="write", context=CONTEXT)
    assert isinstance(made, Problem)
    return made


def test_fields_become_metadata_of_the_object_beside_what_others_wrote(shop: Shop) -> None:
    invoice = shop.paid_invoice()
    shop.library.invoices.update(invoice.id, {"metadata": {"theirs": "kept"}})
    outcome = send(shop, telling("invoice", invoice.id, erp_number="INV-7 & co", erp_state="posted"))
    assert isinstance(outcome, Posted)
    held = shop.library.invoices.retrieve(invoice.id).metadata.to_dict()
    assert held == {"theirs": "kept", "erp_number": "INV-7 & co", "erp_state": "posted"}


@pytest.mark.parametrize("kind", ["customer", "payment", "payout", "refund", "dispute", "credit_memo", "subscription"])
def test_every_kind_that_takes_metadata_takes_it(shop: Shop, kind: str) -> None:
    library = shop.library
    invoice = shop.paid_invoice()
    made: dict[str, Any] = {
        "customer": lambda: invoice.customer,
        "payment": lambda: shop.charge_of(invoice),
        "refund": lambda: library.refunds.create({"charge": shop.charge_of(invoice)}).id,
        "credit_memo": lambda: (
            library.credit_notes.create({"invoice": invoice.id, "amount": 100, "credit_amount": 100}).id
        ),
        "subscription": lambda: (
            library.subscriptions.create({"customer": invoice.customer, "items": [{"price": shop.price()}]}).id
        ),
    }
    if kind == "dispute":
        shop.simulate(f"/v1/charges/{shop.charge_of(invoice)}/simulate_dispute")
    if kind == "payout":
        shop.simulate("/v1/payouts")
    outside_id = made[kind]() if kind in made else getattr(library, f"{kind}s").list().data[0].id
    outcome = send(shop, telling(kind, outside_id, erp_number="7"))
    assert isinstance(outcome, Posted)
    assert dict(outcome.record.content)["erp_number"] == "7"


def test_an_answer_that_was_lost_is_uncertain_and_the_same_telling_again_has_one_effect(shop: Shop) -> None:
    customer = shop.library.customers.create({"name": "Ada"})
    document = telling("customer", customer.id, erp_number="7")
    shop.running.do(lambda simulated: simulated.add_fault("lose_answer"))
    assert isinstance(send(shop, document), Uncertain)
    assert isinstance(send(shop, document), Posted)
    assert shop.event_types().count("customer.updated") == 1


def test_another_content_under_the_same_reference_is_another_request(shop: Shop) -> None:
    customer = shop.library.customers.create({"name": "Ada"})
    for number in ("7", "8"):
        assert isinstance(send(shop, telling("customer", customer.id, erp_number=number)), Posted)
    assert shop.library.customers.retrieve(customer.id).metadata.to_dict() == {"erp_number": "8"}


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [("throttle", Throttled), ("conflict", Throttled), ("fail", Uncertain), ("refuse_key", NotSent)],
)
def test_what_failures_mean(shop: Shop, fault: str, outcome: type[Any]) -> None:
    customer = shop.library.customers.create({"name": "Ada"})
    shop.running.do(lambda simulated: simulated.add_fault(fault))
    assert isinstance(send(shop, telling("customer", customer.id, a="1")), outcome)


def test_an_object_that_is_gone_is_rejected(shop: Shop) -> None:
    outcome = send(shop, telling("invoice", "in_none", a="1"))
    assert isinstance(outcome, Rejected)
    assert outcome.problem.code == "erp.record_missing"


def test_limits_are_checked_before_anything_is_sent() -> None:
    long = {"k" * 41: "v"}
    assert refusal(telling("customer", "cus_1", **long)).code == "erp.rejected"
    assert refusal(telling("customer", "cus_1", note="x" * 501)).field == "note"
    many = {f"key{number}": "v" for number in range(51)}
    assert refusal(telling("customer", "cus_1", **many)).field == "metadata"
    assert refusal(telling("balance_transaction", "txn_1", a="1")).code == "erp.kind_unsupported"
