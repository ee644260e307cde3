"""What delivery asks of the rooms above it; wired in app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from revline.core.documents import Document
from revline.core.journal import JournalEntry
from revline.core.problem import Problem
from revline.delivery.values import FarSide
from revline.platform.store.unit import Unit

T = TypeVar("T")


class Directory(Protocol):
    """Far sides by the tenant's active configuration. Called from database threads: it answers from memory or reads quickly
    and must not open a transaction of its own while one is open in the same thread."""

    def far_side(self, *, tenant_id: str, connection: str, entity: str) -> FarSide | Problem:
        """The connector, mapping and pool of one connection for one entity ("" for documents of no entity)."""
        ...

    def held(self, *, tenant_id: str, document: Document) -> Problem | None:
        """Why our own period policy keeps this document back, None when it doesn't."""
        ...


class Journals(Protocol):
    """Journals by id, for what the far side's own entries must equal."""

    def __call__(
        self, connection: Connection, *, tenant_id: str, journal_ids: Sequence[str]
    ) -> Mapping[str, JournalEntry]: ...


class Told(Protocol):
    """Hears, inside the unit of work, which documents were settled in it. It must not fail and locks only rows of its own."""

    def __call__(self, unit: Unit, /, *, tenant_id: str, documents: Sequence[Document]) -> None: ...


def nobody(unit: Unit, /, *, tenant_id: str, documents: Sequence[Document]) -> None:
    """Nobody is told."""


class Blocking(Protocol):
    """Runs database code: in a bounded thread pool, or inline in a simulation."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def inline(work: Callable[[], T], /) -> T:
    """Runs database code in place, for simulation and tests."""
    return work()
