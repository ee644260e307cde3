"""Answers queries from the simulated org's records, in pages. Knows no HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from revline.connectors.salesforce.simulator import soql
from revline.connectors.salesforce.simulator.org import Org, OrgError, Record
from revline.connectors.salesforce.simulator.schema import ObjectSchema
from revline.connectors.salesforce.simulator.soql import Select

LOCATORS_MAX = 1_000


class Queries:
    """Runs queries and keeps what their next pages hold."""

    def __init__(self, *, org: Org) -> None:
        self._org = org
        self._rest: dict[str, tuple[list[dict[str, Any]], int, int]] = {}
        self._made = 0

    def run(self, *, text: str, deleted: bool) -> dict[str, Any]:
        """The first page of a query's answer. deleted: with records in the recycle bin (queryAll)."""
        try:
            query = soql.parse(text=text)
        except (soql.MalformedError, ValueError) as error:
            raise OrgError(400, "MALFORMED_QUERY", str(error)) from None
        if query.object_name not in self._org.schema:
            message = f"sObject type '{query.object_name}' is not supported."
            raise OrgError(400, "INVALID_TYPE", message)
        rows = self._rows(query, list(self._org.records[query.object_name].values()), query.object_name, deleted)
        if query.count:
            return {"totalSize": len(rows), "done": True, "records": []}
        shown = [self._shown(query, row, query.object_name, deleted) for row in rows]
        return self._page(shown, self._org.behaviour.batch_size)

    def more(self, *, locator: str) -> dict[str, Any]:
        """A further page."""
        rest = self._rest.pop(locator, None)
        if rest is None:
            raise OrgError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        rows, total, size = rest
        return self._page(rows, size, total=total)

    def shown(self, *, record: Record, object_name: str, fields: tuple[str, ...] = ()) -> dict[str, Any]:
        """One record as the REST API shows it."""
        names = fields or tuple(self._org.schema[object_name].fields)
        self._check(self._org.schema[object_name], names)
        return self._attributes(record, object_name) | {name: shown_value(record[name]) for name in names}

    def _page(self, rows: list[dict[str, Any]], size: int, *, total: int | None = None) -> dict[str, Any]:
        total = len(rows) if total is None else total
        answer: dict[str, Any] = {"totalSize": total, "done": len(rows) <= size}
        if len(rows) > size:
            self._made += 1
            locator = f"0r8xx{self._made:013d}-{size}"
            self._rest[locator] = (rows[size:], total, size)
            while len(self._rest) > LOCATORS_MAX:
                self._rest.pop(next(iter(self._rest)))
            answer["nextRecordsUrl"] = f"/services/data/v{self._org.behaviour.api_version}/query/{locator}"
        return answer | {"records": rows[:size]}

    def _rows(self, query: Select, every: list[Record], name: str, deleted: bool) -> list[Record]:  # noqa: FBT001
        shape = self._org.schema[name]
        self._check(shape, (*query.fields, *query.names_used, *(field for field, _ in query.order)))
        rows = [row for row in every if deleted or not row["IsDeleted"]]
        condition = query.condition
        if condition is not None:
            rows = [row for row in rows if condition(lambda field, row=row: self._value(row, name, field))]  # type: ignore[misc]
        for field, descending in reversed(query.order):
            rows.sort(key=lambda row: soql.comparable(self._value(row, name, field)) or "", reverse=descending)
        rows = rows[query.offset :]
        return rows if query.limit is None else rows[: query.limit]

    def _shown(self, query: Select, row: Record, name: str, deleted: bool) -> dict[str, Any]:  # noqa: FBT001
        shown = self._attributes(row, name)
        for field in query.fields:
            relationship, dot, rest = field.partition(".")
            if not dot:
                shown[field] = shown_value(row[field])
                continue
            parent, parent_name = self._parent(row, name, relationship)
            inner = None
            if parent is not None:
                inner = shown.get(relationship) or self._attributes(parent, parent_name)
                inner[rest] = shown_value(parent.get(rest))
            shown[relationship] = inner
        for child in query.children:
            relation = next((one for one in self._org.schema[name].children if one.name == child.object_name), None)
            if relation is None:
                message = f"Didn't understand relationship '{child.object_name}' in FROM part of query call."
                raise OrgError(400, "INVALID_FIELD", message)
            every = [one for one in self._org.records[relation.child].values() if one[relation.field] == row["Id"]]
            rows = self._rows(child, every, relation.child, deleted)
            found = [self._shown(child, one, relation.child, deleted) for one in rows]
            shown[child.object_name] = self._page(found, self._org.behaviour.child_batch_size) if found else None
        return shown

    def _check(self, shape: ObjectSchema, names: tuple[str, ...]) -> None:
        for name in names:
            relationship, dot, rest = name.partition(".")
            known = shape.fields
            if dot:
                field = next((one for one in known.values() if one.relationship == relationship), None)
                known, name = (self._org.schema[field.refers_to].fields, rest) if field else ({}, name)  # noqa: PLW2901
            if name not in known:
                message = (
                    f"No such column '{name}' on entity '{shape.name}'. If you are attempting to use a custom field"
                )
                raise OrgError(400, "INVALID_FIELD", message)

    def _value(self, row: Record, name: str, field: str) -> Any:
        relationship, dot, rest = field.partition(".")
        return row[field] if not dot else (self._parent(row, name, relationship)[0] or {}).get(rest)

    def _parent(self, row: Record, name: str, relationship: str) -> tuple[Record | None, str]:
        field = next(one for one in self._org.schema[name].fields.values() if one.relationship == relationship)
        return self._org.records[field.refers_to].get(str(row[field.name])), field.refers_to

    def _attributes(self, record: Record, name: str) -> dict[str, Any]:
        version = self._org.behaviour.api_version
        return {"attributes": {"type": name, "url": f"/services/data/v{version}/sobjects/{name}/{record['Id']}"}}


def shown_value(value: Any) -> Any:
    """Numbers as Salesforce's JSON shows them: doubles, with an exponent from ten millions on."""
    if not isinstance(value, Decimal):
        return value
    return msgspec.Raw(number_text(value).encode())


def number_text(number: Decimal) -> str:
    """The text of a number there: 1200.0, 1.5E7, 0.05."""
    if number and not -3 <= number.adjusted() < 7:
        digits = number.normalize().scaleb(-number.adjusted())
        text = format(digits, "f")
        return f"{text if '.' in text else text + '.0'}E{number.adjusted()}"
    text = format(number.normalize(), "f") if number else "0"
    return text if "." in text else text + ".0"
