"""Canonical objects as facts: a CloudEvent of type `revline.<kind>.v1` whose data is the object. Pure.

Newest snapshot: rank of the status, then the event's time, then its sequence. The content digest covers type, source, subject,
time, sequence and data, as values and not as bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from revline.connectors.direct.cloudevents import Envelope, read_envelope
from revline.connectors.sdk.source import SourceContext
from revline.core import canonical
from revline.core.canonical import KINDS, CanonicalObject
from revline.core.events import STATED_KINDS
from revline.core.exact_json import parse_object
from revline.core.facts import Name, TranslatedFact
from revline.core.hashing import digest_text, plain
from revline.core.ids import SourceObject
from revline.core.money import decode_hook
from revline.core.problem import FieldError, Problem, problem

BYTES_MAX: Final = 1_048_576
DEPTH_MAX: Final = 32
UNKNOWN_MAX: Final = 20
TYPE: Final = re.compile(r"revline\.([a-z_]+)\.v1\Z", re.ASCII)
USAGE: Final = re.compile(r"(^|[.\-_/])usage([.\-_/]|$)", re.IGNORECASE)
PATH: Final = re.compile(r"^(?P<detail>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
MICROSECOND: Final = 1_000_000
STATUSES: Final[Mapping[str, Mapping[str, int]]] = {
    "invoice": {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3},
    "invoice_payment": {"open": 0, "paid": 1, "canceled": 1},
    "payment": {"pending": 0, "failed": 1, "succeeded": 2},
    "payment_intent": {
        "requires_payment_method": 0,
        "requires_confirmation": 0,
        "requires_action": 0,
        "processing": 1,
        "requires_capture": 1,
        "canceled": 2,
        "succeeded": 3,
    },
    "refund": {"pending": 0, "requires_action": 0, "succeeded": 1, "failed": 2, "canceled": 2},
    "credit_memo": {"issued": 0, "void": 1},
    "dispute": {"inquiry": 0, "open": 1, "prevented": 2, "won": 2, "lost": 2},
    "subscription": {
        "incomplete": 0,
        "trialing": 1,
        "active": 1,
        "past_due": 1,
        "paused": 1,
        "unpaid": 1,
        "ended": 2,
    },
    "subscription_schedule": {"not_started": 0, "active": 1, "completed": 2, "released": 2, "canceled": 2},
    "order": {"draft": 0, "activated": 1, "canceled": 2},
    "contract": {"draft": 0, "in_approval": 0, "activated": 1, "ended": 2},
    "payout": {"pending": 0, "in_transit": 0, "paid": 1, "failed": 2, "canceled": 2},
}
"""The statuses of each kind that has them in one set of words, and how far each is; equal ones may follow each other."""
PAYMENT_MOVEMENTS: Final = frozenset({"charge", "payment"})
PAYOUT_MOVEMENTS: Final = frozenset({"payout", "payout_cancel", "payout_failure"})


def translate(*, body: bytes, context: SourceContext) -> tuple[TranslatedFact, ...] | Problem:
    """The fact of one CloudEvent in structured JSON.

    Problems: json.*, events.envelope_invalid, events.usage_elsewhere, events.type_unknown, events.data_invalid,
    entity.unknown, time.invalid.
    """
    values = parse_object(body, bytes_max=BYTES_MAX, depth_max=DEPTH_MAX)
    if isinstance(values, Problem):
        return values
    if isinstance(values.get("type"), str) and USAGE.search(values["type"]):
        return problem("events.usage_elsewhere", "usage events go to POST /v1/usage", field="/type")
    envelope = read_envelope(values)
    if isinstance(envelope, Problem):
        return envelope
    if envelope.entity and envelope.entity != context.entity:
        detail = f"{envelope.entity[:60]!r} is not the legal entity of the connection {context.connection}"
        return problem("entity.unknown", detail, field="/entity")
    match = TYPE.match(envelope.event_type)
    if match is None or match[1] not in KINDS:
        known = ", ".join(f"revline.{kind}.v1" for kind in sorted(KINDS))
        return problem("events.type_unknown", f"{envelope.event_type[:60]!r} is none of {known}", field="/type")
    snapshot = read_object(envelope.data, kind=match[1], pointer="/data")
    if isinstance(snapshot, Problem):
        return snapshot
    return (_fact(envelope=envelope, kind=match[1], snapshot=snapshot, context=context),)


def read_object(data: Mapping[str, Any], *, kind: str, pointer: str) -> CanonicalObject | Problem:
    """A canonical object from parsed JSON, every field known and of its type; else `events.data_invalid`, with the places."""
    if data.get("type", kind) != kind:
        return _invalid("is of another kind than the event's type says", pointer=f"{pointer}/type", instead=kind)
    given = {name: value for name, value in data.items() if name != "type"}
    try:
        snapshot: CanonicalObject = msgspec.convert(given, KINDS[kind], dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        found = PATH.match(str(error))
        path = re.sub(r"\[(\d+|\.\.\.)\]", r"/\1", (found and found["path"]) or "").replace(".", "/")
        return _invalid((found and found["detail"]) or "does not fit", pointer=pointer + path)
    unknown = tuple(_unknown(given, plain(snapshot), pointer=pointer))[:UNKNOWN_MAX]
    if unknown:
        return problem("events.data_invalid", "fields no contract has", field=unknown[0].pointer, errors=unknown)
    naive = _naive(snapshot)
    if naive:
        return problem("time.invalid", f"{naive} has no offset", field=f"{pointer}/{naive}")
    if isinstance(snapshot, canonical.StatedEvent):
        return _stated(snapshot, pointer=pointer)
    ranks = STATUSES.get(kind)
    if ranks is not None and str(getattr(snapshot, "status", "")) not in ranks:
        return _invalid("is no status of this kind", pointer=f"{pointer}/status", instead=" or ".join(ranks))
    return snapshot


def _stated(snapshot: canonical.StatedEvent, *, pointer: str) -> canonical.StatedEvent | Problem:
    """A stated event whose kind may be stated, with the payload of that kind."""
    wanted = {kind.value: payload for kind, payload in STATED_KINDS.items()}.get(snapshot.event)
    if wanted is None:
        known = ", ".join(sorted(STATED_KINDS))
        return _invalid("is no event that may be stated", pointer=f"{pointer}/event", instead=f"one of {known}")
    if not isinstance(snapshot.payload, wanted):
        instead = str(wanted.__struct_config__.tag)
        return _invalid(f"is not the payload of {snapshot.event}", pointer=f"{pointer}/payload/type", instead=instead)
    return snapshot


def _invalid(detail: str, *, pointer: str, instead: str = "") -> Problem:
    error = FieldError(pointer=pointer, detail=detail, instead=instead)
    return problem("events.data_invalid", f"{pointer}: {detail}", field=pointer, errors=(error,))


def _unknown(given: Any, kept: Any, *, pointer: str) -> list[FieldError]:
    """Places of the input that no field took up; a misspelt optional field would otherwise vanish in silence."""
    if isinstance(given, dict) and isinstance(kept, dict):
        missing = [name for name in given if name not in kept]
        found = [FieldError(pointer=f"{pointer}/{name[:60]}", detail="is no field of the contract") for name in missing]
        for name in given:
            found += _unknown(given[name], kept.get(name), pointer=f"{pointer}/{name}") if name in kept else []
        return found
    if isinstance(given, list) and isinstance(kept, list):
        pairs = enumerate(zip(given, kept, strict=False))
        return [error for index, (one, other) in pairs for error in _unknown(one, other, pointer=f"{pointer}/{index}")]
    return []


def _naive(value: Any, name: str = "") -> str:
    """The name of a moment without an offset, "" when there is none."""
    if isinstance(value, datetime):
        return name if value.tzinfo is None else ""
    if isinstance(value, msgspec.Struct):
        return next((hit for field in value.__struct_fields__ if (hit := _naive(getattr(value, field), field))), "")
    if isinstance(value, tuple):
        return next((hit for item in value if (hit := _naive(item, name))), "")
    return ""


def _fact(*, envelope: Envelope, kind: str, snapshot: CanonicalObject, context: SourceContext) -> TranslatedFact:
    source = SourceObject(connection=context.connection, kind=kind, outside_id=snapshot.outside_id)
    content = {
        "type": envelope.event_type,
        "source": envelope.source,
        "subject": envelope.subject,
        "time": envelope.time,
        "sequence": envelope.sequence,
        "data": envelope.data,
    }
    return TranslatedFact(
        source=source,
        source_event=envelope.identity,
        event_type=envelope.event_type,
        occurred_at=envelope.time,
        content_digest=digest_text(content),
        order_key=(_rank(kind, snapshot), _microseconds(envelope.time), envelope.sequence),
        snapshot=snapshot,
        roots=(_root(source, snapshot),),
        names=_names(envelope, snapshot),
        correlation=envelope.correlation,
    )


def _rank(kind: str, snapshot: CanonicalObject) -> int:
    if isinstance(snapshot, canonical.Customer | canonical.Product):
        return int(snapshot.deleted)
    if isinstance(snapshot, canonical.StatedEvent | canonical.CreditGrant | canonical.CreditRefund):
        return int(snapshot.voided)
    return STATUSES[kind][str(getattr(snapshot, "status", ""))] if kind in STATUSES else 0


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * MICROSECOND + moment.microsecond


def _root(source: SourceObject, snapshot: CanonicalObject) -> SourceObject:
    def of(kind: str, outside_id: str) -> SourceObject:
        return SourceObject(connection=source.connection, kind=kind, outside_id=outside_id) if outside_id else source

    match snapshot:
        case canonical.InvoicePayment() | canonical.CreditMemo():
            return of("invoice", snapshot.invoice)
        case canonical.PaymentIntent() | canonical.Refund() | canonical.Dispute():
            return of("payment", snapshot.payment)
        case canonical.BalanceTransaction() if snapshot.transaction_type in PAYMENT_MOVEMENTS:
            return of("payment", snapshot.source)
        case canonical.BalanceTransaction() if snapshot.transaction_type in PAYOUT_MOVEMENTS:
            return of("payout", snapshot.source)
    return source


def _names(envelope: Envelope, snapshot: CanonicalObject) -> tuple[Name, ...]:
    found = [
        ("outside_id", snapshot.outside_id),
        ("source_event", envelope.identity),
        ("event_id", envelope.event_id),
        ("balance_transaction", getattr(snapshot, "balance_transaction", "")),
    ]
    match snapshot:
        case canonical.Invoice():
            found.append(("invoice_number", snapshot.number))
        case canonical.CreditMemo():
            found.append(("credit_memo_number", snapshot.number))
            found += [("refund", refund) for refund in snapshot.refunds]
        case canonical.Payment():
            found.append(("payment_intent", snapshot.payment_intent))
        case canonical.Order() | canonical.Quote() | canonical.Contract():
            kind = str(snapshot.__struct_config__.tag)
            found.append((f"{kind}_number", snapshot.number))
        case canonical.Product():
            found.append(("product_code", snapshot.code))
        case canonical.Subscription():
            found.append(("customer", snapshot.customer))
    found += [(link.kind, link.outside_id) for link in getattr(snapshot, "links", ())]
    return tuple(Name(kind=kind, value=value) for kind, value in found if value)


def translate_object(*, body: bytes, context: SourceContext) -> tuple[TranslatedFact, ...] | Problem:
    """As `translate`: this source has no API of its own, so what is imported are its events."""
    return translate(body=body, context=context)
