"""The official library meters use at the simulated Stripe unchanged, and gets what Stripe's reference says."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import stripe

from tests.contract.stripe_api.conftest import JANUARY, Shop

HOUR = 3_600
DAY = 86_400


class Metered:
    """A shop with one meter and a customer of it."""

    def __init__(self, shop: Shop, *, formula: str = "sum", **given: Any) -> None:
        self.shop, self.billing = shop, shop.library.billing
        self.meter = self.billing.meters.create(
            {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": formula}, **given}
        )
        self.customer = shop.library.customers.create({"name": "Ada"}).id

    def send(self, value: object, *, identifier: str = "", at: int | None = None, customer: str = "") -> Any:
        given: dict[str, Any] = {
            "event_name": "calls",
            "payload": {"stripe_customer_id": customer or self.customer, "value": str(value)},
        }
        given |= {"identifier": identifier} if identifier else {}
        given |= {"timestamp": at} if at is not None else {}
        return self.billing.meter_events.create(given)

    def cancel(self, identifier: str) -> Any:
        return self.billing.meter_event_adjustments.create(
            {"event_name": "calls", "type": "cancel", "cancel": {"identifier": identifier}}
        )

    def used(self, *, start: int = JANUARY - 40 * DAY, end: int = JANUARY + 40 * DAY, **given: Any) -> list[float]:
        found = self.billing.meters.event_summaries.list(
            self.meter.id, {"customer": self.customer, "start_time": start, "end_time": end, **given}
        )
        return [one.aggregated_value for one in found.auto_paging_iter()]

    def stream(self, *events: dict[str, Any]) -> None:
        session = self.shop.client.v2.billing.meter_event_session.create()
        client: Any = stripe.StripeClient(
            session.authentication_token,
            base_addresses={"api": self.shop.running.base_url, "meter_events": self.shop.running.base_url},
        )
        client.v2.billing.meter_event_stream.create({"events": list(events)})

    def event(self, value: object, *, identifier: str = "", customer: str = "") -> dict[str, Any]:
        payload = {"stripe_customer_id": customer or self.customer, "value": str(value)}
        return {"event_name": "calls", "payload": payload, "identifier": identifier}

    def price(self, **given: Any) -> str:
        product = self.shop.library.products.create({"name": "Calls"})
        recurring = {"interval": "month", "usage_type": "metered", "meter": self.meter.id}
        return str(
            self.shop.library.prices.create(
                {"product": product.id, "currency": "usd", "recurring": recurring, **given}
            ).id
        )


def test_events_of_a_sum_add_up_and_negative_ones_take_back(shop: Shop) -> None:
    metered = Metered(shop)
    one = metered.send("25", identifier="a")
    assert (one.object, one.identifier, one.payload.value) == ("billing.meter_event", "a", "25")
    metered.send("0.5")
    metered.send("-5.5")
    assert metered.used() == [20]


@pytest.mark.parametrize(("formula", "expected"), [("sum", [9]), ("count", [3]), ("last", [2])])
def test_the_three_formulas(shop: Shop, formula: str, expected: list[int]) -> None:
    metered = Metered(shop, formula=formula)
    for value, at in ((4, -100), (2, -10), (3, -50)):
        metered.send(value, at=JANUARY + at)
    assert metered.used() == expected


def test_a_pre_aggregated_meter_keeps_the_newest_event_of_each_hour(shop: Shop) -> None:
    metered = Metered(shop, event_time_window="hour")
    metered.send(4, at=JANUARY - HOUR)
    metered.send(7, at=JANUARY - HOUR + 60)
    metered.send(1, at=JANUARY)
    assert metered.used() == [8]


def test_an_identifier_is_unique_for_a_day(shop: Shop) -> None:
    metered = Metered(shop)
    metered.send(1, identifier="a")
    with pytest.raises(stripe.InvalidRequestError, match="An event already exists with identifier a") as refused:
        metered.send(2, identifier="a")
    assert refused.value.http_status == 400
    shop.at += DAY
    metered.send(2, identifier="a")
    assert metered.used() == [3]


def test_an_idempotency_key_replays_the_answer(shop: Shop) -> None:
    metered = Metered(shop)
    given = {"event_name": "calls", "payload": {"stripe_customer_id": metered.customer, "value": "1"}}
    for _ in range(2):
        metered.billing.meter_events.create(given, {"idempotency_key": "k"})
    assert metered.used() == [1]


@pytest.mark.parametrize("seconds", [-35 * DAY - 1, 5 * 60 + 1])
def test_an_event_is_neither_too_old_nor_too_far_ahead(shop: Shop, seconds: int) -> None:
    metered = Metered(shop)
    with pytest.raises(stripe.InvalidRequestError, match="timestamp must be"):
        metered.send(1, at=JANUARY + seconds)
    metered.send(1, at=JANUARY - 35 * DAY)
    metered.send(1, at=JANUARY + 5 * 60)
    assert metered.used() == [2]


@pytest.mark.parametrize("value", ["many", "", "1e3", "1234567890123456"])
def test_a_value_is_a_number_of_at_most_15_digits(shop: Shop, value: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="value"):
        Metered(shop).send(value)


def test_no_customer_no_meter_and_an_inactive_meter_are_refused(shop: Shop) -> None:
    metered = Metered(shop)
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        metered.send(1, customer="cus_none")
    metered.billing.meters.deactivate(metered.meter.id)
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        metered.send(1)
    metered.billing.meters.reactivate(metered.meter.id)
    metered.send(1)
    with pytest.raises(stripe.InvalidRequestError, match="No active meter"):
        metered.billing.meter_events.create({"event_name": "none", "payload": {"stripe_customer_id": metered.customer}})


def test_an_event_can_be_cancelled_for_a_day_once(shop: Shop) -> None:
    metered = Metered(shop)
    metered.send(1, identifier="a")
    metered.send(2, identifier="b")
    shop.at += DAY - 1
    adjusted = metered.cancel("a")
    assert (adjusted.status, adjusted.cancel.identifier, metered.used()) == ("complete", "a", [2])
    with pytest.raises(stripe.InvalidRequestError, match="already canceled"):
        metered.cancel("a")
    shop.at += 1
    with pytest.raises(stripe.InvalidRequestError, match="within 24 hours"):
        metered.cancel("b")
    with pytest.raises(stripe.InvalidRequestError, match="No such meter event"):
        metered.cancel("c")


def test_summaries_by_hour_and_day_are_aligned_and_paged(shop: Shop) -> None:
    metered = Metered(shop)
    for hour in (0, 0, 30):
        metered.send(1, at=JANUARY - DAY - hour * HOUR)
    start = JANUARY - 3 * DAY
    assert metered.used(start=start, end=JANUARY, value_grouping_window="day") == [2, 1]
    assert metered.used(start=start, end=JANUARY, value_grouping_window="hour", limit=1) == [2, 1]
    with pytest.raises(stripe.InvalidRequestError, match="aligned"):
        metered.used(start=start + 60, end=JANUARY, value_grouping_window="hour")
    with pytest.raises(stripe.InvalidRequestError, match="aligned"):
        metered.used(start=start + 1, end=JANUARY)


def test_meters_are_listed_renamed_and_unique_by_event_name(shop: Shop) -> None:
    metered = Metered(shop)
    renamed = metered.billing.meters.update(metered.meter.id, {"display_name": "API calls"})
    assert renamed.display_name == metered.billing.meters.list({"limit": 3}).data[0].display_name == "API calls"
    with pytest.raises(stripe.InvalidRequestError, match="exists already"):
        Metered(shop)


class TestSecondVersion:
    def test_an_event_is_judged_at_once_and_its_time_is_a_text(self, shop: Shop) -> None:
        metered = Metered(shop)
        second: Any = shop.client.v2.billing.meter_events
        made = second.create({**metered.event(3, identifier="a"), "timestamp": "2025-12-31T23:00:00Z"})
        assert (made.object, made.timestamp) == ("v2.billing.meter_event", "2025-12-31T23:00:00.000Z")
        with pytest.raises(stripe.StripeError, match="already exists"):
            second.create(metered.event(3, identifier="a"))
        assert metered.used() == [3]

    def test_the_stream_takes_a_hundred_events_and_drops_what_it_has_seen(self, shop: Shop) -> None:
        metered = Metered(shop)
        metered.stream(*(metered.event(1, identifier=f"e{number}") for number in range(100)))
        metered.stream(metered.event(1, identifier="e1"))
        assert metered.used() == [100]
        with pytest.raises(stripe.StripeError, match="1 to 100"):
            metered.stream(*(metered.event(1, identifier=f"e{number}") for number in range(101)))

    def test_a_session_lasts_a_quarter_of_an_hour(self, shop: Shop) -> None:
        session = shop.client.v2.billing.meter_event_session.create()
        assert session.expires_at == "2026-01-01T00:15:00.000Z"
        shop.at += 15 * 60
        client = stripe.StripeClient(
            session.authentication_token,
            base_addresses={"meter_events": shop.running.base_url},
            max_network_retries=0,
        )
        with pytest.raises(stripe.TemporarySessionExpiredError):
            client.v2.billing.meter_event_stream.create({"events": []})

    def test_what_the_stream_could_not_take_is_told_in_a_thin_event(self, shop: Shop) -> None:
        metered = Metered(shop)
        metered.stream(metered.event(1), metered.event(1, customer="cus_none", identifier="x"), metered.event("none"))
        listed = shop.client.v2.core.events.list({"object_id": metered.meter.id}).data[0]
        told = shop.client.v2.core.events.retrieve(listed.id)
        assert isinstance(told, stripe.events.V1BillingMeterErrorReportTriggeredEvent)
        assert told.data.reason.error_count == 2
        found = {one.code: one.sample_errors[0].request.identifier for one in told.data.reason.error_types}
        assert found == {"meter_event_customer_not_found": "x", "meter_event_invalid_value": ""}
        assert metered.used() == [1]

    def test_an_adjustment_has_an_id_of_its_own(self, shop: Shop) -> None:
        metered = Metered(shop)
        metered.send(1, identifier="a")
        made = shop.client.v2.billing.meter_event_adjustments.create(
            {"event_name": "calls", "type": "cancel", "cancel": {"identifier": "a"}}
        )
        assert (made.object, made.status) == ("v2.billing.meter_event_adjustment", "complete")
        assert made.id.startswith("mtr_evt_adj_")
        assert metered.used() == [0]


class TestInvoices:
    """What was metered is on the invoice of the period that ended."""

    def renewed(self, metered: Metered, price: str, *values: object) -> Any:
        """The invoice of the first month, paid."""
        shop = metered.shop
        subscription = shop.library.subscriptions.create(
            {"customer": metered.customer, "items": [{"price": price}], "collection_method": "send_invoice"}
        )
        shop.running.do(lambda simulated: simulated.advance(20 * DAY))
        for value in values:
            metered.send(value)
        shop.running.do(lambda simulated: simulated.advance(12 * DAY))
        found = shop.library.invoices.list({"subscription": subscription.id}).data
        return next(one for one in found if one.billing_reason == "subscription_cycle")

    def test_use_of_the_ended_month_is_billed_for_that_month(self, shop: Shop) -> None:
        metered = Metered(shop)
        invoice = self.renewed(metered, metered.price(unit_amount_decimal="0.75"), 1_001, "0.5")
        line = invoice.lines.data[0]
        assert (line.quantity, line.quantity_decimal, line.amount) == (None, Decimal("1001.5"), 751)
        period = (
            datetime.fromtimestamp(moment, UTC).date().isoformat() for moment in (line.period.start, line.period.end)
        )
        assert tuple(period) == ("2026-01-01", "2026-02-01")

    def test_a_graduated_price_makes_a_line_for_each_tier(self, shop: Shop) -> None:
        metered = Metered(shop)
        tiers = [
            {"up_to": "100", "unit_amount": "10", "flat_amount": "500"},
            {"up_to": "inf", "unit_amount_decimal": "2.5"},
        ]
        price = metered.price(billing_scheme="tiered", tiers_mode="graduated", tiers=tiers)
        invoice = self.renewed(metered, price, 150)
        assert [(one.quantity, one.amount) for one in invoice.lines.data] == [(100, 1_000), (0, 500), (50, 125)]

    def test_a_volume_price_and_packages(self, shop: Shop) -> None:
        metered = Metered(shop)
        tiers = [{"up_to": "100", "unit_amount": "10"}, {"up_to": "inf", "unit_amount": "5"}]
        volume = metered.price(billing_scheme="tiered", tiers_mode="volume", tiers=tiers)
        assert self.renewed(metered, volume, 150).total == 750
        packages = metered.price(unit_amount=700, transform_quantity={"divide_by": 100, "round": "up"})
        shop.at, metered.customer = JANUARY, shop.library.customers.create({"name": "Bob"}).id
        assert self.renewed(metered, packages, 101).total == 1_400

    def test_use_that_came_in_while_the_invoice_was_a_draft_is_on_it_and_below_zero_is_nothing(
        self, shop: Shop
    ) -> None:
        metered = Metered(shop)
        subscription = shop.library.subscriptions.create(
            {"customer": metered.customer, "items": [{"price": metered.price(unit_amount=10)}]}
        )
        shop.running.do(lambda simulated: simulated.advance(31 * DAY + 60))
        draft = shop.library.invoices.retrieve(shop.library.subscriptions.retrieve(subscription.id).latest_invoice)
        assert (draft.status, draft.total) == ("draft", 0)
        metered.send(7, at=JANUARY + 31 * DAY - 1)
        metered.send(100, at=JANUARY + 31 * DAY)
        assert shop.library.invoices.finalize_invoice(draft.id).total == 70
        metered.send(-500)
        shop.running.do(lambda simulated: simulated.advance(30 * DAY))
        invoice = shop.library.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
        assert (invoice.lines.data[0].quantity, invoice.total) == (0, 0)

    def test_a_metered_price_names_its_meter(self, shop: Shop) -> None:
        product = shop.library.products.create({"name": "Calls"})
        recurring = {"interval": "month", "usage_type": "metered"}
        with pytest.raises(stripe.InvalidRequestError, match="backed by a meter"):
            shop.library.prices.create(
                {"product": product.id, "currency": "usd", "unit_amount": 1, "recurring": recurring}
            )
