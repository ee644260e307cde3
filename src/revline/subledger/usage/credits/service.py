"""What people do with credits, for every door: grant, end, refund and void them, and ask where they are.

Each act becomes a fact like any a source sends; the ledger follows from facts, so nothing here writes to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec

from revline.core.canonical import CreditGrant, CreditRefund
from revline.core.clock import Clock
from revline.core.hashing import canonical_bytes
from revline.core.ids import SourceObject, uuid7
from revline.core.money import Amount, Currency, currency, in_scale
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.intake.checks import check_fact
from revline.intake.service import Intake
from revline.intake.values import Channels, Outcome
from revline.platform.store.engine import Database
from revline.subledger.usage.credits import queries, record
from revline.subledger.usage.credits.facts import TRANSLATOR, object_fact
from revline.subledger.usage.credits.plans import CreditPlan, granted
from revline.subledger.usage.credits.ports import Charges, CreditSetup, Setups, no_charges
from revline.subledger.usage.credits.running import Settled, settle_customer
from revline.subledger.usage.credits.values import GrantBalance

define(
    code="credits.plan_unknown",
    title="No such credit plan",
    status=404,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Name a CreditPlan of the active configuration, or add one.",
)
define(
    code="credits.grant_exists",
    title="A grant with this id is there already",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Grant under another id; to change a grant, end it or void it first.",
)
define(
    code="credits.amount_unavailable",
    title="Fewer credits are left",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Look at the grant's balance and ask for what is available at most.",
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A grant somebody asks for. outside_id: "" for a new one. amount, cost: None for the plan's. starts_at: None for now.
    expires_at: None for the plan's. method: how it was paid."""

    customer: SourceObject
    plan: str
    outside_id: str = ""
    amount: Decimal | None = None
    cost: Decimal | None = None
    starts_at: datetime | None = None
    expires_at: datetime | None = None
    method: str = ""


