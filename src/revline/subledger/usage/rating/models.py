"""Price models, and the terms of a price: all that rating needs to know. Types only; what must hold of them is in `checks`.

Amounts are in major units of the price's currency with up to 12 digits after the point, percentages are percent ("2.9" is 2.9 %).
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.money import Amount
from revline.subledger.usage.rating.conventions import Conventions

NOTHING: Final = Decimal(0)
TIERS_MAX: Final = 100
CELLS_MAX: Final = 1_000
BANDS_MAX: Final = 50
DISCOUNTS_MAX: Final = 20
ANY: Final = "*"
"""In a matrix cell: whatever the value is."""


class UnitRounding(StrEnum):
    """How a part of a package or unit counts: as it is (`exact`), as a whole one (`up`), not at all (`down`), from a half on
    (`half_up`)."""

    EXACT = "exact"
    UP = "up"
    DOWN = "down"
    HALF_UP = "half_up"


class Flat(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A fixed amount each billing period, whatever was used."""

    amount: Amount


class PerUnit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The same amount for every unit."""

    unit_amount: Amount


class Tier(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A step of a tiered price. up_to: its last unit, left out for the last tier. flat_amount: due once the tier is reached. cap:
    the most this tier comes to."""

    up_to: Amount | None = None
    unit_amount: Amount = NOTHING
    flat_amount: Amount = NOTHING
    cap: Amount | None = None


class Graduated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Each unit has the price of the tier it falls in."""

    tiers: tuple[Tier, ...]


class Volume(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every unit has the price of the tier the whole quantity falls in."""

    tiers: tuple[Tier, ...]


class Package(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """So much for each package of `size` units. rounding: how a package that is begun counts."""

    size: Amount
    amount: Amount
    rounding: UnitRounding = UnitRounding.UP


class Percentage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A share of each transaction's amount.

    fixed_amount: added for each transaction. free_transactions: the first so many are free. free_amount: the first so much is free.
    minimum, maximum: floor and cap of one transaction's fee, its fixed amount counted in.
    """

    percent: Amount
    fixed_amount: Amount = NOTHING
    free_transactions: int = 0
    free_amount: Amount | None = None
    minimum: Amount | None = None
    maximum: Amount | None = None


class PercentageTier(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A step of a tiered percentage. up_to: the last amount in it, left out for the last tier. flat_amount: due once the tier is
    reached. cap: the most this tier comes to."""

    up_to: Amount | None = None
    percent: Amount = NOTHING
    flat_amount: Amount = NOTHING
    cap: Amount | None = None


class TierMode(StrEnum):
    """Which tier's price a unit has: that of its own place (`graduated`) or that of the whole quantity (`volume`)."""

    GRADUATED = "graduated"
    VOLUME = "volume"


class TieredPercentage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A share of the summed amount that changes with it."""

    tiers: tuple[PercentageTier, ...]
    mode: TierMode = TierMode.GRADUATED


class MatrixCell(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The price of a combination. values: one for each field, "*" for any; the first cell that fits is taken."""

    values: tuple[str, ...]
    unit_amount: Amount


class Matrix(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A price for each combination of values. fields: the meter's group-by in order. otherwise: the price of a combination no cell
    fits; left out, such use can't be rated and is a case."""

    fields: tuple[str, ...]
    cells: tuple[MatrixCell, ...]
    otherwise: Amount | None = None


class CapacityLevel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A level of capacity. up_to: the most it holds, left out for the last one. amount: what it costs a billing period."""

    up_to: Amount | None = None
    amount: Amount


class Capacity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One amount for the level that holds the quantity (of a maximum, most often)."""

    levels: tuple[CapacityLevel, ...]


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class Band(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Hours with a price of their own. days: left out for every day. start, end: local time of day, end not included; "00:00" as
    end is the end of the day. A band does not run over midnight: write two of the same name."""

    name: str
    start: str = "00:00"
    end: str = "00:00"
    days: tuple[Weekday, ...] = ()
    unit_amount: Amount


class TimeOfDay(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A unit's price depends on when it was used. time_zone: whose hours are meant, that of the legal entity when left out.
    otherwise: the price outside all bands; left out, the bands have to fill the week."""

    bands: tuple[Band, ...]
    otherwise: Amount | None = None
    time_zone: str = ""


class Dynamic(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Events carry their price, in the currency of the terms: the meter sums it.

    multiplier: what the sum is multiplied by, "1.2" for twenty percent on top.
    """

    multiplier: Amount = Decimal(1)


Model = (
    Flat
    | PerUnit
    | Graduated
    | Volume
    | Package
    | Percentage
    | TieredPercentage
    | Matrix
    | Capacity
    | TimeOfDay
    | Dynamic
)


class PriceModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Exactly one of these."""

    flat: Flat | None = None
    per_unit: PerUnit | None = None
    graduated: Graduated | None = None
    volume: Volume | None = None
    package: Package | None = None
    percentage: Percentage | None = None
    tiered_percentage: TieredPercentage | None = None
    matrix: Matrix | None = None
    capacity: Capacity | None = None
    time_of_day: TimeOfDay | None = None
    dynamic: Dynamic | None = None

    def given(self) -> tuple[Model, ...]:
        """The models that are given: one, in a price that passed its checks."""
        found = (getattr(self, name) for name in self.__struct_fields__)
        return tuple(each for each in found if each is not None)

    def one(self) -> Model:
        """The model. ValueError when there is not exactly one."""
        (model,) = self.given()
        return model


class Transform(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is done to the quantity before it is priced. divide_by: above zero. rounding: how a part of a unit counts then."""

    divide_by: Amount
    rounding: UnitRounding = UnitRounding.EXACT


class Discount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Taken off the charge, never below zero: percent or amount, one of them."""

    name: str
    percent: Amount | None = None
    amount: Amount | None = None


class PriceTerms(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a quantity is rated by. currency: ISO 4217. unit: what one of the quantity is called, in the singular. transform: done
    to the quantity first. free_units: free each billing period, in units as they are after the transform. discounts: in order.
    minimum, maximum: of the charge in one billing period."""

    currency: str
    unit: str = "unit"
    model: PriceModel
    transform: Transform | None = None
    free_units: Amount = NOTHING
    discounts: tuple[Discount, ...] = ()
    minimum: Amount | None = None
    maximum: Amount | None = None
    conventions: Conventions = Conventions()
