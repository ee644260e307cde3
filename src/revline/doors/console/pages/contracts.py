"""The registry of contracts: every object and event, its version, who owns it, who reads it, and which fields are about people."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from revline.core.problem import ProblemError, problem
from revline.doors.console.values import (
    Answer,
    Code,
    Column,
    Count,
    Empty,
    Filter,
    Group,
    ListPage,
    Page,
    Row,
    State,
    Text,
    View,
    Visit,
)
from revline.platform.schemas.contracts import CONTRACTS, Contract
from revline.platform.schemas.generation import schema_of

KINDS: Final = (("object", "Objects of sources"), ("event", "Accounting events"))
DEPTH_MAX: Final = 6
FIELDS_MAX: Final = 400


def contracts(visit: Visit) -> Answer:
    """Every contract."""
    kind, name = visit.filter("kind", among=("object", "event")), visit.filter("name")
    rows = tuple(
        Row(
            cells=(
                Code(text=one.name),
                Text(text="object" if one.payload is None else "accounting event"),
                Text(text=f"v{one.version}"),
                State(word=one.status.value),
                Text(text=one.owner),
                Text(text=", ".join(one.consumers)),
                Count(number=len(one.personal_data)),
            ),
            place=(one.name,),
            href=visit.url("contract", name=one.name),
        )
        for one in sorted(CONTRACTS, key=lambda each: each.name)
        if one.name > visit.after_text()
        and name in one.name
        and (not kind or (one.payload is None) == (kind == "object"))
    )
    columns = (
        Column(key="name", title="Contract", kind="code", wide=True),
        Column(key="kind", title="Kind"),
        Column(key="version", title="Version"),
        Column(key="status", title="Status", kind="state"),
        Column(key="owner", title="Owner"),
        Column(key="consumers", title="Read by"),
        Column(key="personal", title="Fields about people", kind="count"),
    )
    return ListPage(
        title="Contracts",
        lead="What a source may say and what Revline makes of it. A stable contract changes only in ways that break nobody.",
        columns=columns,
        rows=rows,
        filters=(
            Filter(name="kind", label="Kind", value=kind, choices=KINDS),
            Filter(name="name", label="Name", value=name),
        ),
        empty=Empty(title="No contract"),
        export="contracts",
    )


def contract(visit: Visit) -> Answer:
    """One contract with its fields and its JSON Schema."""
    found = next((one for one in CONTRACTS if one.name == visit.parameters["name"]), None)
    if found is None:
        raise ProblemError(problem("console.not_found", "no contract has this name"))
    schema = schema_of(found)
    text = msgspec.json.format(msgspec.json.encode(schema, order="sorted"), indent=2).decode()
    values = {"contract": found, "fields": _fields(found, schema), "schema": text}
    trail = (("Contracts", visit.url("contracts")),)
    return View(template="contract.html", title=found.name, values=values, trail=trail)


def _fields(found: Contract, schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Fields by JSON pointer, in the order of the schema."""
    rows: list[dict[str, Any]] = []
    _walk(schema, schema, "", rows, 0)
    about_people = set(found.personal_data)
    for row in rows:
        row["personal"] = row["pointer"] in about_people
    return rows


def _walk(whole: dict[str, Any], part: dict[str, Any], pointer: str, rows: list[dict[str, Any]], depth: int) -> None:
    part = _resolved(whole, part)
    required = set(part.get("required", ()))
    for name, raw in part.get("properties", {}).items():
        if len(rows) >= FIELDS_MAX or depth >= DEPTH_MAX:
            return
        inner = _resolved(whole, raw)
        here = f"{pointer}/{name}"
        rows.append(
            {
                "pointer": here,
                "type": _type(whole, raw),
                "required": name in required,
                "meaning": meaning_of(name, str(part.get("description", ""))) or str(inner.get("description", "")),
            }
        )
        items = inner.get("items")
        if isinstance(items, dict):
            _walk(whole, items, f"{here}/*", rows, depth + 1)
        elif inner.get("properties"):
            _walk(whole, inner, here, rows, depth + 1)


def meaning_of(name: str, description: str) -> str:
    """What a type's description says of one field: the part after `name:` (or `other, name:`) up to the next field's."""
    field = r"(?:[a-z_*]+, )*"
    pattern = rf"(?:^|[.;\s]){field}{re.escape(name)}(?:, [a-z_*]+)*: (.+?)(?=[.;]\s+{field}[a-z_*]+: |$)"
    found = re.search(pattern, description, re.S)
    return " ".join(found[1].split()).rstrip(".") if found else ""


def _resolved(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A part with its reference, or the one alternative that is not null, followed."""
    for _ in range(DEPTH_MAX):
        reference = part.get("$ref")
        chosen = [one for one in part.get("anyOf", ()) if one.get("type") != "null"]
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            part = whole["$defs"][reference.removeprefix("#/$defs/")]
        elif len(chosen) == 1:
            part = chosen[0]
        else:
            return part
    return part


def _type(whole: dict[str, Any], raw: dict[str, Any]) -> str:
    inner = _resolved(whole, raw)
    if "const" in inner:
        return f"always {inner['const']}"
    said = inner.get("type") or ("one of several" if inner.get("anyOf") else "any")
    text = " or ".join(said) if isinstance(said, list) else str(said)
    if inner.get("format"):
        text = f"{text} ({inner['format']})"
    if inner.get("enum"):
        text = "one of " + ", ".join(str(one) for one in inner["enum"][:12])
    nullable = any(one.get("type") == "null" for one in raw.get("anyOf", ()))
    return f"{text} or null" if nullable else text


PAGES: Final = (
    Page(
        path="/contracts", name="contracts", title="Contracts", answer=contracts, icon="file-json-2", group=Group.SETUP
    ),
    Page(path="/contracts/{name:str}", name="contract", title="Contract", answer=contract),
)
