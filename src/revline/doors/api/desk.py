"""How a route of people's acts answers: its work in the bounded threads, the value as JSON or its problem, and acts once per key.

An act that comes with an `Idempotency-Key` has its effect once; sent again it gets the answer that was given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.openapi.spec import OpenAPIType, Parameter, Schema

from revline.core.hashing import plain
from revline.core.problem import Problem, ProblemError
from revline.doors.api.description import ProblemOperation
from revline.doors.api.guards import principal_of
from revline.doors.api.keys import KEY_LENGTH_MAX, checked_key
from revline.doors.api.ports import Threads
from revline.doors.document_acts import Proposed
from revline.doors.services import Services
from revline.platform.store import once
from revline.platform.store.idempotency import LIFE, Repeated

KEY_HEADER: Final = "Idempotency-Key"
ACCEPTED: Final = 202


@dataclass
class ActOperation(ProblemOperation):
    """An operation that is done once for each key."""

    def __post_init__(self) -> None:
        super().__post_init__()
        key = Parameter(
            name=KEY_HEADER,
            param_in="header",
            description=f"Done once for each key, for {LIFE.days} days; sent again, it gets the answer that was given.",
            schema=Schema(type=OpenAPIType.STRING, min_length=1, max_length=KEY_LENGTH_MAX),
        )
        self.parameters = [*(self.parameters or []), key]


class Desk:
    """What every group of such routes stands on: one process's services and the bounded threads they run in."""

    def __init__(self, *, services: Services, threads: Threads) -> None:
        self._services, self._threads = services, threads

    async def read(self, work: Callable[[], Any]) -> Response[Any]:
        """The answer of what changes nothing."""
        return _response(_kept(await self._threads.run(work)))

    async def act(
        self, request: Request[Any, Any, Any], work: Callable[[], Any], *, status: int = 200
    ) -> Response[Any]:
        """The answer of an act, done once when the request has a key. status: of one that is done.

        Raises `idempotency.key_invalid`, `idempotency.key_reused` and `idempotency.answer_lost`.
        """
        header, kept = request.headers.get(KEY_HEADER), partial(_kept, status=status)
        if header is None:
            return _response(kept(await self._threads.run(work)))
        who = principal_of(request)
        asked = once.Request(
            tenant_id=who.tenant_id,
            key=checked_key(header, of="acts"),
            said={"path": request.url.path, "actor": who.actor, **_digests(await request.body())},
            actor=who.actor,
            reason="an act over the API",
            at=self._services.clock.now(),
        )
        doing = partial(once.once, self._services.database, request=asked, work=work, kept=kept)
        found = await self._threads.run(doing)
        return _response(found.answer if isinstance(found, Repeated) else kept(found))


def _kept(answer: Any, *, status: int = 200) -> dict[str, Any]:
    """An answer as it is kept: its status with its value, or its problem."""
    if isinstance(answer, Problem):
        return {"problem": plain(answer)}
    return {"status": ACCEPTED if isinstance(answer, Proposed) else status, "value": plain(answer)}


def _response(kept: Mapping[str, Any]) -> Response[Any]:
    if "problem" in kept:
        raise ProblemError(msgspec.convert(kept["problem"], Problem))
    return Response(kept["value"], status_code=kept["status"])


def _digests(body: bytes) -> dict[str, str]:
    """What was sent, by field, without keeping it."""
    try:
        fields = msgspec.json.decode(body or b"{}", type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        return {"body": hashlib.sha256(body).hexdigest()}
    return {f"body/{name[:60]}": hashlib.sha256(bytes(value)).hexdigest() for name, value in sorted(fields.items())}
