"""What goes wrong in one world: everything that is decided before it begins, drawn from its seed. Pure.

Whatever is decided while the world runs is drawn from a stream of the same seed (`stream`), one for each concern, so that a
change in one leaves the others as they are.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from revline.connectors.simulated.faults import Fault, FaultRule
from revline.connectors.simulated.records import Mode
from revline.delivery.values import Timing
from revline.sim.stripe_profile import StripeProfile

BEGINNING: Final = datetime(2026, 2, 5, 9, 0, tzinfo=UTC)
CALL_TIMEOUT_SECONDS: Final = 1.0
EFFECT_BOUND_SECONDS: Final = 2.0
LOOKUP_LAG_SECONDS: Final = 1.5
FAULTS_END_SECONDS: Final = 9.0
"""From then on nothing goes wrong any more, so that whatever is left undone is Revline's own fault."""
LIMIT_SECONDS: Final = 240.0
LEASE: Final = timedelta(seconds=1.5)
AIMS: Final = (
    *("", "", ""),
    *("before mark", "after mark", "after mark", "before deliver", "after deliver", "before wait", "before wake"),
    *("before derive", "after derive", "after accept", "before a call", "with a call in flight", "after an answer"),
)
NOTHING: Final = Decimal(0)
TIMING: Final = Timing(
    retry_base=timedelta(milliseconds=300),
    retry_cap=timedelta(seconds=2),
    hold_base=timedelta(seconds=1),
    hold_cap=timedelta(seconds=3),
    missing_predecessor=timedelta(seconds=1.5),
    missing_told=timedelta(seconds=15),
    turn=timedelta(milliseconds=100),
    idle=timedelta(milliseconds=500),
    lease=LEASE,
    sweep=timedelta(seconds=2),
    periods=timedelta(seconds=2.5),
    archive=timedelta(seconds=4),
    archive_after=timedelta(seconds=3),
)
DATED: Final = ("invoices", "payments", "applications", "journals")
"""What the ERP refuses in a closed period."""
FORGOTTEN: Final = ("1010", "1050", "1150", "2400", "4000", "6100")
"""Accounts of which one may be missing in the ERP's chart at first."""
SHARES: Final = (
    "open_share",
    "partial_share",
    "void_share",
    "uncollectible_share",
    "declined_share",
    "refund_share",
    "refund_full_share",
    "refund_failed_share",
    "credit_share",
    "memo_void_share",
    "memo_refund_share",
    "memo_balance_share",
    "dispute_won_share",
    "dispute_lost_share",
)


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """How calls fare, in parts of a hundred calls.

    refused: the connection is not made. reset: it is closed before the far side reads the request. lost: the effect comes, the
    answer does not. late: the effect comes after the caller has given up or died, within the effect bound from then. slow: the
    effect comes at once, the answer too late.
    """

    refused: int = 0
    reset: int = 0
    lost: int = 0
    late: int = 0
    slow: int = 0


