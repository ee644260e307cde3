"""What metering needs: one version of the log as files and waiting rows, and an engine that answers queries over them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from revline.subledger.usage.metering.dialects import Bound, Dialect
from revline.subledger.usage.store.values import Segment, SegmentFile
from revline.subledger.usage.versions import UsageVersion, Window

if TYPE_CHECKING:  # loaded only where tables are made
    import pyarrow as pa


class Box(Protocol):
    """An engine open for one answer: it reads the files it was opened for and the tables it is given, and nothing else."""

    def dialect(self) -> Dialect:
        """What a query for it is written in, with no values bound yet."""
        ...

    def give(self, name: str, table: pa.Table) -> None:
        """Let queries read a table by a name."""
        ...

    def ask(self, sql: str, parameters: Mapping[str, Bound]) -> pa.Table:
        """A query's answer."""
        ...


class Boxes(Protocol):
    """Opens engines."""

    def __call__(self, *, paths: Iterable[str]) -> AbstractContextManager[Box]: ...


class Reading(Protocol):
    """One version of one tenant's log, as the store gives it."""

    @property
    def version(self) -> UsageVersion: ...

    @property
    def tail(self) -> pa.Table | None: ...

    def files(
        self,
        *,
        window: Window | None = None,
        types: Collection[str] | None = None,
        chosen: Callable[[Segment], bool] | None = None,
    ) -> tuple[SegmentFile, ...]: ...
