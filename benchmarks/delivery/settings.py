"""Settings of a contestant that are tried, so that each is measured at its best. Knows no contestant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.common import progress
from benchmarks.fleet import Raced


@dataclass(frozen=True)
class Setting:
    """Named numbers, in the order they were given."""

    values: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, **values: float) -> Setting:
        return cls(tuple(values.items()))

    def __getitem__(self, name: str) -> float:
        return dict(self.values)[name]

    def whole(self, name: str) -> int:
        return int(self[name])

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self.values)


def best_of(
    *, name: str, settings: Sequence[Setting], known_best: Setting, attempt: Callable[[Setting], Raced], search: bool
) -> Setting:
    """The fastest of the settings, each tried once and printed; without `search` the one that was best before."""
    if not search:
        progress(f"  {name:<14} at the best setting found before: {known_best}")
        return known_best
    rates: dict[Setting, float] = {}
    for setting in settings:
        raced = attempt(setting)
        rates[setting] = raced.rate
        progress(f"  {name:<14} {setting!s:<82} {raced.rate:10,.0f} a second, {costs(raced)}")
    best = max(rates, key=lambda setting: rates[setting])
    progress(f"  {name:<14} best: {best}")
    return best


def costs(raced: Raced) -> str:
    """Processor milliseconds as a person reads them."""
    return f"{raced.worker_milliseconds:.3f} + {raced.server_milliseconds:.3f} CPU ms each (workers + PostgreSQL)"
