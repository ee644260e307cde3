"""What posting's tests are made of: the starter configuration's books, and events in few words."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

from revline.app.kinds import registry
from revline.core.canonical import DiscountAmount, InvoiceLine, TaxAmount
from revline.core.events import (
    AccountingEvent,
    EventKind,
    IssuedInvoice,
    MovedMoney,
    Payload,
    RefundedMoney,
    UncollectibleInvoice,
)
from revline.core.ids import SourceObject, event_id
from revline.core.journal import JournalEntry
from revline.core.problem import Problem
from revline.examples import example_folder
from revline.platform.config.documents import Configuration
from revline.platform.config.loader import Loaded, load_folder
from revline.subledger.posting.setup import BookSetup, PostingSetup, compile_setup

TENANT = "acme"
ZERO = Decimal(0)
CUSTOMER = SourceObject(connection="stripe-us", kind="customer", outside_id="cus_1")
KINDS = {"processor_fee": "balance_transaction"}


def starter_with(changes: Mapping[str, tuple[str, str]] | None = None, extra: str = "") -> Loaded:
    """The starter folder, loaded, after replacing text in its files (file -> (old, new)) and adding a file."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "configuration"
        shutil.copytree(example_folder(), folder)
        for file, (old, new) in (changes or {}).items():
            text = (folder / file).read_text()
            assert old in text, f"{file} does not say {old!r}"
            (folder / file).write_text(text.replace(old, new))
        if extra:
            (folder / "99-extra.yaml").write_text(extra)
        return load_folder(folder, registry())


def setup_of(loaded: Loaded) -> PostingSetup:
    assert loaded.errors == ()
    found = compile_setup(loaded.configurations()[TENANT])
    assert isinstance(found, PostingSetup)
    return found


def starter_configuration() -> Configuration:
    loaded = starter_with()
    assert loaded.errors == ()
    return loaded.configurations()[TENANT]


@cache
def plain_starter_book() -> BookSetup:
    return setup_of(starter_with()).books["us-gaap"]


def starter_book(changes: Mapping[str, tuple[str, str]] | None = None, extra: str = "") -> BookSetup:
    if not changes and not extra:
        return plain_starter_book()
    return setup_of(starter_with(changes, extra)).books["us-gaap"]


def line(
    net: str, *, number: int = 1, tax: str = "", inclusive: bool = False, family: str = "", discount: str = "0"
) -> InvoiceLine:
    """An invoice line of a net amount."""
    taxes = (TaxAmount(amount=Decimal(tax), taxable=Decimal(net), rate="txr_1", inclusive=inclusive),) if tax else ()
    inside = Decimal(tax) if tax and inclusive else ZERO
    amount = Decimal(net) + Decimal(discount) + inside
    return InvoiceLine(
        outside_id=f"il_{number}",
        description=f"line {number}",
        product="prod_1",
        product_family=family,
        quantity=Decimal(2),
        unit_price=amount / 2,
        amount=amount,
        net=Decimal(net),
        discounts=(DiscountAmount(amount=Decimal(discount)),) if Decimal(discount) else (),
        taxes=taxes,
    )


def invoice(*lines: InvoiceLine) -> IssuedInvoice:
    """An issued invoice of lines."""
    net = sum((each.net for each in lines), ZERO)
    tax = sum((each.amount for one in lines for each in one.taxes), ZERO)
    discount = sum((each.amount for one in lines for each in one.discounts), ZERO)
    return IssuedInvoice(
        number="INV-1",
        subtotal=sum((each.amount for each in lines), ZERO),
        discount_total=discount,
        tax_total=tax,
        total=net + tax,
        lines=lines,
    )


def money(amount: str) -> MovedMoney:
    return MovedMoney(amount=Decimal(amount), reference="ref_1")


def refund(amount: str, earned: str = "0.00") -> RefundedMoney:
    return RefundedMoney(amount=Decimal(amount), earned=Decimal(earned))


def uncollectible(amount: str) -> UncollectibleInvoice:
    return UncollectibleInvoice(number="INV-1", amount=Decimal(amount))


def event(kind: EventKind, payload: Payload, *, day: date, currency: str = "USD", root: str = "") -> AccountingEvent:
    """An event of one of the customer's objects on a day."""
    name = kind.value.split(".")[0]
    source = SourceObject(connection="stripe-us", kind=KINDS.get(name, name), outside_id=f"{name}_1")
    return AccountingEvent(
        event_id=event_id(tenant=TENANT, source=source, event_kind=kind.value, ordinal=0),
        kind=kind,
        root=SourceObject(connection="stripe-us", kind=root, outside_id=f"{root}_1") if root else source,
        source=source,
        entity="acme-us",
        currency=currency,
        occurred_at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
        document_date=day,
        accounting_date=day,
        customer=CUSTOMER,
        payload=payload,
    )


def booked(entry: JournalEntry | Problem | None) -> JournalEntry:
    assert isinstance(entry, JournalEntry), entry
    return entry


def as_golden(entry: JournalEntry) -> dict[str, object]:
    """A journal in the golden file's shape, accounts of equal side summed as it writes them."""
    return {
        "date": entry.accounting_date.isoformat(),
        "lines": [
            {"account": each.account, "debit": str(each.debit), "credit": str(each.credit)} for each in entry.lines
        ],
    }
