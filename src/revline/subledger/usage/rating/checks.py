"""What must hold of a UsagePrice before it may be applied: its model, its terms, its references. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from revline.core.money import currency
from revline.core.problem import FieldError, Problem
from revline.platform.config.registry import Specs
from revline.platform.tenancy.kinds import Connection, LegalEntity, unknown_reference
from revline.subledger.usage.metering.kinds import Aggregation, Meter
from revline.subledger.usage.rating.kinds import CUSTOMERS_MAX, GroupLines, UsagePrice
from revline.subledger.usage.rating.modelchecks import below_zero, error, model_errors
from revline.subledger.usage.rating.models import (
    DISCOUNTS_MAX,
    Matrix,
    Percentage,
    PriceTerms,
    TimeOfDay,
)

REFERENCE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}/.{1,256}\Z")
INTERVAL_COUNT_MAX: Final = 36
ADDITIVE: Final = frozenset({Aggregation.COUNT, Aggregation.SUM})
"""Aggregations whose quantities of parts of a window add up to that of the window."""


def check_usage_price(name: str, spec: UsagePrice, others: Specs) -> tuple[FieldError, ...]:
    """Everything that is wrong with a price, each at its place."""
    entities = others.get(LegalEntity, {})
    found = list(terms_errors(spec.terms))
    if spec.entity not in entities:
        found.append(unknown_reference(pointer="spec.entity", kind="LegalEntity", value=spec.entity, known=entities))
    if not 1 <= spec.billing.interval_count <= INTERVAL_COUNT_MAX:
        found.append(
            error("spec.billing.intervalCount", f"{spec.billing.interval_count} intervals", "from 1 to 36 of them")
        )
    if spec.effective_from and spec.effective_to and spec.effective_to <= spec.effective_from:
        found.append(error("spec.effectiveTo", "it ends before it begins", "a day after effectiveFrom"))
    found.extend(_meter_errors(spec, others))
    found.extend(_customer_errors(spec, others))
    found.extend(_twin_errors(name, spec, others))
    return tuple(found)


def terms_errors(terms: PriceTerms) -> Iterator[FieldError]:
    """What is wrong with terms by themselves."""
    if isinstance(currency(terms.currency), Problem):
        yield error("spec.terms.currency", f"{terms.currency[:12]!r} is not an ISO 4217 currency code", "such as EUR")
    given = terms.model.given()
    if len(given) != 1:
        yield error("spec.terms.model", f"{len(given)} models", "exactly one model, such as perUnit")
        return
    yield from model_errors(given[0])
    if terms.transform is not None and terms.transform.divide_by <= 0:
        yield error("spec.terms.transform.divideBy", "nothing can be divided by it", "an amount above zero")
    yield from below_zero(
        ("spec.terms.freeUnits", terms.free_units),
        ("spec.terms.minimum", terms.minimum),
        ("spec.terms.maximum", terms.maximum),
    )
    if terms.free_units and isinstance(given[0], Percentage | Matrix | TimeOfDay):
        yield error(
            "spec.terms.freeUnits",
            "this model has no one quantity they could be taken of",
            "freeAmount or freeTransactions of a percentage, or a tier that costs nothing",
        )
    if terms.transform is not None and isinstance(given[0], Percentage):
        yield error("spec.terms.transform", "a percentage is taken of each amount as it is", "no transform")
    if terms.minimum is not None and terms.maximum is not None and terms.minimum > terms.maximum:
        yield error("spec.terms.minimum", f"it is above the maximum of {terms.maximum}", "no more than the maximum")
    yield from _discount_errors(terms)


def _discount_errors(terms: PriceTerms) -> Iterator[FieldError]:
    if len(terms.discounts) > DISCOUNTS_MAX:
        yield error("spec.terms.discounts", f"{len(terms.discounts)} discounts", f"at most {DISCOUNTS_MAX}")
    for index, discount in enumerate(terms.discounts):
        path = f"spec.terms.discounts[{index}]"
        if (discount.percent is None) == (discount.amount is None):
            yield error(path, "a discount is a percent or an amount", "one of percent and amount")
        if discount.percent is not None and not 0 <= discount.percent <= 100:
            yield error(f"{path}.percent", f"{discount.percent} % can't be taken off", "from 0 to 100")
        yield from below_zero((f"{path}.amount", discount.amount))


def _meter_errors(spec: UsagePrice, others: Specs) -> Iterator[FieldError]:
    """What the meter does not give that the model needs."""
    meters = others.get(Meter, {})
    meter = meters.get(spec.meter)
    if meter is None:
        yield unknown_reference(pointer="spec.meter", kind="Meter", value=spec.meter, known=meters)
        return
    if len(spec.terms.model.given()) != 1:
        return
    model = spec.terms.model.one()
    if isinstance(model, Matrix) and meter.group_by != model.fields:
        yield error(
            "spec.terms.model.matrix.fields",
            f"the meter {spec.meter} groups by {', '.join(meter.group_by) or 'nothing'}",
            "the meter's groupBy, in its order",
        )
    if isinstance(model, Percentage) and (meter.aggregation is not Aggregation.SUM or _reshaped(meter)):
        yield error(
            "spec.meter",
            f"a percentage is taken of each event's amount, and {spec.meter} does not sum the events' own field",
            "a meter with aggregation sum, without bucket and conversion",
        )
    if isinstance(model, Percentage) and meter.group_by and spec.group_lines is GroupLines.TOGETHER:
        yield error(
            "spec.groupLines",
            f"the transactions of the groups of {spec.meter} have no one order",
            "each, or a meter without groupBy",
        )
    if isinstance(model, TimeOfDay) and (meter.aggregation not in ADDITIVE or _reshaped(meter)):
        yield error(
            "spec.meter",
            f"{spec.meter} gives no quantities of hours that add up",
            "a meter with aggregation sum or count, without bucket and conversion",
        )
    if isinstance(model, Matrix | TimeOfDay) and spec.group_lines is GroupLines.EACH:
        yield error("spec.groupLines", "this model prices groups on one line", "together")


def _reshaped(meter: Meter) -> bool:
    return meter.bucket is not None or meter.conversion is not None


def _customer_errors(spec: UsagePrice, others: Specs) -> Iterator[FieldError]:
    connections = others.get(Connection, {})
    for path, names in (
        ("spec.appliesTo.customers", spec.applies_to.customers),
        ("spec.appliesTo.subscriptionPrices", spec.applies_to.subscription_prices),
    ):
        if len(names) > CUSTOMERS_MAX:
            yield error(path, f"{len(names)} names", f"at most {CUSTOMERS_MAX}")
        for index, text in enumerate(names[:CUSTOMERS_MAX]):
            if not REFERENCE.match(text):
                yield error(f"{path}[{index}]", f"{text[:60]!r} names nothing", "connection/outside id")
            elif text.partition("/")[0] not in connections:
                yield unknown_reference(
                    pointer=f"{path}[{index}]", kind="Connection", value=text.partition("/")[0], known=connections
                )


def _twin_errors(name: str, spec: UsagePrice, others: Specs) -> Iterator[FieldError]:
    """Another price that would be charged in the same place: one of them could only win by chance."""
    for other, each in sorted(others.get(UsagePrice, {}).items()):
        if (
            other < name
            and (each.meter, each.product, each.entity) == (spec.meter, spec.product, spec.entity)
            and _overlap(each, spec)
            and _same_reach(each, spec)
        ):
            yield error(
                "spec.meter",
                f"the price {other} is in force for the same customers and the same meter and product",
                "another product, other customers, or days that do not overlap",
            )


def _overlap(one: UsagePrice, two: UsagePrice) -> bool:
    return (one.effective_from or date.min) < (two.effective_to or date.max) and (two.effective_from or date.min) < (
        one.effective_to or date.max
    )


def _same_reach(one: UsagePrice, two: UsagePrice) -> bool:
    pairs: Sequence[tuple[tuple[str, ...], tuple[str, ...]]] = (
        (one.applies_to.customers, two.applies_to.customers),
        (one.applies_to.subscription_prices, two.applies_to.subscription_prices),
    )
    if any(set(mine) & set(theirs) for mine, theirs in pairs):
        return True
    return not any(mine or theirs for mine, theirs in pairs)
