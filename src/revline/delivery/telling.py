"""Tells people of what others wait for too long, and keeps what waits behind each case counted. A timer of delivery.

One case stands for a whole chain: it is made on what really stands still, and closes when that goes on or nothing waits for it any
more. Each pass looks at a bounded number of tenants, waits and cases, and goes on where the last one ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from revline.core.documents import FINISHED_STATES, DocumentKind, DocumentState
from revline.delivery import chains, queries, standstill
from revline.delivery.blockers import MISSING, OF_BLOCKERS, OVERDUE, overdue_case
from revline.delivery.standstill import Standstill
from revline.delivery.tables import FINISHED_SQL
from revline.delivery.values import LANE_KIND, SUBJECT_KIND, Timing
from revline.platform.cases.behind import Behind, Counted, longest_uncounted, write_behind
from revline.platform.cases.record import open_cases, resolve_cases
from revline.platform.cases.subjects import open_cases_of
from revline.platform.store.engine import Database
from revline.platform.work import queries as work_queries

GROUPS_A_PASS: Final = 10
WAITS_PAGE: Final = 20_000
CASES_PAGE: Final = 500

_LATE: Final = text(
    f"""
    SELECT page.tenant_id, page.predecessor_id, count(*) AS waits,
           coalesce(bool_or(page.since <= :before AND NOT page.for_record AND state.state NOT IN ({FINISHED_SQL})), false)
               AS late
    FROM (SELECT tenant_id, predecessor_id, since, for_record FROM wait
          WHERE tenant_id = ANY(CAST(:tenants AS text[]))
            AND (tenant_id, predecessor_id) > (:after_tenant, :after_document)
          ORDER BY tenant_id, predecessor_id LIMIT :limit) AS page
    LEFT JOIN document_state AS state
      ON state.tenant_id = page.tenant_id AND state.document_id = page.predecessor_id
    GROUP BY page.tenant_id, page.predecessor_id ORDER BY page.tenant_id, page.predecessor_id
    """
)


class Teller:
    """One process's passes over all tenants with deliveries; it keeps in memory only where it is."""

    def __init__(self, *, database: Database, actor: str, timing: Timing) -> None:
        self._database, self._actor, self._timing = database, actor, timing
        self._after = ""
        self._late_after: dict[str, tuple[str, str]] = {}

    def tell(self, *, recorded_at: datetime) -> int:
        """One pass; gives how many cases of overdue documents stand open after it, of those it looked at."""
        told = 0
        for _ in range(GROUPS_A_PASS):
            with self._database.control() as connection:
                now = work_queries.moment(connection)
                tenants = work_queries.ring_tenants(connection, kind=LANE_KIND, after=self._after)
            self._after = tenants[-1] if tenants else ""
            if not tenants:
                break
            told += self._group(tenants, now, recorded_at)
        return told

    def _group(self, tenants: Sequence[str], now: datetime, recorded_at: datetime) -> int:
        group = tenants[0]
        after = self._late_after.get(group, ("", ""))
        with self._database.read(tenants=tenants) as connection:
            waits = connection.execute(
                _LATE,
                {
                    "tenants": list(tenants),
                    "before": now - self._timing.overdue,
                    "after_tenant": after[0],
                    "after_document": after[1],
                    "limit": WAITS_PAGE,
                },
            ).all()
            counted = longest_uncounted(
                connection,
                tenants=tenants,
                subject_kind=SUBJECT_KIND,
                before=recorded_at - self._timing.tell,
                limit=CASES_PAGE,
            )
        full = sum(row.waits for row in waits) >= WAITS_PAGE
        self._late_after[group] = (waits[-1].tenant_id, waits[-1].predecessor_id) if full else ("", "")
        late = [row for row in waits if row.late]
        told = 0
        for tenant in sorted({row.tenant_id for row in late}):
            names = [row.predecessor_id for row in late if row.tenant_id == tenant]
            told += self._tell_overdue(tenant, names, recorded_at)
        for tenant in sorted({one.tenant_id for one in counted}):
            self._count(tenant, [one for one in counted if one.tenant_id == tenant], recorded_at)
        return told

    def _tell_overdue(self, tenant_id: str, waited_for: Collection[str], recorded_at: datetime) -> int:
        """A case for each document that really stands still ahead of these, unless it has one."""
        with self._database.unit(
            tenants=[tenant_id],
            kind="overdue",
            actor=self._actor,
            reason="others have waited for it too long",
            recorded_at=recorded_at,
        ) as unit:
            graph = Standstill(unit.connection, tenant_id=tenant_id)
            found = chains.blockers(waited_for, ahead=graph.ahead)
            names = sorted(name for name, why in found.items() if why is None)
            told = open_cases_of(unit.connection, tenant_id=tenant_id, subjects=[(SUBJECT_KIND, one) for one in names])
            rows = queries.deliveries_by_id(unit.connection, tenant_id=tenant_id, document_ids=names)
            cases = [
                overdue_case(
                    tenant_id=tenant_id,
                    document_id=name,
                    connection=rows[name].connection,
                    kind=DocumentKind(rows[name].kind),
                    state=DocumentState(rows[name].state),
                )
                for name in names
                if name in rows and rows[name].state not in FINISHED_STATES and (SUBJECT_KIND, name) not in told
            ]
            return len(open_cases(unit, cases=cases)) if cases else 0

    def _count(self, tenant_id: str, cases: Sequence[Counted], recorded_at: datetime) -> None:
        """Count what waits behind these cases, and close those that are there only for what waits."""
        with self._database.read(tenants=[tenant_id]) as connection:
            behind = count_behind(connection, tenant_id=tenant_id, document_ids={one.subject_id for one in cases})
            over = _over(connection, tenant_id, cases, behind)
        with self._database.unit(
            tenants=[tenant_id],
            kind="count",
            actor=self._actor,
            reason="what waits is counted",
            recorded_at=recorded_at,
        ) as unit:
            counted = {one.case_id: behind[one.subject_id] for one in cases if one.case_id not in over}
            write_behind(unit.connection, tenant_id=tenant_id, counted=counted, at=recorded_at)
        if over:
            self._resolve(tenant_id, [one for one in cases if one.case_id in over], over, recorded_at)

    def _resolve(
        self, tenant_id: str, cases: Sequence[Counted], over: Mapping[str, str], recorded_at: datetime
    ) -> None:
        with self._database.unit(
            tenants=[tenant_id],
            kind="count",
            actor=self._actor,
            reason="nothing stands behind it",
            recorded_at=recorded_at,
        ) as unit:
            subjects = [(SUBJECT_KIND, one.subject_id) for one in cases]
            opened = open_cases_of(unit.connection, tenant_id=tenant_id, subjects=subjects)
            keep = {each.case_id for found in opened.values() for each in found} - set(over)
            for reason in sorted(set(over.values())):
                resolve_cases(
                    unit,
                    tenant_id=tenant_id,
                    subject_kind=SUBJECT_KIND,
                    subject_ids=[one.subject_id for one in cases if over[one.case_id] == reason],
                    reason=reason,
                    keep=keep,
                )


