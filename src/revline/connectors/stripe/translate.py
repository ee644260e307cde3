"""Stripe's messages as facts: from the bytes of a webhook or of an API object to snapshots with their roots, names and order.

Pure. The shape of each object kind is read by the module of its noun; here is what all share: envelope, digest, order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from revline.connectors.sdk.source import SourceContext
from revline.connectors.stripe.catalogue import read_price, read_product
from revline.connectors.stripe.credits import read_credit_note, read_customer_balance_transaction
from revline.connectors.stripe.customers import read_customer
from revline.connectors.stripe.disputes import read_dispute
from revline.connectors.stripe.fields import Fields, RefusedError
from revline.connectors.stripe.invoices import read_invoice, read_invoice_payment
from revline.connectors.stripe.money_movements import (
    read_balance_transaction,
    read_charge,
    read_payment_intent,
    read_payout,
    read_refund,
)
from revline.connectors.stripe.reading import Message, Reading, names
from revline.connectors.stripe.subscriptions import read_subscription, read_subscription_schedule
from revline.core.exact_json import parse_object
from revline.core.facts import Incomplete, Name, TranslatedFact
from revline.core.ids import SourceObject
from revline.core.problem import Mender, Problem, Retryable, define, problem

BYTES_MAX: Final = 2_097_152
DEPTH_MAX: Final = 32
NESTED_MAX: Final = 2_000
"""Facts out of one input: an invoice with its payments, a charge with its refunds."""
DIGEST_LENGTH: Final = 16

READERS: Final[Mapping[str, Callable[..., Reading]]] = {
    "customer": read_customer,
    "invoice": read_invoice,
    "invoice_payment": read_invoice_payment,
    "charge": read_charge,
    "payment_intent": read_payment_intent,
    "refund": read_refund,
    "payout": read_payout,
    "balance_transaction": read_balance_transaction,
    "credit_note": read_credit_note,
    "customer_balance_transaction": read_customer_balance_transaction,
    "dispute": read_dispute,
    "product": read_product,
    "price": read_price,
    "subscription": read_subscription,
    "subscription_schedule": read_subscription_schedule,
}
CANONICAL_KINDS: Final[Mapping[str, str]] = {
    "charge": "payment",
    "credit_note": "credit_memo",
    "customer_balance_transaction": "credit_movement",
}
"""Stripe's object -> the kind it is here, where the words differ."""
SILENT: Final = frozenset(
    {
        "test_helpers.test_clock",
        "tax_rate",
        "plan",
        "cash_balance",
        "customer_cash_balance_transaction",
        "billing.meter",
    }
)
"""Objects that say nothing of their own: a test clock's time stands in `created` of what it moves, a tax rate on the taxes, a plan
on its price, a meter on what it metered; cash a customer sent ahead is the customer's until a payment takes it, and then the charge
tells."""
BALANCES: Final = frozenset({"balance", "invoice_credit_balance"})
"""Fields of a customer that hold its credit: in its own currency, and in each it was invoiced in."""
CREDIT_MOVEMENTS: Final = "customer_balance_transactions"
PAYOUT_MEMBERS: Final = "payout_balance_transactions"
"""What is read of a customer, and of a payout: Stripe's list object, whole, of the customer's balance transactions and of the
balance transactions of the payout."""
THIN: Final = "v2.core.event"
METER_ERRORS: Final = ("v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found")
"""Thin events that say only that metered use was refused after it was taken; which, the event fetched from Stripe says."""
PREVIEWS: Final = frozenset({"invoice.upcoming"})
"""Events about an object that does not exist yet."""


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What the facts of one input share. source_event is "" for API objects, which are named by their own content."""

    message: Message
    event_type: str = ""
    source_event: str = ""
    content_digest: str = ""
    correlation: str = ""


def translate(*, body: bytes, context: SourceContext) -> tuple[TranslatedFact | Incomplete, ...] | Problem:
    """The facts of one webhook event: one of its object and one of each object that came expanded inside.

    The digest is over (type, created, data), so a re-delivery is the same and a changed one a conflict. What a message holds in
    part is `Incomplete`: an invoice, credit note or subscription whose list of lines or items goes on (Stripe embeds the first
    ten); besides its customer, the credit balance that customer.updated says has moved (no event tells of its movements); besides
    its payout, the members of one that Stripe has just reconciled. Nothing at all of what is silent. Problems: json.* ,
    stripe.object_invalid, stripe.amount_invalid, currency.unknown, stripe.type_unsupported, stripe.mode_mismatch,
    stripe.invoice_inconsistent, stripe.credit_note_inconsistent.
    """
    event = parse_object(body, bytes_max=BYTES_MAX, depth_max=DEPTH_MAX)
    if isinstance(event, Problem):
        return event
    try:
        return _event_facts(event=event, context=context)
    except RefusedError as error:
        return error.refusal


def translate_object(*, body: bytes, context: SourceContext) -> tuple[TranslatedFact, ...] | Problem:
    """The facts of one object as Stripe's API returns it, or of every member of a whole list object.

    An object's event id is "<object id>@<start of its digest>", so the same state imported twice is one fact and a later state is
    another. Problems as in `translate`, and stripe.list_incomplete.
    """
    value = parse_object(body, bytes_max=BYTES_MAX, depth_max=DEPTH_MAX)
    if isinstance(value, Problem):
        return value
    envelope = _Envelope(message=Message(context=context))
    try:
        if value.get("object") == "list":
            whole = Fields(values={"list": value}).whole_list("list")
            return _all_facts([_facts(fields=member, envelope=envelope) for member in whole])
        if value.get("object") == "event":
            made = _event_facts(event=value, context=context)
            if isinstance(made, Problem):
                return made
            partly = next((one for one in made if isinstance(one, Incomplete)), None)
            facts = tuple(one for one in made if isinstance(one, TranslatedFact))
            return facts if facts or partly is None else problem("stripe.list_incomplete", partly.why)
        return _facts(fields=Fields(values=value), envelope=envelope)
    except RefusedError as error:
        return error.refusal


def _all_facts(parts: Iterable[tuple[TranslatedFact, ...] | Problem]) -> tuple[TranslatedFact, ...] | Problem:
    found: list[TranslatedFact] = []
    for part in parts:
        if isinstance(part, Problem):
            return part
        found += part
    return tuple(found)


def _event_facts(*, event: dict[str, Any], context: SourceContext) -> tuple[TranslatedFact | Incomplete, ...] | Problem:
    fields = Fields(values=event)
    if fields.text("object") == THIN and fields.text("type").startswith(METER_ERRORS):
        return _refused_use(fields)
    if fields.text("object") != "event":
        return _unsupported(f"an envelope {fields.text('object')[:60]!r}", field="object")
    event_type = fields.text("type")
    if event_type in PREVIEWS:
        return _unsupported(f"the event {event_type}", field=event_type)
    _refuse_other_mode(fields=fields, context=context)
    message = Message(context=context, event_type=event_type, created=fields.moment("created"))
    envelope = _Envelope(
        message=message,
        event_type=event_type,
        source_event=fields.required_identifier("id"),
        content_digest=_digest({name: event.get(name) for name in ("type", "created", "data")}),
        correlation=_request(fields),
    )
    # Places are told from the object, so that a webhook's cause and an import's cause are one.
    thing = Fields(values=fields.child("data").child("object").values)
    try:
        made = _facts(fields=thing, envelope=envelope)
    except RefusedError as error:
        if error.refusal.code != "stripe.list_incomplete":
            raise
        kind = thing.text("object")
        return (_incomplete(thing, envelope, kind, CANONICAL_KINDS.get(kind, kind), error.refusal.detail),)
    if isinstance(made, Problem):
        return made
    return (*made, *_besides(thing, fields.child("data").child("previous_attributes"), envelope))


def _besides(thing: Fields, before: Fields, envelope: _Envelope) -> tuple[Incomplete, ...]:
    """What a message says has moved without holding it."""
    if envelope.event_type == "customer.updated" and before.values.keys() & BALANCES:
        why = "the customer's credit balance moved; its movements are read"
        return (_incomplete(thing, envelope, CREDIT_MOVEMENTS, "customer", why),)
    if envelope.event_type == "payout.reconciliation_completed":
        why = "the payout is reconciled; the balance transactions it holds are read"
        return (_incomplete(thing, envelope, PAYOUT_MEMBERS, "payout", why),)
    return ()


def _incomplete(thing: Fields, envelope: _Envelope, object_kind: str, kind: str, why: str) -> Incomplete:
    message = envelope.message
    assert message.created is not None
    outside_id = thing.required_identifier("id")
    source = SourceObject(connection=message.context.connection, kind=kind, outside_id=outside_id)
    return Incomplete(
        source=source,
        object_kind=object_kind,
        why=why,
        source_event=envelope.source_event,
        event_type=envelope.event_type,
        occurred_at=message.created,
        content_digest=envelope.content_digest,
        names=(Name(kind="outside_id", value=outside_id), *names(source_event=envelope.source_event)),
        correlation=envelope.correlation,
    )


def _facts(*, fields: Fields, envelope: _Envelope) -> tuple[TranslatedFact, ...] | Problem:
    if fields.text("object") in SILENT:
        return ()
    reader = READERS.get(fields.text("object"))
    if reader is None:
        what = envelope.event_type or "an object"
        return _unsupported(f"{what} of kind {fields.text('object')[:60]!r}", field=fields.text("object")[:60])
    _refuse_other_mode(fields=fields, context=envelope.message.context)
    reading = reader(fields=fields, message=envelope.message)
    found = [_fact(reading=reading, fields=fields, envelope=envelope)]
    waiting = list(reading.nested)
    # An expanded object is the state the API would return, so it is named by its content, not by the event around it.
    inner = _Envelope(message=Message(context=envelope.message.context), correlation=envelope.correlation)
    while waiting:
        if len(found) >= NESTED_MAX:
            return problem("stripe.object_invalid", f"one input holds more than {NESTED_MAX} objects")
        inside = waiting.pop()
        nested_reader = READERS.get(inside.text("object"))
        if nested_reader is None:
            continue
        nested = nested_reader(fields=inside, message=inner.message)
        found.append(_fact(reading=nested, fields=inside, envelope=inner))
        waiting.extend(nested.nested)
    return tuple(found)


def _fact(*, reading: Reading, fields: Fields, envelope: _Envelope) -> TranslatedFact:
    occurred_at: datetime = envelope.message.created or reading.latest
    content_digest = envelope.content_digest or _digest(fields.values)
    source_event = envelope.source_event or f"{reading.source.outside_id}@{content_digest[:DIGEST_LENGTH]}"
    own = (Name(kind="outside_id", value=reading.source.outside_id),)
    return TranslatedFact(
        source=reading.source,
        source_event=source_event,
        event_type=envelope.event_type or fields.text("object"),
        occurred_at=occurred_at,
        content_digest=content_digest,
        order_key=(reading.rank, int(occurred_at.timestamp()), *reading.growing),
        snapshot=reading.snapshot,
        roots=reading.roots,
        names=own + names(source_event=source_event) + reading.names,
        correlation=envelope.correlation,
    )


def _digest(value: Mapping[str, Any]) -> str:
    """SHA-256 over parsed JSON with sorted keys. It needs no pass that makes values plain: parsed JSON is plain already."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


