"""Stripe's API on the wire: one call with its version pinned, its errors as problems, its numbers exact. Knows no object's meaning.

Sources: docs.stripe.com/api/errors, /api/pagination, /api/versioning, /api/idempotent_requests; Stripe's own library 16.1.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import httpx2
import msgspec

from revline.connectors.sdk.http import HttpCaller, retry_after
from revline.connectors.sdk.source import SourcePage, asks_for_less
from revline.connectors.sdk.wire import ANSWER_BYTES_MAX, HttpAnswer
from revline.connectors.stripe.manifest import API_VERSION
from revline.core.clock import Clock
from revline.core.exact_json import parse_object
from revline.core.farside import NotSent, Uncertain
from revline.core.problem import Problem, problem
from revline.platform.tenancy.kinds import Connection

BASE_URL: Final = "https://api.stripe.com"
API_KEY: Final = "apiKey"
CALL_TIMEOUT: Final = timedelta(seconds=30)
THROTTLE_DEFAULT: Final = timedelta(seconds=2)
SLOTS: Final = 4
BUCKET_PER_SECOND: Final = "20"
"""Calls a second of all that share the account: Stripe allows 100 live and 25 in a sandbox [M]."""
PAGE_MAX: Final = 100
PAGES_MAX: Final = 200
"""Pages of one list read whole: 20,000 members."""
DEPTH_MAX: Final = 40
_EXACT: Final = msgspec.json.Encoder(decimal_format="number")

Query = Sequence[tuple[str, str]]


def exact(value: object) -> bytes:
    """JSON of parsed JSON, every number with the digits it came with."""
    return _EXACT.encode(value)


class StripeClient:
    """The API of one account."""

    def __init__(self, *, caller: HttpCaller, clock: Clock) -> None:
        self.caller, self._clock = caller, clock

    async def get(self, *, path: str, query: Query = ()) -> dict[str, Any] | Problem | None:
        """One object or list object; None when Stripe has it no more."""
        answer = await self.caller.send(method="GET", path=path, query=query)
        if isinstance(answer, NotSent | Uncertain):
            said = answer.problem.detail if isinstance(answer, NotSent) else answer.evidence
            return problem("source.unreachable", self.caller.mask(said)[:300])
        if answer.status == 404:
            return None
        if answer.status != 200:
            return self.refusal(answer)
        found = parse_object(answer.body, bytes_max=ANSWER_BYTES_MAX, depth_max=DEPTH_MAX)
        if isinstance(found, Problem):
            return problem("source.unreachable", f"an answer that can't be read: {found.detail}"[:300])
        return found

    async def page(self, *, path: str, query: Query = ()) -> tuple[list[dict[str, Any]], bool] | Problem | None:
        """The objects of one page and whether there are more; None when what the list belongs to is gone."""
        found = await self.get(path=path, query=query)
        if found is None or isinstance(found, Problem):
            return found
        members = found.get("data")
        if found.get("object") != "list" or not isinstance(members, list):
            return problem("source.unreachable", f"{path} did not answer with a list")
        return [member for member in members if isinstance(member, dict)], found.get("has_more") is True

    async def whole(
        self, *, path: str, query: Query = (), beginning: Sequence[dict[str, Any]] = ()
    ) -> list[dict[str, Any]] | Problem | None:
        """Every member of a list, page by page, after those of the beginning that came already. At most PAGES_MAX pages."""
        found = list(beginning)
        for _ in range(PAGES_MAX):
            after = [("starting_after", str(found[-1].get("id", "")))] if found else []
            page = await self.page(path=path, query=[*query, ("limit", str(PAGE_MAX)), *after])
            if page is None or isinstance(page, Problem):
                return page
            members, more = page
            found += members
            if not more or not members:
                return found
        return problem("source.refused", f"{path} has more than {PAGES_MAX * PAGE_MAX} members", field=path)

    def wait_of(self, answer: HttpAnswer) -> timedelta:
        """How long Stripe wants no call after a refusal for too many."""
        return retry_after(headers=answer.headers, now=self._clock.now(), default=THROTTLE_DEFAULT)

    def refusal(self, answer: HttpAnswer) -> Problem:
        """What an answer other than success means to whoever only asked. Stripe's own word on trying again goes first."""
        error = error_of(answer)
        said = self.caller.mask(
            f"HTTP {answer.status} {error.get('code') or error.get('type') or ''}: {error.get('message') or ''}"
        )
        field = str(error.get("param") or error.get("code") or "")[:100]
        if answer.status == 401:
            return problem("source.credentials_refused", said[:300])
        again = answer.headers.get("stripe-should-retry", "")
        if answer.status == 429:
            return asks_for_less(detail=said[:300], wait=self.wait_of(answer))
        if again != "false" and (again == "true" or answer.status == 409 or answer.status >= 500):
            return problem("source.busy", said[:300])
        if answer.status >= 500:
            return problem("source.unreachable", said[:300])
        return problem("source.refused", said[:300], field=field)


def error_of(answer: HttpAnswer) -> Mapping[str, Any]:
    """The error of a body, empty when there is none that can be read."""
    found = parse_object(answer.body, depth_max=DEPTH_MAX)
    error = {} if isinstance(found, Problem) else found.get("error")
    return error if isinstance(error, dict) else {}


def listed(*, members: Sequence[dict[str, Any]], path: str) -> bytes:
    """A whole list object, as the API would return it if it had no limit."""
    return exact({"object": "list", "url": path, "has_more": False, "data": list(members)})


def source_page(*, members: Sequence[dict[str, Any]], cursor: str, more: bool) -> SourcePage:
    """A page of a listing or of the change stream."""
    return SourcePage(bodies=tuple(exact(member) for member in members), next_cursor=cursor, more=more)


def client_of(
    *,
    connection: Connection,
    secrets: Mapping[str, str],
    transport: httpx2.AsyncBaseTransport | None,
    clock: Clock,
) -> StripeClient:
    """The client of a connection. Secret apiKey; setting baseUrl for a simulator. KeyError or ValueError says what is missing."""
    key = secrets[API_KEY]
    if not key.strip():
        raise ValueError(f"the secret {API_KEY} is empty")
    caller = HttpCaller(
        base_url=connection.settings.get("baseUrl", BASE_URL),
        transport=transport,
        headers={"authorization": f"Bearer {key}", "stripe-version": API_VERSION},
        secrets=(key,),
        call_timeout=CALL_TIMEOUT,
        slots=SLOTS,
    )
    return StripeClient(caller=caller, clock=clock)
