"""What every translated fact must satisfy, whoever made it: times, currencies, scales, lengths. Pure; knows no vendor."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.core.canonical import Customer, Invoice, InvoiceStatus
from revline.core.facts import Incomplete, TranslatedFact
from revline.core.money import currency, in_scale
from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem

IDENTIFIER_BYTES_MAX: Final = 255
SOURCE_EVENT_BYTES_MAX: Final = 512
FUTURE_TOLERANCE: Final = timedelta(hours=24)
EXACT_FIELDS: Final = frozenset(
    {
        "quantity",
        "unit_price",
        "list_unit_price",
        "rate_percent",
        "exchange_rate",
        "unit_amount",
        "flat_amount",
        "up_to",
        "probability_percent",
    }
)
"""Decimals that are no amounts of the object's currency: quantities, prices per unit, rates."""


def check_fact(
    fact: TranslatedFact | Incomplete, *, received_at: datetime, future_tolerance: timedelta = FUTURE_TOLERANCE
) -> Problem | None:
    """Why the fact can't be taken, or None.

    time.invalid: it says it happened more than `future_tolerance` after it was received. currency.unknown, amount.invalid: the
    snapshot's own. intake.value_invalid: an id too long for an index, or an invoice whose figures contradict each other.
    """
    if fact.occurred_at.tzinfo is None:
        return problem("time.invalid", "the time has no offset", field="time")
    if fact.occurred_at > received_at + future_tolerance:
        ahead = int((fact.occurred_at - received_at).total_seconds() // 3600)
        return problem("time.invalid", f"the time is {ahead} hours ahead of this clock", field="time")
    wrong = _check_identifiers(fact)
    return wrong if wrong is not None or isinstance(fact, Incomplete) else _check_money(fact.snapshot)


def _check_identifiers(fact: TranslatedFact | Incomplete) -> Problem | None:
    roots = fact.roots if isinstance(fact, TranslatedFact) else ()
    places = [
        ("source_event", fact.source_event, SOURCE_EVENT_BYTES_MAX),
        ("type", fact.event_type, IDENTIFIER_BYTES_MAX),
        *((f"{source.kind} id", source.outside_id, IDENTIFIER_BYTES_MAX) for source in (fact.source, *roots)),
    ]
    for place, value, bytes_max in places:
        if not value:
            return problem("intake.value_invalid", f"the {place} is empty", field=place)
        if len(value.encode()) > bytes_max:
            return problem("intake.value_invalid", f"the {place} is longer than {bytes_max} bytes", field=place)
    return None


def _check_money(snapshot: msgspec.Struct) -> Problem | None:
    code = getattr(snapshot, "currency", "")
    if not code:
        if isinstance(snapshot, Customer) or not hasattr(snapshot, "currency"):
            return None
        return problem("currency.unknown", "the currency is empty", field="currency")
    known = currency(code)
    if isinstance(known, Problem):
        return known
    errors = [
        FieldError(pointer=pointer, detail=refused.detail)
        for pointer, amount in _amounts(snapshot, pointer="")
        if isinstance(refused := in_scale(amount=amount, currency=known), Problem)
    ]
    if errors:
        return problem("amount.invalid", errors[0].detail, field=errors[0].pointer, errors=tuple(errors[:20]))
    if isinstance(snapshot, Invoice) and snapshot.status is not InvoiceStatus.DRAFT:
        return _check_invoice(snapshot)
    return None


def _amounts(value: Any, *, pointer: str) -> list[tuple[str, Decimal]]:
    if isinstance(value, Decimal):
        return [(pointer, value)]
    if isinstance(value, msgspec.Struct):
        return [
            found
            for name in value.__struct_fields__
            if name not in EXACT_FIELDS
            for found in _amounts(getattr(value, name), pointer=f"{pointer}/{name}")
        ]
    if isinstance(value, tuple):
        return [found for index, item in enumerate(value) for found in _amounts(item, pointer=f"{pointer}/{index}")]
    return []


def _check_invoice(invoice: Invoice) -> Problem | None:
    """Figures that contradict each other would only surface as an unbalanced entry; whoever sent them can mend them."""
    net = sum((line.net for line in invoice.lines), Decimal(0))
    tax = sum((one.amount for line in invoice.lines for one in line.taxes), Decimal(0))
    if invoice.tax_total != tax:
        return _contradiction("tax_total", f"tax_total is {invoice.tax_total}, the lines' taxes sum to {tax}")
    if invoice.total != net + tax:
        return _contradiction("total", f"total is {invoice.total}, lines' net and taxes sum to {net + tax}")
    return None


def _contradiction(field: str, detail: str) -> Problem:
    return problem("intake.value_invalid", detail, field=field)


define(
    code="intake.value_invalid",
    title="A value that can't be kept",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Correct the named value at its source and send the record again under a new id.",
)
