"""Models that are a walk through tiers, as the engine's rungs: a flat price is one rung without units. Pure."""

from __future__ import annotations

from fractions import Fraction

from revline.subledger.usage.rating.explanation import StepKind
from revline.subledger.usage.rating.models import (
    Capacity,
    Dynamic,
    Flat,
    Graduated,
    PerUnit,
    TieredPercentage,
    Volume,
)
from revline.subledger.usage.rating.tiers import Rung, Walk

Ladder = Flat | PerUnit | Graduated | Volume | TieredPercentage | Capacity | Dynamic


def rungs_of(model: Ladder) -> tuple[Rung, ...]:
    """A model that is a walk through tiers, as its rungs."""
    match model:
        case Graduated() | Volume():
            return tuple(
                Rung(
                    up_to=tier.up_to,
                    rate=Fraction(tier.unit_amount),
                    flat=Fraction(tier.flat_amount),
                    cap=None if tier.cap is None else Fraction(tier.cap),
                )
                for tier in model.tiers
            )
        case TieredPercentage():
            return tuple(
                Rung(
                    up_to=tier.up_to,
                    rate=Fraction(tier.percent) / 100,
                    flat=Fraction(tier.flat_amount),
                    cap=None if tier.cap is None else Fraction(tier.cap),
                )
                for tier in model.tiers
            )
        case Capacity():
            return tuple(Rung(up_to=level.up_to, flat=Fraction(level.amount)) for level in model.levels)
        case Flat():
            return (Rung(up_to=None, flat=Fraction(model.amount)),)
        case PerUnit():
            return (Rung(up_to=None, rate=Fraction(model.unit_amount)),)
        case Dynamic():
            return (Rung(up_to=None, rate=Fraction(model.multiplier)),)


def walk_of(model: Ladder, walk: Walk) -> Walk:
    """How a model's steps are named."""
    kinds: dict[type, tuple[StepKind, StepKind, str]] = {
        Flat: (StepKind.FLAT, StepKind.FLAT, "price"),
        PerUnit: (StepKind.UNITS, StepKind.FLAT, "units"),
        Dynamic: (StepKind.PRICED, StepKind.FLAT, "as priced by the events"),
        Capacity: (StepKind.LEVEL, StepKind.LEVEL, "level"),
    }
    unit_kind, flat_kind, name = kinds.get(type(model), (StepKind.TIER, StepKind.TIER_FLAT, "tier"))
    return Walk(
        conventions=walk.conventions,
        parts=walk.parts,
        percent=isinstance(model, TieredPercentage),
        unit_kind=unit_kind,
        flat_kind=flat_kind,
        name=name,
        flat_only=isinstance(model, Flat | Capacity),
    )