def _request(fields: Fields) -> str:
    """The id of the API request that caused the event: an object in present versions, a text in old ones."""
    request = fields.child("request")
    return request.identifier("id") if request.values else fields.identifier("request")


def _refuse_other_mode(*, fields: Fields, context: SourceContext) -> None:
    if fields.has("livemode") and fields.flag("livemode") is context.sandbox:
        side, other = ("live", "sandbox") if context.sandbox else ("test", "live")
        raise RefusedError(
            problem(
                "stripe.mode_mismatch", f"an object of the {side} side came by a {other} connection", field="livemode"
            )
        )


def _refused_use(fields: Fields) -> Problem:
    """Stripe took metered use and refused it later: a case with the message, one cause for each meter."""
    meter = fields.child("related_object").identifier("id")
    detail = (
        f"metered use was refused after it was taken; the event {fields.identifier('id')[:60]} at Stripe says which"
    )
    return problem("stripe.use_refused", detail, field=meter or "no meter")


def _unsupported(what: str, *, field: str) -> Problem:
    return problem("stripe.type_unsupported", f"{what} has no canonical form here", field=field)


define(
    code="stripe.type_unsupported",
    title="A kind of Stripe message that Revline does not translate",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Unsubscribe the endpoint from this event type, or waive the case; the message is kept.",
)
define(
    code="stripe.use_refused",
    title="Stripe refused metered use after it had taken it",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Open the error report in Stripe, mend the customer or meter it names, tell the use again, then waive the case.",
)
define(
    code="stripe.mode_mismatch",
    title="Test data on a live connection, or live data on a sandbox",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.CONFIGURATION,
    remedy="Point the endpoint of the right side at this connection, or set the connection's sandbox flag right.",
)
