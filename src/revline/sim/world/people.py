"""The people of a world: clerks who act on documents while processes die, and who mend what only a person can.

In the ERP they open periods, open the account that was forgotten and change records by hand. On Revline's screens they set aside
and put back, waive by mistake and take it back, resend, reprocess, act on many at once and stop that, block a pool and let it go.
Where the ERP can't be searched by machine, they look into it, and say what they found. In the end nothing is left of what they
did: whatever was set aside is back, so that the books can be judged to the cent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from revline.connectors.sdk.effects import Effect
from revline.connectors.simulated import control
from revline.connectors.simulated.manifest import COLLECTIONS
from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.setup import Account, CompanySetup, SetupBody
from revline.connectors.simulated.wire import Kind
from revline.core.documents import DocumentKind
from revline.core.ids import derived_id
from revline.core.problem import Problem
from revline.delivery.permitted import Act
from revline.platform.bulk.values import BulkAct
from revline.platform.store.engine import is_transient
from revline.sim.world.directory import COMPANY, ERP
from revline.sim.world.network import SimulatedErp, Wires
from revline.sim.world.office import ACTOR, Office, Seen
from revline.sim.world.plan import CALL_TIMEOUT_SECONDS, EFFECT_BOUND_SECONDS, Plan, TenantPlan, stream
from revline.sim.world.time import SimulatedTime
from revline.sim.world.trace import Trace

T = TypeVar("T")
REOPENS_SECONDS: Final = 2.5
EDIT_LEFT_OUT: Final = 0.4
LOOKS_SECONDS: Final = 1.3
KNOWN_AFTER_SECONDS: Final = CALL_TIMEOUT_SECONDS + EFFECT_BOUND_SECONDS + 0.5
"""A request that was given up so long ago took effect, or never will."""
ACTS: Final = (Act.RESEND, Act.RESEND, Act.SKIP, Act.SKIP, Act.WAIVE, Act.REPROCESS)
IN_VAIN: Final = frozenset({"document.undone"})
MENDED: Final = frozenset({"document.undo_by_hand", "erp.record_differs"})
"""Cases that sending again does not help."""


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What a person took out of a lane, or tried to. until: when it is to be put back, seconds of the world."""

    tenant_id: str
    document_id: str
    until: float


