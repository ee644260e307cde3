"""CloudEvents 1.0, structured or binary: the envelope, checked attribute by attribute. Pure; knows no data.

Source: CloudEvents specification 1.0.2 (required: id, source, specversion, type), its JSON format and its HTTP binding (3.1, binary
content mode); the extension `sequence`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem

CONTENT_TYPE: Final = "application/cloudevents+json"
BATCH_CONTENT_TYPE: Final = "application/cloudevents-batch+json"
ATTRIBUTE_NAME: Final = re.compile(r"[a-z0-9]{1,20}\Z", re.ASCII)
RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})\Z", re.ASCII)
SOURCE_LENGTH_MAX: Final = 200
ID_LENGTH_MAX: Final = 200
SEQUENCE_DIGITS_MAX: Final = 18
QUOTED: Final = re.compile(r'".*"\Z', re.DOTALL)
MEMBERS: Final = frozenset({"data", "data_base64", "datacontenttype", "dataschema", "time", "subject"})


BINARY_PREFIX: Final = "ce-"
BINARY_MARK: Final = "ce-specversion"
NOT_IN_HEADERS: Final = frozenset({"data", "datacontenttype"})


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A checked CloudEvent. identity is (source, id) as one text; sequence: 0 without the extension; data: as parsed."""

    source: str
    event_id: str
    event_type: str
    time: datetime
    sequence: int
    subject: str
    entity: str
    correlation: str
    data: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """source and id, which together are unique; a source holds no space, so this text is too."""
        return f"{self.source} {self.event_id}"


def read_envelope(values: Mapping[str, Any]) -> Envelope | Problem:
    """The envelope of a parsed CloudEvent, or `events.envelope_invalid` with every wrong attribute, or `time.invalid`."""
    errors = [
        *_wrong_text(values, "id", ID_LENGTH_MAX),
        *_wrong_text(values, "source", SOURCE_LENGTH_MAX),
        *_wrong_text(values, "type", ID_LENGTH_MAX),
        *_wrong_rest(values),
    ]
    if errors:
        named = ", ".join(error.pointer.removeprefix("/") for error in errors)
        return problem("events.envelope_invalid", f"wrong: {named}", field=errors[0].pointer, errors=tuple(errors))
    moment = read_time(values.get("time"))
    if isinstance(moment, Problem):
        return moment
    return Envelope(
        source=values["source"],
        event_id=values["id"],
        event_type=values["type"],
        time=moment,
        sequence=int(values.get("sequence", "0")),
        subject=values.get("subject", ""),
        entity=values.get("entity", ""),
        correlation=values.get("correlationid", ""),
        data=values["data"],
    )


def structured_form(*, headers: Sequence[tuple[str, str]], content_type: str, body: bytes) -> bytes | Problem:
    """An event in binary mode as the same event in structured JSON, with the bytes of its data as they came.

    headers: every header, names in lower case. body: must be JSON by itself, which the caller has checked. Problem:
    `events.envelope_invalid` for a header that is repeated, can't be an attribute or is not percent-encoded UTF-8.
    """
    attributes: dict[str, str] = {}
    for header, value in headers:
        if not header.startswith(BINARY_PREFIX):
            continue
        name, text = header.removeprefix(BINARY_PREFIX), _header_text(value)
        if text is None or name in attributes or name in NOT_IN_HEADERS or not ATTRIBUTE_NAME.match(name):
            wrong = FieldError(pointer=f"/{name[:40]}", detail=f"the header {header[:40]} is repeated or wrong")
            return problem("events.envelope_invalid", f"wrong: {header[:40]}", field=wrong.pointer, errors=(wrong,))
        attributes[name] = text
    envelope = msgspec.json.encode({**attributes, "datacontenttype": content_type}, order="sorted")
    return envelope[:-1] + b',"data":' + body + b"}"


def _header_text(value: str) -> str | None:
    """A header's value as the binding encodes it: quoted or not, percent-encoded UTF-8."""
    bare = value[1:-1].replace('\\"', '"').replace("\\\\", "\\") if QUOTED.match(value) else value
    try:
        return unquote_to_bytes(bare).decode("utf-8")
    except UnicodeDecodeError:
        return None


def read_time(value: object) -> datetime | Problem:
    """An RFC 3339 time with an offset; digits beyond the microsecond are cut."""
    if isinstance(value, str) and RFC3339.match(value):
        cut = re.sub(r"(\.\d{6})\d+", r"\1", value.upper())
        try:
            moment = datetime.fromisoformat(cut)
            if moment.utcoffset() is not None and 1970 <= moment.year <= 9998:
                return moment
        except ValueError:
            pass
    return problem("time.invalid", f"time is {str(value)[:40]!r}", field="/time")


def _wrong_text(values: Mapping[str, Any], name: str, length_max: int) -> list[FieldError]:
    value = values.get(name)
    blank = name == "source" and isinstance(value, str) and any(letter.isspace() for letter in value)
    if isinstance(value, str) and 0 < len(value) <= length_max and not blank:
        return []
    kind = "a URI reference" if name == "source" else "a text"
    return [
        FieldError(pointer=f"/{name}", detail="is missing or wrong", instead=f"{kind} of 1 to {length_max} letters")
    ]


def _wrong_rest(values: Mapping[str, Any]) -> list[FieldError]:
    errors = []
    if values.get("specversion") != "1.0":
        errors.append(FieldError(pointer="/specversion", detail="is not 1.0", instead='"1.0"'))
    if not isinstance(values.get("data"), dict):
        errors.append(FieldError(pointer="/data", detail="is no JSON object", instead="the canonical object"))
    if "data_base64" in values:
        errors.append(FieldError(pointer="/data_base64", detail="is not taken", instead="data as JSON"))
    content_type = values.get("datacontenttype", "application/json")
    if not isinstance(content_type, str) or not re.fullmatch(r"application/(\w+\+)?json(;.*)?", content_type):
        errors.append(FieldError(pointer="/datacontenttype", detail="is not JSON", instead="application/json"))
    sequence = values.get("sequence", "0")
    if not isinstance(sequence, str) or not re.fullmatch(rf"[0-9]{{1,{SEQUENCE_DIGITS_MAX}}}", sequence, re.ASCII):
        errors.append(FieldError(pointer="/sequence", detail="is no count", instead='digits in a text, such as "7"'))
    for name, value in values.items():
        if name not in MEMBERS and not ATTRIBUTE_NAME.match(name):
            where = FieldError(pointer=f"/{name[:40]}", detail="is no attribute's name", instead="a to z and 0 to 9")
            errors.append(where)
        elif name in {"subject", "entity", "correlationid"} and not isinstance(value, str):
            errors.append(FieldError(pointer=f"/{name}", detail="is no text", instead="a text"))
    return errors


define(
    code="events.envelope_invalid",
    title="Not a CloudEvent",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Send CloudEvents 1.0 with id, source, specversion, type, time and data.",
)
define(
    code="events.type_unknown",
    title="No such event type",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Send a type of the published contracts, such as revline.invoice.v1.",
)
define(
    code="events.usage_elsewhere",
    title="Usage does not go here",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Send usage events to POST /v1/usage.",
)
define(
    code="events.data_invalid",
    title="The data does not fit its contract",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Compare the data with the JSON Schema of its type (schemas/<type>/v1.json).",
)
define(
    code="entity.unknown",
    title="No such legal entity",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Name the legal entity the connection belongs to, or leave the attribute out.",
)
