"""Which customer an event's subject is: by outside id, or as a person said, from a moment on or until one. Pure.

A subject is never guessed: with no customer, or with several, its events are held and counted until somebody says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

import msgspec

from revline.core.ids import SourceObject
from revline.subledger.usage.metering.values import Hierarchy
from revline.subledger.usage.versions import Window

BEGINNING: Final = datetime(1900, 1, 1, tzinfo=UTC)
FOREVER: Final = datetime(2200, 1, 1, tzinfo=UTC)
ALWAYS: Final = Window(start=BEGINNING, end=FOREVER)
FEW: Final = 1_000
"""So many customers are looked up one by one."""
PARENTS_MAX: Final = 20
"""Steps up a hierarchy; a longer or circular one ends where it stands then."""


class KnownCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer some source told of. parent: outside id of its parent account on the same connection, or "". position: of the
    first fact that told of it."""

    customer: SourceObject
    parent: str = ""
    position: int = 0


class SubjectMapping(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word: events of a subject in [start, end) are this customer's; None: nobody's, they are held.

    connection: of event types whose subject is an id of this connection; "" for every other. Where two speak of one moment the
    later word counts. position: of the unit of work that wrote it.
    """

    subject: str
    connection: str
    customer: SourceObject | None
    window: Window = ALWAYS
    position: int = 0


class Route(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Events of a subject in a window are a customer's."""

    subject: str
    window: Window
    customer: SourceObject


class SubjectDirectory:
    """Every subject of one tenant that has a customer, as known at a position.

    Outside ids decide, unless a mapping says otherwise for the time it covers.
    """

    def __init__(self, *, customers: Iterable[KnownCustomer], mappings: Iterable[SubjectMapping] = ()) -> None:
        self._customers = {each.customer: each for each in customers}
        self._mappings: dict[tuple[str, str], list[SubjectMapping]] = defaultdict(list)
        for mapping in sorted(mappings, key=lambda each: each.position):
            self._mappings[mapping.connection, mapping.subject].append(mapping)
        self._routes: dict[tuple[str, Hierarchy], tuple[Route, ...]] = {}

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str], tuple[SourceObject, ...]]:
        found: dict[tuple[str, str], list[SourceObject]] = defaultdict(list)
        for customer in sorted(self._customers):
            found[customer.connection, customer.outside_id].append(customer)
            found["", customer.outside_id].append(customer)
        return {name: tuple(each) for name, each in found.items()}

    def knows(self, customer: SourceObject) -> bool:
        """Whether some source told of a customer."""
        return customer in self._customers

    def named(self, *, subject: str, connection: str) -> tuple[SourceObject, ...]:
        """Customers whose outside id a subject is: on the connection, or on any when it is ""."""
        return self._by_name.get((connection, subject), ())

    def routes(self, *, connection: str, hierarchy: Hierarchy = Hierarchy.OWN) -> tuple[Route, ...]:
        """Every subject that has a customer, in order; a subject with several has one route for each stretch of time."""
        if (connection, hierarchy) not in self._routes:
            self._routes[connection, hierarchy] = self._all_routes(connection, hierarchy)
        return self._routes[connection, hierarchy]

    def routes_to(
        self, customers: Collection[SourceObject], *, connection: str, hierarchy: Hierarchy = Hierarchy.OWN
    ) -> tuple[Route, ...]:
        """The routes of these customers, in order; looks at no other customer's where they are few."""
        wanted = frozenset(customers)
        if hierarchy is not Hierarchy.OWN or len(wanted) > FEW:
            every = self.routes(connection=connection, hierarchy=hierarchy)
            return tuple(route for route in every if route.customer in wanted)
        subjects = {each.outside_id for each in wanted}
        for each in wanted:
            subjects.update(self._mapped.get((connection, each), ()))
        return tuple(
            route
            for subject in sorted(subjects)
            for route in self.routes_of(subject=subject, connection=connection)
            if route.customer in wanted
        )

    @cached_property
    def _mapped(self) -> Mapping[tuple[str, SourceObject], frozenset[str]]:
        """Subjects that a mapping gives to a customer."""
        found: dict[tuple[str, SourceObject], set[str]] = defaultdict(set)
        for (scope, subject), mappings in self._mappings.items():
            for mapping in mappings:
                if mapping.customer is not None:
                    found[scope, mapping.customer].add(subject)
        return {key: frozenset(subjects) for key, subjects in found.items()}

    def _all_routes(self, connection: str, hierarchy: Hierarchy) -> tuple[Route, ...]:
        subjects = {name for scope, name in self._by_name if scope == connection}
        subjects |= {name for scope, name in self._mappings if scope == connection}
        return tuple(
            route
            for subject in sorted(subjects)
            for route in self.routes_of(subject=subject, connection=connection, hierarchy=hierarchy)
        )

    def routes_of(self, *, subject: str, connection: str, hierarchy: Hierarchy = Hierarchy.OWN) -> tuple[Route, ...]:
        """A subject's customers over time; none while its events are held."""
        found = self.named(subject=subject, connection=connection)
        if (connection, subject) not in self._mappings:
            if len(found) != 1:
                return ()
            return (Route(subject=subject, window=ALWAYS, customer=self.billed(found[0], hierarchy=hierarchy)),)
        stretches: list[tuple[Window, SourceObject | None]] = [(ALWAYS, found[0] if len(found) == 1 else None)]
        for mapping in self._mappings.get((connection, subject), ()):
            stretches = _laid_over(stretches, mapping.window, mapping.customer)
        return tuple(
            Route(subject=subject, window=window, customer=self.billed(customer, hierarchy=hierarchy))
            for window, customer in stretches
            if customer is not None
        )

    def billed(self, customer: SourceObject, *, hierarchy: Hierarchy) -> SourceObject:
        """The customer itself, or its topmost known parent."""
        if hierarchy is Hierarchy.OWN:
            return customer
        for _ in range(PARENTS_MAX):
            known = self._customers.get(customer)
            above = SourceObject(
                connection=customer.connection, kind=customer.kind, outside_id=known.parent if known else ""
            )
            if above not in self._customers or above == customer:
                break
            customer = above
        return customer

    def mapped_since(self, *, position: int) -> tuple[SubjectMapping, ...]:
        """Mappings written after a position."""
        return tuple(each for found in self._mappings.values() for each in found if each.position > position)

    def customers_since(self, *, position: int) -> tuple[KnownCustomer, ...]:
        """Customers that became known after a position."""
        return tuple(each for each in self._customers.values() if each.position > position)


def _laid_over(
    stretches: list[tuple[Window, SourceObject | None]], window: Window, customer: SourceObject | None
) -> list[tuple[Window, SourceObject | None]]:
    """The stretches with one laid over them, neighbours of the same customer joined."""
    pieces: list[tuple[Window, SourceObject | None]] = [(window, customer)]
    for old, holder in stretches:
        before = Window(start=old.start, end=min(old.end, window.start))
        after = Window(start=max(old.start, window.end), end=old.end)
        pieces += [(piece, holder) for piece in (before, after) if piece.start < piece.end]
    joined: list[tuple[Window, SourceObject | None]] = []
    for piece, holder in sorted(pieces, key=lambda each: each[0]):
        if joined and joined[-1][1] == holder and joined[-1][0].end == piece.start:
            joined[-1] = (Window(start=joined[-1][0].start, end=piece.end), holder)
        else:
            joined.append((piece, holder))
    return joined
