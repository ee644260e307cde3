"""One content has one line and one identity, however it is written; what a type can't hold exactly is refused with its place."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.core.problem import Problem
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.decode import decode, decode_each
from revline.subledger.usage.decoding.values import Decoded
from revline.subledger.usage.events import AMEND_TYPE, EVENT_BYTES_MAX, VOID_TYPE
from revline.subledger.usage.kinds import EventType, FieldKind, OtherFields, UsageField

FIELDS = {
    "amount": UsageField(kind=FieldKind.DECIMAL, precision=9, scale=3),
    "count": UsageField(kind=FieldKind.DECIMAL, precision=9),
    "huge": UsageField(kind=FieldKind.DECIMAL, precision=38, scale=2),
    "live": UsageField(kind=FieldKind.BOOLEAN),
    "until": UsageField(kind=FieldKind.TIME),
    "where": UsageField(kind=FieldKind.TEXT),
}
TYPE = EventType(title="Calls", type="call", fields=FIELDS)
STRICT = EventType(title="Strict", type="strict", fields=FIELDS, others=OtherFields.REFUSE)


def catalogue(*types: EventType, seed: int = 7) -> TypeCatalogue:
    return TypeCatalogue(
        tenant_id="north",
        seed=seed,
        types={one.type: one for one in types or (TYPE, STRICT)},
        elsewhere=frozenset({"invoice.paid"}),
    )


TYPES, UNTYPED = catalogue(), catalogue(EventType(title="Other", type="other"))


def event(data: str = "{}", **members: Any) -> bytes:
    """An event in JSON; data as text, so that its numbers stand as they are written."""
    given = {"id": "1", "source": "api", "type": "call", "subject": "acme", "time": "2026-11-01T10:00:00Z"} | members
    text = json.dumps({name: value for name, value in given.items() if value is not None})
    return (text[:-1] + f', "data": {data}}}').encode()


def decoded(body: bytes, types: TypeCatalogue = TYPES) -> Decoded:
    found = decode(body, types)
    assert isinstance(found, Decoded), found
    return found


def line(body: bytes, types: TypeCatalogue = TYPES) -> bytes:
    found = decoded(body, types)
    assert found.storable == 1, found.invalid
    return found.lines[0]


def refusal(body: bytes) -> Problem:
    found = decoded(body)
    assert found.storable == 0
    return found.invalid[0].problem


@pytest.mark.parametrize(
    "other",
    [
        '{"count": 1.0, "amount": 1.500}',
        '{"amount": 15e-1, "count": 1e0}',
        '{"count":1,"amount":1.5,"where":null}',
        '{ "amount" : 0.15E1 , "count" : 10e-1 }',
    ],
)
def test_a_number_is_its_value_and_not_its_writing(other: str) -> None:
    assert line(event(other)) == line(event('{"count": 1, "amount": 1.5}'))


def test_a_number_and_a_text_of_it_are_two_contents() -> None:
    assert line(event('{"count": 1}')) != line(event('{"count": "1"}'))


@pytest.mark.parametrize(
    "time", ["2026-11-01T11:00:00+01:00", "2026-11-01T10:00:00.000Z", "2026-11-01T05:00:00.000000-05:00"]
)
def test_a_time_is_its_instant(time: str) -> None:
    assert line(event(time=time)) == line(event())
    assert line(event(time="2026-11-01T10:00:00.001Z")) != line(event())


def test_what_carries_the_event_is_no_part_of_it() -> None:
    more = {"traceparent": "00-1", "tracestate": "x", "datacontenttype": "application/json", "dataschema": "urn:x"}
    assert line(event(**more)) == line(event())


def test_the_line_does_not_depend_on_what_is_known_of_the_type() -> None:
    for data in ('{"count":1,"amount":2.50,"where":"caf\\u00e9","live":true,"until":"2026-01-01T00:00:00.0Z"}', "{}"):
        assert line(event(data)) == line(event(data), UNTYPED)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ('{"amount": 1.2345}', "/data/amount"),
        ('{"amount": 1234567}', "/data/amount"),
        ('{"count": 0.5}', "/data/count"),
        ('{"count": 1234567890}', "/data/count"),
        ('{"count": true}', "/data/count"),
        ('{"amount": "many"}', "/data/amount"),
        ('{"amount": [1]}', "/data/amount"),
        ('{"live": 1}', "/data/live"),
        ('{"until": "yesterday"}', "/data/until"),
        ('{"until": "2026-01-01T00:00:00"}', "/data/until"),
        ('{"where": 5}', "/data/where"),
        (json.dumps({"where": "é" * 513}), "/data/where"),
    ],
)
def test_a_value_beyond_its_field_is_refused_with_its_place(data: str, place: str) -> None:
    found = refusal(event(data))
    assert (found.code, found.field) == ("usage.event_invalid", place)


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"id": None}, "/id"),
        ({"id": ""}, "/id"),
        ({"subject": "é" * 129}, "/subject"),
        ({"time": "2026-11-01"}, "/time"),
        ({"type": "1st"}, "/type"),
        ({"type": "revline.own"}, "/type"),
    ],
)
def test_an_event_without_what_each_has_is_refused(members: dict[str, Any], place: str) -> None:
    assert refusal(event(**members)).field == place


def test_a_text_with_nul_is_refused() -> None:
    assert refusal(event(source="a\0b")).code == "usage.event_invalid"


def test_others_of_a_body_are_taken_beside_one_that_is_refused() -> None:
    body = b"[" + b",".join([event(id="1"), event('{"count": 0.5}', id="2"), event(id="3")]) + b"]"
    found = decoded(body)
    assert found.count == 3
    assert list(found.ids) == ["1", "3"]
    assert [(one.index, one.id) for one in found.invalid] == [(1, "2")]


def test_fields_no_type_names_are_kept_or_refused() -> None:
    assert decoded(event('{"more": [1, {"a": 2.0}]}')).rows.loose[0][1].rest == '{"more":[1,{"a":2}]}'
    assert refusal(event('{"more": 1}', type="strict")).field == "/data/more"


def test_a_business_fact_hears_where_it_belongs() -> None:
    found = refusal(event(type="invoice.paid"))
    assert found.code == "usage.not_usage"
    assert "/v1/events" in found.detail


def test_a_void_and_an_amendment_name_what_they_take_back() -> None:
    void = decoded(event('{"source": "api", "id": "7", "reason": "twice"}', type=VOID_TYPE)).rows.loose[0][1]
    assert (void.voids_source, void.voids_id, void.type) == ("api", "7", VOID_TYPE)
    data = '{"source": "api", "id": "7", "type": "call", "data": {"count": 5}}'
    amendment = decoded(event(data, type=AMEND_TYPE)).rows.loose[0][1]
    assert (amendment.voids_id, amendment.type, amendment.values) == ("7", "call", {"count": Decimal(5)})
    assert refusal(event('{"source": "api"}', type=VOID_TYPE)).field == "/data/id"


@pytest.mark.parametrize("body", [b"", b"[", b"5", b'"x"', b"[1]", b"[[]]", b'{"id":', b"\xff\xfe", b"[" * 5000])
def test_what_is_no_event_is_refused_and_breaks_nothing(body: bytes) -> None:
    found = decode(body, TYPES)
    assert isinstance(found, Problem) or (found.storable == 0 and len(found.invalid) == found.count)


def test_limits_bite() -> None:
    assert refusal(event('{"where":"' + "x" * EVENT_BYTES_MAX + '"}')).code == "usage.event_invalid"
    found = decode(b"[" + b",".join([event()] * 5) + b"]", TYPES, events_max=4)
    assert isinstance(found, Problem)
    assert found.code == "usage.too_many_events"


def test_a_line_with_two_events_is_no_event() -> None:
    found = decode_each([event(id="1"), event(id="2") + b"," + event(id="3")], TYPES)
    assert list(found.ids) == ["1"]
    assert [one.index for one in found.invalid] == [1]


def test_identities_are_those_of_one_tenant() -> None:
    body = event()
    assert decoded(body).keys != decoded(body, catalogue(seed=8)).keys
    assert decoded(event(id="bc", source="a")).keys != decoded(event(id="c", source="ab")).keys


def _written(value: Any, chance: random.Random) -> str:
    """JSON as one of many writers has it."""
    space = chance.choice(["", " ", "\n\t"])
    if isinstance(value, dict):
        members = list(value.items())
        chance.shuffle(members)
        inner = ("," + space).join(
            f"{_written(name, chance)}{space}:{space}{_written(one, chance)}" for name, one in members
        )
        return "{" + space + inner + space + "}"
    if isinstance(value, list):
        return "[" + ("," + space).join(_written(one, chance) for one in value) + "]"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, Decimal):
        plain = f"{value:f}"
        forms = [plain, f"{value:e}", plain + ("0" if "." in plain else ".0")]
        return chance.choice(forms)
    return json.dumps(value, ensure_ascii=chance.random() < 0.5)


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
_NUMBER = st.decimals(min_value=-999_999, max_value=999_999, places=3, allow_nan=False)
_REST = st.recursive(
    st.one_of(_TEXT, _NUMBER, st.booleans()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_DATA = st.fixed_dictionaries(
    {},
    optional={
        "amount": _NUMBER,
        "count": st.integers(-(10**9) + 1, 10**9 - 1).map(Decimal),
        "huge": st.decimals(min_value=-(10**22), max_value=10**22, places=2, allow_nan=False),
        "live": st.booleans(),
        "where": _TEXT,
        "more": _REST,
    },
)


@settings(max_examples=150, deadline=None)
@given(data=_DATA, source=_TEXT, event_id=_TEXT, seed=st.integers(0, 2**32))
def test_every_writing_of_an_event_is_the_same_event(
    data: dict[str, Any], source: str, event_id: str, seed: int
) -> None:
    chance = random.Random(seed)
    whole = {
        "id": event_id,
        "source": source,
        "type": "call",
        "subject": "acme",
        "time": "2026-11-01T10:00:00Z",
        "data": data,
    }
    one, other = (decoded(_written(whole, chance).encode()) for _ in range(2))
    assert one.invalid == other.invalid == ()
    assert (one.lines, one.keys, one.digests) == (other.lines, other.keys, other.digests)
    untyped = decoded(_written(whole, chance).encode(), UNTYPED)
    assert untyped.lines == one.lines
    assert decode_each(one.lines, TYPES).lines == one.lines
    many = decoded(("[" + ",".join([_written(whole, chance)] * 60) + "]").encode())
    assert set(many.lines) == set(one.lines)
    json.loads(one.lines[0])


@settings(max_examples=60, deadline=None)
@given(numbers=st.lists(st.one_of(st.none(), _NUMBER), min_size=50, max_size=80), seed=st.integers(0, 1000))
def test_numbers_of_many_events_are_put_in_canonical_form_together(numbers: list[Decimal | None], seed: int) -> None:
    chance = random.Random(seed)
    bodies = [
        event("{}" if one is None else f'{{"amount": {_written(one, chance)}}}', id=str(index))
        for index, one in enumerate(numbers)
    ]
    together = decoded(b"[" + b",".join(bodies) + b"]")
    assert together.lines == [line(body) for body in bodies]
    texts = together.rows.columns["amount__d9_3"].values.split(b"\n")
    assert [Decimal(text.decode()) if text else None for text in texts] == numbers
