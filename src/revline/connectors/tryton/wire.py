"""Tryton's JSON: Decimals and dates as tagged objects (trytond 8.2, protocols/jsonrpc.py). Pure."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any


def encode_value(value: object) -> Any:
    """Tryton's JSON form of a value that JSON lacks: Decimal, date, datetime (naive, UTC)."""
    match value:
        case Decimal():
            return {"__class__": "Decimal", "decimal": str(value)}
        case datetime():
            parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            return {"__class__": "datetime"} | {part: getattr(value, part) for part in parts}
        case date():
            return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    raise TypeError(f"{type(value).__name__} has no form in Tryton's JSON")


def decode_object(node: dict[str, Any]) -> Any:
    """The value of one JSON object in Tryton's form; other objects stay as they are."""
    match node.get("__class__"):
        case "Decimal":
            return Decimal(node["decimal"])
        case "date":
            return date(node["year"], node["month"], node["day"])
        case "datetime":
            parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            return datetime(*(node[part] for part in parts))  # noqa: DTZ001 - Tryton's datetimes are naive UTC
    return node
