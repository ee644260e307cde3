"""POST /v1/usage as a raw ASGI application: key, body, answer, and nothing a framework would add to each request.

An event's way is the sink's; this door knows headers and limits. It keeps no state but the keys it has seen, their rates, and how
many bytes wait. A request that is refused is logged; those that went well are counted and told now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from anyio import to_thread

from revline.core.ids import uuid7
from revline.core.problem import Problem, ProblemError, problem
from revline.doors.api.rates import Rates, Standing
from revline.doors.usage.answers import Answered, Header, of_failure, of_problem, of_taken
from revline.doors.usage.bodies import UNPACKED_BESIDE_FROM, is_batch, unpacked
from revline.doors.usage.keys import Keys
from revline.doors.usage.ports import Answers, UsagePorts
from revline.doors.usage.waiting import UnderWay, Waiting
from revline.platform.access.roles import Permission, Principal
from revline.platform.logs import correlated, log

PATH: Final = "/v1/usage"
METHOD: Final = "POST"
TELL_SECONDS: Final = 10.0
"""Between two log lines of how many requests were answered."""
BODY_SECONDS: Final = 30.0
"""For the whole of a body to come."""
FIXED_HEADERS: Final[tuple[Header, ...]] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)

Scope = Mapping[str, Any]


class UsageDoor:
    """The ASGI application of one process and one event loop; for the path `PATH` only."""

    def __init__(self, ports: UsagePorts) -> None:
        self._ports = ports
        limits = ports.limits
        self._seconds = ports.seconds
        self._keys = Keys(
            verify=ports.verify, tenant_active=ports.tenant_active, threads=ports.threads(), seconds=ports.seconds
        )
        self._rates = Rates(per_second=limits.requests_per_second, burst=limits.requests_burst)
        # Room for one body as it came and as it is unpacked there must be, whatever the setting says.
        self._under_way = UnderWay(bytes_max=max(limits.under_way_bytes_max, 2 * limits.body_bytes_max))
        self._waiting: Waiting | None = None
        self._counts: dict[int, int] = {}
        self._told_at = self._seconds()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI, type http."""
        identity = str(uuid7(now=self._ports.clock.now(), random_bytes=self._ports.random_bytes))
        standing: list[Standing] = []
        try:
            answered = await self._answer(scope, receive, standing, identity)
        except ProblemError as error:
            answered = of_problem(error.problem, base=self._ports.problem_base, correlation_id=identity)
            with correlated(correlation_id=identity):
                log().info("usage.refused", code=error.problem.code, status=answered.status)
        except Exception as failure:  # noqa: BLE001 - whatever failed is answered without a word of it
            with correlated(correlation_id=identity):
                answered = of_failure(failure, base=self._ports.problem_base, correlation_id=identity)
        headers = [
            *answered.headers,
            *FIXED_HEADERS,
            (b"content-length", b"%d" % len(answered.body)),
            (b"x-correlation-id", identity.encode()),
            *(standing[0].headers if standing else ()),
        ]
        await send({"type": "http.response.start", "status": answered.status, "headers": headers})
        await send({"type": "http.response.body", "body": answered.body})
        self._tell(answered.status)

    async def _answer(self, scope: Scope, receive: Any, standing: list[Standing], identity: str) -> Answered:
        if scope["method"] != METHOD:
            raise ProblemError(problem("http.method_not_allowed", f"{PATH} takes {METHOD}"))
        headers = dict(scope["headers"])
        who = await self._admitted(headers, standing)
        held = self._hold(self._declared(headers), 0)
        try:
            body = await self._body(headers, receive)
            if len(body) > held:
                held = self._hold(len(body), held)
            batch = is_batch(headers.get(b"content-type", b""), body)
            if isinstance(batch, Problem):
                raise ProblemError(batch)
            answers = await self._submit(who.tenant_id, body)
        finally:
            self._under_way.give_back(held)
        if isinstance(answers, Problem):
            raise ProblemError(answers)
        return of_taken(answers, batch=batch, base=self._ports.problem_base, correlation_id=identity)

    def _hold(self, size: int, held: int) -> int:
        """Keeps room for so many bytes in all; gives how many are held. Room is kept before a body is read, not after."""
        refused = self._under_way.take(size - held)
        if refused is not None:
            raise ProblemError(refused)
        return size

    def _declared(self, headers: Mapping[bytes, bytes]) -> int:
        """How large the body says it is; one that does not say may be as large as any."""
        bytes_max = self._ports.limits.body_bytes_max
        declared = headers.get(b"content-length")
        if declared is None:
            return bytes_max
        if not declared.isdigit() or int(declared[:20]) > bytes_max:
            raise ProblemError(_too_large(bytes_max))
        return int(declared)

    async def _admitted(self, headers: Mapping[bytes, bytes], standing: list[Standing]) -> Principal:
        authorization = headers.get(b"authorization", b"")
        who = self._keys.remembered(authorization) or await self._keys.principal(authorization)
        if isinstance(who, Problem):
            raise ProblemError(who)
        standing.append(self._rates.take(key=who.key_id, now=self._seconds()))
        if not standing[0].allowed:
            raise ProblemError(problem("http.too_many_requests", "this key has called more often than it may"))
        if not who.may(Permission.SEND_EVENTS):
            raise ProblemError(problem("access.forbidden", f"a key of the role {who.role.value} may not do this"))
        return who

    async def _body(self, headers: Mapping[bytes, bytes], receive: Any) -> bytes:
        bytes_max = self._ports.limits.body_bytes_max
        message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._rest(body, receive)
        elif message["type"] == "http.disconnect":
            raise ProblemError(problem("http.request_invalid", "the sender went away before the body ended"))
        if len(body) > bytes_max:
            raise ProblemError(_too_large(bytes_max))
        if b"content-encoding" not in headers:
            return body
        unpack = partial(unpacked, body, encoding=headers[b"content-encoding"], bytes_max=bytes_max)
        plain = unpack() if len(body) < UNPACKED_BESIDE_FROM else await to_thread.run_sync(unpack)
        if isinstance(plain, Problem):
            raise ProblemError(plain)
        return plain

    async def _rest(self, begun: bytes, receive: Any) -> bytes:
        bytes_max = self._ports.limits.body_bytes_max
        parts, size, more = [begun], len(begun), True
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ProblemError(
                            problem("http.request_invalid", "the sender went away before the body ended")
                        )
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > bytes_max:
                        raise ProblemError(_too_large(bytes_max))
                    more = message.get("more_body", False)
        except TimeoutError:
            slow = problem("usage.body_slow", f"the body did not end within {BODY_SECONDS:.0f} seconds")
            raise ProblemError(slow) from None
        return b"".join(parts)

    async def _submit(self, tenant_id: str, body: bytes) -> Answers:
        waiting = self._waiting
        if waiting is None:
            waiting = self._waiting = Waiting(asyncio.get_running_loop())
        future, told = waiting.new()
        self._ports.sink.submit(tenant_id=tenant_id, body=body, told=told)
        return await future

    def _tell(self, status: int) -> None:
        self._counts[status] = self._counts.get(status, 0) + 1
        now = self._seconds()
        if now - self._told_at >= TELL_SECONDS:
            taken = now - self._told_at
            for each, count in sorted(self._counts.items()):
                log().info("usage.answered", status=each, count=count, duration_milliseconds=int(taken * 1000))
            self._counts.clear()
            self._told_at = now


def _too_large(bytes_max: int) -> Problem:
    return problem("http.body_too_large", f"the body is larger than the {bytes_max} bytes taken here")
