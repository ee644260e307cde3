"""Salesforce records and change events as facts: snapshots with their names and order, or what must be read again first.

Pure. The shape of each object is read by the module of its noun; here is what all share: envelope, digest, order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from revline.connectors.salesforce.changes import read_change
from revline.connectors.salesforce.commercial import read_contract, read_opportunity, read_order, read_quote
from revline.connectors.salesforce.fields import EPOCH, Fields, RefusedError, refused
from revline.connectors.salesforce.options import options_of
from revline.connectors.salesforce.parties import read_account, read_price, read_product
from revline.connectors.salesforce.reading import Message, Reading
from revline.connectors.sdk.source import SourceContext
from revline.core.exact_json import parse_object
from revline.core.facts import Incomplete, TranslatedFact
from revline.core.problem import Mender, Problem, Retryable, define, problem

BYTES_MAX: Final = 8_388_608
DEPTH_MAX: Final = 16
DIGEST_LENGTH: Final = 16
READERS: Final[Mapping[str, Callable[..., Reading]]] = {
    "Account": read_account,
    "Product2": read_product,
    "PricebookEntry": read_price,
    "Opportunity": read_opportunity,
    "Quote": read_quote,
    "Order": read_order,
    "Contract": read_contract,
}
_ENVELOPE: Final = frozenset({"attributes", "nextRecordsUrl"})
_MILLISECOND: Final = timedelta(milliseconds=1)


def translate(*, body: bytes, context: SourceContext) -> tuple[TranslatedFact | Incomplete, ...] | Problem:
    """What one change event says: records to read again, none when Revline's own write made it.

    Problems: json.*, salesforce.object_invalid, salesforce.type_unsupported, salesforce.settings_invalid.
    """
    event = parse_object(body, bytes_max=BYTES_MAX, depth_max=DEPTH_MAX)
    message = _message(context)
    if isinstance(event, Problem):
        return event
    if isinstance(message, Problem):
        return message
    try:
        return read_change(event=event, message=message)
    except RefusedError as error:
        return error.refusal


def translate_object(*, body: bytes, context: SourceContext) -> tuple[TranslatedFact, ...] | Problem:
    """The fact of one record as a query returns it, with its lines under their relationship's name.

    Its event id is "<record id>@<start of its digest>", so the same state read twice is one fact and a later state another: the
    modification time is part of it. Problems as in `translate`, and amount.invalid, currency.unknown,
    salesforce.currency_missing, salesforce.lines_incomplete.
    """
    record = parse_object(body, bytes_max=BYTES_MAX, depth_max=DEPTH_MAX)
    message = _message(context)
    if isinstance(record, Problem):
        return record
    if isinstance(message, Problem):
        return message
    fields = Fields(values=record)
    try:
        reader = READERS.get(fields.object_name)
        if reader is None:
            detail = f"{fields.object_name[:60]!r} has no canonical form here"
            raise refused(code="salesforce.type_unsupported", pointer="/attributes/type", detail=detail)
        return (_fact(fields=fields, reading=reader(fields=fields, message=message)),)
    except RefusedError as error:
        return error.refusal


def _fact(*, fields: Fields, reading: Reading) -> TranslatedFact:
    content = msgspec.json.encode(_content(fields.values), order="sorted")
    content_digest = hashlib.sha256(content).hexdigest()
    return TranslatedFact(
        source=reading.source,
        source_event=f"{reading.source.outside_id}@{content_digest[:DIGEST_LENGTH]}",
        event_type=fields.object_name,
        occurred_at=reading.latest,
        content_digest=content_digest,
        order_key=(
            (reading.latest - EPOCH) // _MILLISECOND,
            (reading.own - EPOCH) // _MILLISECOND,
            int(reading.deleted),
        ),
        snapshot=reading.snapshot,
        roots=(reading.source,),
        names=reading.names,
    )


def _content(value: Any) -> Any:
    """The record without what depends on how it was asked for: addresses, pages, and the order of its lines."""
    if isinstance(value, dict):
        return {name: _content(item) for name, item in value.items() if name not in _ENVELOPE}
    if isinstance(value, list):
        return sorted((_content(item) for item in value), key=_record_id)
    return value


def _record_id(item: Any) -> str:
    return str(item.get("Id", "")) if isinstance(item, dict) else str(item)


def _message(context: SourceContext) -> Message | Problem:
    try:
        return Message(context=context, options=options_of(settings=dict(context.settings), links=context.links))
    except ValueError as error:
        return problem("salesforce.settings_invalid", str(error), field=str(error).partition(":")[0])


define(
    code="salesforce.settings_invalid",
    title="A setting of a Salesforce connection can't be read",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Correct the connection's setting that the detail names, apply, then retry the cause.",
)
