"""Writes the plans of one derive run into an open unit: the one place where posting, receivables and delivery meet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from revline.core.facts import Name
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.delivery import record as delivery
from revline.delivery import revisions
from revline.derive.epochs import known_before
from revline.derive.expectation import Need, RootFacts
from revline.derive.planning import Booking, Disposition, RootPlan, RootProblem
from revline.derive.ports import DeriveConfiguration
from revline.derive.tables import derive_run, disposition
from revline.intake import awaiting
from revline.intake.values import Awaited
from revline.platform.cases.record import DETAIL_LENGTH_MAX, NewCase, open_cases, resolve_cases
from revline.platform.lineage.record import add_names
from revline.platform.store.unit import Unit
from revline.platform.work.epochs import Epoch
from revline.subledger.posting import record as posting
from revline.subledger.receivables import record as receivables

ROOT_SUBJECT: Final = "root"
MASTER_NAME: Final = "root_id"
"""The name by which a master document is found from the root it is made of."""


def awaited_of(need: Need, root: SourceObject) -> Awaited:
    """A need as intake keeps it: an object of the root's own connection."""
    return Awaited(
        connection=root.connection, object_kind=need.object_kind, name_kind=need.name.kind, name_value=need.name.value
    )


def read_through(connection: Connection, *, tenant_id: str, root_ids: Sequence[str]) -> Mapping[str, int]:
    """Position of the newest fact that earlier runs of these roots read; a root that never ran has no key."""
    run = derive_run.c
    statement = select(run.root_id, func.max(run.read_through)).where(
        run.tenant_id == tenant_id, run.root_id.in_(root_ids)
    )
    rows = connection.execute(statement.group_by(run.root_id)) if root_ids else ()
    return {row[0]: row[1] for row in rows}


NOT_CARRIED: Final = {
    "document.finished": "the record was posted before this update; updates are not carried to the ERP yet",
    "document.in_flight": "the record was on its way to the ERP; this update is not carried there yet",
}
"""The rule of a fact whose update of a master record came too late, by the problem of the new revision."""


def merged(problems: Sequence[RootProblem]) -> Sequence[RootProblem]:
    """One problem for each cause in a currency, with all the money behind it: a root has one case for a cause."""
    found: dict[tuple[str, str, str], RootProblem] = {}
    for one in problems:
        key = (one.problem.code, one.problem.field, one.currency)
        first = found.get(key)
        if first is None:
            found[key] = one
        else:
            told, more = first.problem.detail, one.problem.detail
            known = more in told or len(told) + len(more) > DETAIL_LENGTH_MAX
            why = first.problem if known else msgspec.structs.replace(first.problem, detail=f"{told}; {more}")
            found[key] = RootProblem(problem=why, amount=first.amount + one.amount, currency=one.currency)
    return tuple(found.values())


def _as_carried(entry: Disposition, not_carried: Mapping[str, Problem]) -> Disposition:
    """What became of a fact when some of its documents could not take over what it says."""
    late = [name for name in entry.effects if name in not_carried]
    if not late:
        return entry
    effects = tuple(name for name in entry.effects if name not in not_carried)
    rule = NOT_CARRIED[not_carried[late[0]].code]
    return msgspec.structs.replace(entry, effects=effects, rule=rule, verdict="effects" if effects else "none")


