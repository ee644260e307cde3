"""The process behind people's screens: what they ask and do runs in it, and it can be cut off like any other process.

A person whose screen went dark does not know whether it was done, and does it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Engine, text

from revline.core.documents import FINISHED_STATES
from revline.core.ids import derived_id
from revline.core.problem import Problem
from revline.delivery import acts
from revline.delivery.bulk import DocumentAct
from revline.delivery.naming import Named, NamedRecord, name_record
from revline.delivery.permitted import Act
from revline.derive import reprocess
from revline.derive.service import LANE_KIND as DERIVE
from revline.intake import following
from revline.platform.bulk.ports import Handler
from revline.platform.bulk.service import BulkActs
from revline.platform.store.engine import Database
from revline.platform.work import pool_acts
from revline.sim.world.database import WorldDatabase
from revline.sim.world.directory import SOURCE
from revline.sim.world.plan import stream
from revline.sim.world.process import Process

ACTOR: Final = "person:clerk"
LISTED: Final = "balance_transaction"
"""What no webhook tells of; where a source is read, it comes by its listing."""
_SEEN: Final = text(
    """
    SELECT state.document_id, state.state,
           coalesce(state.uncertain_since, state.marked_at + interval '1500 milliseconds') AS uncertain_since,
           state.set_aside_at, document.external_reference,
           document.kind, one.code
    FROM document_state AS state JOIN document USING (tenant_id, document_id)
    LEFT JOIN LATERAL (
        SELECT cause.code FROM exception_case AS found JOIN cause USING (tenant_id, cause_id)
        WHERE found.tenant_id = state.tenant_id AND found.subject_id = state.document_id AND found.state = 'open'
        ORDER BY cause.code LIMIT 1
    ) AS one ON true
    WHERE state.tenant_id = :tenant AND document.kind <> 'feedback'
    ORDER BY state.document_id
    """
)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A document as a person's screen shows it. case: the code of an open case of it, "" when there is none."""

    document_id: str
    state: str
    uncertain_since: datetime | None
    aside: bool
    reference: str
    kind: str
    case: str

    @property
    def finished(self) -> bool:
        """Needs no more work."""
        return self.state in FINISHED_STATES


class Office:
    """One life of the process."""

    def __init__(self, *, process: Process, engine: Engine, seed: int) -> None:
        self.process = process
        self.database: Database = WorldDatabase(engine=engine, process=process)
        self.bulk = BulkActs(
            database=self.database,
            clock=process.clock,
            random_bytes=stream(seed, f"acts of {process.name}").randbytes,
            handlers=handlers_of(self.database),
        )

    def documents(self, *, tenant_id: str) -> tuple[Seen, ...]:
        """Every document of a tenant's ERP, by id."""
        with self.database.read(tenants=[tenant_id]) as connection:
            return tuple(
                Seen(
                    document_id=row.document_id,
                    state=row.state,
                    uncertain_since=row.uncertain_since,
                    aside=row.set_aside_at is not None,
                    reference=row.external_reference,
                    kind=row.kind,
                    case=row.code or "",
                )
                for row in connection.execute(_SEEN, {"tenant": tenant_id})
            )

    def act(self, act: Act, *, tenant_id: str, document_id: str, known_absent: bool = False) -> object:
        """One act with one document; what it answers."""
        given: dict[str, Any] = {
            "tenant_id": tenant_id,
            "document_id": document_id,
            "actor": ACTOR,
            "reason": f"a person: {act}",
        }
        now = self.process.clock.now()
        match act:
            case Act.RESEND:
                return acts.resend(self.database, recorded_at=now, known_absent=known_absent, **given)
            case Act.SKIP:
                return acts.skip(self.database, recorded_at=now, **given)
            case Act.REPLAY:
                return acts.replay(self.database, recorded_at=now, **given)
            case Act.WAIVE:
                return acts.waive(self.database, recorded_at=now, **given)
            case Act.REPROCESS:
                return reprocess.ask_document(self.database, recorded_at=now, lane_kind=DERIVE, **given)

    def name(self, *, tenant_id: str, document_id: str, erp_id: str, record_kind: str) -> Named | Problem:
        """Say which record of the ERP a document is; the clerk has looked there, nothing is read."""
        return name_record(
            self.database,
            tenant_id=tenant_id,
            document_id=document_id,
            record=NamedRecord(erp_id=erp_id, record_kind=record_kind, unread=True),
            read=None,
            actor=ACTOR,
            reason="found in the ERP",
            recorded_at=self.process.clock.now(),
        )

    def reconcile(self, *, tenant_id: str) -> None:
        """Have a source's log followed and its lists read."""
        now, pool = self.process.clock.now(), derived_id("pool", tenant_id, SOURCE)
        with self.database.unit(
            tenants=[tenant_id], kind="reading", actor=ACTOR, reason="what did not arrive", recorded_at=now
        ) as unit:
            following.ask_changes(unit, tenant_id=tenant_id, source_connection=SOURCE, now=now, pool_id=pool)
            following.ask_backfill(
                unit, tenant_id=tenant_id, source_connection=SOURCE, object_kinds=[LISTED], now=now, pool_id=pool
            )

    def turn_pool(self, *, pool_id: str, blocked: bool, slots: int | None) -> None:
        """Change a capacity pool. slots: None for the connector's own."""
        act = pool_acts.Act(actor=ACTOR, reason="to see", at=self.process.clock.now())
        with self.database.control() as connection:
            pool_acts.block(connection, pool_id=pool_id, blocked=blocked, act=act)
            pool_acts.set_limits(connection, pool_id=pool_id, slots=slots, per_second=None, burst=None, act=act)


def handlers_of(database: Database) -> Mapping[str, Handler]:
    """Acts on many documents that a world's people do."""
    wanted: Sequence[Act] = (Act.RESEND, Act.SKIP, Act.REPLAY)
    return {act.value: DocumentAct(database=database, act=act) for act in wanted}
