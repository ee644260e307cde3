"""What a named amount is: its name, the events it is for, how often it is asked, and how it is computed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from revline.core.canonical import InvoiceLine, TaxAmount
from revline.core.events import AccountingEvent, EventKind
from revline.subledger.posting.kinds import Each


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What an amount is taken of: the event, and the line and tax it is asked for."""

    event: AccountingEvent
    line: InvoiceLine | None = None
    tax: TaxAmount | None = None


class AmountFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A named amount. events: kinds it is for. each: how often it is asked. meaning: one sentence for the reference page."""

    name: str
    events: frozenset[EventKind]
    each: Each
    meaning: str
    compute: Callable[[Part], Decimal]


def amount_of(
    name: str, events: frozenset[EventKind], each: Each, meaning: str, compute: Callable[[Part], Decimal]
) -> AmountFunction:
    """A function in few words."""
    return AmountFunction(name=name, events=events, each=each, meaning=meaning, compute=compute)
