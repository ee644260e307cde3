"""Reading one Stripe object field by field: every field is looked at for what it must be, unknown ones are left alone.

A field that is not what it must be raises `RefusedError` inside this package; `translate` turns it into its `Problem`. Pure.
It must not know what an object means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.connectors.stripe.amounts import stripe_currency, to_amount, to_unit_price
from revline.core.clock import from_unix_seconds
from revline.core.money import Currency
from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem

IDENTIFIER_LENGTH_MAX: Final = 255
ITEMS_MAX: Final = 1_000


class RefusedError(Exception):
    """Carries a problem from a field to `translate`, never further."""

    def __init__(self, refusal: Problem) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object with its place (a JSON pointer) in the input. A missing object reads as an empty one."""

    values: Mapping[str, Any]
    pointer: str = ""

    def refuse(self, name: str, expected: str) -> RefusedError:
        """The error of a field that is not what it must be. The value itself is not shown: it may be personal."""
        return refused(code="stripe.object_invalid", pointer=f"{self.pointer}/{name}", detail=f"is not {expected}")

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

    def identifier(self, name: str) -> str:
        """An id: a text, or the id of an expanded object; "" when missing or null."""
        value = self.values.get(name)
        if isinstance(value, dict):
            value = value.get("id")
        if value is None:
            return ""
        if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= IDENTIFIER_LENGTH_MAX:
            raise self.refuse(name, "an id")
        return value

    def required_identifier(self, name: str) -> str:
        """An id that must be there."""
        value = self.identifier(name)
        if not value:
            raise self.refuse(name, "an id")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A yes or no; `default` when missing or null."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.refuse(name, "true or false")
        return value

    def integer(self, name: str) -> int:
        """A whole number that must be there."""
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(name, "a whole number")
        return value

    def moment(self, name: str) -> datetime:
        """A count of seconds since 1970 that must be there, as an aware UTC moment."""
        try:
            return from_unix_seconds(seconds=self.integer(name))
        except ValueError:
            raise self.refuse(name, "a time between the years 1970 and 9999") from None

    def optional_moment(self, name: str) -> datetime | None:
        """Like `moment`, None when missing or null."""
        return self.moment(name) if self.has(name) else None

    def currency(self, name: str = "currency") -> Currency:
        """A currency that must be there."""
        found = stripe_currency(self.values.get(name))
        if isinstance(found, Problem):
            raise refused(code=found.code, pointer=f"{self.pointer}/{name}", detail=found.detail)
        return found

    def amount(self, name: str, *, currency: Currency) -> Decimal:
        """An amount in Stripe's integers that must be there, in the currency's ISO 4217 scale."""
        found = to_amount(units=self.integer(name), currency=currency)
        if isinstance(found, Problem):
            raise refused(code=found.code, pointer=f"{self.pointer}/{name}", detail=found.detail)
        return found

    def optional_amount(self, name: str, *, currency: Currency) -> Decimal | None:
        """Like `amount`, None when missing or null."""
        return self.amount(name, currency=currency) if self.has(name) else None

    def unit_price(self, name: str, *, currency: Currency) -> Decimal | None:
        """A unit price in Stripe's decimal units, as text or number; None when missing or null."""
        value = self.values.get(name)
        if value is None:
            return None
        found = to_unit_price(text=str(value), currency=currency)
        if isinstance(found, Problem):
            raise refused(code=found.code, pointer=f"{self.pointer}/{name}", detail=found.detail)
        return found

    def decimal(self, name: str) -> Decimal | None:
        """A number or a plain decimal text, exactly; None when missing or null."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            raise self.refuse(name, "a number")
        text = format(value, "f") if isinstance(value, Decimal) else str(value)
        whole, _, fraction = text.removeprefix("-").partition(".")
        if not (whole.isdecimal() and whole.isascii() and len(whole) <= 18):
            raise self.refuse(name, "a number")
        if fraction and not (fraction.isdecimal() and fraction.isascii() and len(fraction) <= 40):
            raise self.refuse(name, "a number")
        return Decimal(text)

    def child(self, name: str) -> Fields:
        """An object inside; empty when it is missing, null or only an id."""
        value = self.values.get(name)
        return Fields(values=value if isinstance(value, dict) else {}, pointer=f"{self.pointer}/{name}")

    def children(self, name: str) -> Iterator[Fields]:
        """The objects of an array or of a Stripe list object; none when missing or null. At most `ITEMS_MAX`."""
        value = self.values.get(name)
        if isinstance(value, dict):
            value = value.get("data")
        if value is None:
            return
        if not isinstance(value, list) or len(value) > ITEMS_MAX:
            raise self.refuse(name, f"a list of at most {ITEMS_MAX} objects")
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield Fields(values=item, pointer=f"{self.pointer}/{name}/{index}")

    def whole_list(self, name: str) -> Iterator[Fields]:
        """Like `children`, of a list that must hold everything: `stripe.list_incomplete` when it goes on."""
        if self.child(name).flag("has_more"):
            raise refused(
                code="stripe.list_incomplete",
                pointer=f"{self.pointer}/{name}/has_more",
                detail="says that the list goes on beyond what the message holds",
            )
        return self.children(name)


def refused(*, code: str, pointer: str, detail: str) -> RefusedError:
    """A problem at one place. Its `field` is the pointer without indexes, so that causes group by field and not by line."""
    field = "/".join(part for part in pointer.split("/") if not part.isdecimal()).lstrip("/")
    errors = (FieldError(pointer=pointer, detail=detail),)
    return RefusedError(problem(code, f"{pointer} {detail}", field=field, errors=errors))


define(
    code="stripe.object_invalid",
    title="Not as Stripe documents it",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Fetch the object again from Stripe and import it; if it has this shape there, the connector needs to learn it.",
)
define(
    code="stripe.list_incomplete",
    title="The object does not hold all of its list",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Import the object with its whole list (has_more false). One that a message held in part is read again by itself.",
)
