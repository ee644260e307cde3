"""Acts on many documents: which ones a filter means, what each would say to the act now, and the act itself in an open unit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, select

from revline.core.documents import DocumentState
from revline.core.problem import Problem
from revline.delivery import acts, queries, standstill
from revline.delivery.naming import Intent, NamedRecord, Read, RecordNaming
from revline.delivery.needs import RECORDLESS
from revline.delivery.permitted import OPEN_TO, Act, refusal
from revline.delivery.tables import document_state
from revline.delivery.values import SUBJECT_KIND
from revline.platform.bulk.values import Chosen, Sample, Subject
from revline.platform.cases import queries as cases
from revline.platform.cases.subjects import open_cases_of
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit

NAME_RECORD: Final = "name_record"
"""The kind of the act that names the record of one document, once a second person agrees."""
FILTERS: Final = frozenset({"behind", "cause", "connection", "document", "entity", "kind", "problem", "state"})
_COLUMNS: Final = {
    "connection": "connection",
    "document": "document_id",
    "entity": "entity",
    "kind": "kind",
    "problem": "problem_code",
    "state": "state",
}


def choose(
    connection: Connection, *, act: Act, tenant_id: str, given: Mapping[str, str], after: str, limit: int
) -> tuple[Sequence[Chosen], str]:
    """A page of the documents that fit the filter and are open to the act, by id; with a cause, those with an open case of it; with
    behind, those that wait behind the document named, as far as a walk goes (`chains.WALK_MAX`); with both, those of both. A
    document named itself may be waived for its open cases alone, when it is finished."""
    table = document_state
    names = ("document_id", "state", "currency", "amount", "set_aside_at")
    cased = _with_cases(connection, tenant_id, given) if act is Act.WAIVE else ()
    statement = select(*(table.c[name] for name in names)).where(
        table.c.tenant_id == tenant_id, table.c.state.in_(sorted(OPEN_TO[act])) | table.c.document_id.in_(cased)
    )
    for name, value in given.items():
        if name in _COLUMNS:
            statement = statement.where(table.c[_COLUMNS[name]] == value)
    following = ""
    behind: Collection[str] = ()
    if "behind" in given:
        behind = standstill.behind(connection, tenant_id=tenant_id, document_id=given["behind"]).documents
    if "cause" in given:
        page = cases.cases(connection, tenant_id=tenant_id, cause_id=given["cause"], after=after, limit=limit)
        following = page[-1].case_id if len(page) == limit else ""
        subjects = [one.subject_id for one in page if one.subject_kind == SUBJECT_KIND]
        if "behind" in given:
            subjects = [name for name in subjects if name in behind]
        statement = statement.where(table.c.document_id.in_(subjects))
    elif "behind" in given:
        waiting = sorted(name for name in behind if name > after)[:limit]
        following = waiting[-1] if len(waiting) == limit else ""
        statement = statement.where(table.c.document_id.in_(waiting))
    else:
        statement = statement.where(table.c.document_id > after).limit(limit)
    rows = connection.execute(statement.order_by(table.c.document_id)).all()
    if not given.keys() & {"behind", "cause"} and len(rows) == limit:
        following = rows[-1].document_id
    chosen = [
        Chosen(
            subject=Subject(SUBJECT_KIND, row.document_id),
            currency=row.currency,
            amount=row.amount if row.currency else None,
        )
        for row in rows
        if row.document_id in cased
        or refusal(act=act, state=DocumentState(row.state), set_aside=row.set_aside_at is not None) is None
    ]
    return chosen, following


def _with_cases(connection: Connection, tenant_id: str, given: Mapping[str, str]) -> tuple[str, ...]:
    """The document the filter names, when it has open cases."""
    subject = (SUBJECT_KIND, given.get("document", ""))
    return (subject[1],) if open_cases_of(connection, tenant_id=tenant_id, subjects=[subject]) else ()


def sample_of(connection: Connection, *, act: Act, tenant_id: str, subjects: Sequence[Subject]) -> Sequence[Sample]:
    """What each document would say to the act now."""
    ids = [one.identity for one in subjects]
    there = queries.deliveries_by_id(connection, tenant_id=tenant_id, document_ids=ids)
    found: list[Sample] = []
    for identity in ids:
        one = there[identity]
        refused = refusal(act=act, state=DocumentState(one.state), set_aside=one.set_aside_at is not None)
        detail = f"{one.kind} {one.external_reference} for {one.connection} is {one.state}"
        code = refused.code if refused else ""
        found.append(Sample(subject_kind=SUBJECT_KIND, subject_id=identity, problem_code=code, detail=detail))
    return found


class DocumentAct:
    """Handler of one act of delivery's: resend, skip, replay or waive."""

    filters = FILTERS

    def __init__(self, *, database: Database, act: Act) -> None:
        self._database, self._act = database, act

    def choose(
        self, connection: Connection, /, *, tenant_id: str, given: Mapping[str, str], after: str, limit: int
    ) -> tuple[Sequence[Chosen], str]:
        """As `choose`."""
        return choose(connection, act=self._act, tenant_id=tenant_id, given=given, after=after, limit=limit)

    def sample(self, *, tenant_id: str, subjects: Sequence[Subject]) -> Sequence[Sample]:
        """As `sample_of`."""
        with self._database.read(tenants=[tenant_id]) as connection:
            return sample_of(connection, act=self._act, tenant_id=tenant_id, subjects=subjects)

    def before(
        self, *, tenant_id: str, subjects: Sequence[Subject], given: Mapping[str, str], actor: str, reason: str
    ) -> Mapping[Subject, Problem]:
        """Nothing."""
        return {}

    def act(self, unit: Unit, /, *, tenant_id: str, subjects: Sequence[Subject]) -> Mapping[Subject, Problem]:
        """The act, each document refusing for itself."""
        ids = [one.identity for one in subjects]
        if self._act is Act.WAIVE:
            answers = acts.waive_in(unit, tenant_id=tenant_id, document_ids=ids)
        else:
            answers = acts.act_on(unit, tenant_id=tenant_id, act=self._act, document_ids=ids)
        return {Subject(SUBJECT_KIND, one): found for one, found in answers.items() if isinstance(found, Problem)}