@dataclass(frozen=True, kw_only=True)
class CreditDesk:
    """Acts on credits and looks at them. charges: the charge lines that draw them."""

    database: Database
    intake: Intake
    channels: Channels
    setups: Setups
    clock: Clock
    random_bytes: Callable[[int], bytes]
    charges: Charges = no_charges

    def grant(self, *, tenant_id: str, wanted: Wanted, actor: str, reason: str) -> CreditGrant | Problem:
        """Grant credits by a plan. The same grant again changes nothing. Problems: `credits.plan_unknown`,
        `credits.grant_exists`, `connection.unknown`, `amount.invalid`, `intake.value_invalid`."""
        setup = self._setup(tenant_id, wanted.customer.connection)
        if isinstance(setup, Problem):
            return setup
        spec = setup.plans.get(wanted.plan)
        if spec is None:
            known = ", ".join(sorted(setup.plans)[:20]) or "none"
            return problem("credits.plan_unknown", f"{wanted.plan[:60]!r} is none of: {known}", field="plan")
        wrong = _amount_wrong(spec, wanted)
        if wrong is not None:
            return wrong
        now = self.clock.now()
        before = self._grant_of(tenant_id, wanted.customer.connection, wanted.outside_id) if wanted.outside_id else None
        made = granted(
            plan=wanted.plan,
            spec=spec,
            outside_id=wanted.outside_id or f"grant-{uuid7(now=now, random_bytes=self.random_bytes)}",
            customer=wanted.customer.outside_id,
            granted_at=now if before is None else before.granted_at,
            time_zone=setup.zones[wanted.customer.connection],
            amount=wanted.amount,
            cost=wanted.cost,
            starts_at=wanted.starts_at,
            expires_at=wanted.expires_at,
            method=wanted.method,
        )
        if before is not None:
            detail = f"grant {made.outside_id[:60]} of {before.amount} {before.currency} was granted before"
            return before if before == made else problem("credits.grant_exists", detail, field="outside_id")
        return self._say(tenant_id, wanted.customer.connection, made, actor, reason) or made

    def end(
        self, *, tenant_id: str, connection: str, outside_id: str, at: datetime | None, actor: str, reason: str
    ) -> CreditGrant | Problem:
        """Let what is left of a grant expire at a moment (None: now) instead of at its end; not before now."""
        now = self.clock.now()
        found = self._known(tenant_id, connection, outside_id)
        if isinstance(found, Problem):
            return found
        ends = now if at is None else at
        if ends < now:
            return problem("credits.amount_unavailable", "a grant can't be ended in the past", field="at")
        changed = msgspec.structs.replace(found, expires_at=ends, roll_over=None)
        return self._say(tenant_id, connection, changed, actor, reason) or changed

    def void(
        self, *, tenant_id: str, connection: str, outside_id: str, actor: str, reason: str
    ) -> CreditGrant | Problem:
        """Take back a grant that was a mistake: whatever it paid is due in money again."""
        found = self._known(tenant_id, connection, outside_id)
        if isinstance(found, Problem):
            return found
        changed = msgspec.structs.replace(found, voided=True)
        return self._say(tenant_id, connection, changed, actor, reason) or changed

    def refund(
        self,
        *,
        tenant_id: str,
        connection: str,
        outside_id: str,
        amount: Decimal | None,
        refund_id: str = "",
        method: str = "",
        actor: str,
        reason: str,
    ) -> CreditRefund | Problem:
        """Give unused credits of a grant back, all that is available where no amount is said. Problems:
        `credits.grant_unknown`, `credits.amount_unavailable`."""
        now = self.clock.now()
        found = self._known(tenant_id, connection, outside_id)
        if isinstance(found, Problem):
            return found
        customer = SourceObject(connection=connection, kind="customer", outside_id=found.customer)
        balance = self._balance(tenant_id, customer, outside_id)
        if isinstance(balance, Problem):
            return balance
        wanted = balance.available if amount is None else amount
        identity = refund_id or f"refund-{uuid7(now=now, random_bytes=self.random_bytes)}"
        earlier = self._refund_of(tenant_id, customer, identity)
        if earlier is not None:
            return earlier
        if not 0 < wanted <= balance.available:
            detail = f"{wanted} of grant {outside_id[:60]} is asked for, {balance.available} is available"
            return problem("credits.amount_unavailable", detail, field="amount")
        made = CreditRefund(
            outside_id=identity,
            customer=found.customer,
            grant=outside_id,
            amount=Amount(wanted),
            refunded_at=now,
            method=method,
        )
        return self._say(tenant_id, connection, made, actor, reason) or made

    def statement(self, *, tenant_id: str, customer: SourceObject, at: datetime | None = None) -> Settled | Problem:
        """A customer's statement as of now or another moment, from all that is known; writes nothing."""
        setup = self._setup(tenant_id, customer.connection)
        if isinstance(setup, Problem):
            return setup
        moment = self.clock.now() if at is None else at
        with self.database.read(tenants=[tenant_id]) as connection:
            return settle_customer(
                connection, tenant_id=tenant_id, customer=customer, setup=setup, charges=self.charges, at=moment
            )

    def ledger(self, *, tenant_id: str, customer: SourceObject, grant: str = "") -> tuple[queries.LedgerRow, ...]:
        """What was posted of a customer's credits, or of one grant, oldest first."""
        holder = record.holder_of(tenant_id=tenant_id, customer=customer)
        with self.database.read(tenants=[tenant_id]) as connection:
            return queries.ledger_of(connection, tenant_id=tenant_id, holder_id=holder, grant=grant)

    def grants(
        self,
        *,
        tenant_id: str,
        customer: SourceObject | None = None,
        after: tuple[datetime, str] | None = None,
        limit: int = 100,
    ) -> tuple[queries.GrantRow, ...]:
        """Grants, newest first, with what the ledger holds of each."""
        with self.database.read(tenants=[tenant_id]) as connection:
            return queries.grants_page(
                connection,
                tenant_id=tenant_id,
                source_connection="" if customer is None else customer.connection,
                customer="" if customer is None else customer.outside_id,
                after=after,
                limit=limit,
            )

    def _setup(self, tenant_id: str, connection: str) -> CreditSetup | Problem:
        setup = self.setups.credit_setup(tenant_id=tenant_id)
        if isinstance(setup, Problem) or connection in setup.zones:
            return setup
        known = ", ".join(sorted(setup.zones)[:20])
        detail = f"no entity sells at {connection[:60]!r}; there are: {known}"
        return problem("connection.unknown", detail, field="connection")

    def _grant_of(self, tenant_id: str, connection: str, outside_id: str) -> CreditGrant | None:
        with self.database.read(tenants=[tenant_id]) as reading:
            return queries.grant_by_id(
                reading, tenant_id=tenant_id, source_connection=connection, outside_id=outside_id
            )

    def _refund_of(self, tenant_id: str, customer: SourceObject, refund_id: str) -> CreditRefund | None:
        holder = record.holder_of(tenant_id=tenant_id, customer=customer)
        with self.database.read(tenants=[tenant_id]) as reading:
            known = queries.refunds_of(reading, tenant_id=tenant_id, holder_id=holder)
        return next((one for one in known if one.outside_id == refund_id), None)

    def _known(self, tenant_id: str, connection: str, outside_id: str) -> CreditGrant | Problem:
        found = self._grant_of(tenant_id, connection, outside_id)
        if found is None or found.voided:
            detail = f"{connection[:60]} has no grant {outside_id[:60]!r}"
            return problem("credits.grant_unknown", detail, field="grant")
        return found

    def _balance(self, tenant_id: str, customer: SourceObject, outside_id: str) -> GrantBalance | Problem:
        found = self.statement(tenant_id=tenant_id, customer=customer)
        if isinstance(found, Problem):
            return found
        for one in found.statement.balances:
            if one.grant.outside_id == outside_id:
                return one
        return problem("credits.amount_unavailable", f"grant {outside_id[:60]} has not begun", field="amount")

    def _say(
        self, tenant_id: str, connection: str, snapshot: CreditGrant | CreditRefund, actor: str, reason: str
    ) -> Problem | None:
        """Take the fact in; what it means is derived like any other."""
        channel = self.channels.channel(tenant_id=tenant_id, connection=connection)
        if isinstance(channel, Problem):
            return channel
        now = self.clock.now()
        fact = object_fact(snapshot=snapshot, connection=connection, said_at=now)
        wrong = check_fact(fact, received_at=now)
        if wrong is not None:
            return wrong
        verdict = self.intake.accept_made(
            channel=msgspec.structs.replace(channel, translator=TRANSLATOR),
            fact=fact,
            body=canonical_bytes(snapshot),
            actor=actor,
            reason=reason,
        )
        return verdict.problem if verdict.outcome not in {Outcome.ACCEPTED, Outcome.DUPLICATE} else None


def _amount_wrong(spec: CreditPlan, wanted: Wanted) -> Problem | None:
    money = currency(spec.currency)
    if not isinstance(money, Currency):
        return money
    for amount in (wanted.amount, wanted.cost):
        found = None if amount is None else in_scale(amount=amount, currency=money)
        if isinstance(found, Problem):
            return found
    return None
