"""Reprocessing many documents: the set as delivery chooses it, and of a few what would be booked otherwise now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from revline.core.problem import Problem
from revline.delivery import bulk as documents
from revline.delivery.permitted import Act
from revline.delivery.revisions import reading_otherwise
from revline.delivery.values import SUBJECT_KIND
from revline.derive import reprocess
from revline.derive.ports import Configurations, DeriveConfiguration
from revline.derive.service import LANE_KIND, known_roots, plans_of
from revline.platform.bulk.values import Chosen, Sample, Subject
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit

CHANGES_NAMED_MAX: Final = 3


class ReprocessDocuments:
    """Handler of `reprocess`. configurations: as derive's own."""

    filters = documents.FILTERS

    def __init__(self, *, database: Database, configurations: Configurations) -> None:
        self._database, self._configurations = database, configurations

    def choose(
        self, connection: Connection, /, *, tenant_id: str, given: Mapping[str, str], after: str, limit: int
    ) -> tuple[Sequence[Chosen], str]:
        """As delivery's."""
        return documents.choose(
            connection, act=Act.REPROCESS, tenant_id=tenant_id, given=given, after=after, limit=limit
        )

    def sample(self, *, tenant_id: str, subjects: Sequence[Subject]) -> Sequence[Sample]:
        """What derive would book for the root of each, under the present configuration; nothing is written."""
        configuration = self._configurations.derive_configuration(tenant_id=tenant_id)
        with self._database.read(tenants=[tenant_id]) as connection:
            return [
                msgspec.structs.replace(
                    one, detail=f"{one.detail}; {_would(connection, tenant_id, one.subject_id, configuration)}"
                )
                for one in documents.sample_of(connection, act=Act.REPROCESS, tenant_id=tenant_id, subjects=subjects)
            ]

    def before(
        self, *, tenant_id: str, subjects: Sequence[Subject], given: Mapping[str, str], actor: str, reason: str
    ) -> Mapping[Subject, Problem]:
        """Nothing."""
        return {}

    def act(self, unit: Unit, /, *, tenant_id: str, subjects: Sequence[Subject]) -> Mapping[Subject, Problem]:
        """Ask for their roots; derive's own lanes do it."""
        ids = [one.identity for one in subjects]
        answers = reprocess.ask_documents(unit, tenant_id=tenant_id, document_ids=ids, lane_kind=LANE_KIND)
        return {Subject(SUBJECT_KIND, one): found for one, found in answers.items() if isinstance(found, Problem)}


def _would(
    connection: Connection, tenant_id: str, document_id: str, configuration: DeriveConfiguration | Problem
) -> str:
    root_id = reprocess.root_of(connection, tenant_id=tenant_id, reference=document_id)
    if not root_id:
        return "it makes no accounting event true"
    if isinstance(configuration, Problem):
        return f"nothing is configured: {configuration.detail}"
    wishes = reprocess.Wishes(asked=frozenset({root_id}), later=frozenset())
    known = known_roots(connection, tenant_id, [root_id])
    plans, refused = plans_of(connection, tenant_id, known, configuration, wishes)
    if root_id not in plans:
        return f"it can't be derived: {refused[root_id].detail}"
    plan = plans[root_id]
    if plan.problems:
        return f"it can't be derived whole: {plan.problems[0].problem.detail}"
    made = [
        f"{'reverse' if one.event.reverses else 'book'} {one.event.kind}" for one in plan.bookings[:CHANGES_NAMED_MAX]
    ]
    more = len(plan.bookings) - len(made)
    otherwise = reading_otherwise(connection, tenant_id=tenant_id, documents=(*plan.masters, *plan.renewed))
    said = [*made, *([f"{more} more events"] if more > 0 else [])]
    said += [f"{len(otherwise)} documents read otherwise"] if otherwise else []
    return ", ".join(said) or "nothing would change"
