"""Writes of the way back that take an open unit: asking for a root's feedback, and what is told.

Lock order: delivery lanes before feedback lanes, as everybody has it who settles or derives; so neither can wait for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, select

from revline.core.documents import Document, DocumentKind, FeedbackContent
from revline.core.facts import Name
from revline.delivery import record as delivery
from revline.delivery import revisions
from revline.derive.record import MASTER_NAME, ROOT_SUBJECT
from revline.feedback.documents import identity_of, message_document, write_back_document
from revline.feedback.ports import FeedbackConfiguration
from revline.feedback.tables import feedback_told
from revline.feedback.telling import content_digest
from revline.feedback.values import LANE_KIND, Message, Told, WriteBack, lane_of_root
from revline.intake.awaiting import SUBJECT_AWAITED
from revline.platform.lineage.queries import names_of
from revline.platform.lineage.record import add_names
from revline.platform.lineage.walk import Reference
from revline.platform.logs import log
from revline.platform.store.engine import is_transient
from revline.platform.store.unit import Unit
from revline.platform.work import record as work_record
from revline.subledger.posting.queries import roots_of_events

ROOT_SUBJECTS: Final = frozenset({ROOT_SUBJECT, SUBJECT_AWAITED})
"""Kinds of case subjects whose id is a root's."""


class Asking:
    """Implements the ports `Told` of delivery, derive and cases: asks for the feedback of roots whose standing may have changed.

    tells: whether a tenant has anybody to tell; where it has none, nothing is done. What fails here is logged and taken back to a
    savepoint: no ERP document may fail because of it. What passes by itself (a deadlock) is raised: a derivation and a settling
    both run again as a whole, with the answers they had, so that nothing to be told is lost.
    """

    def __init__(self, *, tells: Callable[[str], bool]) -> None:
        self._tells = tells

    def settled(self, unit: Unit, /, *, tenant_id: str, documents: Sequence[Document]) -> None:
        """Documents were settled in this unit."""
        if documents and self._tells(tenant_id):
            self._ask(unit, tenant_id, lambda: _roots_of(unit.connection, tenant_id, documents))

    def derived(self, unit: Unit, /, *, tenant_id: str, root_ids: Collection[str]) -> None:
        """Roots were derived in this unit."""
        if root_ids and self._tells(tenant_id):
            self._ask(unit, tenant_id, lambda: root_ids)

    def waived(self, unit: Unit, /, *, tenant_id: str, subject_kind: str, subject_ids: Sequence[str]) -> None:
        """A person decided about cases in this unit. A document's own are told when its lane goes on."""
        if subject_kind in ROOT_SUBJECTS:
            self.derived(unit, tenant_id=tenant_id, root_ids=subject_ids)

    def _ask(self, unit: Unit, tenant_id: str, roots: Callable[[], Collection[str]]) -> None:
        try:
            with unit.connection.begin_nested():
                ask(unit, tenant_id=tenant_id, root_ids=roots())
        except Exception as error:
            if is_transient(error):
                raise
            log().error("feedback.not_asked", tenant_id=tenant_id, exc_info=error)


def ask(unit: Unit, *, tenant_id: str, root_ids: Collection[str]) -> None:
    """Ask for the feedback of these roots; asking many times costs one run."""
    lanes = [lane_of_root(root_id) for root_id in root_ids]
    work_record.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=lanes)


def told_of(connection: Connection, *, tenant_id: str, target_ids: Collection[str]) -> Mapping[str, Told]:
    """What each of these targets was told last."""
    table = feedback_told
    columns = [table.c[name] for name in Told.__struct_fields__]
    statement = select(*columns).where(table.c.tenant_id == tenant_id, table.c.target_id.in_(sorted(target_ids)))
    rows = connection.execute(statement).mappings() if target_ids else ()
    return {row["target_id"]: Told(**{str(name): value for name, value in row.items()}) for row in rows}


def owed_roots(connection: Connection, *, tenant_id: str, connections: Collection[str]) -> tuple[str, ...]:
    """Roots of which messages to these endpoints are owed."""
    table = feedback_told
    statement = (
        select(table.c.about)
        .where(table.c.tenant_id == tenant_id, table.c.owed, table.c.connection.in_(sorted(connections)))
        .distinct()
        .order_by(table.c.about)
        .limit(1_000)
    )
    return tuple(connection.execute(statement).scalars()) if connections else ()


