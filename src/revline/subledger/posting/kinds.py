"""Configuration kinds of posting: Book, PostingRule, RateTable, PeriodPolicy. Types only; what must hold of them is in `checks`."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

import msgspec

from revline.core.events import EventKind
from revline.core.money import Amount, Rounding


class Maker(StrEnum):
    """Who makes an event's entry in a book's ERP.

    native: the ERP, from a document of its own kind; our journal is what it must come to. journal: we send the journal.
    none: nothing is sent; the journal, if a rule makes one, is kept here alone.
    """

    NATIVE = "native"
    JOURNAL = "journal"
    NONE = "none"


class Side(StrEnum):
    """The side of a line whose amount is positive; a negative amount goes to the other side."""

    DEBIT = "debit"
    CREDIT = "credit"


class Each(StrEnum):
    """How often an entry is made: once for the event, for each invoice line, or for each tax amount of each line."""

    EVENT = "event"
    LINE = "line"
    TAX = "tax"


class Party(StrEnum):
    """Whom a line names: the event's customer (a receivable) or nobody."""

    CUSTOMER = "customer"
    NONE = "none"


class MakerPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who makes the entries of one event kind."""

    event: EventKind
    maker: Maker


class AccountChoice(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An account with the condition under which it is taken; the first that holds wins, one without a condition always holds."""

    account: str
    when: str = ""


class Items(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Products as master records of a book's ERP.

    maker: native, a record for each product, which native invoice and credit memo lines then name; none, lines name no record.
    accounts: neutral keys of what a product's sales credit; conditions are over `product`, such as product.family == "hardware".
    """

    maker: Maker = Maker.NONE
    accounts: tuple[AccountChoice, ...] = ()


class Book(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A set of accounts of one legal entity under one framework.

    framework: such as us_gaap or ifrs, a label. erp: connection its documents go to, "" for a book kept here alone. company:
    the far side's code of the company. rounding: how converted amounts are brought to the functional currency's scale.
    receivable: neutral key of the customers' receivable account. policies: makers that differ from the default (journal; none for
    payment.applied; a mirror event follows the event it mirrors). items: products as records of their own.
    required_dimensions: account, or "*" for every account -> dimensions each line on it must have.
    """

    entity: str
    framework: str
    erp: str = ""
    company: str = ""
    rounding: Rounding = Rounding.HALF_UP
    receivable: str = "accounts_receivable"
    policies: tuple[MakerPolicy, ...] = ()
    items: Items = Items()
    required_dimensions: dict[str, tuple[str, ...]] = {}


class RuleEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one entry of a rule books.

    account, or accounts to choose among: neutral keys. amount: a named function (`functions`). each: how often. when: CEL;
    without it always. party: whom the line names. dimensions: values on these lines, over the line's own and the entity's.
    """

    account: str = ""
    accounts: tuple[AccountChoice, ...] = ()
    side: Side
    amount: str
    each: Each = Each.EVENT
    when: str = ""
    party: Party = Party.NONE
    dimensions: dict[str, str] = {}


class ExpectedLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line a rule's own test expects; exactly one of debit and credit is given."""

    account: str
    debit: Amount | None = None
    credit: Amount | None = None


class TestLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line of an invoice or credit memo in a rule's own test. amount: net of discount and tax. tax: exclusive tax on it.

    accrued: the account that holds its revenue already, as on an invoice line.
    """

    __test__ = False

    amount: Amount
    tax: Amount | None = None
    discount: Amount | None = None
    product_family: str = ""
    accrued: str = ""


class RuleTest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An example that `config validate` runs: for an event with these amounts the rule must book these lines.

    lines: of an invoice or credit memo. amount: of any other event. earned: of a refund, a credit memo or a lost dispute. fields:
    other fields of the event's payload by their names, such as method: cash, fee: "15.00" or against: contract_asset.
    """

    name: str
    currency: str = ""
    lines: tuple[TestLine, ...] = ()
    amount: Amount | None = None
    earned: Amount | None = None
    fields: dict[str, str] = {}
    expect: tuple[ExpectedLine, ...]


class PostingRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How one event kind is booked.

    book: its name, "" for every book. effective_from, effective_to: the half-open days of accounting dates it is for, no end
    when effective_to is absent. when: CEL over the event; without it always. Exactly one rule must match an event in a book.
    """

    book: str = ""
    event: EventKind
    effective_from: date
    effective_to: date | None = None
    when: str = ""
    entries: tuple[RuleEntry, ...]
    tests: tuple[RuleTest, ...] = ()


class DatedRate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A rate from a day on, until the next one."""

    effective_from: date
    rate: Amount


class RateTable(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Units of `to` for one unit of `from`, by accounting date. source: who published them; it is kept on every line."""

    source: str
    from_currency: str = msgspec.field(name="from")
    to_currency: str = msgspec.field(name="to")
    rates: tuple[DatedRate, ...]


class OnClosed(StrEnum):
    """What a document does that falls in a closed period: hold, it waits."""

    HOLD = "hold"


class PeriodPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What closed periods mean for a book."""

    book: str
    on_closed: OnClosed = OnClosed.HOLD
