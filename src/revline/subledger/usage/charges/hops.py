"""Lineage of charges: a fact of ours to the line and revision it states, the line to the events it counts, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from revline.core.hashing import plain
from revline.platform.lineage.walk import HOP_MEMBERS_MAX, Described, Hop, Reference
from revline.subledger.usage.charges import queries
from revline.subledger.usage.charges.comparing import explained
from revline.subledger.usage.charges.record import CHARGE

EVENTS: Final = "usage_events"
"""A set reference: the usage events a revision of a line counts; its id is `charge id@revision`."""
REVISION: Final = "charge_revision"


class ChargeHops:
    """Usage events → revisions of a charge line → facts that state what is accrued of it (and on to journals)."""

    def hops(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        match reference.kind:
            case "fact":
                entry = queries.entry_of_fact(connection, tenant_id=tenant_id, fact_id=reference.record_id)
                if entry is None:
                    return ()
                revision = _revision(entry.charge_id, entry.revision)
                return [Hop(source=revision, derived=reference, relation="is stated as")]
            case "charge":
                found = queries.revisions_of(
                    connection, tenant_id=tenant_id, charge_id=reference.record_id, limit=HOP_MEMBERS_MAX
                )
                return [
                    Hop(source=reference, derived=_revision(one.charge_id, one.revision), relation="reads, by version")
                    for one in found
                ]
            case "charge_revision":
                return self._of_revision(connection, tenant_id, reference)
            case "usage_events":
                return [Hop(source=reference, derived=_of(REVISION, reference.record_id), relation="is counted in")]
            case _:
                return ()

    def _of_revision(self, connection: Connection, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        charge_id, number = _key(reference.record_id)
        stated = queries.facts_of(connection, tenant_id=tenant_id, charge_id=charge_id, limit=HOP_MEMBERS_MAX)
        line = _of(CHARGE, charge_id)
        found = [Hop(source=line, derived=reference, relation="reads, by version")]
        found.append(Hop(source=_of(EVENTS, reference.record_id), derived=reference, relation="is counted in"))
        found += [
            Hop(source=reference, derived=_of("fact", fact_id), relation="is stated as")
            for fact_id, entry in stated
            if entry.revision == number
        ]
        return found

    def describe(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Described | None:
        if reference.kind == CHARGE:
            found = queries.revisions_of(connection, tenant_id=tenant_id, charge_id=reference.record_id, limit=1)
            return None if not found else _described(reference, found[0], {})
        if reference.kind not in {REVISION, EVENTS}:
            return None
        charge_id, number = _key(reference.record_id)
        wanted = [(charge_id, number), (charge_id, number - 1)]
        known = queries.revisions_by_key(connection, tenant_id=tenant_id, keys=wanted)
        charge = known.get((charge_id, number))
        if charge is None:
            return None
        if reference.kind == EVENTS:
            fields = {
                "events": charge.events,
                "quantity": charge.quantity,
                "unit": charge.unit,
                "digest": charge.digest,
                "usage_version": plain(charge.usage_version),
                "page": f"GET /v1/usage/charges/{charge_id}/events?revision={number}",
            }
            title = f"{charge.events} usage events of {charge.meter} by {charge.subject.customer.outside_id}"
            return Described(
                reference=reference, title=title, at=charge.subject.window.start.isoformat(), fields=fields
            )
        change = explained(charge, before=known.get((charge_id, number - 1)))
        return _described(reference, charge, {"change": plain(change)})


def _described(reference: Reference, charge: Any, more: dict[str, Any]) -> Described:
    subject = charge.subject
    return Described(
        reference=reference,
        title=(
            f"{subject.kind.value} of {subject.customer.outside_id} at {subject.price}:"
            f" {charge.quantity} {charge.unit} = {charge.amount} {charge.currency}"
        ),
        at=subject.window.start.isoformat(),
        fields={
            "revision": charge.revision,
            "held": charge.held,
            "window": plain(subject.window),
            "meter": charge.meter,
            "configuration_version": charge.configuration,
            "usage_version": plain(charge.usage_version),
            "digest": charge.digest,
            "steps": msgspec.json.decode(charge.explanation),
            **more,
        },
    )


def _revision(charge_id: str, revision: int) -> Reference:
    return _of(REVISION, f"{charge_id}@{revision}")


def _of(kind: str, record_id: str) -> Reference:
    return Reference(kind=kind, record_id=record_id)


def _key(record_id: str) -> tuple[str, int]:
    charge_id, _, number = record_id.partition("@")
    return charge_id, int(number) if number.isdigit() else 0
