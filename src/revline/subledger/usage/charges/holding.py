"""Late usage that waits for a person: what is held of a closed period, and what follows from a decision. Pure.

A held line stands in no period (its window is the closed one itself). What a person approves is the difference that was shown
then; usage that came later is held again by itself, and what was refused is never shown again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

import msgspec

from revline.subledger.usage.charges.comparing import Line, adjustments, line_of, nothing
from revline.subledger.usage.charges.state import Decision
from revline.subledger.usage.charges.values import Charge, ChargeKind, ChargeSubject
from revline.subledger.usage.versions import Window

ZERO: Final = Decimal(0)
Decided = Sequence[tuple[Charge, Decision]]


def pending(
    *, closed: Sequence[Charge], computed: Sequence[Line], decided: Decided, price: str, origin: Window
) -> tuple[Line, ...]:
    """The lines to hold: what the period would cost now, less what was charged and what was decided already."""
    elsewhere = [
        _moved(charge, number)
        for number, (charge, _) in enumerate(decided)
        if charge.subject.price == price and charge.subject.origin == origin
    ]
    return adjustments(closed=closed, borne=elsewhere, computed=computed, bearing=origin, origin=origin, held=True)


def accepted(*, closed: Sequence[Charge], decided: Decided, price: str, origin: Window) -> tuple[Line, ...]:
    """What the closed period's lines come to with everything that was approved."""
    lines = {charge.subject: line_of(charge) for charge in closed}
    for charge, decision in decided:
        if decision is not Decision.APPROVE or charge.subject.price != price or charge.subject.origin != origin:
            continue
        subject = _usage_subject(charge.subject, origin)
        before = lines.get(subject) or nothing(msgspec.structs.replace(line_of(charge), subject=subject, held=False))
        lines[subject] = msgspec.structs.replace(
            before,
            quantity=before.quantity + charge.quantity,
            amount=before.amount + charge.amount,
            events=before.events + charge.events,
            digest=charge.digest,
            explanation=charge.explanation,
        )
    return tuple(lines.values())


def _usage_subject(subject: ChargeSubject, origin: Window) -> ChargeSubject:
    return msgspec.structs.replace(subject, kind=ChargeKind.USAGE, window=origin, origin=None)


def _moved(charge: Charge, number: int) -> Charge:
    """The revision in a window of its own, so that each that was decided counts as borne elsewhere."""
    window = charge.subject.window
    apart = Window(
        start=window.end + timedelta(microseconds=number), end=window.end + timedelta(microseconds=number + 1)
    )
    return msgspec.structs.replace(charge, subject=msgspec.structs.replace(charge.subject, window=apart))
