"""Charge lines as accounting events: usage accrued when a month ends, what changed since, and the reversal by what bills it. Pure.

An accrual is an event stated by this room, as another subledger would state it, and booked by derive like any other. An `Entry`
is stated once and never changed: what changes later is an entry of its own for the difference, which names the revision of the line
it follows from. So a journal leads to the two versions of the usage log between which its amount came about.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.canonical.stated import PrepaidCredit, RecognizedRevenue, StatedEvent, StatedPayload
from revline.core.events import EventKind
from revline.core.facts import Name, TranslatedFact
from revline.core.hashing import digest_text
from revline.core.ids import SourceObject
from revline.subledger.usage.charges.values import Charge

ROOT_KIND: Final = "usage"
"""The kind of root an entry is, so that a journal leads to the one revision it follows from."""
ENTRY_KIND: Final = "usage_entry"
BILLED: Final = "billed"
"""The part under which the reversal of a line's accruals stands, by the line that bills it."""
ZERO: Final = Decimal(0)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One accounting event of a charge line.

    part: the accounting month the usage was made in, or `BILLED`. ordinal: 1 for the first of a part, one more for each change.
    day: the day it counts. revision: the revision of the line it follows from. amount: signed, in the line's currency.
    """

    charge_id: str
    part: str
    ordinal: int
    day: date
    amount: Decimal
    currency: str
    revision: int
    kind: str = EventKind.USAGE_ACCRUED.value

    @property
    def outside_id(self) -> str:
        """The id its fact has."""
        return f"{self.charge_id}:{self.part}:{self.ordinal}"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What should be accrued of a line for the usage of one accounting month. day: where it counts while that month is open.
    in_original: a change counts on that day although its month has closed."""

    part: str
    day: date
    amount: Decimal
    in_original: bool = False


class Billing(msgspec.Struct, frozen=True, kw_only=True):
    """That finished invoices bill a charge line. day: of the first of them. cleared: what their own entries take off the account it
    is accrued against; the reversal takes the rest."""

    charge_id: str
    day: date
    cleared: Decimal = ZERO


def entries(
    *,
    charge: Charge,
    stated: Sequence[Entry],
    targets: Sequence[Target],
    open_from: date,
    billing: Billing | None = None,
) -> tuple[Entry, ...]:
    """The entries to state so that what is booked of a line comes to its targets; () when it does already.

    stated: every entry of the line so far. targets: one for each accounting month that has ended; a stated part without one
    comes to nothing. open_from: the first day that takes changes. billing: the line is billed; then all that was accrued is
    reversed, on the day it was billed or the first open one. None: it is not, or no more, as when an invoice was voided.
    """
    wanted = {target.part: target for target in targets}
    for entry in stated:
        if entry.part not in wanted and entry.part != BILLED:
            wanted[entry.part] = Target(part=entry.part, day=entry.day, amount=ZERO)
    found = [
        _missing(charge, [entry for entry in stated if entry.part == part], target, open_from)
        for part, target in sorted(wanted.items())
    ]
    made = [entry for entry in found if entry is not None]
    reversals = [entry for entry in stated if entry.part == BILLED]
    if billing is not None or reversals:
        accrued = sum((entry.amount for entry in (*stated, *made) if entry.part != BILLED), ZERO)
        day = max(entry.day for entry in reversals) if billing is None else billing.day
        amount = ZERO if billing is None else billing.cleared - accrued
        reversal = _missing(charge, reversals, Target(part=BILLED, day=day, amount=amount), open_from)
        made += [] if reversal is None else [reversal]
    return tuple(made)


def _missing(charge: Charge, mine: Sequence[Entry], target: Target, open_from: date) -> Entry | None:
    """The entry that brings a part to its target; None when it is there."""
    missing = target.amount - sum((entry.amount for entry in mine), ZERO)
    if not missing:
        return None
    return Entry(
        charge_id=charge.charge_id,
        part=target.part,
        ordinal=max((entry.ordinal for entry in mine), default=0) + 1,
        day=target.day if target.in_original else max(target.day, open_from),
        amount=missing,
        currency=charge.currency,
        revision=charge.revision,
    )


def root_of(entry: Entry, charge: Charge) -> SourceObject:
    """The root an entry is booked under: of its customer's connection, which says the entity."""
    return SourceObject(connection=charge.subject.customer.connection, kind=ROOT_KIND, outside_id=entry.outside_id)


def fact_of(*, entry: Entry, charge: Charge, account: str, stated_at: datetime) -> TranslatedFact:
    """The fact that states an entry. account: the neutral account it is accrued against."""
    payload = RecognizedRevenue(
        amount=entry.amount,
        against=account,
        product_family=charge.product_family,
        obligation=charge.subject.price,
    )
    return stated_fact(
        root=root_of(entry, charge),
        customer=charge.subject.customer,
        outside_id=entry.outside_id,
        event=EventKind(entry.kind),
        day=entry.day,
        currency=entry.currency,
        payload=payload,
        stated_at=stated_at,
        names=(Name(kind="charge_id", value=charge.charge_id),),
        correlation=f"{charge.charge_id}@{entry.revision}",
    )


def credit_fact(
    *,
    customer: SourceObject,
    outside_id: str,
    event: EventKind,
    day: date,
    currency: str,
    payload: PrepaidCredit,
    stated_at: datetime,
    voided: bool = False,
) -> TranslatedFact:
    """The fact that states a movement of prepaid credits: purchased, drawn down or expired; its root is the movement itself."""
    root = SourceObject(connection=customer.connection, kind=ROOT_KIND, outside_id=outside_id)
    return stated_fact(
        root=root,
        customer=customer,
        outside_id=outside_id,
        event=event,
        day=day,
        currency=currency,
        payload=payload,
        stated_at=stated_at,
        voided=voided,
    )


def stated_fact(
    *,
    root: SourceObject,
    customer: SourceObject,
    outside_id: str,
    event: EventKind,
    day: date,
    currency: str,
    payload: StatedPayload,
    stated_at: datetime,
    names: tuple[Name, ...] = (),
    correlation: str = "",
    voided: bool = False,
) -> TranslatedFact:
    """A fact of our own. voided: it takes back what was stated under the same id, which is then reversed."""
    snapshot = StatedEvent(
        outside_id=outside_id,
        event=event.value,
        occurred_on=day,
        currency=currency,
        customer=customer.outside_id,
        payload=payload,
        voided=voided,
    )
    return TranslatedFact(
        source=SourceObject(connection=root.connection, kind=ENTRY_KIND, outside_id=outside_id),
        source_event=f"revline:usage:{outside_id}:{int(voided)}",
        event_type=event.value,
        occurred_at=stated_at,
        content_digest=digest_text(snapshot),
        order_key=(int(voided),),
        snapshot=snapshot,
        roots=(root,),
        names=names,
        correlation=correlation,
    )
