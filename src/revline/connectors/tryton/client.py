"""The wire to a Tryton 8.2 server: JSON-RPC calls, sessions and what a failure means. Knows no document and no accounting.

A call either returns its result or raises `TrytonFailure`, whose kind says whether it may have had an effect. Failures are told
apart by kind and status, never by words: the text follows the language of the Tryton user.
"""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import httpx2

from revline.connectors.sdk.http import masked
from revline.connectors.tryton.wire import decode_object, encode_value

ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
EVIDENCE_CHARACTERS_MAX: Final = 1_000
CONNECT_TIMEOUT_SECONDS: Final = 5.0
GZIP_MAGIC: Final = b"\x1f\x8b"


class FailureKind(StrEnum):
    """What went wrong, by what it says of the effect: only `uncertain` may have had one."""

    REFUSED = "refused"
    """A rule of Tryton's; the transaction was rolled back."""
    WARNING = "warning"
    """Stopped until a person, or the allow-list, acknowledges it; rolled back."""
    CONFLICT = "conflict"
    """Somebody else changed the record first; rolled back."""
    FAULT = "fault"
    """An error inside Tryton or in how it was asked; rolled back."""
    FORBIDDEN = "forbidden"
    CREDENTIALS = "credentials"
    THROTTLED = "throttled"
    BUSY = "busy"
    """503: its database refused for now. Rolled back when it says so before the commit, which a client can't see."""
    UNREACHABLE = "unreachable"
    """No connection: nothing was sent."""
    UNCERTAIN = "uncertain"
    """Sent, and no answer that can be read."""


class TrytonFailure(Exception):  # noqa: N818 - a failure of the far side, not an error in this program
    """A call that has no result. name: the warning's name when the kind is `warning`. message: Tryton's words, for evidence."""

    def __init__(self, kind: FailureKind, message: str, *, name: str = "") -> None:
        super().__init__(f"{kind.value}: {message}")
        self.kind = kind
        self.message = message[: 4 * EVIDENCE_CHARACTERS_MAX]  # cut once it is masked, so that no secret is cut in two
        self.name = name


