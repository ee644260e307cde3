"""What comes after an invoice in a played Stripe: credit notes, credit on the customer's balance, disputes, and the fee for the
account itself; and before it, the products and subscriptions it is billed for.

Amounts add up as Stripe's do. It must not know how Revline reads any of it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final, Protocol

from revline.sim import stripe_catalogue as shapes
from revline.sim.stripe_invoices import rounded, smallest_step
from revline.sim.stripe_objects import refund as refund_shape
from revline.sim.stripe_profile import Sale, SoldItem, StripeProfile

HOUR: Final = 3_600
DAY: Final = 86_400
DISPUTE_FEE: Final = 1_500
ORDER_KEY: Final = "salesforce_order"
ACCOUNT_KEY: Final = "salesforce_account"
ACCOUNT_FEE: Final = 2_500

Wire = dict[str, Any]


class Teller(Protocol):
    """What this needs of the story it is a part of."""

    random: random.Random
    profile: StripeProfile
    charges: list[Wire]
    movements: list[Wire]
    truth: Counter[str]
    end: int

    def new_id(self, prefix: str) -> str: ...
    def some(self, share: Decimal, count: int) -> int: ...
    def later(self, moment: int, *, least: int, most: int) -> int: ...
    def tell(self, kind: str, created: int, thing: Wire) -> None: ...
    def count(self, currency: str, what: str, units: int) -> None: ...
    def pay(self, *, invoice: Wire, amount: int, at: int, declined: bool) -> None: ...
    def move(
        self, kind: str, transaction: str, source: str, amount: int, currency: str, created: int, *, fee: int = 0,
        category: str = "",
    ) -> None: ...  # fmt: skip


class Aftermath:
    """Tells of credit, disputes and subscriptions by a story's randomness. bills: makes and finalises an invoice of a customer."""

    def __init__(self, *, teller: Teller, bills: Callable[[str, int], Wire]) -> None:
        self.teller, self.bills = teller, bills
        self.invoices: dict[str, Wire] = {}  # charge -> the invoice it pays in full
        self.balances: Counter[str] = Counter()  # customer -> balance as Stripe counts it
        self.credit_movements: list[Wire] = []
        self.products: set[str] = set()
        self.sales: list[Sale] = []

    def subscribe(self, invoice: Wire, *, sold_to: Wire | None = None) -> None:
        """The products, prices and the subscription an invoice is for, a moment before it. sold_to: the customer whose order it
        carries out."""
        if self.teller.profile.products_told:
            for line in invoice["lines"]["data"]:
                self._product(line, invoice["created"])
        details = (invoice["parent"] or {}).get("subscription_details")
        if not details or self.teller.truth["subscriptions"] >= self.teller.profile.subscriptions:
            return
        self.teller.truth["subscriptions"] += 1
        at, items = invoice["created"], []
        for line in invoice["lines"]["data"]:
            origin = line["parent"]["subscription_item_details"]
            if origin is None or origin["proration"]:
                continue
            price = self._price(line, at)
            items.append(
                shapes.subscription_item(
                    outside_id=origin["subscription_item"],
                    subscription=details["subscription"],
                    price=price,
                    quantity=line["quantity"],
                    period=(at, line["period"]["end"]),
                )
            )
        thing = shapes.subscription(
            outside_id=details["subscription"],
            customer=invoice["customer"],
            currency=invoice["currency"],
            items=items,
            created=at,
            latest_invoice=invoice["id"],
            metadata={} if sold_to is None else self._sell(sold_to, invoice, details),
        )
        self.teller.tell("customer.subscription.created", at, thing)
        if self.teller.truth["subscriptions"] % 2 == 0 and sold_to is None:
            end = self.teller.later(at, least=HOUR, most=9 * DAY)
            thing |= {"status": "canceled", "canceled_at": end, "ended_at": end}
            self.teller.tell("customer.subscription.deleted", end, thing)

    def _sell(self, customer: Wire, invoice: Wire, details: Wire) -> dict[str, str]:
        """Note the sale; metadata of its subscription, which Stripe copies to the invoice."""
        lines = [line for line in invoice["lines"]["data"] if line["amount"] > 0]
        sale = Sale(
            order=record_id("801", len(self.sales)),
            account=customer["metadata"][ACCOUNT_KEY],
            customer_name=customer["name"].removesuffix(" Holding"),
            subscription=details["subscription"],
            invoice=invoice["id"],
            started=invoice["created"],
            items=tuple(
                SoldItem(
                    product=line["pricing"]["price_details"]["product"],
                    name=line["metadata"].get("product_family", "seat").capitalize(),
                    family=line["metadata"].get("product_family", ""),
                    quantity=line["quantity"],
                    unit_amount=int(line["pricing"]["unit_amount_decimal"]),
                )
                for line in lines
            ),
        )
        self.sales.append(sale)
        metadata = {ORDER_KEY: sale.order}
        details["metadata"] = metadata
        return metadata

    def _product(self, line: Wire, at: int) -> None:
        named, family = line["pricing"]["price_details"], line["metadata"].get("product_family", "")
        if named["product"] not in self.products:
            self.products.add(named["product"])
            thing = shapes.product(outside_id=named["product"], name=family or "Seat", family=family, created=at)
            self.teller.tell("product.created", at, thing)

    def _price(self, line: Wire, at: int) -> Wire:
        named = line["pricing"]["price_details"]
        self._product(line, at)
        price = shapes.price(
            outside_id=named["price"],
            product=named["product"],
            currency=line["currency"],
            unit_amount=int(line["pricing"]["unit_amount_decimal"]),
            interval="month",
            created=at,
        )
        self.teller.tell("price.created", at, price)
        return price

    def credit_open(self, invoice: Wire, *, voided: bool) -> None:
        """A credit note in part of an open invoice, which lowers what is owed; a voided one is taken back."""
        at = self.teller.later(invoice["created"], least=60, most=DAY)
        memo = self._memo(invoice, at, after_payment=False)
        self._tell_memo(memo, at)
        self._lower(invoice, memo["total"], at)
        if voided:
            end = self.teller.later(at, least=60, most=DAY)
            memo |= {"status": "void", "voided_at": end}
            self.teller.tell("credit_note.voided", end, memo)
            self.teller.count(invoice["currency"], "credits voided", memo["total"])
            self._lower(invoice, -memo["total"], end)
            at = end
        paid_at = self.teller.later(at, least=60, most=HOUR)
        self.teller.pay(invoice=invoice, amount=invoice["amount_remaining"], at=paid_at, declined=False)

    def after_payments(self) -> None:
        """Each on a charge of its own that paid an invoice whole and settled in its own currency."""
        teller, profile = self.teller, self.teller.profile
        stories: Iterable[tuple[Decimal, Callable[[Wire], None]]] = (
            (profile.memo_refund_share, self._memo_with_refund),
            (profile.memo_balance_share, self._memo_to_the_balance),
            (profile.dispute_won_share, lambda charge: self._dispute(charge, "won")),
            (profile.dispute_lost_share, lambda charge: self._dispute(charge, "lost")),
            (profile.inquiry_share, self._inquiry),
        )
        wanted = [story for share, story in stories for _ in range(teller.some(share, profile.invoices))]
        settled = {movement["source"] for movement in teller.movements if movement["exchange_rate"] is None}
        charges = [one for one in teller.charges if one["id"] in settled and one["id"] in self.invoices]
        for story in wanted[: len(charges)]:
            charge = charges.pop(teller.random.randrange(len(charges)))
            teller.charges.remove(charge)
            story(charge)
        for _ in range(profile.account_fees):
            at = teller.later(teller.end, least=-9 * DAY, most=-DAY)
            currency = profile.currency.lower()
            teller.move(
                "stripe_fee",
                teller.new_id("txn"),
                "",
                -rounded(Decimal(ACCOUNT_FEE), currency),
                currency,
                at,
                category="fee",
            )

    def _memo(self, invoice: Wire, at: int, *, after_payment: bool, refund: str = "", movement: str = "") -> Wire:
        """A credit note of a tenth to a half of the invoice's first line, with its share of discounts and taxes."""
        line, currency = invoice["lines"]["data"][0], invoice["currency"]
        step = smallest_step(currency)
        amount = max(step, line["amount"] * self.teller.random.randint(10, 50) // (100 * step) * step)
        part = Decimal(amount) / line["amount"]

        def shared(entry: Wire) -> Wire:
            found = entry | {"amount": rounded(entry["amount"] * part, currency)}
            return (
                found | {"taxable_amount": rounded(entry["taxable_amount"] * part, currency)}
                if "taxable_amount" in entry
                else found
            )

        credited = shapes.credit_note_line(
            outside_id=self.teller.new_id("cnli"),
            credited=line,
            amount=amount,
            discounts=[shared(entry) for entry in line["discount_amounts"]],
            taxes=[shared(entry) for entry in line["taxes"]],
        )
        self.teller.truth["credit notes"] += 1
        return shapes.credit_note(
            outside_id=self.teller.new_id("cn"),
            number=f"{invoice['number']}-CN-01",
            invoice=invoice,
            line=credited,
            created=at,
            after_payment=after_payment,
            refund=refund,
            movement=movement,
        )

    def _tell_memo(self, memo: Wire, at: int) -> None:
        self.teller.tell("credit_note.created", at, memo)
        self.teller.count(memo["currency"], "credited", memo["total"])

    def _lower(self, invoice: Wire, amount: int, at: int) -> None:
        invoice["amount_due"] -= amount
        invoice["amount_remaining"] -= amount
        invoice["pre_payment_credit_notes_amount"] += amount
        self.teller.tell("invoice.updated", at, invoice)

    def _memo_with_refund(self, charge: Wire) -> None:
        """A credit note on a paid invoice whose money goes back to the card."""
        teller, invoice = self.teller, self.invoices[charge["id"]]
        at, refund, transaction = (
            teller.later(charge["created"], least=60, most=3 * DAY),
            teller.new_id("re"),
            teller.new_id("txn"),
        )
        memo = self._memo(invoice, at, after_payment=True, refund=refund)
        thing = refund_shape(
            outside_id=refund,
            charge=charge,
            transaction=transaction,
            amount=memo["total"],
            created=at,
            status="succeeded",
            reason="requested_by_customer",
        )
        teller.move("refund", transaction, refund, -memo["total"], charge["currency"], at)
        teller.tell("refund.created", at, thing)
        self._tell_memo(memo, at)
        charge["amount_refunded"] = memo["total"]
        teller.tell("charge.refunded", at, charge)
        invoice["post_payment_credit_notes_amount"] += memo["total"]
        teller.tell("invoice.updated", at, invoice)
        teller.count(charge["currency"], "refunded", memo["total"])

    def _memo_to_the_balance(self, charge: Wire) -> None:
        """A credit note on a paid invoice that becomes the customer's credit, and the next invoice that uses it."""
        teller, invoice = self.teller, self.invoices[charge["id"]]
        at, movement = teller.later(charge["created"], least=60, most=3 * DAY), teller.new_id("cbtxn")
        memo = self._memo(invoice, at, after_payment=True, movement=movement)
        self._tell_memo(memo, at)
        self._credit(movement, "credit_note", invoice, -memo["total"], at, credit_note=memo["id"])
        self._use_credit(self.bills(invoice["customer"], teller.later(at, least=HOUR, most=DAY)))

    def _use_credit(self, invoice: Wire) -> None:
        """What the customer has is set against an invoice as it is finalised; the rest is paid."""
        at, customer = invoice["created"], invoice["customer"]
        used = min(-self.balances[customer], invoice["total"])
        invoice["starting_balance"] = self.balances[customer]
        self._credit(self.teller.new_id("cbtxn"), "applied_to_invoice", invoice, used, at)
        invoice["ending_balance"] = self.balances[customer]
        for name in ("amount_due", "amount_remaining"):
            invoice[name] -= used
        self.teller.tell("invoice.finalized", at, invoice)
        self.teller.count(invoice["currency"], "issued", invoice["total"])
        self.teller.count(invoice["currency"], "credit used", used)
        if invoice["amount_remaining"]:
            paid_at = self.teller.later(at, least=60, most=HOUR)
            self.teller.pay(invoice=invoice, amount=invoice["amount_remaining"], at=paid_at, declined=False)
            return
        invoice["status"], invoice["status_transitions"]["paid_at"] = "paid", at
        self.teller.tell("invoice.paid", at, invoice)

    def _credit(
        self, outside_id: str, kind: str, invoice: Wire, amount: int, at: int, *, credit_note: str = ""
    ) -> None:
        customer = invoice["customer"]
        self.balances[customer] += amount
        self.credit_movements.append(
            shapes.customer_balance_transaction(
                outside_id=outside_id,
                kind=kind,
                customer=customer,
                currency=invoice["currency"],
                amount=amount,
                ending=self.balances[customer],
                created=at,
                invoice=invoice["id"],
                credit_note=credit_note,
            )
        )

    def _dispute(self, charge: Wire, end: str) -> None:
        """The bank takes the charge back; days later it is won and comes back with its fee, or lost."""
        teller, currency = self.teller, charge["currency"]
        outside_id, at = teller.new_id("dp"), teller.later(charge["created"], least=HOUR, most=5 * DAY)
        fee = rounded(Decimal(DISPUTE_FEE), currency)
        teller.move(
            "adjustment", teller.new_id("txn"), outside_id, -charge["amount"], currency, at, fee=fee, category="dispute"
        )
        moved = [teller.movements[-1]]
        thing = shapes.dispute(
            outside_id=outside_id, charge=charge, created=at, status="needs_response", movements=moved
        )
        charge["disputed"] = True
        teller.tell("charge.dispute.created", at, thing)
        teller.tell("charge.dispute.funds_withdrawn", at, thing)
        decided = teller.later(at, least=HOUR, most=5 * DAY)
        thing["status"] = end
        teller.tell("charge.dispute.closed", decided, thing)
        teller.count(currency, f"disputes {end}", charge["amount"])
        if end != "won":
            return
        back, amount = teller.later(decided, least=60, most=HOUR), charge["amount"]
        category = "dispute_reversal"
        teller.move("adjustment", teller.new_id("txn"), outside_id, amount, currency, back, fee=-fee, category=category)
        thing["balance_transactions"] = [*moved, teller.movements[-1]]
        teller.tell("charge.dispute.funds_reinstated", back, thing)

    def _inquiry(self, charge: Wire) -> None:
        """The bank asks, and no money moves."""
        teller, at = self.teller, self.teller.later(charge["created"], least=HOUR, most=5 * DAY)
        thing = shapes.dispute(
            outside_id=teller.new_id("dp"), charge=charge, created=at, status="warning_needs_response", movements=()
        )
        teller.tell("charge.dispute.created", at, thing)
        thing["status"] = "warning_closed"
        teller.tell("charge.dispute.closed", teller.later(at, least=HOUR, most=5 * DAY), thing)


def record_id(prefix: str, index: int) -> str:
    """A record id of the CRM, 15 characters: the object's prefix and a number."""
    return f"{prefix}5g0000{index + 1:06d}"