def naming_filter(*, document_id: str, record: NamedRecord) -> dict[str, str]:
    """The filter of an act that names the record of a document."""
    given = {
        "document": document_id,
        "erp_id": record.erp_id,
        "record_kind": record.record_kind,
        "number": record.number,
        "unread": "yes" if record.unread else "",
        "despite_difference": "yes" if record.despite_difference else "",
    }
    return {name: value for name, value in given.items() if value}


class NameRecordAct:
    """Handler of `name_record`: the record is read again when the act is started, so what was agreed to is what is there."""

    filters = frozenset({"document", "erp_id", "record_kind", "number", "unread", "despite_difference"})

    def __init__(self, *, database: Database, naming: RecordNaming) -> None:
        self._database, self._naming = database, naming

    def choose(
        self, connection: Connection, /, *, tenant_id: str, given: Mapping[str, str], after: str, limit: int
    ) -> tuple[Sequence[Chosen], str]:
        """The document, when it is open to it; nothing where no document or no record is named."""
        table = document_state
        states = OPEN_TO[Act.WAIVE] | RECORDLESS
        statement = select(table.c.document_id, table.c.currency, table.c.amount).where(
            table.c.tenant_id == tenant_id,
            table.c.state.in_(sorted(states)),
            table.c.document_id == (given.get("document", "") if given.get("erp_id") else ""),
        )
        rows = connection.execute(statement).all()
        return [
            Chosen(
                subject=Subject(SUBJECT_KIND, row.document_id),
                currency=row.currency,
                amount=row.amount if row.currency else None,
            )
            for row in rows
        ], ""

    def sample(self, *, tenant_id: str, subjects: Sequence[Subject]) -> Sequence[Sample]:
        """What each would say."""
        with self._database.read(tenants=[tenant_id]) as connection:
            return sample_of(connection, act=Act.WAIVE, tenant_id=tenant_id, subjects=subjects)

    def before(
        self, *, tenant_id: str, subjects: Sequence[Subject], given: Mapping[str, str], actor: str, reason: str
    ) -> Mapping[Subject, Problem]:
        """Name it. A document that is the record already is left as it is."""
        record = NamedRecord(
            erp_id=given.get("erp_id", ""),
            record_kind=given.get("record_kind", ""),
            number=given.get("number", ""),
            unread=given.get("unread") == "yes",
            despite_difference=given.get("despite_difference") == "yes",
        )
        refused: dict[Subject, Problem] = {}
        for one in subjects:
            found = self._naming.look(tenant_id=tenant_id, document_id=one.identity, record=record)
            if isinstance(found, Read | Intent):
                found = self._naming.take(
                    tenant_id=tenant_id, document_id=one.identity, looked=found, actor=actor, reason=reason
                )
            if isinstance(found, Problem):
                refused[one] = found
        return refused

    def act(self, unit: Unit, /, *, tenant_id: str, subjects: Sequence[Subject]) -> Mapping[Subject, Problem]:
        """Nothing more."""
        return {}
