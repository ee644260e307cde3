"""What happens in a story, drawn from its seed: which ERP, which kind of fault, which blows at which moments. Pure."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Final

import msgspec

from revline.connectors.simulated.records import Mode
from tests.chaos.breaking import Break


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps a second send from a second effect in one ERP. lookup_lag_seconds: how long it hides from look-up what it
    committed, and what the connection's manifest says of that."""

    name: str
    mode: Mode
    lookup_lag_seconds: int = 0


VARIANTS: Final = (
    Variant(name="key", mode=Mode.KEY),
    Variant(name="unique", mode=Mode.UNIQUE),
    Variant(name="lookup", mode=Mode.LOOKUP),
    Variant(name="lookup-lag", mode=Mode.LOOKUP, lookup_lag_seconds=2),
    Variant(name="neither", mode=Mode.NEITHER),
)


class Fault(StrEnum):
    """What befalls a story's workers beside kills.

    kill: nothing. pause: one is stopped past its lease and continued. restart: PostgreSQL stops at once and recovers. network:
    connections to the ERP are reset, cut in the middle and fall silent. clock: one's clock is wrong and jumps while it is stopped.
    """

    KILL = "kill"
    PAUSE = "pause"
    RESTART = "restart"
    NETWORK = "network"
    CLOCK = "clock"


class Blow(StrEnum):
    """What is done at a moment."""

    KILL = "kill"
    PAUSE = "pause"
    RESTART = "restart"
    BREAK = "break"


class Moment(StrEnum):
    """When a blow falls. deriving: some journals are written, others not. call: a call with documents is unanswered. any: some
    time after something was sent. late: a call is with the ERP, which carries it out only when another worker is at it."""

    DERIVING = "deriving"
    CALL = "call"
    ANY = "any"
    LATE = "late"


class Stroke(msgspec.Struct, frozen=True, kw_only=True):
    """One blow. count: journals or effects to wait for since the last. pause_seconds: from then to the blow; with a restart also
    how long the database is away. breaks: of a break."""

    blow: Blow
    moment: Moment
    count: int
    pause_seconds: float = 0.0
    breaks: tuple[Break, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole story. two_step: invoices are made as drafts, then posted. lost_percent: answers the ERP loses."""

    seed: int
    variant: Variant
    fault: Fault
    strokes: tuple[Stroke, ...]
    two_step: bool
    lost_percent: int

    @property
    def lookup_only(self) -> bool:
        """All rests on mark, wait and look-up."""
        return self.variant.mode is Mode.LOOKUP


KILLS: Final = {Fault.KILL: 12, Fault.PAUSE: 8, Fault.RESTART: 8, Fault.NETWORK: 8, Fault.CLOCK: 7}
SPECIAL_STROKES: Final = 3
BLOWS: Final = {
    Fault.PAUSE: Blow.PAUSE,
    Fault.RESTART: Blow.RESTART,
    Fault.NETWORK: Blow.BREAK,
    Fault.CLOCK: Blow.PAUSE,
}
IN_FLIGHT_PERCENT: Final = 80
LOST_PERCENT: Final = 6


def plan_of(*, seed: int, kills: int | None = None) -> Plan:
    """The story of a seed: 25 seeds in a row have every variant under every fault."""
    variant = VARIANTS[(seed - 1) % len(VARIANTS)]
    fault = list(Fault)[(seed - 1) // len(VARIANTS) % len(Fault)]
    return plan_for(seed=seed, variant=variant, fault=fault, kills=kills)


def plan_for(
    *, seed: int, variant: Variant, fault: Fault, kills: int | None = None, specials: int = SPECIAL_STROKES
) -> Plan:
    """A seed's story of one variant and fault: so many kills, so many blows of the fault's own. The first kill strikes derive, the
    last blow a call that takes effect late."""
    chance = random.Random(seed)
    wanted = KILLS[fault] if kills is None else kills
    strokes = [Stroke(blow=Blow.KILL, moment=Moment.DERIVING, count=chance.randrange(1, 60), pause_seconds=0.02)]
    while len(strokes) < wanted - 1:
        strokes.append(_stroke(chance, Blow.KILL))
    special = BLOWS.get(fault)
    for _ in range(specials if special else 0):
        strokes.insert(chance.randrange(1, len(strokes) + 1), _stroke(chance, special or Blow.KILL))
    last = Blow.PAUSE if special is Blow.PAUSE else Blow.KILL
    strokes.append(Stroke(blow=last, moment=Moment.LATE, count=1))
    return Plan(
        seed=seed,
        variant=variant,
        fault=fault,
        strokes=tuple(strokes),
        two_step=chance.random() < 0.5,
        lost_percent=LOST_PERCENT if chance.random() < 0.5 and variant.mode is not Mode.NEITHER else 0,
    )


def _stroke(chance: random.Random, blow: Blow) -> Stroke:
    in_flight = chance.randrange(100) < IN_FLIGHT_PERCENT
    return Stroke(
        blow=blow,
        moment=Moment.CALL if in_flight else Moment.ANY,
        count=chance.randrange(1, 8),
        pause_seconds=chance.uniform(0, 0.3) if not in_flight or blow is Blow.RESTART else 0.0,
        breaks=tuple(chance.choice(list(Break)) for _ in range(4)) if blow is Blow.BREAK else (),
    )
