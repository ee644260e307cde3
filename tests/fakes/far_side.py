"""A far system in memory that keeps what it did in an append-only list, the judge of every delivery test.

It misbehaves on demand: `faults` is asked for each step before and after its effect. It knows nothing of Revline's database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from revline.core.differences import FieldDifference
from revline.core.documents import Document, DocumentKind, JournalContent
from revline.core.farside import (
    ChangedPage,
    EntityMapping,
    ErpEntry,
    ErpPeriod,
    ErpRecord,
    Health,
    Idempotency,
    KindCapability,
    Manifest,
    NotSent,
    Outcome,
    Placed,
    Posted,
    PrepareContext,
    PreparedStep,
)
from revline.core.hashing import canonical_bytes
from revline.core.problem import Problem, problem
from revline.core.sending import MAY_SEND
from revline.delivery.values import FarSide


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Effect:
    """One thing the far system did."""

    reference: str
    document_id: str
    step: str


Fault = Callable[[PreparedStep], Outcome | None]


def no_fault(step: PreparedStep) -> Outcome | None:
    return None


@dataclass
class FarSystem:
    """The far system's own state, which outlives any worker."""

    effects: list[Effect] = field(default_factory=list)
    records: list[ErpRecord] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    lines: dict[str, tuple[ErpEntry, ...]] = field(default_factory=dict)
    lookups: list[str] = field(default_factory=list)
    calls: int = 0
    calls_at_once: int = 0
    most_at_once: int = 0
    batches: list[int] = field(default_factory=list)

    def posted(self, document_id: str) -> int:
        """How often a document was posted here: more than once is a double."""
        return sum(effect.document_id == document_id and effect.step == "post" for effect in self.effects)

    def order(self) -> list[str]:
        return [effect.document_id for effect in self.effects if effect.step == "post"]


