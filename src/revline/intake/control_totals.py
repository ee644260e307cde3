"""Control totals: what a source lists against what the fact log holds, counted and summed by currency and status. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.canonical import CanonicalObject
from revline.core.money import Amount, amount_text

AMOUNT_FIELDS: Final = ("total", "amount")
"""What an object is worth in its own currency; the first it has counts."""
DIFFERENCES_SHOWN_MAX: Final = 10


class ControlTotal(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Objects of a kind, currency and status. amount: their sum in that currency; currency and status are "" for what has none.

    kind: canonical; "" for what could not be translated.
    """

    kind: str
    currency: str = ""
    status: str = ""
    count: int
    amount: Amount = Decimal(0)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A kind whose totals differ. listed, held: how many the source lists, how many the log holds. detail: one sentence."""

    kind: str
    listed: int
    held: int
    detail: str


def total_of(*, kind: str, snapshot: CanonicalObject) -> ControlTotal:
    """One object as a total of one."""
    amount = next((getattr(snapshot, name) for name in AMOUNT_FIELDS if hasattr(snapshot, name)), None)
    currency = getattr(snapshot, "currency", "")
    if not isinstance(amount, Decimal) or not currency:
        return ControlTotal(kind=kind, count=1)
    return ControlTotal(
        kind=kind, currency=currency, status=str(getattr(snapshot, "status", "")), count=1, amount=amount
    )


def summed(totals: Iterable[ControlTotal]) -> tuple[ControlTotal, ...]:
    """Totals of one kind, currency and status added up, in order."""
    found: dict[tuple[str, str, str], tuple[int, Decimal]] = {}
    for one in totals:
        key = (one.kind, one.currency, one.status)
        count, amount = found.get(key, (0, Decimal(0)))
        found[key] = (count + one.count, amount + one.amount)
    return tuple(
        ControlTotal(kind=kind, currency=currency, status=status, count=count, amount=amount)
        for (kind, currency, status), (count, amount) in sorted(found.items())
    )


def differences(*, listed: Sequence[ControlTotal], held: Sequence[ControlTotal], exact: bool) -> tuple[Difference, ...]:
    """Kinds in which the log does not hold what the source lists.

    exact: nothing else of these kinds came while the listing was read, so that sums must be equal too and the log may not hold
    more than is listed; otherwise only fewer objects than listed differ. What could not be translated counts as listed where the
    listing is of one kind.
    """
    found = []
    kinds = sorted({one.kind for one in listed} - {""})
    unread = sum(one.count for one in listed if not one.kind)
    for kind in kinds:
        theirs = {(one.currency, one.status): one for one in listed if one.kind == kind}
        ours = {(one.currency, one.status): one for one in held if one.kind == kind}
        listed_count = sum(one.count for one in theirs.values()) + (unread if len(kinds) == 1 else 0)
        held_count = sum(one.count for one in ours.values())
        wrong = held_count < listed_count or (exact and held_count != listed_count)
        places = _places(theirs, ours) if exact else []
        if wrong or places:
            shown = "; ".join(places[:DIFFERENCES_SHOWN_MAX])
            detail = f"the source lists {listed_count} of kind {kind}, the log holds {held_count}"
            found.append(
                Difference(
                    kind=kind,
                    listed=listed_count,
                    held=held_count,
                    detail=f"{detail}; {shown}" if shown else detail,
                )
            )
    return tuple(found)


def _places(theirs: dict[tuple[str, str], ControlTotal], ours: dict[tuple[str, str], ControlTotal]) -> list[str]:
    found = []
    for key in sorted({*theirs, *ours}):
        their, our = theirs.get(key), ours.get(key)
        pair = (their.count if their else 0, their.amount if their else Decimal(0))
        mine = (our.count if our else 0, our.amount if our else Decimal(0))
        if pair != mine and key[0]:
            currency, status = key
            found.append(
                f"{currency} {status}".strip()
                + f": {pair[0]} of {amount_text(pair[1])} listed, {mine[0]} of {amount_text(mine[1])} held"
            )
    return found
