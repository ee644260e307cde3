"""The published schemas are what the code says, take what the code takes, and a stable one breaks nobody."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from revline.core.canonical import KINDS
from revline.core.events import EventKind
from revline.core.problem import ProblemError
from revline.platform.schemas.contracts import CONTRACTS, PAYLOADS, Contract, Status
from revline.platform.schemas.files import check, generate
from revline.platform.schemas.generation import breaks, schema_of

FOLDER = Path(__file__).resolve().parents[3] / "schemas"
BY_NAME = {one.name: one for one in CONTRACTS}


def test_the_published_schemas_are_what_the_code_says() -> None:
    assert check(FOLDER) == ()


def test_every_object_and_event_has_a_contract() -> None:
    assert set(BY_NAME) == {*KINDS, *(kind.value for kind in EventKind)}
    assert set(PAYLOADS) == set(EventKind)


PAYMENT = {
    "outside_id": "p",
    "status": "succeeded",
    "currency": "USD",
    "amount": "12.50",
    "created_at": "2026-03-01T11:00:00Z",
}


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"type": "payment"}, True),
        ({"type": "refund"}, False),
        ({"amount": 12.5}, False),
        ({"amount": "NaN"}, False),
        ({"amount": "1e2"}, False),
        ({"status": "perhaps"}, False),
        ({"created_at": "yesterday"}, False),
        ({"currency": None}, False),
    ],
)
def test_a_schema_takes_what_the_contract_takes(change: dict[str, Any], valid: bool) -> None:
    validator = jsonschema_rs.Draft202012Validator(schema_of(BY_NAME["payment"]), validate_formats=True)
    assert validator.is_valid({**PAYMENT, **change}) is valid


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda one: one.name)
def test_personal_fields_named_by_the_registry_exist(contract: Contract) -> None:
    schema = schema_of(contract)
    for pointer in contract.personal_data:
        place: Any = schema
        for part in pointer.strip("/").split("/"):
            place = place["items"] if part == "*" else place["properties"][part]
            if "$ref" in place:
                place = schema["$defs"][place["$ref"].rsplit("/", 1)[1]]


def test_an_events_schema_names_its_kind_and_its_one_payload() -> None:
    schema = schema_of(BY_NAME["refund.paid"])
    assert schema["properties"]["kind"] == {"const": "refund.paid"}
    assert set(schema["$defs"]) == {"RefundedMoney", "SourceObject"}


def changed(name: str) -> dict[str, Any]:
    return copy.deepcopy(schema_of(BY_NAME[name]))


def test_compatible_changes_break_nothing() -> None:
    new = changed("invoice")
    new["properties"]["colour"] = {"type": "string"}
    new["required"].remove("number")
    new["$defs"]["InvoiceStatus"]["enum"].append("frozen")
    new["description"] = "other words"
    assert breaks(old=schema_of(BY_NAME["invoice"]), new=new) == []


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("required",), ["outside_id", "number", "memo"], "/memo became required"),
        (("properties", "memo"), None, "/memo was removed"),
        (("$defs", "InvoiceLine", "properties", "price"), None, "/lines/*/price was removed"),
        (("properties", "memo"), {"type": "integer"}, "/memo no longer takes string"),
        (("properties", "due_at"), {"type": "string", "format": "date-time"}, "/due_at no longer takes null"),
        (("properties", "memo"), {"type": "string", "enum": ["a"]}, "/memo takes fewer values"),
        (("properties", "memo"), {"type": "string", "pattern": "^a"}, "/memo has another pattern"),
        (
            ("$defs", "InvoiceStatus", "enum"),
            ["draft", "open", "paid", "void"],
            "/status takes fewer values: uncollectible",
        ),
    ],
)
def test_breaking_changes_are_found(path: tuple[str, ...], value: Any, sentence: str) -> None:
    new = changed("invoice")
    place = new
    for part in path[:-1]:
        place = place[part]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    assert sentence in breaks(old=schema_of(BY_NAME["invoice"]), new=new)


class Small(msgspec.Struct, kw_only=True):
    """A contract of this test."""

    name: str
    note: str = ""


class Smaller(msgspec.Struct, kw_only=True):
    """The same contract without its note."""

    name: str


def one(root: type[Any], status: Status, version: int = 1) -> tuple[Contract, ...]:
    return (Contract(name="small", version=version, status=status, root=root, owner="t", consumers=()),)


def test_a_draft_may_change_in_any_way(tmp_path: Path) -> None:
    generate(tmp_path, contracts=one(Small, Status.DRAFT))
    assert [error.pointer for error in check(tmp_path, contracts=one(Smaller, Status.DRAFT))] == ["small/v1.json"]
    assert generate(tmp_path, contracts=one(Smaller, Status.DRAFT)) == (tmp_path / "small/v1.json",)
    assert check(tmp_path, contracts=one(Smaller, Status.DRAFT)) == ()


def test_a_stable_contract_is_changed_by_a_new_version_only(tmp_path: Path) -> None:
    generate(tmp_path, contracts=one(Small, Status.STABLE))
    before = (tmp_path / "small/v1.json").read_text()
    for status in Status:
        with pytest.raises(ProblemError):
            generate(tmp_path, contracts=one(Smaller, status))
        assert "/note was removed" in [error.detail for error in check(tmp_path, contracts=one(Smaller, status))]
    assert (tmp_path / "small/v1.json").read_text() == before
    generate(tmp_path, contracts=one(Smaller, Status.DRAFT, version=2))
    assert json.loads((tmp_path / "small/v2.json").read_text())["properties"].keys() == {"name"}
