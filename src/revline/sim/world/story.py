"""A tenant's inputs and when they arrive: a small month of Stripe, out of order, some twice, some long after the rest. Pure."""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec

from revline.core.clock import Period
from revline.intake.values import Form
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeMonth
from revline.sim.world.plan import TenantPlan, stream

MONTH: Final = Period(start=date(2026, 1, 1), end=date(2026, 2, 1))
PUSHED_SECONDS: Final = 2.5
"""In how long the month's webhooks come in."""
LATE_SECONDS: Final = 4.5
"""From when a listing brings what was missing."""
TOGETHER: Final = (1, 2, 5, 12)


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs that come in one request. seconds: since the world began."""

    seconds: float
    tenant_id: str
    form: Form
    bodies: tuple[bytes, ...]


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What happened at the source, and how it is told. month: what an oracle judges by. happens: each event's body and when it
    enters the source's log, in order. missing: inputs that never arrive."""

    tenant_id: str
    month: StripeMonth
    arrivals: tuple[Arrival, ...]
    happens: tuple[tuple[float, bytes], ...]
    missing: int


def story_of(*, seed: int, tenant: TenantPlan) -> Story:
    """The story of one tenant of a seed."""
    chance = stream(seed, f"story of {tenant.tenant_id}")
    month = generate(seed=f"{seed}/{tenant.tenant_id}", month=MONTH, profile=tenant.profile)
    told: list[tuple[float, int, Form, bytes]] = []
    inputs = [(body, Form.MESSAGE) for body in month.webhooks] + [(body, Form.OBJECT) for body in month.listed()]
    lost = stream(seed, f"webhooks of {tenant.tenant_id}")
    missing, listed = 0, frozenset(month.balance_transactions if tenant.read else ())
    happens = [(PUSHED_SECONDS * number / len(inputs), body) for number, body in enumerate(month.webhooks)]
    for number, (body, form) in enumerate(inputs):
        at = PUSHED_SECONDS * number / len(inputs) + chance.uniform(0, tenant.disorder_seconds)
        if body in listed or (form is Form.MESSAGE and lost.randrange(100) < tenant.missing):
            missing += 1
            continue
        if chance.randrange(100) < tenant.late:
            at = LATE_SECONDS + chance.uniform(0, 2)
        told.append((at, number, form, body))
        if chance.randrange(100) < tenant.repeat:
            told.append((at + chance.uniform(0, 4), number, form, body))
    told.sort(key=lambda one: one[:2])
    arrivals: list[Arrival] = []
    while told:
        count = chance.choice(TOGETHER)
        form = told[0][2]
        taken = [one for one in told[:count] if one[2] is form]
        told = [one for one in told if one not in taken]
        arrivals.append(
            Arrival(seconds=taken[-1][0], tenant_id=tenant.tenant_id, form=form, bodies=tuple(one[3] for one in taken))
        )
    arrivals.sort(key=lambda one: one.seconds)
    return Story(
        tenant_id=tenant.tenant_id, month=month, arrivals=tuple(arrivals), happens=tuple(happens), missing=missing
    )
