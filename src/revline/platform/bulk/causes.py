"""The act that tries everything again that a cause holds: each case's record by the way of its own room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from sqlalchemy import Connection

from revline.core.problem import Problem, problem
from revline.platform.bulk.values import Chosen, Sample, Subject
from revline.platform.cases import queries as cases
from revline.platform.store.unit import Unit

RETRY: Final = "retry"


class Retrier(Protocol):
    """Tries records of one kind again, in an open unit; gives why not, by id, of those that were in no state for it."""

    def __call__(self, unit: Unit, /, *, tenant_id: str, identities: Sequence[str]) -> Mapping[str, Problem]: ...


class Beforehand(Protocol):
    """Tries records of one kind again in units of its own; done again it does nothing twice."""

    def __call__(self, *, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int: ...


class RetryOfCause:
    """Handler of `retry`. retriers: by kind of case subject. beforehand: kinds that are tried again in units of their own."""

    filters = frozenset({"cause"})

    def __init__(self, *, retriers: Mapping[str, Retrier], beforehand: Mapping[str, Beforehand]) -> None:
        self._retriers, self._beforehand = retriers, beforehand

    def choose(
        self, connection: Connection, /, *, tenant_id: str, given: Mapping[str, str], after: str, limit: int
    ) -> tuple[Sequence[Chosen], str]:
        """Open cases of the cause; of every cause where none is named."""
        page = cases.cases(connection, tenant_id=tenant_id, cause_id=given.get("cause", ""), after=after, limit=limit)
        chosen = [
            Chosen(subject=Subject(one.subject_kind, one.subject_id), currency=one.currency, amount=one.amount)
            for one in page
        ]
        return chosen, page[-1].case_id if len(page) == limit else ""

    def sample(self, *, tenant_id: str, subjects: Sequence[Subject]) -> Sequence[Sample]:
        """What is tried again, and whether it can be."""
        return [
            Sample(
                subject_kind=one.kind,
                subject_id=one.identity,
                problem_code="" if self._knows(one.kind) else "case.not_retryable",
                detail=f"a {one.kind} is tried again under the present configuration",
            )
            for one in subjects
        ]

    def before(
        self, *, tenant_id: str, subjects: Sequence[Subject], given: Mapping[str, str], actor: str, reason: str
    ) -> Mapping[Subject, Problem]:
        """Kinds with units of their own."""
        for kind, identities in _by_kind(subjects).items():
            if kind in self._beforehand:
                self._beforehand[kind](tenant_id=tenant_id, subject_ids=identities, actor=actor, reason=reason)
        return {}

    def act(self, unit: Unit, /, *, tenant_id: str, subjects: Sequence[Subject]) -> Mapping[Subject, Problem]:
        """All others. Roots before documents: derive's lanes are locked before delivery's, as everywhere."""
        refused: dict[Subject, Problem] = {}
        for kind, identities in sorted(_by_kind(subjects).items(), key=lambda pair: (pair[0] == "document", pair[0])):
            if kind in self._retriers:
                found = self._retriers[kind](unit, tenant_id=tenant_id, identities=identities)
                refused |= {Subject(kind, identity): why for identity, why in found.items()}
            elif kind not in self._beforehand:
                why = problem("case.not_retryable", f"a case of a {kind} can't be tried again from here", field=kind)
                refused |= {Subject(kind, identity): why for identity in identities}
        return refused

    def _knows(self, kind: str) -> bool:
        return kind in self._retriers or kind in self._beforehand


def _by_kind(subjects: Sequence[Subject]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in sorted(set(subjects)):
        found.setdefault(one.kind, []).append(one.identity)
    return found
