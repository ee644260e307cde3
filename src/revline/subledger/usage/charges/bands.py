"""Prices by time of day: a billing period is cut where the band changes, its meter asked for each piece, the pieces summed by band.

Pure. The meters of such prices count or sum, so quantities of pieces add up to that of the period.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from revline.core.ids import SourceObject
from revline.core.money import summed
from revline.subledger.usage.charges.lines import Measured, Wanted, answered_as
from revline.subledger.usage.rating.inputs import needs_of
from revline.subledger.usage.rating.kinds import UsagePrice
from revline.subledger.usage.rating.week import BandWindow, cut_by_week
from revline.subledger.usage.versions import Window


def pieces_of(*, price: UsagePrice, wanted: Wanted, time_zone: str) -> tuple[BandWindow, ...]:
    """The pieces of what is wanted, each of one band; none for a price that is the same at any hour. time_zone: of the entity."""
    needs = needs_of(price.terms)
    if not needs.week:
        return ()
    return cut_by_week(week=needs.week, window=wanted.counted, time_zone=needs.time_zone or time_zone)


def asked_for(wanted: Wanted, pieces: Sequence[BandWindow]) -> Iterator[Wanted]:
    """What meters are asked for instead of the whole."""
    for piece in pieces:
        yield msgspec.structs.replace(wanted, window=piece.window, until=None)


def by_band(
    *,
    price: UsagePrice,
    wanted: Wanted,
    pieces: Sequence[BandWindow],
    answers: Mapping[tuple[str, SourceObject, Window], Sequence[Measured]],
) -> tuple[tuple[str, SourceObject, Window], list[Measured]]:
    """What the pieces come to, one quantity for each band that was used, and the key it is looked up by."""
    found: dict[str, list[Measured]] = {}
    for piece in pieces:
        given = answers.get((price.meter, wanted.customer, piece.window), ())
        found.setdefault(piece.band, []).extend(given)
    measured = [
        Measured(
            values=(band,),
            quantity=summed(each.quantity for each in mine),
            events=sum(each.events for each in mine),
            sequences=sum(each.sequences for each in mine),
        )
        for band, mine in sorted(found.items())
        if mine
    ]
    return answered_as(price, wanted), measured