class Writer:
    """Writes for one tenant in one unit. deadline: until when what is awaited may come. epoch: of the cell.

    seen_through: position up to which every fact was known when the roots were planned.
    """

    def __init__(self, *, unit: Unit, tenant_id: str, epoch: Epoch, deadline: datetime, seen_through: int = 0) -> None:
        self._unit = unit
        self._tenant_id = tenant_id
        self._epoch = epoch
        self._deadline = deadline
        self._seen_through = seen_through

    def write_plans(
        self,
        *,
        plans: Mapping[str, RootPlan],
        known: Mapping[str, RootFacts],
        configuration: DeriveConfiguration,
        reprocessed: Collection[str] = (),
    ) -> None:
        """Everything the plans say: events, journals, open items, documents, awaited names, dispositions, cases.

        reprocessed: roots that are evaluated again because a person asked.
        """
        superseded = self._supersede_unsent({root_id: plans[root_id] for root_id in reprocessed if root_id in plans})
        documents = [
            one
            for plan in plans.values()
            for part in (*(booking.documents for booking in plan.bookings), plan.masters)
            for one in part
            if one.reverses not in superseded
        ]
        not_carried = revisions.renew_documents(
            self._unit,
            tenant_id=self._tenant_id,
            documents=[one for plan in plans.values() for one in (*plan.masters, *plan.renewed)],
            others=documents,
            configuration_version=configuration.version,
        )
        kept_cases: list[str] = []
        before = self._dispositions(list(plans))
        for root_id, plan in plans.items():
            self._write_plan(root_id, plan, known[root_id], configuration)
            for entry in plan.dispositions:
                self._write_disposition(root_id, _as_carried(entry, not_carried), before)
            kept_cases.extend(self._open(root_id, known[root_id], plan))
        resolve_cases(
            self._unit, tenant_id=self._tenant_id, subject_kind=ROOT_SUBJECT, subject_ids=list(plans), keep=kept_cases
        )
        delivery.write_documents(
            self._unit,
            tenant_id=self._tenant_id,
            documents=documents,
            pool_of=lambda document: configuration.pools[document.connection],
            configuration_version=configuration.version,
            epoch=self._epoch.number,
            earlier=known_before(epoch=self._epoch, plans=plans, known=known),
        )

    def _write_plan(self, root_id: str, plan: RootPlan, known: RootFacts, configuration: DeriveConfiguration) -> None:
        """One root's bookings, names of its masters, awaited names and the run itself."""
        for booking in plan.bookings:
            self._write_booking(booking, configuration)
        for master in plan.masters:
            add_names(
                self._unit,
                tenant_id=self._tenant_id,
                names=[Name(kind=MASTER_NAME, value=root_id)],
                record_kind="document",
                record_id=master.document_id,
            )
        self._write_awaited(root_id, plan, known.root)
        self._unit.record(
            derive_run,
            tenant_id=self._tenant_id,
            root_id=root_id,
            read_through=max((fact.position for fact in known.facts), default=0),
            configuration_version=configuration.version,
            booked=len(plan.bookings),
            reversed=plan.reversed_count,
        )

    def _supersede_unsent(self, plans: Mapping[str, RootPlan]) -> frozenset[str]:
        """What a reprocessed event would have sent and did not send yet is taken back, so nothing has to undo it out there.

        Reversals for other facts always are documents, sent or not: replaying the log must give the same documents.
        """
        undone = {
            document.reverses
            for plan in plans.values()
            for booking in plan.bookings
            if booking.event.reverses
            for document in booking.documents
            if document.reverses
        }
        return revisions.supersede_unsent(self._unit, tenant_id=self._tenant_id, document_ids=undone)

    def write_refusals(
        self,
        *,
        refused: Mapping[str, Problem],
        roots: Mapping[str, SourceObject],
        places: Mapping[str, Sequence[tuple[int, int]]],
    ) -> None:
        """A case for each root that could not be planned at all; its facts that nothing was said of yet are in that case.

        places: (position, ordinal) of the facts of each root.
        """
        cases = [
            NewCase(
                tenant_id=self._tenant_id,
                subject_kind=ROOT_SUBJECT,
                subject_id=root_id,
                problem=refusal,
                connection=roots[root_id].connection if root_id in roots else "",
            )
            for root_id, refusal in refused.items()
        ]
        open_cases(self._unit, cases=cases)
        before = self._dispositions(list(refused))
        for root_id, refusal in refused.items():
            for position, ordinal in places.get(root_id, ()):
                entry = Disposition(fact_position=position, fact_ordinal=ordinal, verdict="case", rule=refusal.code)
                if before.get((root_id, position, ordinal), ("case",))[0] == "case":
                    self._write_disposition(root_id, entry, before)

    def _write_booking(self, booking: Booking, configuration: DeriveConfiguration) -> None:
        posting.write_event(
            self._unit,
            tenant_id=self._tenant_id,
            event=booking.event,
            facts=[(fact.position, fact.ordinal) for fact in booking.facts],
            configuration_version=configuration.version,
        )
        for journal in booking.journals:
            posting.write_journal(
                self._unit,
                tenant_id=self._tenant_id,
                entry=journal,
                rule_place=configuration.setup.place_of(journal.rule),
                configuration_version=configuration.version,
            )
            names = [Name(kind="journal_id", value=journal.journal_id)]
            add_names(
                self._unit,
                tenant_id=self._tenant_id,
                names=names,
                record_kind="journal",
                record_id=journal.journal_id,
            )
        names = [Name(kind="event_id", value=booking.event.event_id)]
        add_names(
            self._unit,
            tenant_id=self._tenant_id,
            names=names,
            record_kind="accounting_event",
            record_id=booking.event.event_id,
        )
        receivables.write_event(self._unit, tenant_id=self._tenant_id, event=booking.event)

    def _write_awaited(self, root_id: str, plan: RootPlan, root: SourceObject) -> None:
        names = [awaited_of(need, root) for need in plan.awaited]
        awaiting.settle_awaited(self._unit, tenant_id=self._tenant_id, root_id=root_id, still=names)
        awaiting.add_awaited(
            self._unit,
            tenant_id=self._tenant_id,
            root_id=root_id,
            names=names,
            deadline=self._deadline,
            seen_through=self._seen_through,
        )

    def _open(self, root_id: str, known: RootFacts, plan: RootPlan) -> Sequence[str]:
        cases = [
            NewCase(
                tenant_id=self._tenant_id,
                subject_kind=ROOT_SUBJECT,
                subject_id=root_id,
                problem=entry.problem,
                connection=known.root.connection,
                currency=entry.currency,
                amount=Decimal(entry.amount),
            )
            for entry in merged(plan.problems)
        ]
        return open_cases(self._unit, cases=cases) if cases else ()

    def _dispositions(self, root_ids: Sequence[str]) -> Mapping[tuple[str, int, int], tuple[str, tuple[str, ...], str]]:
        statement = select(disposition).where(
            disposition.c.tenant_id == self._tenant_id, disposition.c.root_id.in_(root_ids)
        )
        return {
            (row.root_id, row.fact_position, row.fact_ordinal): (row.verdict, tuple(row.effects), row.rule)
            for row in self._unit.connection.execute(statement)
        }

    def _write_disposition(
        self,
        root_id: str,
        entry: Disposition,
        before: Mapping[tuple[str, int, int], tuple[str, tuple[str, ...], str]],
    ) -> None:
        key = (root_id, entry.fact_position, entry.fact_ordinal)
        if before.get(key) == (entry.verdict, entry.effects, entry.rule):
            return
        self._unit.project(
            disposition,
            key=("root_id", "fact_position", "fact_ordinal"),
            tenant_id=self._tenant_id,
            root_id=root_id,
            fact_position=entry.fact_position,
            fact_ordinal=entry.fact_ordinal,
            verdict=entry.verdict,
            effects=list(entry.effects),
            rule=entry.rule,
        )
