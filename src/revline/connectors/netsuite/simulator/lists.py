"""The simulated account's lists: currencies, subsidiaries, accounts, items, departments and the like, rates and periods."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import msgspec

from revline.connectors.netsuite.simulator.setup import (
    Account,
    CurrencySetup,
    PeriodChange,
    RateSetup,
    Settings,
    SetupBody,
    Subsidiary,
)
from revline.connectors.netsuite.simulator.values import Refusal, invalid_value
from revline.core.money import Currency, convert, currency, in_scale
from revline.core.problem import Problem


class Month(msgspec.Struct, kw_only=True):
    """An accounting period. end: its last day. locked: subsidiaries it is locked for; "" for all of them."""

    id: str
    name: str
    start: date
    end: date
    closed: bool = False
    locked: set[str] = set()


class Lists:
    """What an administrator set up. Mutable."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.currencies: dict[str, CurrencySetup] = {}
        self.subsidiaries: dict[str, Subsidiary] = {}
        self.accounts: dict[str, Account] = {}
        self.values: dict[tuple[str, str], str] = {}
        self.months: dict[str, Month] = {}
        self._rates: list[RateSetup] = []

    def set_up(self, *, body: SetupBody) -> None:
        """Add what is named. ValueError for what can't be."""
        self.settings = body.settings or self.settings
        for each in body.currencies:
            if isinstance(currency(each.symbol), Problem):
                raise ValueError(f"{each.symbol[:12]!r} is no currency")
            self.currencies[each.id] = each
        for subsidiary in body.subsidiaries:
            self.currency_of(symbol=subsidiary.currency)
            self.subsidiaries[subsidiary.id] = subsidiary
        self.accounts.update({account.id: account for account in body.accounts})
        self.values.update({(value.list, value.id): value.name for value in body.list_values})
        self._rates = sorted([*self._rates, *body.rates], key=lambda rate: rate.effective_from)
        start = date.fromisoformat(body.first_period + "-01") if body.first_period else None
        for _ in range(min(body.period_count, 600) if start else 0):
            assert start is not None
            following = (start + timedelta(days=32)).replace(day=1)
            name = f"{start.year:04d}-{start.month:02d}"
            if name not in self.months:
                number = str(len(self.months) + 1)
                self.months[name] = Month(id=number, name=name, start=start, end=following - timedelta(days=1))
            start = following

    def set_period(self, *, change: PeriodChange) -> None:
        """Open, close or lock a month. ValueError when it is not there."""
        month = self.months.get(change.period)
        if month is None or change.state not in {"open", "closed", "locked"}:
            raise ValueError(f"no period {change.period!r} or no state {change.state!r}")
        month.closed = change.state == "closed"
        if change.state == "locked":
            month.locked = month.locked | {change.subsidiary}
        elif change.state == "open":
            month.locked = month.locked - {change.subsidiary} if change.subsidiary else set()

    def month_of(self, *, day: date, subsidiary: str) -> Month:
        """The open period of a day; Refusal with the account's words otherwise."""
        month = self.months.get(f"{day.year:04d}-{day.month:02d}")
        if month is None or month.closed or month.locked & {"", subsidiary}:
            raise Refusal(self.settings.text_prefix + self.settings.period_text, path="tranDate")
        return month

    def account(self, *, number: str, field: str = "account", path: str = "") -> Account:
        """A ledger account by internal id."""
        found = self.accounts.get(number)
        if found is None:
            raise invalid_value(number, field, path)
        return found

    def subsidiary(self, *, number: str) -> Subsidiary:
        """A subsidiary by internal id; the only one where the account has one."""
        if not self.settings.one_world:
            return next(iter(self.subsidiaries.values()))
        if not number:
            raise self.missing_value("Subsidiary")
        found = self.subsidiaries.get(number)
        if found is None:
            raise invalid_value(number, "subsidiary")
        return found

    def currency_of(self, *, symbol: str) -> CurrencySetup:
        """A currency by its ISO 4217 code. ValueError when the account hasn't got it."""
        for each in self.currencies.values():
            if each.symbol == symbol:
                return each
        raise ValueError(f"the account has no currency {symbol}")

    def symbol(self, *, number: str, subsidiary: Subsidiary) -> str:
        """The ISO 4217 code of a currency's internal id; the base currency for ""."""
        if not number:
            return subsidiary.currency
        found = self.currencies.get(number)
        if found is None:
            raise invalid_value(number, "currency")
        return found.symbol

    def rate(self, *, given: Decimal, symbol: str, subsidiary: Subsidiary, day: date) -> Decimal:
        """Base units per unit: what the record says, or the account's own of that day."""
        if symbol == subsidiary.currency:
            if given not in {Decimal(0), Decimal(1)}:
                raise invalid_value(str(given), "exchangerate")
            return Decimal(1)
        if given < 0:
            raise invalid_value(str(given), "exchangerate")
        if given:
            return given
        pair = (symbol, subsidiary.currency)
        known = [each.rate for each in self._rates if (each.currency, each.base) == pair and each.effective_from <= day]
        if not known:
            raise invalid_value("", "exchangerate")
        return known[-1]

    def functional(self, *, amount: Decimal, rate: Decimal, subsidiary: Subsidiary) -> Decimal:
        """An amount in the subsidiary's base currency, rounded by the account's rule."""
        to = _known(subsidiary.currency)
        return convert(amount=amount, rate=rate, currency=to, rounding=self.settings.rounding)

    def scaled(self, *, amount: Decimal, symbol: str, path: str) -> Decimal:
        """The amount, or a refusal when it has more digits than its currency."""
        found = in_scale(amount=amount, currency=_known(symbol))
        if isinstance(found, Problem):
            raise Refusal(f"Invalid amount {amount} for currency {symbol}.", code="INVALID_CONTENT", path=path)
        return found

    def check_dimensions(self, *, dimensions: tuple[tuple[str, str], ...]) -> None:
        """Every named value exists, and every required dimension is there."""
        for name, value in dimensions:
            if (name, value) not in self.values:
                raise invalid_value(value, name)
        named = {name for name, _ in dimensions}
        for name in self.settings.required_dimensions:
            if name not in named:
                raise self.missing_value(name.capitalize())

    def missing_value(self, name: str) -> Refusal:
        """The account's words for a field that must be there."""
        return Refusal(self.settings.text_prefix + self.settings.missing_value_text.format(name=name), path=name)


def _known(symbol: str) -> Currency:
    found = currency(symbol)
    if isinstance(found, Problem):
        raise ValueError(found.detail)
    return found
