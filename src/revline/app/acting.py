"""Acts on many records wired: what each kind does, and whose records it knows how to try again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from revline.app.directory import Directory
from revline.core.clock import Clock
from revline.core.problem import Problem, problem
from revline.delivery import acts
from revline.delivery.bulk import NAME_RECORD, DocumentAct, NameRecordAct
from revline.delivery.naming import RecordNaming
from revline.delivery.permitted import Act
from revline.derive.bulk import ReprocessDocuments
from revline.derive.service import LANE_KIND as DERIVE
from revline.feedback.record import ask
from revline.intake import following, rereading
from revline.intake.corrections import Worth, needs_second_person
from revline.intake.service import Intake
from revline.platform.bulk.causes import RETRY, RetryOfCause
from revline.platform.bulk.ports import Handler, NeedsSecondPerson
from revline.platform.bulk.service import BulkActs
from revline.platform.bulk.values import Money
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import record as work
from revline.subledger.usage.credits.record import LANE_KIND as CREDITS

ACTS_OF_DELIVERY: Final = (Act.RESEND, Act.SKIP, Act.REPLAY, Act.WAIVE)


def bulk_acts(
    *, database: Database, directory: Directory, intake: Intake, naming: RecordNaming, clock: Clock
) -> BulkActs:
    """The service every door stands on; its handlers are also what workers run."""
    return BulkActs(
        database=database,
        clock=clock,
        random_bytes=os.urandom,
        handlers=handlers(database=database, directory=directory, intake=intake, naming=naming),
        second_person=partial(_second_person, directory),
    )


def handlers(*, database: Database, directory: Directory, intake: Intake, naming: RecordNaming) -> dict[str, Handler]:
    """By kind of act."""
    retry = RetryOfCause(
        retriers={
            "document": _documents,
            "root": _roots,
            "awaited": _roots,
            "reread": _rereads,
            "source_cursor": _cursors,
            "feedback": _feedback,
            "credits": _credits,
        },
        beforehand={"input": partial(intake.retry_kept, channels=directory)},
    )
    made: dict[str, Handler] = {act.value: DocumentAct(database=database, act=act) for act in ACTS_OF_DELIVERY}
    made[Act.REPROCESS.value] = ReprocessDocuments(database=database, configurations=directory)
    made[NAME_RECORD] = NameRecordAct(database=database, naming=naming)
    made[RETRY] = retry
    return made


def _second_person(directory: Directory, tenant_id: str, /) -> NeedsSecondPerson:
    """By the tenant's policy for corrections: what is worth more than a person may mend alone, a person may not set going alone."""
    policy = directory.correction_policy(tenant_id)

    def needs(money: Sequence[Money]) -> bool:
        worths = [Worth(currency=one.currency, amount=abs(one.amount)) for one in money]
        return any(needs_second_person(policy=policy, value=worth) for worth in worths)

    return needs


def _documents(unit: Unit, /, *, tenant_id: str, identities: Sequence[str]) -> Mapping[str, Problem]:
    return acts.retry_in(unit, tenant_id=tenant_id, document_ids=identities)


def _roots(unit: Unit, /, *, tenant_id: str, identities: Sequence[str]) -> Mapping[str, Problem]:
    work.request(unit, tenant_id=tenant_id, kind=DERIVE, lane_ids=identities)
    return {}


def _rereads(unit: Unit, /, *, tenant_id: str, identities: Sequence[str]) -> Mapping[str, Problem]:
    known = rereading.rereads(unit.connection, tenant_id=tenant_id, reread_ids=identities)
    rereading.ask_again(unit, tenant_id=tenant_id, reread_ids=identities)
    return _unknown(identities, known)


def _cursors(unit: Unit, /, *, tenant_id: str, identities: Sequence[str]) -> Mapping[str, Problem]:
    known = following.cursors_by_id(unit.connection, tenant_id=tenant_id, cursor_ids=identities)
    following.ask_on(unit, tenant_id=tenant_id, cursor_ids=identities)
    return _unknown(identities, known)


def _feedback(unit: Unit, /, *, tenant_id: str, identities: Sequence[str]) -> Mapping[str, Problem]:
    ask(unit, tenant_id=tenant_id, root_ids=identities)
    return {}


def _credits(unit: Unit, /, *, tenant_id: str, identities: Sequence[str]) -> Mapping[str, Problem]:
    work.request(unit, tenant_id=tenant_id, kind=CREDITS, lane_ids=identities)
    return {}


def _unknown(identities: Sequence[str], known: Mapping[str, object]) -> Mapping[str, Problem]:
    missing = [identity for identity in identities if identity not in known]
    return {identity: problem("case.unknown", f"nothing is known by {identity[:60]}") for identity in missing}