class Writer:
    """Writes what is told in one unit. The lanes of all of it are locked (`lock`) before it is worked out for good."""

    def __init__(self, *, unit: Unit, tenant_id: str, configuration: FeedbackConfiguration, epoch: int) -> None:
        self._unit, self._tenant_id = unit, tenant_id
        self._configuration, self._epoch = configuration, epoch
        self._new: list[Document] = []

    def write_back(self, one: WriteBack, before: Told | None) -> None:
        """Tell a source object how things stand: a new revision of what was not sent yet, else one more document."""
        ordinal = 0 if before is None else before.ordinal
        document = write_back_document(one=one, ordinal=ordinal)
        if before is not None:
            revised = revisions.new_revision(
                self._unit,
                tenant_id=self._tenant_id,
                document=document,
                configuration_version=self._configuration.version,
            )
            if not isinstance(revised, int):
                ordinal += 1
                document = write_back_document(one=one, ordinal=ordinal)
        if before is None or ordinal != before.ordinal:
            self._add(document, one.about)
        self._remember(
            target_id=one.target_id,
            name=one.name,
            connection=one.connection,
            about=one.about,
            order_key=one.order_key,
            content_digest=content_digest(one),
            ordinal=ordinal,
            through=0,
            owed=False,
            document_id=document.document_id,
        )

    def messages(self, found: Sequence[Message], before: Told | None, *, through: int) -> None:
        """Send messages, in order, and remember how far the log was read for this subscription and root."""
        ordinal = -1 if before is None else before.ordinal
        for one in found:
            ordinal += 1
            self._add(message_document(one=one, ordinal=ordinal), one.root_id)
        self._remember_messages(found[0], ordinal=ordinal, through=through, owed=False)

    def owe(self, first: Message, before: Told | None) -> None:
        """Keep messages back: the endpoint takes none. They are worked out again when it does."""
        ordinal, through = (-1, 0) if before is None else (before.ordinal, before.through)
        self._remember_messages(first, ordinal=ordinal, through=through, owed=True)

    def finish(self) -> int:
        """Put every new document on its lane; gives how many."""
        delivery.write_documents(
            self._unit,
            tenant_id=self._tenant_id,
            documents=self._new,
            pool_of=lambda one: self._configuration.pools[one.connection],
            configuration_version=self._configuration.version,
            epoch=self._epoch,
        )
        return len(self._new)

    def _add(self, document: Document, root_id: str) -> None:
        self._new.append(document)
        names = [Name(kind="told_of_root", value=root_id)]
        add_names(
            self._unit, tenant_id=self._tenant_id, names=names, record_kind="document", record_id=document.document_id
        )

    def _remember_messages(self, one: Message, *, ordinal: int, through: int, owed: bool) -> None:
        self._remember(
            target_id=one.target_id,
            name=one.name,
            connection=one.connection,
            about=one.root_id,
            order_key="",
            content_digest="",
            ordinal=ordinal,
            through=through,
            owed=owed,
            document_id="" if ordinal < 0 else identity_of(one.target_id, ordinal),
        )

    def _remember(self, **values: object) -> None:
        self._unit.project(feedback_told, key=("target_id",), tenant_id=self._tenant_id, **values)


def _roots_of(connection: Connection, tenant_id: str, documents: Sequence[Document]) -> set[str]:
    """The roots of settled documents; of a settled message, those whose messages its endpoint still is owed."""
    told = [one for one in documents if one.kind is DocumentKind.FEEDBACK]
    events = [one.event_id for one in documents if one.event_id]
    found = set(roots_of_events(connection, tenant_id=tenant_id, event_ids=events).values())
    endpoints = {
        one.connection for one in told if isinstance(one.content, FeedbackContent) and one.content.message_type
    }
    found |= set(owed_roots(connection, tenant_id=tenant_id, connections=endpoints))
    for one in documents:
        if not one.event_id and one.kind is not DocumentKind.FEEDBACK:
            reference = Reference(kind="document", record_id=one.document_id)
            names = names_of(connection, tenant_id=tenant_id, reference=reference)
            found |= {value for kind, value in names if kind == MASTER_NAME}
    return found
