"""Reading one Salesforce record field by field: every field is looked at for what it must be, unknown ones are left alone. Pure.

A field that is not what it must be raises `RefusedError` inside this package; `translate` turns it into its `Problem`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.connectors.salesforce.identifiers import is_record_id, long_form
from revline.core.money import Currency, at_least_in_scale, currency, in_scale, known_currency
from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem

CHILDREN_MAX: Final = 2_000
INTEGER_DIGITS_MAX: Final = 18
FRACTION_DIGITS_MAX: Final = 18
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)\Z", re.ASCII)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RefusedError(Exception):
    """Carries a problem from a field to `translate`, never further."""

    def __init__(self, refusal: Problem) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def refused(*, code: str, pointer: str, detail: str) -> RefusedError:
    """A problem at one place. Its `field` is the pointer without indexes, so that causes group by field and not by line."""
    field = "/".join(part for part in pointer.split("/") if not part.isdecimal()).lstrip("/")
    errors = (FieldError(pointer=pointer, detail=detail),)
    return RefusedError(problem(code, f"{pointer} {detail}", field=field, errors=errors))


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """A record with its place (a JSON pointer) in the input. A missing parent record reads as an empty one."""

    values: Mapping[str, Any]
    pointer: str = ""

    def refuse(self, name: str, expected: str) -> RefusedError:
        """The error of a field that is not what it must be. The value itself is not shown: it may be personal."""
        return refused(code="salesforce.object_invalid", pointer=f"{self.pointer}/{name}", detail=f"is not {expected}")

    @property
    def object_name(self) -> str:
        """The API name of the record's object (attributes.type)."""
        attributes = self.values.get("attributes")
        name = attributes.get("type") if isinstance(attributes, dict) else None
        return name if isinstance(name, str) else ""

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name) is not None

    def text(self, name: str) -> str:
        """A text, "" when missing or null."""
        value = self.values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.refuse(name, "a text")
        return value

    def record_id(self, name: str) -> str:
        """A record id in its long form; "" when missing or null."""
        value = self.text(name)
        if value and not is_record_id(text=value):
            raise self.refuse(name, "a record id")
        return long_form(record_id=value)

    def required_id(self, name: str) -> str:
        """A record id that must be there."""
        value = self.record_id(name)
        if not value:
            raise self.refuse(name, "a record id")
        return value

    def flag(self, name: str) -> bool:
        """A yes or no; no when missing or null."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.refuse(name, "true or false")
        return bool(value)

    def decimal(self, name: str) -> Decimal | None:
        """A number exactly as written; None when missing or null. Salesforce writes large ones with an exponent (1.5E7)."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.refuse(name, "a number")
        number = Decimal(value)
        if number.adjusted() >= INTEGER_DIGITS_MAX or int(number.as_tuple().exponent) < -FRACTION_DIGITS_MAX:
            raise self.refuse(name, f"a number of at most {INTEGER_DIGITS_MAX} digits before and after the point")
        return at_least_in_scale(amount=number, code="")

    def amount(self, name: str, *, money: Currency) -> Decimal | None:
        """An amount in the currency's scale; None when missing or null. Digits beyond the scale are refused, never rounded."""
        number = self.decimal(name)
        if number is None:
            return None
        found = in_scale(amount=number, currency=money)
        if isinstance(found, Problem):
            raise refused(code=found.code, pointer=f"{self.pointer}/{name}", detail=found.detail)
        return found

    def unit_price(self, name: str, *, money: Currency) -> Decimal | None:
        """A price of one unit: at least the currency's digits, more where the record has more. None when missing or null."""
        number = self.decimal(name)
        return None if number is None else at_least_in_scale(amount=number, code=money.code)

    def currency(self, *, default: str) -> Currency:
        """The record's CurrencyIsoCode, or the org's only currency."""
        code = self.text("CurrencyIsoCode") or default
        if not code:
            detail = "is missing, and the connection's setting currency names no org-wide one"
            raise refused(code="salesforce.currency_missing", pointer=f"{self.pointer}/CurrencyIsoCode", detail=detail)
        found = currency(code)
        if isinstance(found, Problem):
            raise refused(code=found.code, pointer=f"{self.pointer}/CurrencyIsoCode", detail=found.detail)
        return known_currency(code)

    def moment(self, name: str) -> datetime | None:
        """A moment such as 2026-01-31T09:00:00.000+0000, in UTC; None when missing or null."""
        value = self.text(name)
        if not value:
            return None
        if not _MOMENT.match(value):
            raise self.refuse(name, "a moment with an offset")
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except ValueError:
            raise self.refuse(name, "a moment with an offset") from None

    def required_moment(self, name: str) -> datetime:
        """A moment that must be there."""
        value = self.moment(name)
        if value is None:
            raise self.refuse(name, "a moment with an offset")
        return value

    def day(self, name: str) -> date | None:
        """A day; None when missing or null."""
        value = self.text(name)
        if not value:
            return None
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise self.refuse(name, "a day") from None

    def day_after(self, name: str) -> date | None:
        """The day after a last day: Salesforce's ends are inclusive, ours exclusive. None when missing or null."""
        value = self.day(name)
        return None if value is None else value + timedelta(days=1)

    def parent(self, relationship: str) -> Fields:
        """The record a relationship leads to; empty when it was not asked for or is null."""
        value = self.values.get(relationship)
        return Fields(values=value if isinstance(value, dict) else {}, pointer=f"{self.pointer}/{relationship}")

    def children(self, relationship: str) -> Iterator[Fields]:
        """The records of a child relationship, by id; none when it is missing or null. A set that is not whole is refused."""
        value = self.values.get(relationship)
        if value is None:
            return
        records = value.get("records") if isinstance(value, dict) else None
        if not isinstance(records, list) or len(records) > CHILDREN_MAX:
            raise self.refuse(relationship, f"a query result of at most {CHILDREN_MAX} records")
        if value.get("done") is False:
            detail = "is only the first page of its records"
            raise refused(code="salesforce.lines_incomplete", pointer=f"{self.pointer}/{relationship}", detail=detail)
        found = [
            Fields(values=item, pointer=f"{self.pointer}/{relationship}/{index}")
            for index, item in enumerate(records)
            if isinstance(item, dict)
        ]
        yield from sorted(found, key=lambda child: child.text("Id"))


for _code, _title, _mender, _remedy in (
    (
        "salesforce.object_invalid",
        "Not as Salesforce documents it",
        Mender.OPERATOR,
        "Read the record again from Salesforce; if it has this shape there, the connector needs to learn it.",
    ),
    (
        "salesforce.currency_missing",
        "A record that names no currency",
        Mender.CONFIGURATION,
        "Set `currency` among the connection's settings to the org's currency, apply, then retry the cause.",
    ),
    (
        "salesforce.lines_incomplete",
        "A record with only the first of its lines",
        Mender.OPERATOR,
        "Read the record through the connection, which fetches every page of its lines, or import it with all of them.",
    ),
):
    define(code=_code, title=_title, status=422, retryable=Retryable.AFTER_FIX, mender=_mender, remedy=_remedy)
