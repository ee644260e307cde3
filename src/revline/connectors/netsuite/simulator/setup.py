"""How a simulated NetSuite account is set up: its lists and the answers that are known from memory only. Knows no record."""

from __future__ import annotations

from datetime import date

import msgspec

from revline.core.money import Amount, Rounding


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is not documented, or differs by account, so it can be set; defaults are the likeliest.

    create_status: of a create. scope_form: how a token's scope must stand in the assertion (array, comma or any).
    omit_null_columns: a query leaves out columns without a value. *_text: words of refusals. text_prefix: what they begin with.
    refunds_need_credit: a refund must name the credits it pays out. fresh_seconds: how long a job takes. job_result_status: of a
    made record in a job's result. concurrency_limit: calls at once; documented per tier (Standard 5). token_seconds: documented.
    one_world: records carry a subsidiary. required_dimensions: department, class or location that every line must have.
    text_max: characters of names; memo_max: of memos. rounding: of amounts converted to a subsidiary's currency.
    external_id_unique: an external id names one record of a type; False lets a second one in.
    """

    concurrency_limit: int = 5
    token_seconds: int = 3_600
    create_status: int = 204
    job_seconds: int = 0
    job_result_status: int = 204
    scope_form: str = "any"
    omit_null_columns: bool = True
    text_prefix: str = "Error while accessing a resource. "
    duplicate_text: str = "This record already exists"
    period_text: str = "The transaction date you specified is not within the date range of your accounting period."
    missing_value_text: str = "Please enter value(s) for: {name}"
    unbalanced_text: str = "Please balance the journal entry."
    over_applied_text: str = "The amount applied may not exceed the amount due."
    refunds_need_credit: bool = False
    one_world: bool = True
    external_id_unique: bool = True
    required_dimensions: tuple[str, ...] = ()
    text_max: int = 83
    memo_max: int = 999
    rounding: Rounding = Rounding.HALF_UP


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ledger account. id: internal id. type: AcctRec for receivables; others as NetSuite calls them."""

    id: str
    number: str
    name: str = ""
    type: str = "Other"


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service item that is there before anything is sent. account: its income account."""

    id: str
    name: str
    account: str


class CurrencySetup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A currency. id: internal id. symbol: ISO 4217 code."""

    id: str
    symbol: str


class Subsidiary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subsidiary. currency: ISO 4217 code of its base currency. fx_account: where realized exchange differences go."""

    id: str
    name: str
    currency: str
    fx_account: str = ""


class RateSetup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base units per unit of a currency, from a day on, used when a record names no exchangeRate."""

    currency: str
    base: str
    effective_from: date
    rate: Amount


class ListValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A department, class or location."""

    id: str
    name: str
    list: str


class SetupBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the account's administrator sets up; a second set-up adds. first_period: YYYY-MM; calendar months from there, open."""

    settings: Settings | None = None
    currencies: tuple[CurrencySetup, ...] = ()
    subsidiaries: tuple[Subsidiary, ...] = ()
    accounts: tuple[Account, ...] = ()
    items: tuple[Item, ...] = ()
    rates: tuple[RateSetup, ...] = ()
    list_values: tuple[ListValue, ...] = ()
    first_period: str = ""
    period_count: int = 36


class PeriodChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open, close or lock a month (YYYY-MM). state: open, closed or locked. subsidiary: lock it for one only."""

    period: str
    state: str
    subsidiary: str = ""


class RecordEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person changes in the user interface. day: another date; amounts: line number -> signed amount; deleted: gone."""

    id: str
    day: date | None = None
    memo: str | None = None
    amounts: dict[str, Amount] = {}
    deleted: bool = False
