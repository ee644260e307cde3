"""The official library talks to the simulated Stripe unchanged, and gets what Stripe's reference says."""

from __future__ import annotations

import pytest
import stripe

from tests.contract.stripe_api.conftest import JANUARY, Shop

DAY = 86_400


class TestInvoices:
    def test_a_manual_invoice_goes_from_draft_to_paid_with_its_charge_and_fee(self, shop: Shop) -> None:
        invoice = shop.paid_invoice(10_000)
        charge = shop.library.charges.retrieve(shop.charge_of(invoice), {"expand": ["balance_transaction"]})
        assert (invoice.status, invoice.amount_remaining, invoice.number) == ("paid", 0, "C0000001-0001")
        assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (320, 9_680)

    def test_lines_beyond_the_embedded_ten_are_on_pages(self, shop: Shop) -> None:
        invoice = shop.paid_invoice(100, lines=25)
        assert (len(invoice.lines.data), invoice.lines.has_more, invoice.total) == (10, True, 2_500)
        assert len(list(shop.library.invoices.line_items.list(invoice.id, {"limit": 7}).auto_paging_iter())) == 25

    def test_void_and_uncollectible(self, shop: Shop) -> None:
        customer = shop.library.customers.create({"name": "Ada"})
        found = []
        for act in ("void_invoice", "mark_uncollectible"):
            shop.library.invoice_items.create({"customer": customer.id, "currency": "usd", "amount": 700})
            invoice = shop.library.invoices.create(
                {"customer": customer.id, "pending_invoice_items_behavior": "include"}
            )
            shop.library.invoices.finalize_invoice(invoice.id)
            found.append(getattr(shop.library.invoices, act)(invoice.id).status)
        assert found == ["void", "uncollectible"]
        with pytest.raises(stripe.InvalidRequestError, match="only void"):
            shop.library.invoices.void_invoice(shop.paid_invoice().id)

    def test_credit_lowers_the_next_invoice(self, shop: Shop) -> None:
        customer = shop.library.customers.create({"name": "Ada"})
        shop.library.customers.balance_transactions.create(customer.id, {"amount": -300, "currency": "usd"})
        shop.library.invoice_items.create({"customer": customer.id, "currency": "usd", "amount": 1_000})
        invoice = shop.library.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
        finalized = shop.library.invoices.finalize_invoice(invoice.id)
        assert (finalized.starting_balance, finalized.amount_due) == (-300, 700)
        moved = shop.library.customers.balance_transactions.list(customer.id).data
        assert [(one.type, one.amount, one.ending_balance) for one in moved] == [
            ("applied_to_invoice", 300, 0),
            ("adjustment", -300, -300),
        ]

    def test_a_declined_card_is_an_error_and_a_failed_charge(self, shop: Shop) -> None:
        with pytest.raises(stripe.CardError) as refused:
            shop.library.payment_intents.create(
                {"amount": 500, "currency": "usd", "confirm": True, "payment_method": "pm_card_chargeDeclined"}
            )
        assert refused.value.code == "card_declined"
        assert [one.status for one in shop.library.charges.list().data] == ["failed"]


class TestWhatIsGivenBack:
    def test_a_credit_note_on_a_paid_invoice_is_refunded_or_credited(self, shop: Shop) -> None:
        invoice = shop.paid_invoice(10_000)
        line = {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id, "amount": 3_000}
        note = shop.library.credit_notes.create(
            {"invoice": invoice.id, "lines": [line], "refund_amount": 1_000, "credit_amount": 2_000}
        )
        assert (note.total, note.post_payment_amount, note.refunds[0].amount_refunded) == (3_000, 3_000, 1_000)
        assert shop.library.customers.retrieve(invoice.customer).balance == -2_000
        with pytest.raises(stripe.InvalidRequestError, match="must equal"):
            shop.library.credit_notes.create({"invoice": invoice.id, "lines": [line]})

    def test_a_dispute_takes_money_and_fee_and_gives_both_back_when_won(self, shop: Shop) -> None:
        charge = shop.charge_of(shop.paid_invoice(10_000))
        shop.simulate(f"/v1/charges/{charge}/simulate_dispute")
        dispute = shop.library.disputes.list({"charge": charge}).data[0]
        assert [(one.amount, one.fee) for one in dispute.balance_transactions] == [(-10_000, 1_500)]
        shop.simulate(f"/v1/disputes/{dispute.id}/simulate_won")
        won = shop.library.disputes.retrieve(dispute.id)
        assert (won.status, sum(one.net for one in won.balance_transactions)) == ("won", 0)
        told = [kind.removeprefix("charge.dispute.") for kind in shop.event_types() if "dispute" in kind]
        assert told == ["created", "funds_withdrawn", "funds_reinstated", "closed"]

    def test_a_refund_beyond_the_charge_is_refused(self, shop: Shop) -> None:
        charge = shop.charge_of(shop.paid_invoice(1_000))
        shop.library.refunds.create({"charge": charge, "amount": 400})
        with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
            shop.library.refunds.create({"charge": charge, "amount": 601})

    def test_a_payout_holds_its_members(self, shop: Shop) -> None:
        shop.paid_invoice(10_000)
        shop.simulate("/v1/payouts")
        payout = shop.library.payouts.list().data[0]
        members = shop.library.balance_transactions.list({"payout": payout.id}).data
        assert (payout.amount, sorted(one.type for one in members)) == (9_680, ["charge", "payout"])
        assert sum(one.net for one in members) == 0


