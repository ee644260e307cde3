"""What the API needs from outside, wired in app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from anyio import CapacityLimiter, to_thread

from revline.core.clock import Clock
from revline.core.problem import FieldError, Problem
from revline.intake.addresses import Addresses
from revline.intake.service import Intake
from revline.intake.values import Channels, Verify
from revline.platform.access.service import Access

Answer = TypeVar("Answer")
Key = tuple[str | int, ...]


class Threads:
    """A bounded pool for database work, so that no request blocks the loop and no burst opens more connections."""

    def __init__(self, size: int) -> None:
        self._limiter = CapacityLimiter(size)

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Runs `work` in a thread."""
        return await to_thread.run_sync(work, limiter=self._limiter)


class PageSource(Protocol):
    """One page of something of a tenant: (item as plain JSON, its place) after a place, in the order of places."""

    def __call__(
        self, *, tenant_id: str, after: Key | None, limit: int, filters: Mapping[str, str]
    ) -> Sequence[tuple[Mapping[str, Any], Key]]: ...


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list route. filters: names of the query parameters it takes."""

    page: PageSource
    filters: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class ApiLimits:
    """What bites at the door."""

    body_bytes_max: int = 1_048_576
    json_depth_max: int = 64
    events_per_request_max: int = 500
    page_max: int = 1_000
    requests_per_second: int = 500
    requests_burst: int = 2_000
    threads: int = 8


@dataclass(frozen=True, kw_only=True)
class ApiPorts:
    """Everything the API calls. decoy: a verify of a source with a random secret, so that a wrong path costs what a wrong
    signature does. ready: what is not ready, empty when all is. tenant_active: whether a tenant is registered and not closed.
    held_back: why a tenant's input is not taken now, None when it is.
    routes: makers of further routes under /v1, each given the bounded threads for its database work. in_front: applications that
    answer a path of theirs before the framework sees it. usage_types: a tenant's types of usage events: they have another door.
    """

    intake: Intake
    access: Access
    addresses: Addresses
    channels: Channels
    clock: Clock
    random_bytes: Callable[[int], bytes]
    decoy: Verify
    tenant_active: Callable[[str], bool]
    ready: Callable[[], Sequence[FieldError]]
    listings: Mapping[str, Listing]
    cursor_key: bytes
    held_back: Callable[[str], Problem | None] = lambda _: None
    problem_base: str = "urn:revline:problem:"
    limits: ApiLimits = field(default_factory=ApiLimits)
    routes: Sequence[Callable[[Threads], Sequence[Any]]] = ()
    usage_types: Callable[[str], Collection[str]] = lambda _: ()
    in_front: Mapping[str, Callable[[Any, Any, Any], Awaitable[None]]] = field(default_factory=dict)