class TrytonClient:
    """One user of one Tryton database. Sessions are opened when needed and renewed when Tryton forgets them."""

    def __init__(
        self,
        *,
        base_url: str,
        database: str,
        user: str,
        password: str,
        call_timeout_seconds: float,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._database = database
        self._user = user
        self._password = password
        self._call_timeout_seconds = call_timeout_seconds
        self._authorization = ""
        self._login_lock = asyncio.Lock()
        self._sent = 0
        self._http = httpx2.AsyncClient(
            base_url=base_url,
            transport=transport,
            trust_env=False,
            timeout=httpx2.Timeout(call_timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS),
        )

    async def close(self) -> None:
        """Let go of the connections. The session is left to Tryton's time-out."""
        await self._http.aclose()

    async def server_version(self) -> str:
        """The series of the server, such as 8.2; needs no session."""
        return str(await self._exchange(path="/rpc/", method="common.server.version", parameters=[]))

    async def call(self, method: str, *parameters: Any, context: dict[str, Any]) -> Any:
        """Call `method` ("model.account.move.create") with its parameters and the context that every method takes last.

        An expired session is renewed once: Tryton answers 401 before it does anything. Raises TrytonFailure.
        """
        used = self._authorization
        if not used:
            used = await self._login(stale="")
        try:
            return await self._rpc(method, [*parameters, context])
        except TrytonFailure as failure:
            if failure.kind is not FailureKind.CREDENTIALS:
                raise
        await self._login(stale=used)
        return await self._rpc(method, [*parameters, context])

    async def _login(self, *, stale: str) -> str:
        async with self._login_lock:
            if self._authorization == stale:
                self._authorization = ""
                answer = await self._rpc("common.db.login", [self._user, {"password": self._password}])
                if not isinstance(answer, list) or len(answer) < 2:
                    raise TrytonFailure(FailureKind.CREDENTIALS, "the login's answer has no session")
                session = f"{self._user}:{answer[0]}:{answer[1]}".encode()
                self._authorization = "Session " + base64.b64encode(session).decode("ascii")
            return self._authorization

    async def _rpc(self, method: str, parameters: list[Any]) -> Any:
        return await self._exchange(path=f"/{self._database}/rpc/", method=method, parameters=parameters)

    async def _exchange(self, *, path: str, method: str, parameters: list[Any]) -> Any:
        self._sent += 1
        request = {"id": self._sent, "method": method, "params": parameters}
        headers = {"Content-Type": "application/json"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        content = json.dumps(request, default=encode_value, separators=(",", ":")).encode()
        try:
            async with asyncio.timeout(self._call_timeout_seconds):
                status, body = await self._send(path, content, headers)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise TrytonFailure(FailureKind.UNREACHABLE, type(error).__name__) from error
        except (httpx2.TransportError, TimeoutError) as error:
            raise TrytonFailure(FailureKind.UNCERTAIN, f"{type(error).__name__} after the request was sent") from error
        try:
            return _result(status, body)
        except TrytonFailure as failure:
            secrets = (self._password, self._authorization, self._authorization.removeprefix("Session "))
            said = masked(text=failure.message, secrets=secrets)
            raise TrytonFailure(failure.kind, said[:EVIDENCE_CHARACTERS_MAX], name=failure.name) from None

    async def _send(self, path: str, content: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        async with self._http.stream("POST", path, content=content, headers=headers) as response:
            chunks = bytearray()
            # Raw, because Tryton labels any long answer as gzip and may send it plain.
            async for chunk in response.aiter_raw():
                chunks += chunk
                if len(chunks) > ANSWER_BYTES_MAX:
                    raise TrytonFailure(FailureKind.UNCERTAIN, f"an answer of over {ANSWER_BYTES_MAX} bytes")
            return response.status_code, _plain(bytes(chunks))


def _plain(body: bytes) -> bytes:
    if not body.startswith(GZIP_MAGIC):
        return body
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(body, ANSWER_BYTES_MAX)
    except zlib.error as error:
        raise TrytonFailure(FailureKind.UNCERTAIN, "an answer whose compression is broken") from error
    if unpacker.unconsumed_tail:
        raise TrytonFailure(FailureKind.UNCERTAIN, f"an answer of over {ANSWER_BYTES_MAX} bytes")
    return plain


_STATUS_KINDS: Final = {
    401: FailureKind.CREDENTIALS,
    403: FailureKind.FORBIDDEN,
    404: FailureKind.FAULT,
    400: FailureKind.FAULT,
    413: FailureKind.FAULT,
    422: FailureKind.FAULT,
    429: FailureKind.THROTTLED,
    503: FailureKind.BUSY,
}


def _result(status: int, body: bytes) -> Any:
    if status != 200:
        kind = _STATUS_KINDS.get(status, FailureKind.UNCERTAIN)
        raise TrytonFailure(kind, f"HTTP {status}: {body[: 4 * EVIDENCE_CHARACTERS_MAX].decode('utf-8', 'replace')}")
    try:
        answer = json.loads(body, object_hook=decode_object, parse_float=Decimal)
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise TrytonFailure(FailureKind.UNCERTAIN, f"an answer that can't be read ({type(error).__name__})") from error
    if not isinstance(answer, dict) or ("error" not in answer and "result" not in answer):
        raise TrytonFailure(FailureKind.UNCERTAIN, "an answer with neither a result nor an error")
    if "error" in answer:
        raise _failure(answer["error"])
    return answer["result"]


def _failure(error: Any) -> TrytonFailure:
    if not isinstance(error, list) or not error:
        return TrytonFailure(FailureKind.FAULT, str(error))
    detail = error[1] if len(error) > 1 else ""
    parts = [str(part) for part in detail if isinstance(part, str)] if isinstance(detail, list) else [str(detail)]
    match error[0]:
        case "UserError":
            return TrytonFailure(FailureKind.REFUSED, " - ".join(part for part in parts if part))
        case "UserWarning":
            return TrytonFailure(FailureKind.WARNING, " - ".join(parts[1:]), name=parts[0] if parts else "")
        case "ConcurrencyException":
            return TrytonFailure(FailureKind.CONFLICT, " - ".join(parts))
        case "LoginException":
            return TrytonFailure(FailureKind.CREDENTIALS, "Tryton asks for another login parameter")
    return TrytonFailure(FailureKind.FAULT, f"{error[0]} {' - '.join(parts)}".strip())
