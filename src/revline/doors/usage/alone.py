"""POST /v1/usage and the two probes, and nothing else: what `revline usage-shard` serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from anyio import to_thread

from revline.core.ids import uuid7
from revline.core.problem import FieldError, problem
from revline.doors.usage.answers import Answered, of_problem
from revline.doors.usage.door import FIXED_HEADERS, PATH, UsageDoor
from revline.doors.usage.ports import UsagePorts

ALIVE: Final = Answered(200, b'{"status":"alive"}')
READY: Final = Answered(200, b'{"status":"ready"}')


class Alone:
    """The ASGI application of a shard's process. ready: what is not ready, empty when all is; asked in a thread."""

    def __init__(self, *, ports: UsagePorts, ready: Callable[[], Sequence[FieldError]]) -> None:
        self._door, self._ports, self._ready = UsageDoor(ports), ports, ready

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        if scope["path"] == PATH:
            await self._door(scope, receive, send)
            return
        identity = str(uuid7(now=self._ports.clock.now(), random_bytes=self._ports.random_bytes))
        answered = await self._answer(scope["path"], identity)
        length = (b"content-length", b"%d" % len(answered.body))
        headers = [*answered.headers, *FIXED_HEADERS, length, (b"x-correlation-id", identity.encode())]
        await send({"type": "http.response.start", "status": answered.status, "headers": headers})
        await send({"type": "http.response.body", "body": answered.body})

    async def _answer(self, path: str, identity: str) -> Answered:
        if path == "/livez":
            return ALIVE
        found = problem("http.not_found", f"this process serves {PATH}, /livez and /readyz")
        if path == "/readyz":
            missing = tuple(await to_thread.run_sync(self._ready))
            if not missing:
                return READY
            named = ", ".join(one.pointer for one in missing)
            found = problem("service.unready", f"not ready: {named}", errors=missing)
        return of_problem(found, base=self._ports.problem_base, correlation_id=identity)
