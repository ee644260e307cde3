"""What a simulated system is to whatever carries calls to it: a request comes in, is waited for, takes effect, is answered or lost.

Free of sockets and of time; what a call means is the simulator's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from revline.connectors.sdk.effects import EffectsFile

QUERY_FIELDS_MAX = 200


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came in. base_url: the address it was sent to. target: path and query as sent.
    headers: names in lower case."""

    method: str
    base_url: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path in plain text. ValueError for a target that is no address."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, tuple[str, ...]]:
        """Every value of every name. ValueError for too many."""
        found = parse_qs(urlsplit(self.target).query, max_num_fields=QUERY_FIELDS_MAX)
        return {name: tuple(values) for name, values in found.items()}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back. lost: close the connection instead."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    lost: bool = False


class Waiting(Protocol):
    """A call that has come in: how long it waits before and after its effect."""

    @property
    def wait_before(self) -> timedelta: ...

    @property
    def wait_after(self) -> timedelta: ...


CallT_contra = TypeVar("CallT_contra", contravariant=True)
ArrivalT = TypeVar("ArrivalT", bound=Waiting)


class SimulatedSystem(Protocol[CallT_contra, ArrivalT]):
    """A system whose effects are kept in a file: `arrive`, wait, `process`, make durable, wait, answer or drop, `leave`."""

    file: EffectsFile | None

    def arrive(self, *, call: CallT_contra) -> ArrivalT:
        """Take a call in. `leave` must follow, whatever happens in between."""
        ...

    def process(self, *, arrival: ArrivalT) -> Answer:
        """Do what the call asks and say what to answer."""
        ...

    def leave(self, *, arrival: ArrivalT, client_gone: bool) -> None:
        """The call is answered, dropped or its caller is gone."""
        ...
