"""Asks meters for what is to be rated, and rates it: the part of a run that reads the usage log and no database row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from revline.core.ids import SourceObject
from revline.core.problem import Problem, ProblemError
from revline.subledger.usage.charges.bands import asked_for, by_band, pieces_of
from revline.subledger.usage.charges.booking import Rated
from revline.subledger.usage.charges.comparing import Line
from revline.subledger.usage.charges.lines import Measured, Unrated, Wanted, lines_of
from revline.subledger.usage.charges.ports import Meters
from revline.subledger.usage.charges.rating import Due, Setups, demands_of
from revline.subledger.usage.charges.setup import ChargingSetup
from revline.subledger.usage.charges.state import Tick
from revline.subledger.usage.charges.values import ChargeSubject
from revline.subledger.usage.metering.values import CUSTOMER, LineageDemand, Metered
from revline.subledger.usage.rating.inputs import TRANSACTIONS_MAX, Shape, needs_of
from revline.subledger.usage.rating.week import BandWindow
from revline.subledger.usage.versions import UsageVersion, Window

EVENTS_PER_PAGE: Final = 10_000
Answers = dict[tuple[str, SourceObject, Window], list[Measured]]


def rate_dues(*, meters: Meters, setups: Setups, tick: Tick, dues: Iterable[Due]) -> Rated:
    """Everything that is due, of many customers, rated at the tick's version of the log. Raises ProblemError where the log can't be
    read now."""
    lines: list[Line] = []
    unrated: list[Unrated] = []
    cuts: dict[tuple[ChargeSubject, datetime], Decimal] = {}
    by_version: dict[int, list[Due]] = {}
    for due in dues:
        by_version.setdefault(due.configuration, []).append(due)
    for configuration, mine in sorted(by_version.items()):
        setup = setups[configuration]
        whole = [wanted for due in mine for wanted in due.whole]
        parts = [wanted for due in mine for wanted in due.cuts]
        answers = ask(
            meters=meters,
            setup=setup,
            wanted=[*whole, *parts],
            version=tick.usage_version,
            position=tick.read_position,
        )
        made, failed = rated_lines(setup, whole, answers)
        lines += made
        unrated += failed
        ends: dict[datetime, list[Wanted]] = {}
        for wanted in parts:
            ends.setdefault(wanted.counted.end, []).append(wanted)
        for end, those in ends.items():
            cuts |= {(line.subject, end): line.amount for line in rated_lines(setup, those, answers)[0]}
    return Rated(lines=lines, unrated=unrated, cuts=cuts)


def rated_lines(
    setup: ChargingSetup,
    wanted: Iterable[Wanted],
    answers: Mapping[tuple[str, SourceObject, Window], Sequence[Measured]],
) -> tuple[tuple[Line, ...], tuple[Unrated, ...]]:
    """The lines of what is wanted under one version of the configuration."""
    groups = {name: meter.group_by for name, meter in setup.catalogue.meters.items()}
    return lines_of(prices=setup.prices, groups_of=groups, wanted=wanted, answers=answers)


def ask(
    *, meters: Meters, setup: ChargingSetup, wanted: Sequence[Wanted], version: UsageVersion, position: int
) -> Answers:
    """What meters give for everything wanted, customers as known at a position. Raises ProblemError."""
    answers: Answers = {}
    pairs = [(each, setup.prices[each.price].meter) for each in wanted]
    bands = {each: pieces for each in wanted if (pieces := _pieces(setup, each))}
    asked = [(each, meter) for each, meter in pairs if each not in bands]
    asked += [
        (piece, setup.prices[each.price].meter) for each, pieces in bands.items() for piece in asked_for(each, pieces)
    ]
    for demands in demands_of(asked):
        found = meters.quantities(
            tenant_id=setup.tenant_id, catalogue=setup.catalogue, demands=demands, version=version, position=position
        )
        if isinstance(found, Problem):
            raise ProblemError(found)
        for metered in found.values():
            read_answers(metered, into=answers)
    for each, pieces in bands.items():
        key, mine = by_band(price=setup.prices[each.price], wanted=each, pieces=pieces, answers=answers)
        answers[key] = mine
    for each, meter in pairs:
        if needs_of(setup.prices[each.price].terms).shape is Shape.TRANSACTIONS:
            key = (meter, each.customer, each.counted)
            answers[key] = [
                _with_transactions(meters, setup, meter, each, measured, version, position)
                for measured in answers.get(key, [])
            ]
    return answers


def _pieces(setup: ChargingSetup, wanted: Wanted) -> tuple[BandWindow, ...]:
    seller = setup.seller_of(wanted.customer)
    if seller is None:
        return ()
    return pieces_of(price=setup.prices[wanted.price], wanted=wanted, time_zone=seller.time_zone)


def read_answers(metered: Metered, *, into: Answers) -> None:
    """The rows of a meter's answer as values."""
    rows = metered.table.to_pydict()
    for number, connection in enumerate(rows["connection"]):
        customer = SourceObject(connection=connection, kind=CUSTOMER, outside_id=rows["outside_id"][number])
        window = Window(start=_utc(rows["window_start"][number]), end=_utc(rows["window_end"][number]))
        measured = Measured(
            values=tuple(rows["group"][number] or ()),
            quantity=rows["quantity"][number],
            events=rows["events"][number],
            sequences=int(rows["sequences"][number]),
        )
        into.setdefault((metered.meter, customer, window), []).append(measured)


def _with_transactions(
    meters: Meters,
    setup: ChargingSetup,
    meter: str,
    wanted: Wanted,
    measured: Measured,
    version: UsageVersion,
    position: int,
) -> Measured:
    """The amounts of each event, for a price that is taken of each one. At most one more than rating takes."""
    demand = LineageDemand(
        meter=meter, customer=wanted.customer, window=wanted.counted, group=measured.values, version=version
    )
    amounts: list[Decimal] = []
    after = None
    while len(amounts) <= TRANSACTIONS_MAX:
        page = meters.lineage(
            tenant_id=setup.tenant_id,
            catalogue=setup.catalogue,
            demand=demand,
            after=after,
            limit=EVENTS_PER_PAGE,
            position=position,
        )
        if isinstance(page, Problem):
            raise ProblemError(page)
        amounts.extend(Decimal(line.value) for line in page.lines if line.value)
        after = page.next
        if after is None:
            break
    return Measured(
        values=measured.values,
        quantity=measured.quantity,
        events=measured.events,
        sequences=measured.sequences,
        transactions=tuple(amounts),
    )


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
