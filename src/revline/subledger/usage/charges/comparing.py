"""What charge lines say against what they should say: revisions, and the adjustments of a period that is closed. Pure.

A revision is written only when something changed; that the usage log went on changes nothing by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.hashing import canonical_bytes, digest_text
from revline.core.money import less, shortest
from revline.subledger.usage.charges.values import Charge, ChargeKind, ChargeSubject
from revline.subledger.usage.versions import UsageVersion, Window

ZERO: Final = Decimal(0)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a charge line should say. The fields are those of `Charge`."""

    subject: ChargeSubject
    entity: str
    product_family: str
    meter: str
    unit: str
    quantity: Decimal
    currency: str
    amount: Decimal
    events: int
    digest: str
    explanation: bytes = b"{}"
    held: bool = False

    def charge(
        self,
        *,
        tenant_id: str,
        revision: int,
        usage_version: UsageVersion,
        configuration: int,
        read_position: int = 0,
    ) -> Charge:
        """A revision that says this."""
        return Charge(
            charge_id=self.subject.charge_id(tenant_id),
            revision=revision,
            subject=self.subject,
            entity=self.entity,
            product_family=self.product_family,
            meter=self.meter,
            unit=self.unit,
            quantity=self.quantity,
            currency=self.currency,
            amount=self.amount,
            events=self.events,
            usage_version=usage_version,
            configuration=configuration,
            digest=self.digest,
            explanation=self.explanation,
            read_position=read_position,
            held=self.held,
        )


def line_of(charge: Charge) -> Line:
    """What a revision says."""
    return Line(
        subject=charge.subject,
        entity=charge.entity,
        product_family=charge.product_family,
        meter=charge.meter,
        unit=charge.unit,
        quantity=charge.quantity,
        currency=charge.currency,
        amount=charge.amount,
        events=charge.events,
        digest=charge.digest,
        explanation=charge.explanation,
        held=charge.held,
    )


def nothing(line: Line) -> Line:
    """The same line when nothing of it is left."""
    return msgspec.structs.replace(line, quantity=ZERO, amount=ZERO, events=0, digest="", explanation=b"{}")


def compare(
    *,
    tenant_id: str,
    stored: Iterable[Charge],
    computed: Iterable[Line],
    usage_version: UsageVersion,
    configuration: int,
    read_position: int = 0,
    keep_zero: bool = False,
) -> tuple[Charge, ...]:
    """The revisions that turn what is stored into what was computed, in order of their subjects.

    stored: the newest revision of each line of what was computed; one that was not computed is revised to nothing. A line of no
    event and no amount is begun only with `keep_zero`; one that counts events is kept whatever it costs.
    """
    before = {charge.subject: charge for charge in stored}
    wanted = {line.subject: line for line in computed}
    wanted |= {subject: nothing(line_of(charge)) for subject, charge in before.items() if subject not in wanted}
    revisions = []
    for subject, line in sorted(wanted.items(), key=lambda item: canonical_bytes(item[0])):
        known = before.get(subject)
        if known is None and not keep_zero and not line.events and not line.amount:
            continue
        if known is not None and _content(line_of(known)) == _content(line):
            continue
        revision = 1 if known is None else known.revision + 1
        revisions.append(
            line.charge(
                tenant_id=tenant_id,
                revision=revision,
                usage_version=usage_version,
                configuration=configuration,
                read_position=read_position,
            )
        )
    return tuple(revisions)


def adjustments(
    *,
    closed: Sequence[Charge],
    borne: Sequence[Charge],
    computed: Sequence[Line],
    bearing: Window,
    origin: Window,
    held: bool = False,
) -> tuple[Line, ...]:
    """What the period `bearing` bears of a closed period `origin` whose lines would now be `computed`.

    closed: the lines as they stood when it closed. borne: every adjustment of it that stands, of whatever period. An adjustment is
    the whole difference less what other periods bear, so repeating it changes nothing. Usage alone is adjusted: commitments and
    credits take an adjustment like any line of the period that bears it.
    """
    before = {charge.subject: line_of(charge) for charge in closed if charge.subject.kind is ChargeKind.USAGE}
    after = {line.subject: line for line in computed if line.subject.kind is ChargeKind.USAGE}
    by_subject: dict[ChargeSubject, list[Charge]] = {}
    for charge in borne:
        by_subject.setdefault(charge.subject, []).append(charge)
    made = []
    for subject in sorted({*before, *after}, key=canonical_bytes):
        old, new = before.get(subject), after.get(subject)
        now = new if new is not None else nothing(_either(old, new))
        was = old if old is not None else nothing(now)
        own = msgspec.structs.replace(subject, kind=ChargeKind.ADJUSTMENT, window=bearing, origin=origin)
        elsewhere = [
            charge
            for other, charges in by_subject.items()
            for charge in charges
            if other.origin == origin and _same_but_window(other, own) and other.window != bearing
        ]
        line = _difference(own, was, now, elsewhere, held=held)
        if line.amount or line.quantity or line.events or own in by_subject:
            made.append(line)
    return tuple(made)


def explained(charge: Charge, *, before: Charge | None) -> Mapping[str, object]:
    """What changed from one revision of a line to the next: both versions of the usage log, quantity, amount and events."""
    return {
        "charge_id": charge.charge_id,
        "revision": charge.revision,
        "from": None if before is None else _state(before),
        "to": _state(charge),
        "quantity": charge.quantity if before is None else less(charge.quantity, before.quantity),
        "amount": charge.amount - (ZERO if before is None else before.amount),
        "events": charge.events - (0 if before is None else before.events),
    }


def _state(charge: Charge) -> Mapping[str, object]:
    return {
        "revision": charge.revision,
        "quantity": charge.quantity,
        "amount": charge.amount,
        "events": charge.events,
        "usage_version": charge.usage_version,
        "configuration": charge.configuration,
    }


def _content(line: Line) -> bytes:
    """What a revision is compared by. Numbers are compared by value: 5 and 5.00 are one amount."""
    numbers = msgspec.structs.replace(line, quantity=shortest(line.quantity), amount=shortest(line.amount))
    return canonical_bytes(numbers)


def _either(old: Line | None, new: Line | None) -> Line:
    found = new if new is not None else old
    assert found is not None, "a subject comes from one side or the other"
    return found


def _same_but_window(one: ChargeSubject, other: ChargeSubject) -> bool:
    return msgspec.structs.replace(one, window=other.window) == other


def _difference(own: ChargeSubject, was: Line, now: Line, elsewhere: Sequence[Charge], *, held: bool) -> Line:
    """The adjustment: what the line would be now, less what it was, less what other periods bear of it."""
    amount = now.amount - was.amount - sum((charge.amount for charge in elsewhere), ZERO)
    quantity = less(now.quantity, was.quantity, *(charge.quantity for charge in elsewhere))
    events = now.events - was.events - sum(charge.events for charge in elsewhere)
    explanation = {
        "kind": "adjustment",
        "was": {"quantity": was.quantity, "amount": was.amount, "events": was.events},
        "borne_elsewhere": [
            {"charge_id": charge.charge_id, "revision": charge.revision, "amount": charge.amount}
            for charge in elsewhere
        ],
        "now": {"quantity": now.quantity, "amount": now.amount, "events": now.events},
        "now_steps": msgspec.json.decode(now.explanation),
        "amount": amount,
    }
    return msgspec.structs.replace(
        now,
        subject=own,
        quantity=quantity,
        amount=amount,
        events=events,
        digest=digest_text([was.digest, now.digest, *(charge.digest for charge in elsewhere)]),
        explanation=canonical_bytes(explanation),
        held=held,
    )