def count_behind(connection: Connection, *, tenant_id: str, document_ids: Collection[str]) -> Mapping[str, Behind]:
    """What stands behind each of these documents; those with nothing directly behind cost no walk of their own."""
    direct = Standstill(connection, tenant_id=tenant_id).after(document_ids) if document_ids else {}
    found: dict[str, Behind] = {name: Behind() for name in document_ids}
    for name in sorted(document_ids):
        if direct.get(name):
            group = standstill.behind(connection, tenant_id=tenant_id, document_id=name)
            found[name] = standstill.total(connection, tenant_id=tenant_id, group=group)
    return found


def _over(
    connection: Connection, tenant_id: str, cases: Sequence[Counted], behind: Mapping[str, Behind]
) -> Mapping[str, str]:
    """Why cases of blockers are over, by case id."""
    ours = [one for one in cases if one.code in OF_BLOCKERS]
    names = sorted({one.subject_id for one in ours})
    states = queries.states_of(connection, tenant_id=tenant_id, document_ids=names) if names else {}
    links = Standstill(connection, tenant_id=tenant_id).ahead(names) if names else {}
    over: dict[str, str] = {}
    for one in ours:
        state = states.get(one.subject_id)
        if not behind[one.subject_id].records:
            over[one.case_id] = "nothing waits for it any more"
        elif one.code == MISSING and state is not None:
            over[one.case_id] = "it was written"
        elif one.code == OVERDUE and (state in FINISHED_STATES or links.get(one.subject_id)):
            over[one.case_id] = "something else stands still ahead of it" if links.get(one.subject_id) else "it went on"
    return over
