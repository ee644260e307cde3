"""How the simulated ERP is set up: companies, charts, rates, periods and house rules. Knows no record and no request."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import msgspec

from revline.connectors.simulated.wire import ErrorBody, Kind, PeriodBody
from revline.core.money import Amount, Rounding, known_currency


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account of a chart. kind: receivable accounts may be settled by applications; the others are told apart by name only."""

    code: str
    name: str = ""
    kind: str = "other"


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Functional units per unit of `currency`, from a day on."""

    currency: str
    effective_from: date
    rate: Amount


class CompanySetup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A company. first_period: YYYY-MM; period_count: calendar months from there, all open. rounding: of converted lines."""

    code: str
    functional_currency: str
    accounts: tuple[Account, ...]
    rounding: Rounding = Rounding.HALF_UP
    rates: tuple[Rate, ...] = ()
    first_period: str = "2025-01"
    period_count: int = 36


class SetupBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the ERP's administrator sets up. A company that is there already gains accounts and rates; its periods stay.

    two_step: kinds that are made as drafts and posted by a second call. required_fields: kind -> body fields that may not be empty.
    """

    companies: tuple[CompanySetup, ...] = ()
    two_step: tuple[Kind, ...] | None = None
    required_fields: dict[Kind, tuple[str, ...]] | None = None


class Company:
    """One company as it stands: chart, rates, periods. Mutable: the administrator changes it."""

    def __init__(self, *, setup: CompanySetup) -> None:
        self.code = setup.code
        self.functional_currency = known_currency(setup.functional_currency)
        self.rounding = setup.rounding
        self.accounts: dict[str, Account] = {}
        self.rates: dict[str, list[Rate]] = {}
        self.periods: dict[str, PeriodBody] = {}
        self.extend(setup=setup)
        for period in _months(first=setup.first_period, count=setup.period_count):
            self.periods[period.name] = period

    def extend(self, *, setup: CompanySetup) -> None:
        """Add accounts and rates."""
        self.accounts.update({account.code: account for account in setup.accounts})
        for rate in setup.rates:
            kept = [known for known in self.rates.get(rate.currency, []) if known.effective_from != rate.effective_from]
            self.rates[rate.currency] = sorted([*kept, rate], key=lambda known: known.effective_from)

    def set_period(self, *, name: str, state: str) -> ErrorBody | None:
        """Open or close a period."""
        period = self.periods.get(name)
        if period is None or state not in {"open", "soft_closed", "closed"}:
            return ErrorBody(code="invalid", message=f"no period {name!r} or no state {state!r}", field="period")
        self.periods[name] = msgspec.structs.replace(period, state=state)
        return None

    def day_refused(self, *, day: date) -> ErrorBody | None:
        """Why nothing may be booked on `day`, or None."""
        name = f"{day.year:04d}-{day.month:02d}"
        period = self.periods.get(name)
        if period is None:
            return ErrorBody(code="no_period", message=f"company {self.code} has no period for {day}", field="date")
        if period.state != "open":
            return ErrorBody(
                code="period_closed", message=f"period {name} of company {self.code} is {period.state}", field=name
            )
        return None

    def account_refused(self, *, code: str) -> ErrorBody | None:
        """Why an account can't be booked on, or None."""
        if code in self.accounts:
            return None
        return ErrorBody(
            code="unknown_account", message=f"company {self.code} has no account {code[:40]!r}", field=code[:40]
        )

    def rate_on(self, *, currency: str, day: date) -> Decimal | ErrorBody:
        """The company's own rate of a currency on a day."""
        if currency == self.functional_currency.code:
            return Decimal(1)
        known = [rate.rate for rate in self.rates.get(currency, []) if rate.effective_from <= day]
        if not known:
            return ErrorBody(
                code="no_rate", message=f"company {self.code} has no rate of {currency} on {day}", field=currency
            )
        return known[-1]


def _months(*, first: str, count: int) -> list[PeriodBody]:
    start = date.fromisoformat(first + "-01")
    periods = []
    for _ in range(min(count, 600)):
        end = (start + timedelta(days=32)).replace(day=1)
        periods.append(PeriodBody(name=f"{start.year:04d}-{start.month:02d}", start=start, end=end, state="open"))
        start = end
    return periods