class FakeConnector:
    """Speaks to a `FarSystem`. before, after: asked for each step; an outcome is answered instead, after the effect or not."""

    def __init__(
        self,
        far: FarSystem,
        *,
        idempotency: Idempotency = Idempotency.LOOKUP,
        slots: int = 4,
        batch_max: int = 1,
        steps: tuple[str, ...] = ("post",),
        effect_bound: timedelta = timedelta(seconds=10),
        burst: int = 1_000,
        closed: Sequence[str] = (),
        pause: int = 1,
    ) -> None:
        self.far = far
        self.before: Fault = no_fault
        self.after: Fault = no_fault
        self.closed = closed
        self.pause = pause
        self.differs: dict[str, tuple[str, ...]] = {}
        self.wrong_entries: set[str] = set()
        self.cursor_gone = False
        self.manifest = Manifest(
            connector="fake",
            version="1",
            title="The fake system",
            kinds=tuple(
                KindCapability(kind=kind, steps=steps, idempotency=idempotency, batch_max=batch_max)
                for kind in DocumentKind
            ),
            effect_bound=effect_bound,
            lookup_lag=timedelta(0),
            slots=slots,
            bucket_per_second=Decimal(1_000),
            bucket_burst=burst,
            call_timeout=timedelta(seconds=5),
            listed=("journal", "customer"),
        )
        self._unique = idempotency in {Idempotency.UNIQUE_REFERENCE, Idempotency.KEY}

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        content = document.content
        if isinstance(content, JournalContent):
            for line in content.lines:
                if line.account not in context.mapping.accounts:
                    return problem("mapping.missing", f"no code for {line.account}", field=line.account)
        body = canonical_bytes({"document": document, "step": step})
        self.far.contents[document.document_id] = canonical_bytes(document)
        return PreparedStep(
            document_id=document.document_id,
            kind=document.kind,
            step=step,
            operation=f"{document.kind}.{step}",
            external_reference=document.external_reference,
            body=body,
        )

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        return tuple(
            FieldDifference(field=name, ours="as meant", theirs="as found")
            for name in self.differs.get(record.external_reference, ())
        )

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        self.far.calls += 1
        self.far.batches.append(len(steps))
        self.far.calls_at_once += 1
        self.far.most_at_once = max(self.far.most_at_once, self.far.calls_at_once)
        try:
            for _ in range(self.pause):
                await asyncio.sleep(0)
            may_send = MAY_SEND.get()
            if may_send is not None and not may_send():
                return [NotSent(problem=problem("erp.busy", "the lease ended"))] * len(steps)
            return [self._do(step) for step in steps]
        finally:
            self.far.calls_at_once -= 1

    def _do(self, step: PreparedStep) -> Outcome:
        instead = self.before(step)
        if instead is not None:
            return instead
        outcome = self._effect(step)
        return self.after(step) or outcome

    def _effect(self, step: PreparedStep) -> Outcome:
        there = [one for one in self.far.records if one.external_reference == step.external_reference]
        final = step.step == self._steps(step.kind)[-1]
        if there and self._unique and (there[-1].state == "posted" or not final):
            return self._outcome(there[-1], step)
        if there and step.step != self._steps(step.kind)[0]:
            self.far.records.remove(there[-1])
        self.far.effects.append(Effect(reference=step.external_reference, document_id=step.document_id, step=step.step))
        number = len(self.far.effects)
        record = ErpRecord(
            record_kind=str(step.kind),
            erp_id=there[-1].erp_id if there and step.step != self._steps(step.kind)[0] else str(number),
            number=f"N{number}",
            state="posted" if final else "draft",
            external_reference=step.external_reference,
        )
        self.far.records.append(record)
        return self._outcome(record, step)

    def _outcome(self, record: ErpRecord, step: PreparedStep) -> Outcome:
        if record.state == "draft":
            return Placed(record=record)
        return Posted(record=record, entries=self._entries(step.document_id))

    def _entries(self, document_id: str) -> tuple[ErpEntry, ...]:
        wrong = Decimal("0.01") if document_id in self.wrong_entries else Decimal(0)
        return tuple(
            ErpEntry(
                line=entry.line,
                account=entry.account,
                debit=entry.debit + (wrong if entry.debit else 0),
                credit=entry.credit,
                currency=entry.currency,
                currency_amount=entry.currency_amount + (wrong if entry.debit else 0),
                day=entry.day,
            )
            for entry in self.far.lines.get(document_id, ())
        )

    def _steps(self, kind: DocumentKind) -> tuple[str, ...]:
        capability = self.manifest.capability(kind)
        assert capability is not None
        return capability.steps

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        self.far.lookups += references
        return {
            reference: tuple(one for one in self.far.records if one.external_reference == reference)
            for reference in references
        }

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        if record.state == "draft":
            return Placed(record=record)
        ids = [one.document_id for one in self.far.effects if one.reference == record.external_reference]
        return Posted(record=record, entries=self._entries(ids[-1] if ids else ""))

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        if cursor and self.cursor_gone:
            return problem("erp.cursor_expired", "the far side kept no changes that old")
        start = int(cursor or "0")
        found = self.far.records[start : start + limit]
        shown = tuple(one for one in found if one.record_kind == record_kind)
        end = start + len(found)
        return ChangedPage(records=shown, next_cursor=str(end) if end < len(self.far.records) else "", resume=str(end))

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        return ()

    async def health(self) -> Health:
        return Health(reachable=True)

    async def close(self) -> None:
        return None


class FakeDirectory:
    """Every connection is the fake one, or the one named; policies hold what they are told to."""

    def __init__(self, connector: FakeConnector, *, accounts: Mapping[str, str] | None = None) -> None:
        self.connectors: dict[str, FakeConnector] = {"": connector}
        self.accounts = dict(accounts if accounts is not None else {"cash": "1000", "sales": "4000"})
        self.held_days: set[date] = set()

    def far_side(self, *, tenant_id: str, connection: str, entity: str) -> FarSide | Problem:
        connector = self.connectors.get(connection, self.connectors[""])
        return FarSide(
            connector=connector,
            mapping=EntityMapping(company="1", accounts=self.accounts),
            functional_currency="USD",
            pool_id=f"pool-{connection}",
            configuration_version=1,
        )

    def held(self, *, tenant_id: str, document: Document) -> Problem | None:
        if document.accounting_date in self.held_days:
            return problem("erp.period_closed", "the day is held by policy", field=str(document.accounting_date))
        return None
