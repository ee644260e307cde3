"""What a customer has used in its running billing periods, and what it costs so far: rated now, written nowhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from revline.core.clock import Clock
from revline.core.ids import SourceObject
from revline.core.problem import Problem, ProblemError
from revline.platform.store.engine import Database
from revline.platform.store.unit import position_now
from revline.subledger.usage.charges.comparing import Line
from revline.subledger.usage.charges.lines import Unrated, Wanted
from revline.subledger.usage.charges.measuring import ask, rated_lines
from revline.subledger.usage.charges.ports import Meters, Setups, Subscriptions, Versions, no_subscriptions
from revline.subledger.usage.charges.setup import priced_periods
from revline.subledger.usage.versions import UsageVersion, Window

MOMENT: Final = timedelta(microseconds=1)


class SoFar(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's running periods as of a version of the log. lines: what each would be charged if nothing more were used, before
    commitments and credits. unrated: what can't be rated, and why."""

    usage_version: UsageVersion
    lines: tuple[Line, ...]
    unrated: tuple[Unrated, ...]


class LiveCost:
    """Rates one customer now. Safe for threads."""

    def __init__(
        self,
        *,
        database: Database,
        setups: Setups,
        meters: Meters,
        versions: Versions,
        clock: Clock,
        subscriptions: Subscriptions = no_subscriptions,
    ) -> None:
        self._database, self._setups, self._meters = database, setups, meters
        self._versions, self._clock, self._subscriptions = versions, clock, subscriptions

    def so_far(self, *, tenant_id: str, customer: SourceObject) -> SoFar | Problem:
        """Everything acknowledged until now, at the prices in force now."""
        setup = self._setups.charging_setup(tenant_id=tenant_id)
        if isinstance(setup, Problem):
            return setup
        now = self._clock.now()
        version = self._versions.current_version(tenant_id=tenant_id)
        with self._database.read(tenants=[tenant_id]) as connection:
            position = position_now(connection, tenant_id=tenant_id)
            subscribed = self._subscriptions(connection, tenant_id=tenant_id, customers=[customer])
        found = priced_periods(
            setup,
            customer=customer,
            within=Window(start=now, end=now + MOMENT),
            until=now,
            subscribed=subscribed.get(customer, ()),
        )
        wanted = [
            Wanted(customer=customer, window=period.window, price=name, share=period.share) for name, period in found
        ]
        try:
            answers = ask(meters=self._meters, setup=setup, wanted=wanted, version=version, position=position)
        except ProblemError as error:
            return error.problem
        lines, unrated = rated_lines(setup, wanted, answers)
        return SoFar(usage_version=version, lines=lines, unrated=unrated)