class People:
    """offices: the process that runs now, if any. failed: hears of errors of Revline's own."""

    def __init__(
        self,
        *,
        plan: Plan,
        time: SimulatedTime,
        trace: Trace,
        wires: Wires,
        erps: Mapping[str, SimulatedErp],
        offices: Callable[[], Office | None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._plan, self._time, self._trace, self._wires = plan, time, trace, wires
        self._erps, self._offices, self._failed = erps, offices, failed
        self._chance = stream(plan.seed, "people")
        self._edits = {one.tenant_id: one.edits for one in plan.tenants}
        self._busy = 0
        self._looked: dict[str, bool] = {}
        self._stays: set[str] = set()
        """Documents that a person named the record of, or that can't be put back."""
        self.deeds: list[Deed] = []
        wires.unheard = self._may_edit

    def tasks(self) -> list[Any]:
        """What they do, for the world to run."""
        found: list[Any] = [self._keep_periods(erp) for erp in self._erps.values()]
        for tenant in self._plan.tenants:
            if tenant.forgotten:
                found.append(self._open_account(tenant))
            if tenant.read:
                found.append(self._whole(self._reconcile(tenant)))
            if tenant.acts:
                found.append(self._whole(self._act(tenant)))
            if tenant.bulk:
                found.append(self._whole(self._many(tenant)))
            if tenant.blocks:
                found.append(self._whole(self._block(tenant)))
            if tenant.acts or tenant.bulk or tenant.forgotten or tenant.mode is Mode.NEITHER:
                self._looked[tenant.tenant_id] = False
                found.append(self._tidy(tenant))
        return found

    @property
    def done(self) -> bool:
        """Nothing is left to put back, and nothing that was seen at the last look needs a person."""
        return self._busy == 0 and all(self._looked.values())

    def aside(self, tenant_id: str) -> frozenset[str]:
        """Documents whose place in order a person may have given up."""
        return frozenset(one.document_id for one in self.deeds if one.tenant_id == tenant_id)

    # -- in the ERP

    async def _keep_periods(self, erp: SimulatedErp) -> None:
        """Somebody opens again what was closed by mistake."""
        while True:
            await asyncio.sleep(REOPENS_SECONDS)
            ledger = erp.simulator.ledger
            for company in ledger.companies.values():
                for period in tuple(company.periods.values()):
                    if period.state != "open":
                        self._trace.tell(erp.name, f"somebody opens period {period.name}")
                        company.set_period(name=period.name, state="open")

    async def _open_account(self, tenant: TenantPlan) -> None:
        """Somebody opens the account that was forgotten; what was refused for it is sent again by `_tidy`."""
        await asyncio.sleep(self._chance.uniform(3, self._plan.faults_end))
        erp = self._erps[tenant.tenant_id]
        company = CompanySetup(
            code=COMPANY, functional_currency="USD", accounts=(Account(code=tenant.forgotten),), first_period="2025-11"
        )
        self._trace.tell(erp.name, f"somebody opens account {tenant.forgotten}")
        control.set_up(ledger=erp.simulator.ledger, body=SetupBody(companies=(company,)))

    def _may_edit(self, erp: SimulatedErp, effect: Effect) -> None:
        """Somebody in the ERP changes a record of which Revline does not know yet that it is there."""
        tenant_id = next(name for name, one in self._erps.items() if one is erp)
        if effect.action != "create" or self._edits[tenant_id] <= 0 or self._chance.random() < EDIT_LEFT_OUT:
            return
        self._edits[tenant_id] -= 1
        kind = Kind(effect.kind)

        def edit() -> None:
            change = control.RecordEdit(kind=kind, id=effect.record_id, fields={"memo": "changed by hand"})
            control.edit(ledger=erp.simulator.ledger, body=change, at=self._time.now())
            self._wires.fell["erp edit by hand"] += 1
            self._trace.tell(erp.name, f"somebody changes {effect.record_id}")

        asyncio.get_running_loop().call_later(self._chance.uniform(0.05, 0.8), edit)

    # -- on Revline's screens

    async def _whole(self, work: Any) -> None:
        self._busy += 1
        try:
            await work
        finally:
            self._busy -= 1

    async def _ask(self, what: str, work: Callable[[Office], T]) -> T:
        """Until somebody answers."""
        while True:
            office = self._offices()
            if office is not None:
                task = office.process.start(office.process.blocking(partial(work, office)), name="act")
                await asyncio.wait([task])
                failure = None if task.cancelled() else task.exception()
                if not task.cancelled() and failure is None:
                    answer: T = task.result()
                    if what:
                        told = answer.code if isinstance(answer, Problem) else "done"
                        self._trace.tell("clerk", f"{what}: {told}")
                        self._wires.fell[f"person {what.partition(' ')[0]}"] += 1
                    return answer
                if failure is not None and not is_transient(failure):
                    self._failed(failure)
                    raise failure
            await asyncio.sleep(self._chance.uniform(0.1, 0.6))

    async def _documents(self, tenant: TenantPlan) -> tuple[Seen, ...]:
        return await self._ask("", lambda office: office.documents(tenant_id=tenant.tenant_id))

    async def _do(self, act: Act, tenant: TenantPlan, one: Seen, *, known_absent: bool = False) -> object:
        return await self._ask(
            f"{act} {one.reference}",
            lambda office: office.act(
                act, tenant_id=tenant.tenant_id, document_id=one.document_id, known_absent=known_absent
            ),
        )

    async def _act(self, tenant: TenantPlan) -> None:
        """One act after the other, on whatever is under way."""
        for _ in range(tenant.acts):
            await asyncio.sleep(self._chance.uniform(0.3, 2.2))
            act = self._chance.choice(ACTS)
            seen = [one for one in await self._documents(tenant) if act is Act.REPROCESS or not one.finished]
            if not seen:
                continue
            one = self._chance.choice(seen)
            if act in {Act.SKIP, Act.WAIVE}:
                self._takes_out(tenant, one)
            await self._do(act, tenant, one)

    def _takes_out(self, tenant: TenantPlan, one: Seen) -> None:
        until = self._time.seconds + self._chance.uniform(0.5, 4)
        self.deeds.append(Deed(tenant_id=tenant.tenant_id, document_id=one.document_id, until=until))

    async def _reconcile(self, tenant: TenantPlan) -> None:
        """The source's log is followed from now on, and its lists are read: whatever did not arrive comes by it."""
        await asyncio.sleep(self._chance.uniform(3, 6))
        await self._ask("reconcile", lambda office: office.reconcile(tenant_id=tenant.tenant_id))

    async def _many(self, tenant: TenantPlan) -> None:
        """An act on many documents, paused, and then gone on with or stopped for good."""
        await asyncio.sleep(self._chance.uniform(1, 5))
        act = self._chance.choice((Act.RESEND, Act.SKIP))
        given = {"connection": ERP}
        tenant_id = tenant.tenant_id
        same: dict[str, Any] = {"tenant_id": tenant_id, "actor": ACTOR, "reason": "all of them"}
        begun = await self._ask(
            f"bulk-{act} starts", lambda office: office.bulk.start(kind=act.value, given=given, **same)
        )
        if not isinstance(begun, BulkAct):
            return
        for one in await self._documents(tenant) if act is Act.SKIP else ():
            self._takes_out(tenant, one)
        await asyncio.sleep(self._chance.uniform(0, 1))
        await self._ask("bulk-pause", lambda office: office.bulk.pause(act_id=begun.act_id, **same))
        await asyncio.sleep(self._chance.uniform(0, 2))
        if self._chance.random() < 0.5:
            await self._ask("bulk-abort", lambda office: office.bulk.abort(act_id=begun.act_id, **same))
        else:
            await self._ask("bulk-resume", lambda office: office.bulk.resume(act_id=begun.act_id, **same))

    async def _block(self, tenant: TenantPlan) -> None:
        """The ERP's pool is blocked, opened with one slot, and given back to the connector's own limits."""
        pool = derived_id("pool", tenant.tenant_id, ERP)
        await asyncio.sleep(self._chance.uniform(1, 6))
        for blocked, slots in ((True, None), (False, 1), (False, None)):
            await self._ask(
                f"pool {'blocked' if blocked else slots or 'open'}",
                lambda office, blocked=blocked, slots=slots: office.turn_pool(  # type: ignore[misc]
                    pool_id=pool, blocked=blocked, slots=slots
                ),
            )
            await asyncio.sleep(self._chance.uniform(0.2, 1.5))

    async def _tidy(self, tenant: TenantPlan) -> None:
        """Again and again: put back what was set aside long enough, see to what only a person can."""
        while True:
            await asyncio.sleep(LOOKS_SECONDS)
            calm = self._time.seconds > self._plan.faults_end
            seen = await self._documents(tenant)
            needing = [one for one in seen if self._needs_a_person(tenant, one, calm=calm)]
            for one in needing:
                await self._see_to(tenant, one)
            out = [one for one in seen if (one.aside or one.state == "waived") and one.document_id not in self._stays]
            for one in out:
                if calm or self._time.seconds >= self._until(one.document_id):
                    await self._put_back(tenant, one)
            unknown = tenant.mode is Mode.NEITHER and any(one.state == "uncertain" for one in seen)
            self._looked[tenant.tenant_id] = not (needing or unknown or out)

    def _until(self, document_id: str) -> float:
        return max((one.until for one in self.deeds if one.document_id == document_id), default=0.0)

    async def _put_back(self, tenant: TenantPlan, one: Seen) -> None:
        answer = await self._do(Act.REPLAY, tenant, one)
        if isinstance(answer, Problem) and answer.code in IN_VAIN:
            self._stays.add(one.document_id)

    def _needs_a_person(self, tenant: TenantPlan, one: Seen, *, calm: bool) -> bool:
        if tenant.mode is Mode.NEITHER and one.state == "uncertain" and one.uncertain_since is not None:
            return (self._time.now() - one.uncertain_since).total_seconds() > KNOWN_AFTER_SECONDS
        return calm and one.state == "rejected" and not one.aside and one.case not in MENDED

    async def _see_to(self, tenant: TenantPlan, one: Seen) -> None:
        if one.state == "rejected":
            await self._do(Act.RESEND, tenant, one)
            return
        simulator = self._erps[tenant.tenant_id].simulator
        simulator.carry_out_jobs()
        there = simulator.ledger.find(kind=COLLECTIONS[DocumentKind(one.kind)], reference=one.reference)
        if not there:
            await self._do(Act.RESEND, tenant, one, known_absent=True)
            return
        record = there[0].record
        self._stays.add(one.document_id)
        await self._ask(
            f"names {one.reference} {record.id}",
            lambda office: office.name(
                tenant_id=tenant.tenant_id,
                document_id=one.document_id,
                erp_id=record.id,
                record_kind=COLLECTIONS[DocumentKind(one.kind)].value,
            ),
        )
