"""Every object the simulated Stripe makes has the fields and types of Stripe's published examples.

shapes.json: fields and types of the example objects in stripe/stripe-mock (MIT licence), version of 2025-11-12.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from revline.connectors.sdk.source import SourceContext
from revline.connectors.stripe.simulator.api import SimulatedStripe
from revline.connectors.stripe.translate import READERS, translate_object
from revline.core.problem import Problem
from tests.contract.stripe_api.conftest import JANUARY, Shop

SHAPES: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "shapes.json").read_text(encoding="utf-8"))
TYPES: dict[type, str] = {
    type(None): "null", bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object",
}  # fmt: skip
NULLABLE = "null"
LEAST = 0.6
"""Share of a published example's fields that must be there; the rest says nothing of what Revline reads."""
OTHER_TYPE = {
    ("payment_intent", "payment_method_options"),
    ("subscription", "plan"),
}


def play(shop: Shop) -> dict[str, list[dict[str, Any]]]:
    """A story that makes every kind; gives the account's objects."""
    library = shop.library
    clock = library.test_helpers.test_clocks.create({"frozen_time": JANUARY})
    customer = library.customers.create({"name": "Ada", "test_clock": clock.id})
    library.subscription_schedules.create(
        {"customer": customer.id, "phases": [{"items": [{"price": shop.price()}], "iterations": 1}]}
    )
    invoice = shop.paid_invoice()
    library.credit_notes.create({"invoice": invoice.id, "amount": 500, "credit_amount": 500})
    charge = shop.charge_of(shop.paid_invoice())
    library.refunds.create({"charge": charge, "amount": 100})
    shop.simulate(f"/v1/charges/{shop.charge_of(shop.paid_invoice())}/simulate_dispute")
    shop.simulate("/v1/payouts")
    library.billing.meters.create(
        {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    )
    library.webhook_endpoints.create({"url": "https://hooks.example/x", "enabled_events": ["*"]})
    held = shop.running.do(_objects)
    found: dict[str, list[dict[str, Any]]] = json.loads(held)
    return found


def _objects(simulated: SimulatedStripe) -> str:
    return json.dumps({kind: list(of.values()) for kind, of in simulated.account.objects.items()})


def test_fields_and_types_are_the_published_ones(shop: Shop) -> None:
    made = play(shop)
    assert set(made) == set(SHAPES)
    wrong, lacking = [], []
    for kind, shape in sorted(SHAPES.items()):
        assert made[kind], kind
        for one in made[kind]:
            for name, value in one.items():
                found, wanted = TYPES[type(value)], shape.get(name, NULLABLE)
                if NULLABLE not in {found, wanted} and found != wanted and (kind, name) not in OTHER_TYPE:
                    wrong.append((kind, name, found, wanted))
        there = set(shape) & set(made[kind][0])
        if len(there) < LEAST * len(shape):
            lacking.append((kind, len(there), len(shape), sorted(set(shape) - there)))
    assert sorted(set(wrong)) == []
    assert lacking == []


def test_every_object_is_translated(shop: Shop) -> None:
    context = SourceContext(connection="stripe", entity="acme", time_zone="UTC", sandbox=True)
    for kind, objects in play(shop).items():
        if kind in READERS:
            for one in objects:
                shown = translate_object(body=json.dumps(one).encode(), context=context)
                assert not isinstance(shown, Problem), (kind, shown)
