"""The simulated org: its records and what saving one does. Knows no HTTP; time comes from a clock.

Saving follows the documented rules: required fields, references that exist, unique external ids, totals summed from lines, an
order activated only with lines and never back, an activated order's lines fixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.connectors.salesforce.identifiers import is_record_id, long_form
from revline.connectors.salesforce.simulator.changes import ChangeLog
from revline.connectors.salesforce.simulator.schema import LINE_PARENTS, NUMBERS, Field, ObjectSchema, schema
from revline.core.clock import Clock

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOTALS: Final = {"Order": "TotalAmount", "Opportunity": "Amount", "Quote": "GrandTotal"}
_LINES: Final = {"Order": "OrderItem", "Opportunity": "OpportunityLineItem", "Quote": "QuoteLineItem"}
Record = dict[str, Any]


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What an org may do differently; the defaults are what is documented or, where marked, known from memory.

    multi_currency: records carry CurrencyIsoCode. sandbox: Organization.IsSandbox. batch_size, child_batch_size: records a query
    answers at once (2,000; children from memory). api_limit: calls a day. token_lifetime: from memory, two hours by default.
    retention: how long change events are kept (72 hours). connect_wait: how long a streaming connect is held without events
    (110 s there). tracked: objects selected for change data capture. api_version: of the addresses.
    """

    multi_currency: bool = True
    sandbox: bool = True
    batch_size: int = 2_000
    child_batch_size: int = 500
    api_limit: int = 100_000
    token_lifetime: timedelta = timedelta(hours=2)
    retention: timedelta = timedelta(hours=72)
    connect_wait: timedelta = timedelta(0)
    tracked: tuple[str, ...] = (
        "Account",
        "Contract",
        "Opportunity",
        "Order",
        "OrderItem",
        "Product2",
        "Quote",
        "QuoteLineItem",
    )
    api_version: str = "62.0"
    custom: Mapping[str, tuple[Field, ...]] = {}
    custom_objects: tuple[ObjectSchema, ...] = ()


class OrgError(Exception):
    """A refusal as Salesforce words it: HTTP status, errorCode, message and fields."""

    def __init__(self, status: int, code: str, message: str, fields: Iterable[str] = ()) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.fields = status, code, message, tuple(fields)

    def body(self) -> list[dict[str, Any]]:
        """The error array."""
        entry: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        return [entry | ({"fields": list(self.fields)} if self.fields else {})]


