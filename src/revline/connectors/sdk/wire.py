"""The wire between a caller and a far side: one request out, one answer back, failures as values. Knows no way of carrying them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from revline.core.farside import NotSent, Uncertain
from revline.core.problem import problem

EVIDENCE_MAX: Final = 2_000
ANSWER_BYTES_MAX: Final = 16_000_000
HARMLESS: Final = frozenset({"GET", "HEAD"})
"""Methods that only ask."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves. method: in capitals. url: absolute and encoded. headers: names in lower case, checked.

    may_send: asked once, when the connection stands and nothing has left; None: nobody takes the request over. call_seconds: of
    the whole call. connect_seconds: until a slot is free, and until its connection stands.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes
    may_send: Callable[[], bool] | None
    call_seconds: float
    connect_seconds: float


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back, whole. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def evidence(self) -> str:
        """Status and the beginning of the body, for `masked`: longer than what is kept, so that no secret is cut in two."""
        return f"HTTP {self.status}: {self.body[: 4 * EVIDENCE_MAX].decode('utf-8', 'replace')}"


class Wire(Protocol):
    """A way to one far side. What failed before the first byte left is NotSent; what failed after that, Uncertain."""

    async def exchange(self, request: HttpRequest) -> HttpAnswer | NotSent | Uncertain:
        """Send it at most once: no redirect is followed, no broken connection tried again, and no answer read beyond
        ANSWER_BYTES_MAX bytes. What failures say is not masked yet."""

    async def close(self) -> None:
        """Let go of the connections. Nothing is sent any more."""


def no_slot() -> NotSent:
    """For a call that waited too long for its turn."""
    return NotSent(problem=problem("erp.busy", "all connections of this process to the far side are in use"))


def no_longer_ours() -> NotSent:
    """For a request that was not to leave any more when it could have."""
    return NotSent(problem=problem("erp.busy", "the lease ended before the request left"))


def not_left(failure: BaseException) -> NotSent:
    """For a request that failed before its first byte left."""
    return NotSent(problem=problem("erp.unreachable", f"{type(failure).__name__}: {failure}"))


def left(failure: BaseException) -> Uncertain:
    """For a request that left, and whose answer did not come or can't be read."""
    return Uncertain(evidence=f"{type(failure).__name__}: {failure}")


def packed_too_often(status: int) -> Uncertain:
    """For an answer of several encodings: a few bytes packed twice can be gigabytes once unpacked, before any size is looked at."""
    return Uncertain(evidence=f"HTTP {status} with a body that is packed more than once")


def too_long(status: int) -> Uncertain:
    """For an answer of over ANSWER_BYTES_MAX bytes."""
    return Uncertain(evidence=f"HTTP {status} with over {ANSWER_BYTES_MAX} bytes")
