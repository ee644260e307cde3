"""What an act on many records needs from the room whose records they are, and from the tenant's policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from sqlalchemy import Connection

from revline.core.problem import Problem
from revline.platform.bulk.values import Chosen, Money, Sample, Subject
from revline.platform.store.unit import Unit


class Handler(Protocol):
    """One kind of act."""

    @property
    def filters(self) -> frozenset[str]:
        """The filters it knows."""
        ...

    def choose(
        self, connection: Connection, /, *, tenant_id: str, given: Mapping[str, str], after: str, limit: int
    ) -> tuple[Sequence[Chosen], str]:
        """A page of the records the filter means and the act is open to, and where the next page begins ("" at the end)."""
        ...

    def sample(self, *, tenant_id: str, subjects: Sequence[Subject]) -> Sequence[Sample]:
        """What would become of a few of them; it opens its own read."""
        ...

    def before(
        self, *, tenant_id: str, subjects: Sequence[Subject], given: Mapping[str, str], actor: str, reason: str
    ) -> Mapping[Subject, Problem]:
        """What must be done outside a unit of work, just before `act`; it may be done again after a crash, so it does nothing twice
        by keys of its own. given: the act's filter. Gives why not, of those it was refused for; `act` is not asked for them."""
        ...

    def act(self, unit: Unit, /, *, tenant_id: str, subjects: Sequence[Subject]) -> Mapping[Subject, Problem]:
        """Act on them in an open unit; gives why not, of those it was refused for."""
        ...


NeedsSecondPerson = Callable[[Sequence[Money]], bool]
"""Whether so much money needs a second person."""


class SecondPerson(Protocol):
    """A tenant's policy, read outside any open transaction."""

    def __call__(self, tenant_id: str, /) -> NeedsSecondPerson: ...


def nobody(tenant_id: str, /) -> NeedsSecondPerson:
    """No second person is ever needed."""
    return lambda money: False
