"""What must hold of each price model. Pure; errors name a path below spec.terms.model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from revline.core.problem import FieldError
from revline.subledger.usage.rating.inputs import OTHERWISE
from revline.subledger.usage.rating.models import (
    BANDS_MAX,
    CELLS_MAX,
    TIERS_MAX,
    Band,
    Capacity,
    CapacityLevel,
    Dynamic,
    Flat,
    Graduated,
    Matrix,
    Model,
    Package,
    Percentage,
    PercentageTier,
    PerUnit,
    Tier,
    TieredPercentage,
    TimeOfDay,
    Volume,
)
from revline.subledger.usage.rating.week import Slot, slots_of, week_of

ROOT: Final = "spec.terms.model"
FIELDS_MAX: Final = 8


def error(pointer: str, detail: str, instead: str) -> FieldError:
    """One wrong place."""
    return FieldError(pointer=pointer, detail=detail, instead=instead)


def model_errors(model: Model) -> Iterator[FieldError]:
    """What is wrong with a model."""
    match model:
        case Flat():
            yield from below_zero((f"{ROOT}.flat.amount", model.amount))
        case PerUnit():
            yield from below_zero((f"{ROOT}.perUnit.unitAmount", model.unit_amount))
        case Graduated():
            yield from _tier_errors(f"{ROOT}.graduated.tiers", model.tiers)
        case Volume():
            yield from _tier_errors(f"{ROOT}.volume.tiers", model.tiers)
        case TieredPercentage():
            yield from _tier_errors(f"{ROOT}.tieredPercentage.tiers", model.tiers)
        case Capacity():
            yield from _level_errors(f"{ROOT}.capacity.levels", model.levels)
        case Package():
            if model.size <= 0:
                yield error(f"{ROOT}.package.size", f"no package has {model.size} units", "above zero")
            yield from below_zero((f"{ROOT}.package.amount", model.amount))
        case Percentage():
            yield from _percentage_errors(model)
        case Matrix():
            yield from _matrix_errors(model)
        case TimeOfDay():
            yield from _time_errors(model)
        case Dynamic():
            yield from below_zero((f"{ROOT}.dynamic.multiplier", model.multiplier))


def below_zero(*amounts: tuple[str, Decimal | None]) -> Iterator[FieldError]:
    """An error for each amount below zero."""
    for path, amount in amounts:
        if amount is not None and amount < 0:
            yield error(path, f"{amount} is below zero", "zero or more")


def _tier_errors(path: str, tiers: Sequence[Tier | PercentageTier]) -> Iterator[FieldError]:
    yield from _bound_errors(path, [tier.up_to for tier in tiers])
    for index, tier in enumerate(tiers):
        rate = tier.unit_amount if isinstance(tier, Tier) else tier.percent
        yield from below_zero(
            (f"{path}[{index}].{'unitAmount' if isinstance(tier, Tier) else 'percent'}", rate),
            (f"{path}[{index}].flatAmount", tier.flat_amount),
            (f"{path}[{index}].cap", tier.cap),
        )


def _level_errors(path: str, levels: Sequence[CapacityLevel]) -> Iterator[FieldError]:
    yield from _bound_errors(path, [level.up_to for level in levels])
    for index, level in enumerate(levels):
        yield from below_zero((f"{path}[{index}].amount", level.amount))


def _bound_errors(path: str, bounds: Sequence[Decimal | None]) -> Iterator[FieldError]:
    if not 1 <= len(bounds) <= TIERS_MAX:
        yield error(path, f"{len(bounds)} of them", f"from 1 to {TIERS_MAX}")
        return
    if bounds[-1] is not None:
        yield error(
            f"{path}[{len(bounds) - 1}].upTo",
            f"more than {bounds[-1]} has no price",
            "no upTo in the last one",
        )
    reached = Decimal(0)
    for index, bound in enumerate(bounds[:-1]):
        if bound is None or bound <= reached:
            said = "only the last one is open" if bound is None else f"{bound} is not above {reached}"
            yield error(f"{path}[{index}].upTo", said, "bounds that rise, the first above zero")
        reached = reached if bound is None else bound


def _percentage_errors(model: Percentage) -> Iterator[FieldError]:
    path = f"{ROOT}.percentage"
    yield from below_zero(
        (f"{path}.percent", model.percent),
        (f"{path}.fixedAmount", model.fixed_amount),
        (f"{path}.freeTransactions", Decimal(model.free_transactions)),
        (f"{path}.freeAmount", model.free_amount),
        (f"{path}.minimum", model.minimum),
        (f"{path}.maximum", model.maximum),
    )
    if model.minimum is not None and model.maximum is not None and model.minimum > model.maximum:
        yield error(f"{path}.minimum", f"it is above the maximum of {model.maximum}", "no more than the maximum")


def _matrix_errors(model: Matrix) -> Iterator[FieldError]:
    path = f"{ROOT}.matrix"
    if not 1 <= len(model.fields) <= FIELDS_MAX or len(set(model.fields)) != len(model.fields):
        yield error(
            f"{path}.fields", "the combinations have no fields", f"1 to {FIELDS_MAX} fields of the meter's groupBy"
        )
    if not 1 <= len(model.cells) <= CELLS_MAX:
        yield error(f"{path}.cells", f"{len(model.cells)} cells", f"from 1 to {CELLS_MAX}")
    seen: set[tuple[str, ...]] = set()
    for index, cell in enumerate(model.cells[:CELLS_MAX]):
        if len(cell.values) != len(model.fields):
            yield error(f"{path}.cells[{index}].values", f"{len(cell.values)} values", f"{len(model.fields)} of them")
        if cell.values in seen:
            yield error(f"{path}.cells[{index}].values", "these values stand above", "each combination once")
        seen.add(cell.values)
        yield from below_zero((f"{path}.cells[{index}].unitAmount", cell.unit_amount))
    yield from below_zero((f"{path}.otherwise", model.otherwise))


def _time_errors(model: TimeOfDay) -> Iterator[FieldError]:
    path = f"{ROOT}.timeOfDay"
    yield from below_zero((f"{path}.otherwise", model.otherwise))
    if not 1 <= len(model.bands) <= BANDS_MAX:
        yield error(f"{path}.bands", f"{len(model.bands)} bands", f"from 1 to {BANDS_MAX}")
        return
    if model.time_zone and not _is_zone(model.time_zone):
        yield error(f"{path}.timeZone", f"{model.time_zone[:40]!r} is no IANA zone", "such as Europe/Berlin")
    found = list(_band_errors(path, model.bands))
    yield from found
    if found:
        return
    gaps = any(slot.band == OTHERWISE for slot in week_of(bands=model.bands, otherwise=OTHERWISE))
    if gaps and model.otherwise is None:
        yield error(f"{path}.bands", "they do not fill the week", "otherwise: the price of the rest")


def _band_errors(path: str, bands: Sequence[Band]) -> Iterator[FieldError]:
    amounts: dict[str, Decimal] = {}
    taken: list[Slot] = []
    for index, band in enumerate(bands):
        at = f"{path}.bands[{index}]"
        yield from below_zero((f"{at}.unitAmount", band.unit_amount))
        if not band.name or band.name == OTHERWISE:
            yield error(f"{at}.name", f"{band.name!r} can't name a band", "another name")
        if amounts.setdefault(band.name, band.unit_amount) != band.unit_amount:
            yield error(f"{at}.unitAmount", f"{band.name} costs {amounts[band.name]} above", "one price a name")
        try:
            slots = slots_of(band)
        except ValueError:
            yield error(at, f"{band.start[:10]} to {band.end[:10]} is no time of day", 'start: "08:00", end: "20:00"')
            continue
        if any(slot.start < other.end and other.start < slot.end for slot in slots for other in taken):
            yield error(at, "another band has these hours", "bands that do not overlap")
        taken.extend(slots)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
