"""The wire to a NetSuite account: addresses, access tokens, queries page by page. Says what came of a call; knows no document."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from revline.connectors.netsuite.assertion import ASSERTION_TYPE, Signer
from revline.connectors.netsuite.errors import FarError, error_of, problem_of
from revline.connectors.sdk.http import HttpCaller, failure_problem, masked, retry_after
from revline.connectors.sdk.wire import HttpAnswer
from revline.core.clock import Clock
from revline.core.exact_json import parse_object
from revline.core.farside import ErrorRule, NotSent, Throttled, Uncertain
from revline.core.problem import Problem, problem

REST: Final = "/services/rest"
TOKEN_PATH: Final = f"{REST}/auth/oauth2/v1/token"
PAGE_MAX: Final = 1_000
PAGES_MAX: Final = 100
ANSWER_BYTES_MAX: Final = 16_000_000
RENEW_BEFORE: Final = timedelta(seconds=60)
TOKEN_SECONDS_DEFAULT: Final = 3_600
THROTTLE_DEFAULT: Final = timedelta(seconds=2)

Row = Mapping[str, str]
Failure = NotSent | Throttled | Uncertain


class _Token(msgspec.Struct, frozen=True, kw_only=True):
    value: str
    renew_at: datetime


class _TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: int | str = TOKEN_SECONDS_DEFAULT


class NetSuiteClient:
    """One integration of one account. Tokens are kept and renewed before they end, by the clock that is passed in."""

    def __init__(
        self, *, base_url: str, caller: HttpCaller, signer: Signer, clock: Clock, errors: Sequence[ErrorRule]
    ) -> None:
        self._caller = caller
        self.errors = errors
        self._token_url = base_url.rstrip("/") + TOKEN_PATH
        self._signer = signer
        self._clock = clock
        self._token: _Token | None = None
        self._lock = asyncio.Lock()

    async def call(
        self,
        *,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer | Failure:
        """One call with a valid token. A token that NetSuite no longer takes (401, before any effect) is renewed once."""
        stale, status, body = "", 0, b""
        for _ in range(2):
            token = await self._valid_token(stale=stale)
            if not isinstance(token, str):
                return token
            answer = await self._caller.send(
                method=method,
                path=REST + path,
                query=query,
                content=content,
                headers={"authorization": f"Bearer {token}", "content-type": "application/json", **(headers or {})},
            )
            if not isinstance(answer, HttpAnswer):
                return answer
            if answer.status == 429:
                return self._throttled(answer)
            if answer.status not in {401, 403}:
                return answer
            stale, status, body = token, answer.status, answer.body
        error = error_of(body=body)
        detail = f"{error.code}: {error.detail[:300]}" if error else f"HTTP {status}"
        return NotSent(problem=problem("erp.credentials_refused", self.mask(detail)))

    def mask(self, text: str) -> str:
        """The text without the private key and without the access token, cut to what is kept as evidence."""
        token = self._token.value if self._token else ""
        return self._caller.mask(masked(text=text, secrets=(token,)))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._caller.close()

    async def rows(self, *, text: str, parameters: Sequence[str] = (), most: int = 0) -> list[Row] | Problem:
        """Every row of a query, page by page, or the first `most`. A missing page, or another than asked for, is a problem."""
        found: list[Row] = []
        content = msgspec.json.encode({"q": text, "params": list(parameters)})
        limit = min(most or PAGE_MAX, PAGE_MAX)
        for _ in range(PAGES_MAX):
            page = await self._page(content, limit=limit, offset=len(found))
            if isinstance(page, Problem):
                return page
            rows, total = page
            found += rows
            if len(found) >= total or (most and len(found) >= most):
                return found
            if len(rows) < limit:
                return problem("erp.unreachable", f"a page of a query was lost: {len(found)} of {total} rows came")
        return problem("erp.unreachable", f"a query has more than {PAGES_MAX * PAGE_MAX} rows")

    async def object(self, *, path: str, query: Sequence[tuple[str, str]] = ()) -> dict[str, Any] | Problem:
        """A JSON object by GET; numbers exact."""
        answer = await self.call(method="GET", path=path, query=query)
        return self._object(answer)

    def refusal(self, answer: HttpAnswer) -> Problem:
        """Why a call that only asked something was refused."""
        error = error_of(body=answer.body)
        if error is None:
            return problem("erp.unreachable", self.mask(answer.evidence)[:500])
        return problem_of(error=self.shown(error), rules=self.errors)

    def shown(self, error: FarError) -> FarError:
        """An error whose words show no secret, should NetSuite repeat one."""
        return msgspec.structs.replace(error, detail=self.mask(error.detail))

    def _object(self, answer: HttpAnswer | Failure) -> dict[str, Any] | Problem:
        if isinstance(answer, Throttled):
            return problem("erp.busy", "NetSuite's concurrency limit is reached")
        if not isinstance(answer, HttpAnswer):
            return failure_problem(answer)
        if answer.status != 200:
            return self.refusal(answer)
        body = parse_object(answer.body, bytes_max=ANSWER_BYTES_MAX)
        if isinstance(body, Problem):
            return problem("erp.unreachable", self.mask(f"unreadable answer: {answer.evidence}")[:500])
        return body

    async def _page(self, content: bytes, *, limit: int, offset: int) -> tuple[list[Row], int] | Problem:
        answer = await self.call(
            method="POST",
            path="/query/v1/suiteql",
            query=(("limit", str(limit)), ("offset", str(offset))),
            content=content,
            headers={"prefer": "transient"},
        )
        body = self._object(answer)
        if isinstance(body, Problem):
            return body
        items, total, at = body.get("items"), body.get("totalResults"), body.get("offset", offset)
        if not isinstance(items, list) or not isinstance(total, int) or at != offset:
            return problem("erp.unreachable", "a query was answered with another page than was asked for")
        rows: list[Row] = [
            {str(name): str(value) for name, value in item.items() if name != "links" and value is not None}
            for item in items
            if isinstance(item, dict)
        ]
        return rows, total

    async def _valid_token(self, *, stale: str) -> str | Failure:
        async with self._lock:
            token, now = self._token, self._clock.now()
            if token is not None and token.value != stale and now < token.renew_at:
                return token.value
            issued = await self._issue(now)
            if not isinstance(issued, _Token):
                return issued
            self._token = issued
            return issued.value

    async def _issue(self, now: datetime) -> _Token | Failure:
        """A new token. Whatever goes wrong, the call it was for was not sent."""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._signer.assertion(token_url=self._token_url, now=now),
        }
        answer = await self._caller.send(
            method="POST",
            path=TOKEN_PATH,
            content=urlencode(form).encode(),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        if isinstance(answer, NotSent):
            return answer
        if isinstance(answer, Uncertain):
            return NotSent(problem=problem("erp.unreachable", f"no token: {answer.evidence[:300]}"))
        if answer.status == 429:
            return self._throttled(answer)
        if answer.status in {400, 401, 403}:
            detail = self.mask(f"no token: {answer.evidence}")[:300]
            return NotSent(problem=problem("erp.credentials_refused", detail))
        try:
            issued = msgspec.json.decode(answer.body, type=_TokenAnswer)
            life = timedelta(seconds=min(int(issued.expires_in), 86_400))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            return NotSent(problem=problem("erp.unreachable", f"no token: HTTP {answer.status}"))
        return _Token(value=issued.access_token, renew_at=now + max(life - RENEW_BEFORE, life / 2))

    def _throttled(self, answer: HttpAnswer) -> Throttled:
        wait = retry_after(headers=answer.headers, now=self._clock.now(), default=THROTTLE_DEFAULT)
        return Throttled(retry_after=wait)
