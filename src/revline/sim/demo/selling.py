"""Birch's other systems in the demonstration: the Salesforce org its orders are made in, and Stripe's API with the month's objects.

Both are simulated on loopback, in threads of this process. Knows nothing of Revline's rooms.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from revline.connectors.salesforce.identifiers import long_form
from revline.connectors.salesforce.simulator.org import Behaviour, Org
from revline.connectors.salesforce.simulator.schema import Field
from revline.connectors.salesforce.simulator.server import SimulatedSalesforce
from revline.connectors.salesforce.simulator.story import Item, quote_to_order
from revline.connectors.stripe.simulator.server import RunningStripe
from revline.core.clock import SystemClock
from revline.sim.stripe_profile import Sale, StripeMonth

STATE_FIELD: Final = "ERP_State__c"
NUMBER_FIELD: Final = "ERP_Number__c"
SUBSCRIPTION_FIELD: Final = "Stripe_Subscription__c"
STATE_KEY: Final = "erp_state"
NUMBER_KEY: Final = "erp_number"
TERM: Final = timedelta(days=364)


def new_org() -> SimulatedSalesforce:
    """An empty org whose orders have the fields that are written back, and one that names the subscription."""
    fields = tuple(Field(name=name) for name in (STATE_FIELD, NUMBER_FIELD, SUBSCRIPTION_FIELD))
    return SimulatedSalesforce(org=Org(clock=SystemClock(), behaviour=Behaviour(custom={"Order": fields})))


def sell(org: Org, sales: Iterable[Sale]) -> None:
    """Each sale from the first talk to the activated order, with the records that Stripe's metadata names."""
    for sale in sales:
        first = datetime.fromtimestamp(sale.started, tz=UTC).date()
        quote_to_order(
            org=org,
            name=sale.customer_name,
            items=tuple(
                Item(
                    code=item.product,
                    name=item.name,
                    family=item.family,
                    quantity=str(item.quantity),
                    price=f"{Decimal(item.unit_amount).scaleb(-2):f}",
                )
                for item in sale.items
            ),
            start=first.isoformat(),
            last_day=(first + TERM).isoformat(),
            record_ids={"account": sale.account, "order": sale.order},
            order_fields={SUBSCRIPTION_FIELD: sale.subscription},
        )


def amend(org: Org, sales: Sequence[Sale]) -> None:
    """A person in sales writes the customer's purchase order number into some orders."""
    for number, sale in enumerate(sales):
        values = {"PoNumber": f"PO-{number + 1:04d}"}
        org.update(object_name="Order", record_id=long_form(record_id=sale.order), values=values)


def told_orders(org: Org, sales: Iterable[Sale]) -> dict[str, tuple[str, str]]:
    """First invoice -> (state, number) as they stand on its order now."""
    records = org.records["Order"]
    found = {sale.invoice: records[long_form(record_id=sale.order)] for sale in sales}
    return {
        invoice: (str(record[STATE_FIELD] or ""), str(record[NUMBER_FIELD] or "")) for invoice, record in found.items()
    }


def customers_of(month: StripeMonth) -> tuple[str, ...]:
    """The customers the month tells of, by their ids at Stripe."""
    events = (json.loads(body) for body in month.webhooks)
    return tuple(sorted({one["data"]["object"]["id"] for one in events if one["type"] == "customer.created"}))


def fill(stripe: RunningStripe, month: StripeMonth) -> int:
    """Put the played month's objects behind Stripe's API, each as it stands at the month's end; gives how many."""
    events: list[dict[str, Any]] = [json.loads(body) for body in month.webhooks]
    events.sort(key=lambda event: (event["created"], event["id"]))
    things = [event["data"]["object"] for event in events] + [json.loads(line) for line in month.listed()]
    return stripe.do(lambda one: one.account.seed(things))


def told_invoices(stripe: RunningStripe) -> dict[str, tuple[str, str, str]]:
    """Invoice -> (number at Stripe, state, ERP number) of those whose metadata says what became of them."""

    def read(one: Any) -> dict[str, tuple[str, str, str]]:
        held = one.account.objects["invoice"].values()
        return {
            thing["id"]: (thing["number"] or "", thing["metadata"][STATE_KEY], thing["metadata"].get(NUMBER_KEY, ""))
            for thing in held
            if STATE_KEY in thing["metadata"]
        }

    return stripe.do(read)