class Breaks(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to processes, in parts of a thousand boundaries (transactions and calls), and at most how often.

    crash: it ends, before or after a commit, before or in or after a call. stall: it stands still past its lease. away: its
    connection to the database is lost, before or after a commit. drain: it is asked to end in good order. aim: the boundary at
    which they come far more often, "" for none.
    """

    crash: int = 0
    crashes_max: int = 0
    stall: int = 0
    stalls_max: int = 0
    away: int = 0
    away_max: int = 0
    drains: int = 0
    aim: str = ""


class TenantPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's story. repeat, late: percent of the inputs that come twice, and long after the others.
    edits: records that somebody changes while Revline does not know of them yet. acts: how often a person acts on some document
    while things go wrong. bulk: a person acts on all of them at once. blocks: a person blocks the ERP's pool for a while.
    forgotten: an account that the ERP does not have until somebody opens it, "" for none. read: the source's log of events is
    followed, and its balance transactions come by a listing only. missing: percent of the webhooks that never arrive.
    tells: the source is told what became of its invoices."""

    tenant_id: str
    profile: StripeProfile
    repeat: int
    late: int
    disorder_seconds: float
    mode: Mode
    rules: tuple[FaultRule, ...]
    settings: Mapping[str, str]
    two_step: bool
    edits: int
    acts: int
    bulk: bool
    blocks: bool
    forgotten: str
    missing: int
    read: bool
    tells: bool


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One world. skews: of the workers' own clocks, seconds."""

    seed: int
    workers: int
    skews: tuple[float, ...]
    network: Network
    breaks: Breaks
    tenants: tuple[TenantPlan, ...]
    faults_end: float


def stream(seed: int, concern: str) -> random.Random:
    """Randomness of one concern of a seed."""
    return random.Random(f"{seed}/{concern}")


def plan_of(*, seed: int) -> Plan:
    """The world of a seed. One in eight has no faults at all, so that what it costs in other worlds can be told apart."""
    chance = stream(seed, "plan")
    calm = seed % 8 == 0
    rough = 0 if calm else chance.choice((1, 1, 2))
    network = Network(
        refused=chance.choice((0, 3)) * rough,
        reset=chance.choice((0, 3)) * rough,
        lost=chance.choice((0, 5, 10)) * rough,
        late=chance.choice((0, 4, 8)) * rough,
        slow=chance.choice((0, 4)) * rough,
    )
    breaks = Breaks(
        crash=chance.choice((4, 10, 25)) * rough,
        crashes_max=chance.choice((0, 2, 4)) * rough,
        stall=chance.choice((2, 8)) * rough,
        stalls_max=chance.choice((0, 1, 2)) * rough,
        away=chance.choice((2, 6)) * rough,
        away_max=chance.choice((0, 1, 3)) * rough,
        drains=0 if calm else chance.choice((0, 0, 1)),
        aim=chance.choice(AIMS),
    )
    workers = chance.choice((2, 2, 2, 3))
    return Plan(
        seed=seed,
        workers=workers,
        skews=tuple(0.0 if calm else chance.choice((0.0, -600.0, 45.0)) for _ in range(workers)),
        network=network,
        breaks=breaks,
        tenants=(
            _tenant(f"s{seed}a", chance, rough, invoices=chance.choice((1, 2, 2, 3, 4))),
            _tenant(f"s{seed}b", chance, rough, invoices=1),
        ),
        faults_end=FAULTS_END_SECONDS,
    )


def _tenant(tenant_id: str, chance: random.Random, rough: int, *, invoices: int) -> TenantPlan:
    reading = random.Random(f"reading/{tenant_id}")
    read = reading.random() < 0.4
    mode = chance.choice((Mode.UNIQUE, Mode.LOOKUP, Mode.LOOKUP, Mode.KEY, Mode.NEITHER))
    lags = mode is Mode.LOOKUP and chance.random() < 0.5
    two_step = mode is not Mode.NEITHER and chance.random() < 0.4
    settings = {
        "idempotency": "unique_reference" if mode is Mode.UNIQUE else mode.value,
        "callTimeoutSeconds": str(CALL_TIMEOUT_SECONDS),
        "effectBoundSeconds": str(EFFECT_BOUND_SECONDS),
        "lookupLagSeconds": str(LOOKUP_LAG_SECONDS if lags else 0),
        "slots": str(chance.choice((1, 2, 4))),
        "batchMax": str(chance.choice((1, 3, 8))),
        **({"twoStep": "invoice"} if two_step else {}),
    }
    lag = FaultRule(fault=Fault.LOOKUP_LAG, operation="*.search", count=None, seconds=str(LOOKUP_LAG_SECONDS))
    return TenantPlan(
        tenant_id=tenant_id,
        profile=_profile(chance, invoices),
        repeat=chance.choice((0, 10, 30)),
        late=chance.choice((0, 10, 30)),
        disorder_seconds=chance.choice((0.0, 0.5, 2.0)),
        mode=mode,
        rules=(*((lag,) if lags else ()), *(_rules(chance) if rough else ())),
        settings=settings,
        two_step=two_step,
        edits=chance.choice((0, 0, 0, 1, 2)) if rough and mode is not Mode.NEITHER else 0,
        acts=chance.choice((0, 0, 2, 5)) if rough else 0,
        bulk=rough > 0 and chance.random() < 0.15,
        blocks=rough > 0 and chance.random() < 0.15,
        forgotten=chance.choice(FORGOTTEN) if rough and chance.random() < 0.2 else "",
        missing=reading.choice((0, 15, 40)) if read else 0,
        read=read,
        tells=reading.random() < 0.3,
    )


def _profile(chance: random.Random, invoices: int) -> StripeProfile:
    chosen = set(chance.sample(SHARES, k=chance.choice((0, 1, 2, 3))))
    return StripeProfile(
        account="cedar",
        customer_prefix="Cedar",
        customers=chance.choice((1, 2)),
        invoices=invoices,
        families=("subscription", "usage", "hardware", ""),
        multiple_lines_max=chance.choice((1, 3)),
        payout_days=chance.choice((9, 40)),
        payouts_failed=chance.choice((0, 0, 1)),
        repeat_share=NOTHING,
        disorder_share=NOTHING,
        edge_share=NOTHING,
        **{name: Decimal("0.4") if name in chosen else NOTHING for name in SHARES},  # type: ignore[arg-type]
    )


def _rules(chance: random.Random) -> tuple[FaultRule, ...]:
    """Faults of the ERP itself; they are lifted when the world's faults end."""
    storm = FaultRule(fault=Fault.THROTTLE, after=chance.randrange(0, 10), count=chance.choice((4, 12)), seconds="1")
    offered = (
        storm,
        _often(chance, Fault.BUSY, 6),
        _often(chance, Fault.FAIL_BEFORE, 5),
        _often(chance, Fault.FAIL_AFTER, 5, operation="*.create"),
        _often(chance, Fault.UNREADABLE, 4),
        FaultRule(fault=Fault.PARTIAL, operation="*.batch", count=2, keep=1, seconds="0"),
        FaultRule(fault=Fault.SHORT_ANSWER, operation="*.batch", count=2, keep=1, seconds="0"),
        FaultRule(
            fault=Fault.PERIOD_LOCK,
            operation=f"{chance.choice(DATED)}.batch",
            count=1,
            keep=chance.choice((0, 1)),
            seconds="0",
        ),
        FaultRule(fault=Fault.OUTAGE, after=chance.randrange(0, 20), count=chance.choice((2, 6)), seconds="0"),
    )
    chosen = [one for one in offered if chance.random() < 0.3]
    if chance.random() < 0.25:
        # A job whose handle is lost with its caller is looked up like any other request: it ends within the effect bound.
        seconds = f"{chance.uniform(0.2, EFFECT_BOUND_SECONDS * 0.9):.2f}"
        chosen.append(FaultRule(fault=Fault.JOB, count=chance.choice((2, 8)), seconds=seconds))
    return tuple(chosen)


def _often(chance: random.Random, fault: Fault, percent: int, *, operation: str = "*") -> FaultRule:
    return FaultRule(
        fault=fault, operation=operation, count=None, percent=percent, seed=chance.randrange(1_000_000), seconds="0"
    )
