"""One grant while it is settled: what of it is left, and the entries its movements make. Changed in place by `settling` alone.

The cost of a movement is its share of the cost that is left, rounded half up, and all of it when the last credit goes: so cost
sums exactly, whatever the order. What is expected never to be used leaves the cost without leaving the credits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from revline.core.canonical.credits import Breakage, Coverage, CreditGrant
from revline.core.money import Currency, Rounding, known_currency, round_amount
from revline.subledger.usage.calendar import day_of, last_day, plus_span
from revline.subledger.usage.credits.values import ZERO, Entry, EntryKey, GrantBalance, Line, Rule

DrawOrder = tuple[int, datetime, datetime, str]
HUNDRED: Final = Decimal(100)
NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Lot:
    """A grant with what became of it so far. reserved: what refunds that were paid will take; no line draws it."""

    def __init__(self, grant: CreditGrant, *, reserved: Decimal, time_zone: str) -> None:
        self.grant = grant
        self.money: Currency = known_currency(grant.currency)
        self.expires_at = grant.expires_at
        self.reserved = reserved
        self.rolled_over = 0
        self.over = False
        self.left = self.drawn = self.expired = self.taken_back = ZERO
        self.base = ZERO
        """The cost of what is left, as if nothing of it were booked as breakage."""
        self.cost_drawn = self.cost_expired = self.cost_taken_back = self.cost_breakage = ZERO
        self.cost_unclaimed = ZERO
        """Of expired credits, where it is nobody's revenue."""
        self._time_zone = time_zone

    @property
    def order(self) -> DrawOrder:
        """The order of drawing: priority, what expires first (never comes last), what was granted first, id."""
        ends = NEVER if self.expires_at is None else self.expires_at
        return (self.grant.priority, ends, self.grant.granted_at, self.grant.outside_id)

    @property
    def drawable(self) -> Decimal:
        """What a line may draw now."""
        return max(self.left - self.reserved, ZERO)

    def pays(self, line: Line) -> bool:
        """Whether it pays lines of this kind and time."""
        charged_at, grant = line.draws_at, self.grant
        if self.over or grant.currency != line.currency or grant.begins_at >= charged_at:
            return False
        touched = line.subject.window.start if grant.coverage is Coverage.WINDOW_TOUCHED else None
        if self.expires_at is not None and not (
            charged_at <= self.expires_at or (touched is not None and touched < self.expires_at)
        ):
            return False
        return grant.scope.covers(family=line.product_family, price=line.subject.price, meter=line.meter)

    def begin(self) -> list[Entry]:
        """It is granted."""
        self.left, self.base = self.grant.amount, self.grant.cost
        return [self._entry(Rule.GRANTED, "", self.grant.granted_at, self.grant.amount, self.grant.cost)]

    def draw(self, amount: Decimal, line: Line) -> list[Entry]:
        """It pays an amount of a line; at most `drawable`."""
        at, cost = line.draws_at, self._leave(amount)
        self.drawn += amount
        self.cost_drawn += cost
        drawn = self._entry(Rule.DRAWN, line.charge_id, at, amount, cost, line.product_family)
        return [drawn, *self._expect_breakage(line.charge_id, at)]

    def give_back(self, amount: Decimal, line: Line) -> list[Entry]:
        """An adjustment takes back what it had paid; at most what is drawn. What comes back after its end expires at once."""
        at, cost = line.draws_at, self._share(self.cost_drawn, amount, self.drawn)
        self.drawn -= amount
        self.cost_drawn -= cost
        self.left += amount
        self.base += cost
        back = self._entry(Rule.RETURNED, line.charge_id, at, amount, cost, line.product_family)
        entries = [back, *self._expect_breakage(line.charge_id, at)]
        return [*entries, *self._expire(self.left, line.charge_id, at)] if self.over else entries

    def take_back(self, amount: Decimal, *, refund_id: str, at: datetime) -> list[Entry]:
        """Unused credits are refunded; at most what is left."""
        cost = self._leave(amount)
        self.taken_back += amount
        self.cost_taken_back += cost
        return [self._entry(Rule.TAKEN_BACK, refund_id, at, amount, cost), *self._expect_breakage(refund_id, at)]

    def end(self, at: datetime) -> list[Entry]:
        """Its end has come: what its roll-over lets stay goes on, the rest expires."""
        rule, number = self.grant.roll_over, self.rolled_over
        stays = ZERO
        if rule is not None and number < rule.times and self.left:
            caps = [] if rule.amount is None else [rule.amount]
            caps += [] if rule.percent is None else [self._share(self.grant.amount, rule.percent, HUNDRED)]
            stays = min([self.left, *caps])
        if stays > 0:
            assert rule is not None
            self.rolled_over += 1
            self.expires_at = plus_span(
                moment=at, months=rule.extends.months, days=rule.extends.days, time_zone=self._time_zone
            )
        else:
            self.over = True
        return self._expire(self.left - stays, str(number), at)

    def balance(self) -> GrantBalance:
        """Where everything of it is."""
        grant = self.grant
        cost_left = self.base - self.cost_breakage + self.cost_unclaimed
        cost_expired = self.cost_expired + self.cost_breakage
        return GrantBalance(
            grant=grant,
            expires_at=self.expires_at,
            rolled_over=self.rolled_over,
            granted=self.left + self.drawn + self.expired + self.taken_back,
            drawn=self.drawn,
            expired=self.expired,
            taken_back=self.taken_back,
            left=self.left,
            available=self.drawable,
            cost_granted=cost_left + self.cost_drawn + cost_expired + self.cost_taken_back,
            cost_drawn=self.cost_drawn,
            cost_expired=cost_expired,
            cost_taken_back=self.cost_taken_back,
            cost_left=cost_left,
        )

    def _expire(self, amount: Decimal, cause: str, at: datetime) -> list[Entry]:
        if not amount:
            return []
        cost = self._share(self.base, amount, self.left)
        booked = self._share(self.cost_breakage, amount, self.left)
        self.base -= cost
        self.cost_breakage -= booked
        self.left -= amount
        self.expired += amount
        if self.grant.breakage is Breakage.NONE:
            self.cost_unclaimed += cost
            return [self._entry(Rule.EXPIRED, cause, at, amount, ZERO)]
        self.cost_expired += cost
        return [self._entry(Rule.EXPIRED, cause, at, amount, cost - booked)]

    def _leave(self, amount: Decimal) -> Decimal:
        """The cost of credits that leave."""
        cost = self._share(self.base, amount, self.left)
        self.base -= cost
        self.left -= amount
        return cost

    def _share(self, total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
        if part == whole:
            return total
        return round_amount(amount=total * part / whole, currency=self.money, rounding=Rounding.HALF_UP)

    def _expect_breakage(self, cause: str, at: datetime) -> list[Entry]:
        """Brings what is booked ahead as breakage to its share of what is used; more use than expected takes it back."""
        grant = self.grant
        if grant.breakage is not Breakage.PROPORTIONAL or self.over:
            return []
        kept = self.left + self.drawn + self.expired
        used = kept * (1 - (grant.expected_breakage or ZERO))
        cost_kept = self.base + self.cost_drawn + self.cost_expired
        earned = min(self._share(cost_kept, self.drawn, used) if self.drawn < used else cost_kept, cost_kept)
        wanted = max(min(earned - self.cost_drawn - self.cost_expired, self.base), ZERO)
        change, self.cost_breakage = wanted - self.cost_breakage, wanted
        return [self._entry(Rule.BREAKAGE, cause, at, ZERO, change)] if change else []

    def _entry(self, rule: Rule, cause: str, at: datetime, amount: Decimal, cost: Decimal, family: str = "") -> Entry:
        grant = self.grant
        ends = rule not in {Rule.GRANTED, Rule.TAKEN_BACK}
        return Entry(
            key=EntryKey(grant_id=grant.outside_id, rule=rule, cause=cause),
            at=at,
            day=(last_day if ends else day_of)(moment=at, time_zone=self._time_zone),
            product_family=family or grant.product_family,
            currency=grant.currency,
            amount=amount,
            cost=cost,
        )
