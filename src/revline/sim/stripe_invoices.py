"""Draft invoices of a played Stripe: lines with prices, periods, prorations, discounts and taxes with awkward cents.

Amounts are Stripe's integers and add up as Stripe's do. It must not know what becomes of an invoice.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import msgspec

from revline.connectors.stripe.amounts import SENT_IN_HUNDREDTHS, THREE_DECIMAL
from revline.sim import stripe_objects as shapes
from revline.sim.stripe_profile import StripeProfile

DAY: Final = 86_400
TAX_PERCENTS: Final = (
    (Decimal("8.875"),),
    (Decimal("20"),),
    (Decimal("19"),),
    (Decimal("6.25"), Decimal("2.0")),
    (Decimal("7.7"),),
)
DISCOUNT_PERCENTS: Final = (Decimal("10"), Decimal("12.5"), Decimal("33.33"))


def smallest_step(currency: str) -> int:
    """The least difference between two charges in Stripe's integers: 10 where Stripe wants a last 0, 100 where it wants 00."""
    code = currency.upper()
    return 10 if code in THREE_DECIMAL else 100 if code in SENT_IN_HUNDREDTHS else 1


def rounded(units: Decimal, currency: str) -> int:
    """Units brought to the smallest step, half up."""
    step = smallest_step(currency)
    return int((units / step).to_integral_value(rounding=ROUND_HALF_UP)) * step


class _Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all lines of one invoice."""

    invoice: str
    currency: str
    created: int
    subscription: str
    rates: tuple[tuple[str, Decimal], ...]
    inclusive: bool
    discount: str
    discount_percent: Decimal


class InvoiceMaker:
    """Makes drafts of a profile. randomness and new_id belong to the story that asks."""

    def __init__(self, *, randomness: random.Random, profile: StripeProfile, new_id: Callable[[str], str]) -> None:
        self.random, self.profile, self.new_id = randomness, profile, new_id

    def invoice(self, *, customer: dict[str, Any], created: int, subscribed: bool = False) -> dict[str, Any]:
        """A draft for the customer, in its currency, with a total above zero. subscribed: for a subscription without fail."""
        terms = self._terms(currency=customer["currency"], created=created, subscribed=subscribed)
        lines = [self._line(terms, index) for index in range(self.random.randint(1, self.profile.multiple_lines_max))]
        if self._chance(self.profile.proration_share):
            lines += self._change_in_mid_period(terms, limit=lines[0]["amount"])
        total = sum(line["amount"] for line in lines) - sum(
            entry["amount"] for line in lines for entry in line["discount_amounts"]
        )
        total += sum(
            entry["amount"] for line in lines for entry in line["taxes"] if entry["tax_behavior"] == "exclusive"
        )
        return shapes.invoice(
            outside_id=terms.invoice,
            customer=customer,
            lines=lines,
            total=total,
            created=created,
            subscription=terms.subscription,
            memo=self.random.choice(("", "", "Thank you for your business")),
        )

    def _terms(self, *, currency: str, created: int, subscribed: bool) -> _Terms:
        taxed = self._chance(self.profile.taxed_share)
        percents = self.random.choice(TAX_PERCENTS) if taxed else ()
        discounted = self._chance(self.profile.discount_share)
        return _Terms(
            invoice=self.new_id("in"),
            currency=currency,
            created=created,
            subscription=self.new_id("sub") if self._chance(Decimal("0.8")) or subscribed else "",
            rates=tuple((f"txr_{self.profile.account}_{percent}".replace(".", "_"), percent) for percent in percents),
            inclusive=taxed and self._chance(self.profile.inclusive_share),
            discount=self.new_id("di") if discounted else "",
            discount_percent=self.random.choice(DISCOUNT_PERCENTS) if discounted else Decimal(0),
        )

    def _line(self, terms: _Terms, index: int) -> dict[str, Any]:
        """A month or a year of something, or a thing without a term."""
        family = self.random.choice(self.profile.families)
        step = smallest_step(terms.currency)
        unit = self.random.randint(900, 25_000) // step * step
        quantity = self.random.choice((1, 1, 2, 3, 7, 12))
        days = self.random.choice((30, 30, 30, 365)) if terms.subscription or index else 0
        parent = shapes.line_parent(
            subscription=terms.subscription,
            subscription_item=f"si_{terms.invoice[3:]}_{index}",
            invoice_item=f"ii_{terms.invoice[3:]}_{index}",
            proration=False,
            credits_line="",
        )
        period, text = (terms.created, terms.created + days * DAY), f"{quantity} × {family or 'seat'}"
        return self._wire(terms, family, unit, quantity, period, parent, text)

    def _change_in_mid_period(self, terms: _Terms, *, limit: int) -> list[dict[str, Any]]:
        """The credit for unused time, less than `limit`, and the charge for the rest of the period at the new price."""
        step = smallest_step(terms.currency)
        credit = max(step, limit * self.random.randint(10, 40) // (100 * step) * step)
        period = (terms.created, terms.created + self.random.randint(5, 25) * DAY)
        lines = []
        for number, (unit, text) in enumerate(
            ((-credit, "Unused time"), (credit + credit // step // 2 * step + step, "Remaining time"))
        ):
            parent = shapes.line_parent(
                subscription=terms.subscription,
                subscription_item=f"si_{terms.invoice[3:]}_0",
                invoice_item=f"ii_{terms.invoice[3:]}_p{number}",
                proration=True,
                credits_line=f"il_{terms.invoice[3:]}_before" if unit < 0 else "",
            )
            plain = msgspec.structs.replace(terms, discount="", discount_percent=Decimal(0))
            family = self.profile.families[0]
            lines.append(self._wire(plain, family, unit, 1, period, parent, f"{text} on {family or 'seat'}"))
        return lines

    def _wire(
        self,
        terms: _Terms,
        family: str,
        unit: int,
        quantity: int,
        period: tuple[int, int],
        parent: dict[str, Any],
        text: str,
    ) -> dict[str, Any]:
        amount = unit * quantity
        off = rounded(amount * terms.discount_percent / 100, terms.currency)
        return shapes.line_item(
            outside_id=self.new_id("il"),
            invoice=terms.invoice,
            currency=terms.currency,
            amount=amount,
            quantity=quantity,
            description=text,
            period=period,
            price=f"price_{self.profile.account}_{family or 'seat'}_{unit}",
            product=f"prod_{self.profile.account}_{family or 'seat'}",
            unit_amount=str(unit),
            parent=parent,
            discounts=[{"amount": off, "discount": terms.discount}] if off else [],
            taxes=_taxes(terms=terms, base=amount - off),
            metadata={"product_family": family} if family else {},
        )

    def _chance(self, share: Decimal) -> bool:
        return self.random.randrange(10_000) < share * 10_000


def _taxes(*, terms: _Terms, base: int) -> list[dict[str, Any]]:
    """Tax of one line, each rate rounded by itself; tax inside the price leaves a taxable amount that is less than the base."""
    if not terms.inclusive:
        return [
            shapes.tax(amount=rounded(base * percent / 100, terms.currency), taxable=base, rate=rate, inclusive=False)
            for rate, percent in terms.rates
        ]
    whole = 1 + sum((percent for _, percent in terms.rates), Decimal(0)) / 100
    amounts = [rounded(base / whole * percent / 100, terms.currency) for _, percent in terms.rates]
    return [
        shapes.tax(amount=amount, taxable=base - sum(amounts), rate=rate, inclusive=True)
        for (rate, _), amount in zip(terms.rates, amounts, strict=True)
    ]