class TestTime:
    def test_a_test_clock_makes_renewals_in_order(self, shop: Shop) -> None:
        library = shop.library
        clock = library.test_helpers.test_clocks.create({"frozen_time": JANUARY + 30 * DAY})
        customer = library.customers.create({"name": "Ada", "test_clock": clock.id})
        subscription = library.subscriptions.create({"customer": customer.id, "items": [{"price": shop.price()}]})
        assert subscription.status == "active"
        library.test_helpers.test_clocks.advance(clock.id, {"frozen_time": JANUARY + 95 * DAY})
        assert library.test_helpers.test_clocks.retrieve(clock.id).status == "ready"
        invoices = library.invoices.list({"subscription": subscription.id}).data[::-1]
        reasons = [invoice.billing_reason for invoice in invoices]
        assert reasons == ["subscription_create", "subscription_cycle", "subscription_cycle"]
        assert {invoice.status for invoice in invoices} == {"paid"}
        # The anchor is the 31st: February has none, so its period ends with the month, and March's is the 31st again.
        ends = [(invoice.lines.data[0].period.end - JANUARY) // DAY for invoice in invoices]
        assert ends == [58, 89, 119]
        times = [
            event.created for event in library.events.list({"limit": 100}).data if event.data.object.object == "invoice"
        ]
        assert times == sorted(times, reverse=True)

    def test_a_schedule_changes_phase_and_ends(self, shop: Shop) -> None:
        library = shop.library
        clock = library.test_helpers.test_clocks.create({"frozen_time": JANUARY})
        customer = library.customers.create({"name": "Ada", "test_clock": clock.id})
        small, large = shop.price(1_000), shop.price(9_000)
        phases = [{"items": [{"price": price}], "iterations": 1} for price in (small, large)]
        schedule = library.subscription_schedules.create(
            {"customer": customer.id, "phases": phases, "end_behavior": "cancel"}
        )
        library.test_helpers.test_clocks.advance(clock.id, {"frozen_time": JANUARY + 80 * DAY})
        totals = [invoice.total for invoice in library.invoices.list({"customer": customer.id}).data]
        assert sorted(totals) == [1_000, 9_000]
        assert library.subscription_schedules.retrieve(schedule.id).status == "completed"
        assert library.subscriptions.retrieve(schedule.subscription).status == "canceled"

    def test_events_are_forgotten_after_a_month(self, shop: Shop) -> None:
        shop.library.customers.create({"name": "Ada"})
        shop.at += 31 * DAY
        shop.library.customers.create({"name": "Grace"})
        assert shop.event_types() == ["customer.created"]


class TestCalls:
    def test_the_same_key_gives_the_same_answer_and_other_content_is_refused(self, shop: Shop) -> None:
        options = {"idempotency_key": "order-1"}
        first = shop.library.customers.create({"name": "Ada"}, options)
        again = shop.library.customers.create({"name": "Ada"}, options)
        assert first.id == again.id
        with pytest.raises(stripe.IdempotencyError) as refused:
            shop.library.customers.create({"name": "Grace"}, options)
        assert (refused.value.http_status, len(shop.library.customers.list().data)) == (400, 1)

    def test_an_answer_that_was_lost_has_one_effect(self, shop: Shop) -> None:
        shop.running.do(lambda simulated: simulated.add_fault("lose_answer"))
        customer = shop.retrying().customers.create({"name": "Ada"})
        assert [one.id for one in shop.library.customers.list().data] == [customer.id]

    def test_a_busy_stripe_is_tried_again_when_it_says_so(self, shop: Shop) -> None:
        shop.running.do(lambda simulated: simulated.add_fault("throttle", times=1))
        assert shop.retrying().customers.create({"name": "Ada"}).name == "Ada"
        shop.running.do(lambda simulated: simulated.add_fault("throttle"))
        with pytest.raises(stripe.RateLimitError):
            shop.library.customers.list()

    def test_errors_are_in_stripes_body(self, shop: Shop) -> None:
        with pytest.raises(stripe.InvalidRequestError) as gone:
            shop.library.invoices.retrieve("in_none")
        assert (gone.value.http_status, gone.value.code, gone.value.param) == (404, "resource_missing", "id")
        with pytest.raises(stripe.InvalidRequestError) as lacking:
            shop.library.prices.create({"currency": "usd", "unit_amount": 1})
        assert (lacking.value.code, lacking.value.param) == ("parameter_missing", "product")
        with pytest.raises(stripe.AuthenticationError):
            stripe.StripeClient("sk_test_wrong", base_addresses={"api": shop.running.base_url}).v1.customers.list()

    def test_metadata_is_merged_emptied_and_limited(self, shop: Shop) -> None:
        customer = shop.library.customers.create({"name": "Ada", "metadata": {"a": "1", "b": "2"}})
        updated = shop.library.customers.update(customer.id, {"metadata": {"b": "", "c": "3"}})
        assert updated.metadata.to_dict() == {"a": "1", "c": "3"}
        with pytest.raises(stripe.InvalidRequestError, match="500 characters"):
            shop.library.customers.update(customer.id, {"metadata": {"d": "x" * 501}})

    def test_lists_page_both_ways_and_filter(self, shop: Shop) -> None:
        ids = [shop.library.customers.create({"name": f"{number}"}).id for number in range(25)]
        listed = [one.id for one in shop.library.customers.list({"limit": 10}).auto_paging_iter()]
        assert listed == ids[::-1]
        newer = shop.library.customers.list({"ending_before": ids[0], "limit": 5})
        assert ([one.id for one in newer.data], newer.has_more) == (ids[5:0:-1], True)
        shop.at += 10
        late = shop.library.customers.create({"name": "late"})
        assert [one.id for one in shop.library.customers.list({"created": {"gt": shop.at - 5}}).data] == [late.id]