class Org:
    """Records by object and id, and the log of their changes. Not thread-safe: one caller at a time."""

    def __init__(self, *, clock: Clock, behaviour: Behaviour = Behaviour()) -> None:  # noqa: B008 -- a frozen value
        self.clock = clock
        self.behaviour = behaviour
        self.schema = schema(
            multi_currency=behaviour.multi_currency, custom=behaviour.custom, custom_objects=behaviour.custom_objects
        )
        self.records: dict[str, dict[str, Record]] = {name: {} for name in self.schema}
        self.changes = ChangeLog(clock=clock, retention=behaviour.retention)
        self._numbers: dict[str, int] = {}
        self._insert("Organization", {"Name": "Simulated", "IsSandbox": behaviour.sandbox})

    def create(self, *, object_name: str, values: Mapping[str, Any], client: str = "", record_id: str = "") -> str:
        """Make one record; its id. record_id: a stated one, for stories that are to be the same every time."""
        values = self._taken(object_name, values)
        missing = [
            f.name for f in self._schema(object_name).fields.values() if f.required and _empty(values.get(f.name))
        ]
        if missing:
            raise OrgError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: {missing}", missing)
        if object_name in {"Order", "Contract"} and values.get("Status", "Draft") == "Activated":
            raise OrgError(400, "FAILED_ACTIVATION", "An activated record can't be made at once", ["Status"])
        self._check_line_parent(object_name, values)
        made = self._insert(object_name, values, record_id=record_id)
        changed = [name for name, value in made.items() if value is not None]
        self._saved(object_name, made, "CREATE", changed, client)
        return str(made["Id"])

    def update(self, *, object_name: str, record_id: str, values: Mapping[str, Any], client: str = "") -> None:
        """Change fields of one record; those that stay as they are make no change."""
        record = self.record(object_name=object_name, record_id=record_id)
        if record["IsDeleted"]:
            raise OrgError(404, "ENTITY_IS_DELETED", "entity is deleted")
        values = self._taken(object_name, values, own_id=str(record["Id"]))
        changed = [name for name, value in values.items() if record.get(name) != value]
        self._check_line_parent(object_name, record | values)
        if object_name == "Order" and record["StatusCode"] == "Activated" and "AccountId" in changed:
            raise OrgError(400, "FIELD_INTEGRITY_EXCEPTION", "An activated order keeps its account", ["AccountId"])
        if object_name == "Order" and values.get("Status") == "Activated" and not self.lines_of("Order", record["Id"]):
            raise OrgError(400, "FAILED_ACTIVATION", "An order must have at least one product", ["Status"])
        if changed:
            record.update(values)
            self._saved(object_name, record, "UPDATE", changed, client)

    def delete(self, *, object_name: str, record_id: str, client: str = "") -> None:
        """Put one record in the recycle bin, its lines with it."""
        record = self.record(object_name=object_name, record_id=record_id)
        if record["IsDeleted"]:
            raise OrgError(404, "ENTITY_IS_DELETED", "entity is deleted")
        if object_name == "Order" and record["StatusCode"] == "Activated":
            raise OrgError(400, "DELETE_FAILED", "An activated order can't be deleted")
        for line in self.lines_of(object_name, record["Id"]):
            line["IsDeleted"] = True
            self._stamp(line)
        record["IsDeleted"] = True
        self._saved(object_name, record, "DELETE", [], client)

    def undelete(self, *, object_name: str, record_id: str) -> None:
        """Take one record out of the recycle bin."""
        record = self.record(object_name=object_name, record_id=record_id)
        record["IsDeleted"] = False
        self._saved(object_name, record, "UNDELETE", [], "")

    def upsert(
        self, *, object_name: str, field: str, value: str, values: Mapping[str, Any], client: str = ""
    ) -> tuple[str, bool]:
        """Change the record with an external id, or make it: (id, made). Several are refused with status 300."""
        found = self.by_external_id(object_name=object_name, field=field, value=value)
        if len(found) > 1:
            raise OrgError(300, "MULTIPLE_CHOICES", "more than one record has this external id")
        if found:
            record_id = str(found[0]["Id"])
            self.update(object_name=object_name, record_id=record_id, values=values, client=client)
            return record_id, False
        made = self.create(object_name=object_name, values={**values, field: value}, client=client)
        return made, True

    def record(self, *, object_name: str, record_id: str) -> Record:
        """One record, deleted ones too."""
        found = self.records[self._schema(object_name).name].get(long_form(record_id=record_id))
        if found is None:
            raise OrgError(404, "NOT_FOUND", "The requested resource does not exist")
        return found

    def by_external_id(self, *, object_name: str, field: str, value: str) -> list[Record]:
        """Live records with this value in an external id field."""
        known = self._schema(object_name).fields.get(field)
        if known is None or not (known.external_id or known.kind == "id"):
            raise OrgError(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {field}")
        every = self.records[object_name].values()
        return [record for record in every if record.get(field) == value and not record["IsDeleted"]]

    def lines_of(self, object_name: str, record_id: str) -> list[Record]:
        """Live lines of an order, opportunity or quote."""
        child = _LINES.get(object_name)
        if child is None:
            return []
        field = LINE_PARENTS[child]
        every = self.records[child].values()
        return [record for record in every if record[field] == record_id and not record["IsDeleted"]]

    def _schema(self, object_name: str) -> ObjectSchema:
        if object_name not in self.schema:
            raise OrgError(404, "NOT_FOUND", "The requested resource does not exist")
        return self.schema[object_name]

    def _taken(self, object_name: str, values: Mapping[str, Any], own_id: str = "") -> Record:
        found: Record = {}
        for name, value in values.items():
            field = self._schema(object_name).fields.get(name)
            if field is None:
                message = f"No such column '{name}' on sobject of type {object_name}"
                raise OrgError(400, "INVALID_FIELD", message, [name])
            if field.set_by_org:
                message = f"Unable to create/update fields: {name}. Please check the security settings of this field"
                raise OrgError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, [name])
            found[name] = self._value(field, value)
            if field.external_id and value is not None:
                same = self.by_external_id(object_name=object_name, field=name, value=found[name])
                if any(record["Id"] != own_id for record in same):
                    raise OrgError(400, "DUPLICATE_VALUE", f"duplicate value found: {name} duplicates value", [name])
        return found

    def _value(self, field: Field, value: Any) -> Any:
        if value is None or (value == "" and field.kind != "string"):
            return None
        wrong = OrgError(400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of {field.kind} from {value!r}")
        if field.kind == "reference":
            record_id = long_form(record_id=str(value)) if is_record_id(text=str(value)) else ""
            if record_id not in self.records.get(field.refers_to, {}):
                raise OrgError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [field.name])
            return record_id
        match field.kind:
            case "currency" | "double" | "int":
                if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
                    raise wrong
                return int(value) if field.kind == "int" else Decimal(str(value))
            case "boolean":
                if not isinstance(value, bool):
                    raise wrong
                return value
            case "date":
                return date.fromisoformat(str(value)).isoformat()
        return str(value) if value != "" else None

    def _insert(self, object_name: str, values: Mapping[str, Any], *, record_id: str = "") -> Record:
        shape = self._schema(object_name)
        number = self._numbers[object_name] = self._numbers.get(object_name, 0) + 1
        made: Record = dict.fromkeys(shape.fields)
        made |= {"Id": long_form(record_id=record_id) if record_id else new_id(shape.prefix, number)}
        made |= {name: False for name, field in shape.fields.items() if field.kind == "boolean"}
        made["IsActive" if "IsActive" in made else "IsDeleted"] = "IsActive" in made
        if self.behaviour.multi_currency and "CurrencyIsoCode" in made:
            made["CurrencyIsoCode"] = "USD"
        if object_name in NUMBERS:
            made[NUMBERS[object_name]] = f"{number:08d}"
        if object_name in {"Order", "Contract"}:
            made["Status"] = "Draft"
        made |= values
        self._stamp(made)
        made["CreatedDate"] = made["SystemModstamp"]
        self._computed(object_name, made)
        self.records[object_name][made["Id"]] = made
        return made

    def _saved(self, object_name: str, record: Record, change: str, changed: list[str], client: str) -> None:
        """Computed fields, time of the change, change events; a line's parent sums anew in the same transaction."""
        self._stamp(record)
        self._computed(object_name, record)
        transaction = self.changes.transaction(client=client)
        if object_name in self.behaviour.tracked:
            self.changes.add(transaction, object_name, change, record, changed)
        parent_field = LINE_PARENTS.get(object_name)
        if parent_field is None:
            return
        parent_name = parent_field.removesuffix("Id")
        parent = self.records[parent_name][record[parent_field]]
        before = parent[_TOTALS[parent_name]]
        self._computed(parent_name, parent)
        if parent[_TOTALS[parent_name]] != before:
            self._stamp(parent)
            if parent_name in self.behaviour.tracked:
                self.changes.add(transaction, parent_name, "UPDATE", parent, [_TOTALS[parent_name]])

    def _computed(self, object_name: str, record: Record) -> None:
        if object_name in LINE_PARENTS:
            record["TotalPrice"] = (record["UnitPrice"] or Decimal(0)) * (record["Quantity"] or Decimal(0))
        lines = self.lines_of(object_name, record["Id"])
        if object_name == "Order" or (object_name in _LINES and lines):
            record[_TOTALS[object_name]] = sum((line["TotalPrice"] for line in lines), Decimal(0)) + (
                record.get("Tax") or Decimal(0)
            )
        if object_name == "Opportunity":
            record["IsClosed"] = str(record["StageName"]).startswith("Closed")
            record["IsWon"] = record["StageName"] == "Closed Won"
        if object_name == "Contract" and record["StartDate"] and record["ContractTerm"]:
            record["EndDate"] = _last_day(
                date.fromisoformat(record["StartDate"]), int(record["ContractTerm"])
            ).isoformat()
        if object_name in {"Order", "Contract"}:
            record["StatusCode"] = record["Status"] if record["Status"] in {"Draft", "Activated"} else "Canceled"
            if record["StatusCode"] == "Activated" and record["ActivatedDate"] is None:
                record["ActivatedDate"] = stamp(self.clock.now())

    def _check_line_parent(self, object_name: str, record: Record) -> None:
        if object_name == "OrderItem":
            order = self.records["Order"].get(str(record.get("OrderId")), {})
            if order.get("StatusCode") == "Activated" and self.records["OrderItem"].get(str(record.get("Id"))) is None:
                raise OrgError(400, "FAILED_ACTIVATION", "An activated order takes no further products", ["OrderId"])

    def _stamp(self, record: Record) -> None:
        record["SystemModstamp"] = record["LastModifiedDate"] = stamp(self.clock.now())


def new_id(prefix: str, number: int) -> str:
    """A record id in its long form: prefix, then a number in base 62."""
    digits = ""
    while number:
        number, place = divmod(number, 62)
        digits = _BASE62[place] + digits
    return long_form(record_id=f"{prefix}{digits.rjust(12, '0')}")


def stamp(moment: datetime) -> str:
    """A moment as Salesforce writes it: whole seconds, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _empty(value: Any) -> bool:
    return value is None or value == ""


def _last_day(start: date, months: int) -> date:
    index = start.month - 1 + months
    year, month = start.year + index // 12, index % 12 + 1
    after = date(year + month // 12, month % 12 + 1, 1)
    longest = (after - timedelta(days=1)).day
    return date(year, month, min(start.day, longest)) - timedelta(days=1)
