"""What metering needs of the usage store: which files hold a version of the log, and what is not in a file yet."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Protocol

from revline.subledger.usage.versions import UsageVersion, Window

if TYPE_CHECKING:  # loaded only where tables are made
    import pyarrow as pa


class UsageReader(Protocol):
    """Reads one tenant's part of the usage log. What it names stays readable at least until the caller's query has ended."""

    def current_version(self, *, tenant_id: str) -> UsageVersion:
        """Everything acknowledged so far."""
        ...

    def files(
        self,
        *,
        tenant_id: str,
        version: UsageVersion,
        window: Window | None = None,
        types: Collection[str] | None = None,
    ) -> tuple[Any, ...]:
        """Segment files that may hold events of the version, of these types and times; None is all. A file may hold more."""
        ...

    def tail(self, *, tenant_id: str, version: UsageVersion) -> pa.Table | None:
        """Events of the version that are in no file of `files`, in the same columns; None when there are none."""
        ...
