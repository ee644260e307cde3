"""A month of one Stripe account, played from a seed: the webhooks it pushes and the balance transactions its API lists.

The same seed, month and profile give the same bytes. Amounts are consistent as Stripe's are: an invoice is its lines, a payout is
the net of the balance transactions it holds. It must not know how Revline reads any of it.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from revline.connectors.stripe.signature import signature_header
from revline.core.clock import Period
from revline.sim import stripe_objects as shapes
from revline.sim.stripe_aftermath import ACCOUNT_KEY, Aftermath, record_id
from revline.sim.stripe_invoices import InvoiceMaker, rounded, smallest_step
from revline.sim.stripe_profile import StripeMonth, StripeProfile

HOUR: Final = 3_600
DAY: Final = 86_400
FEE_RATE: Final = Decimal("0.029")
FEE_FIXED: Final = 30
CITIES: Final = (("US", "New York"), ("US", "Austin"), ("DE", "Berlin"), ("FR", "Lyon"), ("JP", "Osaka"))
NOUNS: Final = ("Alder", "Birch", "Cedar", "Drift", "Ember", "Fjord", "Grove", "Harbor", "Islet", "Juniper")
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def generate(*, seed: int | str, month: Period, profile: StripeProfile) -> StripeMonth:
    """The month of `profile`. Cost: about a tenth of a millisecond an event."""
    return _Story(seed=seed, month=month, profile=profile).told()


def sign(*, body: bytes, secret: str, timestamp: int) -> dict[str, str]:
    """The headers Stripe sends with `body` at `timestamp` (unix seconds)."""
    header = signature_header(body=body, secret=secret, timestamp=timestamp)
    return {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": header}


class _Story:
    """The month while it is told. Mutable on purpose: a played Stripe has state."""

    def __init__(self, *, seed: int | str, month: Period, profile: StripeProfile) -> None:
        self.random = random.Random(f"{seed}/{profile.account}/{month.start}")
        self.profile, self.month = profile, month
        zone = ZoneInfo(profile.time_zone)
        self.start, self.end = (
            int(datetime.combine(day, time(), zone).timestamp()) for day in (month.start, month.end)
        )
        self.events: list[tuple[int, int, bytes, bytes]] = []  # created, sequence, body, body of a second delivery
        self.movements: list[dict[str, Any]] = []
        self.charges: list[dict[str, Any]] = []  # those that may be refunded
        self.truth: Counter[str] = Counter()
        self.counter = 0

    def told(self) -> StripeMonth:
        """Tell everything, then deliver it."""
        customers = [self.customer(index) for index in range(self.profile.customers)]
        by_id = {customer["id"]: customer for customer in customers}
        maker = InvoiceMaker(randomness=self.random, profile=self.profile, new_id=self.new_id)

        def bills(customer: str, created: int) -> dict[str, Any]:
            invoice = maker.invoice(customer=by_id[customer], created=created)
            self.open(invoice)
            return invoice

        self.after = Aftermath(teller=self, bills=bills)
        fates = self.fates()
        edge = self.some(self.profile.edge_share, self.profile.invoices)
        for index, fate in enumerate(fates):
            chosen, sold = self.random.choice(customers), index < self.profile.orders
            customer = customers[index] if sold else chosen
            invoice = maker.invoice(customer=customer, created=self.finalised_at(at_edge=index < edge), subscribed=sold)
            self.live(invoice=invoice, fate=fate, sold_to=customer if sold else None)
        self.after.after_payments()
        self.refund_some()
        for currency in sorted({movement["currency"] for movement in self.movements}):
            self.pay_out(currency)
        self.movements.sort(key=lambda movement: (movement["created"], movement["id"]))
        return StripeMonth(
            webhooks=self.delivered(),
            balance_transactions=tuple(_ENCODER.encode(movement) for movement in self.movements),
            truth=dict(sorted(self.truth.items())),
            credit_movements=tuple(_ENCODER.encode(movement) for movement in self.after.credit_movements),
            sales=tuple(self.after.sales),
        )

    def new_id(self, prefix: str) -> str:
        """An id in Stripe's form that no other account of the demo has."""
        self.counter += 1
        return f"{prefix}_1{self.profile.account}{self.counter:07d}{self.random.getrandbits(24):06x}"

    def some(self, share: Decimal, count: int) -> int:
        """A share of a count, at least one when the share is above zero and there is any."""
        return min(count, max(1, int(share * count))) if share > 0 else 0

    def later(self, moment: int, *, least: int, most: int) -> int:
        """A moment after, still in the month of the entity."""
        return min(moment + self.random.randint(least, most), self.end - 1)

    def finalised_at(self, *, at_edge: bool) -> int:
        if at_edge:
            return self.random.randint(self.end - 4 * HOUR, self.end - HOUR)
        return self.random.randint(self.start, self.end - 4 * DAY)

    def fates(self) -> list[str]:
        """What becomes of each invoice, in random order; every fate with a share once at least, while there is room."""
        profile, count = self.profile, self.profile.invoices
        shares = {
            "parts": profile.partial_share,
            "void": profile.void_share,
            "uncollectible": profile.uncollectible_share,
            "open": profile.open_share,
            "declined": profile.declined_share,
            "credit": profile.credit_share,
            "memo_void": profile.memo_void_share,
        }
        found = [fate for fate, share in shares.items() for _ in range(self.some(share, count))]
        found = (found + ["paid"] * count)[:count]
        self.random.shuffle(found)
        return found

    def tell(self, kind: str, created: int, thing: dict[str, Any]) -> None:
        """An event with the object as it is now. A second delivery differs in what Stripe says of deliveries only."""
        outside_id = self.new_id("evt")
        request = f"req_{self.random.getrandbits(56):014x}"
        event = shapes.event(outside_id=outside_id, kind=kind, created=created, data=thing, request=request, pending=1)
        body = _ENCODER.encode(event)
        self.events.append(
            (created, len(self.events), body, body.replace(b'"pending_webhooks":1', b'"pending_webhooks":0', 1))
        )
        self.truth[f"events {kind}"] += 1

    def customer(self, index: int) -> dict[str, Any]:
        profile = self.profile
        other = profile.other_currency and index < self.some(profile.other_share, profile.customers)
        name = f"{profile.customer_prefix} {NOUNS[index % len(NOUNS)]} {index + 1}"
        country, city = self.random.choice(CITIES)
        created = self.start - self.random.randint(DAY, 300 * DAY)
        thing = shapes.customer(
            outside_id=self.new_id("cus"),
            name=name,
            email=f"billing@{name.lower().replace(' ', '-')}.example",
            currency=(profile.other_currency if other else profile.currency).lower(),
            country=country,
            city=city,
            created=created,
        )
        if index < profile.orders:
            thing["metadata"] = {ACCOUNT_KEY: record_id("001", index)}
        self.tell("customer.created", self.start + self.random.randint(0, HOUR), thing)
        if index % 5 == 4:
            thing["name"] = f"{name} Holding"
            self.tell("customer.updated", self.start + self.random.randint(2 * HOUR, 20 * DAY), thing)
        return thing

    def open(self, invoice: dict[str, Any]) -> None:
        """The draft is told and becomes open."""
        at, transitions = invoice["created"], invoice["status_transitions"]
        number = f"{self.profile.account.upper()}-{self.truth['events invoice.created'] + 1:05d}"
        self.tell("invoice.created", at, invoice)
        invoice |= {"number": number, "status": "open", "effective_at": at, "due_date": at + 14 * DAY}
        transitions["finalized_at"] = at

    def live(self, *, invoice: dict[str, Any], fate: str, sold_to: dict[str, Any] | None = None) -> None:
        """One invoice from draft to its fate."""
        at, transitions = invoice["created"], invoice["status_transitions"]
        self.after.subscribe(invoice, sold_to=sold_to)
        self.open(invoice)
        self.tell("invoice.finalized", at, invoice)
        self.count(invoice["currency"], "issued", invoice["total"])
        if fate in {"void", "uncollectible"}:
            end = self.later(at, least=HOUR, most=4 * DAY)
            name = "voided_at" if fate == "void" else "marked_uncollectible_at"
            transitions[name], invoice["status"] = end, fate
            self.tell("invoice.voided" if fate == "void" else "invoice.marked_uncollectible", end, invoice)
            self.count(invoice["currency"], fate, invoice["amount_remaining"])
        elif fate == "parts":
            self.pay_in_parts(invoice)
        elif fate in {"credit", "memo_void"}:
            self.after.credit_open(invoice, voided=fate == "memo_void")
        elif fate != "open":
            self.pay(
                invoice=invoice,
                amount=invoice["total"],
                at=self.later(at, least=1, most=HOUR),
                declined=fate == "declined",
            )

    def pay_in_parts(self, invoice: dict[str, Any]) -> None:
        """Two or three payments; every second such invoice keeps a rest."""
        parts, at = self.random.randint(2, 3), invoice["created"]
        step = smallest_step(invoice["currency"])
        stays_open = self.truth["invoices in parts"] % 2 == 1
        self.truth["invoices in parts"] += 1
        for left in range(parts, 0, -1):
            at = self.later(at, least=60, most=DAY)
            amount = invoice["amount_remaining"] if left == 1 else invoice["amount_remaining"] // (left * step) * step
            if amount <= 0 or (left == 1 and stays_open):
                continue
            self.pay(invoice=invoice, amount=amount, at=at, declined=False)

    def pay(self, *, invoice: dict[str, Any], amount: int, at: int, declined: bool) -> None:
        """A payment intent, its charge or charges, the movement on the balance, and its application to the invoice."""
        currency, customer = invoice["currency"], invoice["customer"]
        intent, failed = self.new_id("pi"), self.new_id("ch")
        facts: dict[str, Any] = {"amount": amount, "currency": currency, "customer": customer, "created": at}
        if declined:
            self.tell("charge.failed", at, shapes.charge(outside_id=failed, intent=intent, transaction=None, **facts))
            thing = shapes.payment_intent(outside_id=intent, charge=failed, paid=False, **facts)
            self.tell("payment_intent.payment_failed", at, thing)
            at = self.later(at, least=60, most=HOUR)
        charge_id, transaction = self.new_id("ch"), self.new_id("txn")
        charge = shapes.charge(
            outside_id=charge_id, intent=intent, transaction=transaction, **(facts | {"created": at})
        )
        self.settle(charge=charge, transaction=transaction)
        self.tell("charge.succeeded", at, charge)
        self.tell(
            "payment_intent.succeeded",
            at,
            shapes.payment_intent(outside_id=intent, charge=charge_id, paid=True, **facts),
        )
        self.count(currency, "received", amount)
        application = {
            "invoice": invoice["id"],
            "intent": intent,
            "amount": amount,
            "currency": currency,
            "created": at,
        }
        self.tell("invoice_payment.paid", at, shapes.invoice_payment(outside_id=self.new_id("inpay"), **application))
        invoice["amount_paid"] += amount
        invoice["amount_remaining"] -= amount
        invoice |= {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
        if invoice["amount_remaining"]:
            self.tell("invoice.updated", at, invoice)
            return
        invoice["status"], invoice["status_transitions"]["paid_at"] = "paid", at
        self.tell("invoice.paid", at, invoice)
        self.tell("invoice.payment_succeeded", at, invoice)
        self.charges.append(charge)
        if amount == invoice["total"]:
            self.after.invoices[charge["id"]] = invoice

    def settle(self, *, charge: dict[str, Any], transaction: str) -> None:
        """What a charge does to the balance, in its own currency or converted to the account's."""
        own, amount, rate = self.profile.currency.lower(), charge["amount"], None
        currency = charge["currency"]
        if currency != own and self.truth["charges converted"] < self.profile.converted:
            self.truth["charges converted"] += 1
            rate = Decimal(self.random.randint(105_000, 125_000)).scaleb(-5)
            currency, amount = own, rounded(amount * rate, own)
        fee = min(amount, rounded(amount * FEE_RATE + FEE_FIXED, currency))
        self.move("charge", transaction, charge["id"], amount, currency, charge["created"], fee=fee, rate=rate)

    def move(
        self,
        kind: str,
        transaction: str,
        source: str,
        amount: int,
        currency: str,
        created: int,
        *,
        fee: int = 0,
        rate: Decimal | None = None,
        category: str = "",
    ) -> None:
        """A movement on the balance."""
        movement = shapes.balance_transaction(
            outside_id=transaction,
            kind=kind,
            source=source,
            amount=amount,
            fee=fee,
            currency=currency,
            created=created,
            rate=rate,
            category=category,
        )
        self.movements.append(movement)
        self.count(currency, f"moved by {kind}", amount)
        if fee:
            self.count(currency, "fees", fee)

    def refund_some(self) -> None:
        """Refunds in part, in full, and in part with a failure, each on a charge of its own."""
        settled = {movement["source"] for movement in self.movements if movement["exchange_rate"] is None}
        charges = [charge for charge in self.charges if charge["id"] in settled]
        self.random.shuffle(charges)
        for fate, share in (
            ("failed", self.profile.refund_failed_share),
            ("full", self.profile.refund_full_share),
            ("part", self.profile.refund_share),
        ):
            for _ in range(self.some(share, len(charges) and self.profile.invoices)):
                if charges:
                    self.refund(charge=charges.pop(), fate=fate)

    def refund(self, *, charge: dict[str, Any], fate: str) -> None:
        """One refund; a failed one succeeds first and comes back days later."""
        step, currency, created = smallest_step(charge["currency"]), charge["currency"], 0
        amount = (
            charge["amount"]
            if fate == "full"
            else max(step, charge["amount"] * self.random.randint(10, 60) // (100 * step) * step)
        )
        created = self.later(charge["created"], least=60, most=3 * DAY)
        outside_id, transaction = self.new_id("re"), self.new_id("txn")
        reason = self.random.choice((None, "requested_by_customer", "duplicate"))
        thing = shapes.refund(
            outside_id=outside_id,
            charge=charge,
            transaction=transaction,
            amount=amount,
            created=created,
            status="succeeded",
            reason=reason,
        )
        self.move("refund", transaction, outside_id, -amount, currency, created)
        self.tell("refund.created", created, thing)
        charge["amount_refunded"], charge["refunded"] = amount, amount == charge["amount"]
        self.tell("charge.refunded", created, charge)
        self.count(currency, "refunded", amount)
        if fate == "failed":
            back, returned = self.later(created, least=HOUR, most=2 * DAY), self.new_id("txn")
            thing |= {
                "status": "failed",
                "failure_reason": "expired_or_canceled_card",
                "failure_balance_transaction": returned,
            }
            self.move("refund_failure", returned, outside_id, amount, currency, back)
            for kind in ("refund.updated", "refund.failed", "charge.refund.updated"):
                self.tell(kind, back, thing)
            self.count(currency, "refunds failed", amount)

    def pay_out(self, currency: str) -> None:
        """Payouts every few days of what has moved since, while they still reach the bank inside the month."""
        waiting = sorted(
            (thing for thing in self.movements if thing["currency"] == currency), key=lambda thing: thing["created"]
        )
        fail_left = self.profile.payouts_failed if currency == self.profile.currency.lower() else 0
        balance, done, day = 0, 0, self.month.start + timedelta(days=self.profile.payout_days)
        while day + timedelta(days=4) < self.month.end:
            cut = int(datetime.combine(day, time(), UTC).timestamp())
            while done < len(waiting) and waiting[done]["created"] < cut:
                balance += waiting[done]["net"]
                done += 1
            if balance > 0:
                failed, fail_left = fail_left > 0, fail_left - 1
                returned = self.payout(amount=balance, currency=currency, created=cut + 600, failed=failed)
                balance = 0
                waiting = waiting[:done] + sorted(waiting[done:] + returned, key=lambda thing: thing["created"])
            day += timedelta(days=self.profile.payout_days)
        self.count(currency, "left on the balance", balance + sum(thing["net"] for thing in waiting[done:]))

    def payout(self, *, amount: int, currency: str, created: int, failed: bool) -> list[dict[str, Any]]:
        """One payout; gives the movements that come back when the bank refuses it."""
        outside_id, transaction = self.new_id("po"), self.new_id("txn")
        arrival = (created // DAY + 2) * DAY
        thing = shapes.payout(
            outside_id=outside_id, transaction=transaction, amount=amount, currency=currency, created=created, arrival=arrival,
            destination=f"ba_1{self.profile.account}{currency}",
        )  # fmt: skip
        self.move("payout", transaction, outside_id, -amount, currency, created)
        self.tell("payout.created", created, thing)
        thing["status"] = "paid"
        self.tell("payout.paid", arrival + 6 * HOUR, thing)
        self.count(currency, "paid out", amount)
        if not failed:
            return []
        back, returned = arrival + 30 * HOUR, self.new_id("txn")
        thing |= {"status": "failed", "failure_code": "account_closed", "failure_balance_transaction": returned}
        self.tell("payout.failed", back, thing)
        self.move("payout_failure", returned, outside_id, amount, currency, back)
        self.count(currency, "payouts failed", amount)
        return self.movements[-1:]

    def delivered(self) -> tuple[bytes, ...]:
        """The events in order of arrival: most within seconds, some hours late, some twice."""
        profile, arrivals = self.profile, []
        late, twice = profile.disorder_share * 10_000, profile.repeat_share * 10_000
        for created, sequence, body, again in self.events:
            at = created * 1_000 + self.random.randint(200, 5_000)
            at += self.random.randint(0, 6 * HOUR * 1_000) if self.random.randrange(10_000) < late else 0
            arrivals.append((at, sequence, body))
            if self.random.randrange(10_000) < twice:
                arrivals.append((at + self.random.randint(1, DAY * 1_000), sequence, again))
                self.truth["events repeated"] += 1
        return tuple(body for _, _, body in sorted(arrivals))

    def count(self, currency: str, what: str, units: int) -> None:
        self.truth[f"{currency} {what}"] += units
