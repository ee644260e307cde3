"""What every translated fact must satisfy, whoever made it: times, currencies, scales, lengths. Pure; knows no vendor."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.core.canonical import CreditGrant, CreditMemo, CreditRefund, Customer, Invoice, InvoiceStatus
from revline.core.canonical.credits import Span
from revline.core.facts import Incomplete, TranslatedFact
from revline.core.money import currency, in_scale
from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem

IDENTIFIER_BYTES_MAX: Final = 255
SOURCE_EVENT_BYTES_MAX: Final = 512
TIMES_MAX: Final = 120
"""How often a grant may roll over, or be topped up in one period."""
SPAN_MAX: Final = 40_000
"""Days or months of one span of calendar time."""
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
        "expected_breakage",
        "percent",
    }
)
"""Decimals that are no amounts of the object's currency: quantities, prices per unit, rates."""


def check_fact(
    fact: TranslatedFact | Incomplete, *, received_at: datetime, future_tolerance: timedelta = FUTURE_TOLERANCE
) -> Problem | None:
    """Why the fact can't be taken, or None.

    time.invalid: it says it happened more than `future_tolerance` after it was received. currency.unknown, amount.invalid: the
    snapshot's own. intake.value_invalid: an id too long for an index, or a demand whose figures contradict each other.
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
    errors: list[FieldError] = []
    for pointer, amount, own in _amounts(snapshot, pointer="", code=code):
        money = known if own == code else currency(own)
        if isinstance(money, Problem):
            return money
        refused = in_scale(amount=amount, currency=money)
        errors += [FieldError(pointer=pointer, detail=refused.detail)] if isinstance(refused, Problem) else []
    if errors:
        return problem("amount.invalid", errors[0].detail, field=errors[0].pointer, errors=tuple(errors[:20]))
    if isinstance(snapshot, Invoice) and snapshot.status is not InvoiceStatus.DRAFT:
        return _check_invoice(snapshot)
    if isinstance(snapshot, CreditRefund) and snapshot.amount <= 0:
        return _contradiction("amount", "the refund's amount is out of range")
    if isinstance(snapshot, CreditGrant):
        return _check_grant(snapshot)
    return _check_memo(snapshot) if isinstance(snapshot, CreditMemo) else None


def _amounts(value: Any, *, pointer: str, code: str) -> list[tuple[str, Decimal, str]]:
    """Every amount with its place and its currency: a part that names one of its own (a dispute's movement) is counted in it."""
    if isinstance(value, Decimal):
        return [(pointer, value, code)]
    if isinstance(value, msgspec.Struct):
        code = getattr(value, "currency", "") or code
        return [
            found
            for name in value.__struct_fields__
            if name not in EXACT_FIELDS
            for found in _amounts(getattr(value, name), pointer=f"{pointer}/{name}", code=code)
        ]
    if isinstance(value, tuple):
        return [
            found
            for index, item in enumerate(value)
            for found in _amounts(item, pointer=f"{pointer}/{index}", code=code)
        ]
    return []


def _check_invoice(invoice: Invoice) -> Problem | None:
    """Figures that contradict each other would only surface as an unbalanced entry; whoever sent them can mend them."""
    return _check_sums(invoice)


def _check_memo(memo: CreditMemo) -> Problem | None:
    """As for an invoice; and what was applied, credited and given back can't be more than all of it."""
    settled = memo.applied_amount + memo.credited_amount + memo.refunded_amount + memo.out_of_band_amount
    if settled > memo.total:
        return _contradiction("total", f"total is {memo.total}, what was applied, credited and given back is {settled}")
    return _check_sums(memo)


def _check_grant(grant: CreditGrant) -> Problem | None:
    """Terms under which no credits can be settled."""
    rule, top_up = grant.roll_over, grant.top_up
    wrong = {
        "amount": grant.amount <= 0,
        "cost": grant.cost < 0,
        "expires_at": grant.expires_at is not None and grant.expires_at <= grant.begins_at,
        "expected_breakage": grant.expected_breakage is not None and not 0 <= grant.expected_breakage < 1,
        "roll_over": rule is not None
        and (
            not _lasts(rule.extends)
            or not 1 <= rule.times <= TIMES_MAX
            or (rule.percent is not None and not 0 < rule.percent <= 100)
        ),
        "top_up": top_up is not None
        and (
            top_up.amount <= 0
            or top_up.cost < 0
            or not 1 <= top_up.limit <= TIMES_MAX
            or not 1 <= top_up.months <= SPAN_MAX
            or (top_up.lasts is not None and not _lasts(top_up.lasts))
        ),
    }
    field = next((name for name, is_wrong in wrong.items() if is_wrong), "")
    return _contradiction(field, f"the grant's {field} is out of range") if field else None


def _lasts(span: Span) -> bool:
    return 0 <= span.months <= SPAN_MAX and 0 <= span.days <= SPAN_MAX and span.months + span.days > 0


def _check_sums(demand: Invoice | CreditMemo) -> Problem | None:
    net = sum((line.net for line in demand.lines), Decimal(0))
    tax = sum((one.amount for line in demand.lines for one in line.taxes), Decimal(0))
    if demand.tax_total != tax:
        return _contradiction("tax_total", f"tax_total is {demand.tax_total}, the lines' taxes sum to {tax}")
    if demand.total != net + tax:
        return _contradiction("total", f"total is {demand.total}, lines' net and taxes sum to {net + tax}")
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
