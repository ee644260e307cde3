"""Salesforce's REST API through simple-salesforce: one bounded thread a call, what its failures mean. Knows no record's meaning.

Numbers are read exactly (parse_float), never as floats. A failed read is a problem; a failed write says whether it had an effect.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceError

from revline.connectors.salesforce.changes import CLIENT
from revline.connectors.salesforce.login import Login
from revline.connectors.salesforce.wire import CallFailedError, LoopAdapter, session_of
from revline.connectors.sdk.http import HttpCaller, masked
from revline.connectors.sdk.source import asks_for_less
from revline.core.clock import Clock
from revline.core.farside import NotSent, Uncertain
from revline.core.problem import Problem, problem

T = TypeVar("T")
ANSWER_PAGES_MAX: Final = 200
HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,200}\.salesforce\.com(?::443)?\Z", re.ASCII)
LIMIT_PAUSE: Final = timedelta(minutes=1)
RETRY_AFTER: Final = timedelta(seconds=30)
"""How long an account that was asked too often is left alone: Salesforce does not say."""
LIMIT_EXCEEDED: Final = "REQUEST_LIMIT_EXCEEDED"
BUSY: Final = frozenset(
    {"REQUEST_LIMIT_EXCEEDED", "UNABLE_TO_LOCK_ROW", "QUERY_TIMEOUT", "SERVER_UNAVAILABLE", "CONCURRENT_REQUESTS_LIMIT"}
)
CREDENTIALS: Final = frozenset({"INVALID_SESSION_ID", "INVALID_AUTH_HEADER", "INVALID_LOGIN", "API_DISABLED_FOR_ORG"})


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong. status: of the answer, 0 for none. code: Salesforce's errorCode. unanswered: what the wire said of it."""

    status: int = 0
    code: str = ""
    message: str = ""
    fields: tuple[str, ...] = ()
    unanswered: NotSent | Uncertain | None = None


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A result and the server's own time of it, None when it named none."""

    value: Any
    answered_at: datetime | None = None


class SalesforceClient:
    """One org. base_url: of a simulator, "" for Salesforce. slots: calls at once. reserve_percent: of the org's daily calls that
    are left to others: beyond, one call a minute finds out whether there is room again."""

    def __init__(
        self,
        *,
        login: Login,
        caller: HttpCaller,
        clock: Clock,
        api_version: str,
        base_url: str = "",
        slots: int = 2,
        reserve_percent: int = 5,
        call_timeout: timedelta = timedelta(seconds=60),
    ) -> None:
        self.caller = caller
        self._login = login
        self._clock = clock
        self._api_version = api_version
        self._base_url = base_url
        self._slots = asyncio.Semaphore(slots)
        # Threads of its own: an org that hangs must not take those in which others' names are resolved or calls made.
        self._threads = ThreadPoolExecutor(max_workers=slots + 1, thread_name_prefix="salesforce")
        self._one_login = asyncio.Lock()
        self._reserve_percent = reserve_percent
        self._seconds = call_timeout.total_seconds()
        self._salesforce: Salesforce | None = None
        self._adapter: LoopAdapter | None = None
        self._full_since: datetime | None = None

    async def run(self, call: Callable[[Salesforce], Any]) -> Answered | Failure:
        """One use of the client library, in a thread."""
        async with self._slots:
            if self._resting():
                return Failure(status=403, code="REQUEST_LIMIT_EXCEEDED", message="the daily calls are nearly used up")
            salesforce = await self._connected()
            if isinstance(salesforce, Failure):
                return salesforce
            found = await self._in_thread(lambda: call(salesforce))
            self._watch_limit(salesforce)
            return found

    async def query(self, *, text: str) -> Answered | Failure:
        """A query with every page of it and of its child sets, records in the recycle bin too."""
        return await self.run(lambda salesforce: whole_answer(salesforce, text))

    async def credentials(self) -> tuple[str, str] | Failure:
        """(instance host, access token), for the streaming side."""
        async with self._slots:
            salesforce = await self._connected()
        if isinstance(salesforce, Failure):
            return salesforce
        # As for every other call: a host that is none of Salesforce's would be sent the token.
        if not self._base_url and not HOST.match(salesforce.sf_instance):
            return Failure(unanswered=Uncertain(evidence="the log-in named an address that is none of Salesforce's"))
        return salesforce.sf_instance, salesforce.session_id

    async def renew(self, *, token: str) -> None:
        """Log in anew unless somebody did since this token was given."""
        async with self._one_login:
            if self._salesforce is not None and self._salesforce.session_id == token:
                self._salesforce = None

    def mask(self, text: str) -> str:
        """The text without the log-in's secrets and without the access token."""
        token = self._salesforce.session_id if self._salesforce is not None else ""
        return masked(text=self.caller.mask(text), secrets=(token or "",))

    async def close(self) -> None:
        """Let go of the transport and of the threads, without waiting for what is under way."""
        self._threads.shutdown(wait=False)
        await self.caller.close()

    async def _connected(self) -> Salesforce | Failure:
        async with self._one_login:
            if self._salesforce is None:
                loop = asyncio.get_running_loop()
                self._adapter = LoopAdapter(
                    caller=self.caller, loop=loop, base_url=self._base_url, seconds=self._seconds + 5
                )
                made = await self._in_thread(self._log_in)
                if isinstance(made, Failure):
                    return made
                self._salesforce = made.value
            return self._salesforce

    async def _in_thread(self, call: Callable[[], Any]) -> Answered | Failure:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._guarded, call)

    def _log_in(self) -> Salesforce:
        assert self._adapter is not None
        return Salesforce(
            **self._login.arguments(),
            session=session_of(adapter=self._adapter, client=CLIENT),
            version=self._api_version,
            parse_float=Decimal,
            object_pairs_hook=dict,
        )

    def _guarded(self, call: Callable[[], Any]) -> Answered | Failure:
        """The library's failures as values: whatever it raises on an answer it can't read is a failure too."""
        try:
            value = call()
        except CallFailedError as error:
            return Failure(unanswered=error.failure)
        except SalesforceAuthenticationFailed as error:
            return self._login_failure(error)
        except SalesforceError as error:
            return self._failure(error)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            return self._unreadable(type(error).__name__)
        answered_at = self._adapter.answered_at if self._adapter is not None else None
        return Answered(value=value, answered_at=answered_at)

    def _login_failure(self, error: SalesforceAuthenticationFailed) -> Failure:
        """The library calls every answer to a log-in that it can't read a refusal; only one of 4xx with words is."""
        if self._status() not in {400, 401, 403} or not isinstance(error.code, str):
            return self._unreadable("log-in")
        return Failure(status=401, code="INVALID_LOGIN", message=self.caller.mask(error.code)[:200])

    def _unreadable(self, what: str) -> Failure:
        status = self._status()
        if status in {429, 503}:
            return Failure(status=status, code="SERVER_UNAVAILABLE", message=f"answered {status}")
        return Failure(unanswered=Uncertain(evidence=f"HTTP {status} with a body that can't be read ({what})"))

    def now(self) -> datetime:
        """The clock's moment."""
        return self._clock.now()

    def _status(self) -> int:
        return 0 if self._adapter is None else self._adapter.status

    def _failure(self, error: SalesforceError) -> Failure:
        content: Any = error.content
        first = content[0] if isinstance(content, list) and content and isinstance(content[0], dict) else {}
        fields = first.get("fields") or ()
        return Failure(
            status=int(error.status),
            code=str(first.get("errorCode", "")),
            message=self.mask(str(first.get("message", "")))[:500],
            fields=tuple(str(field) for field in fields)[:20],
        )

    def _watch_limit(self, salesforce: Salesforce) -> None:
        usage: Any = salesforce.api_usage.get("api-usage")
        full = usage is not None and usage.used * 100 >= usage.total * (100 - self._reserve_percent)
        self._full_since = self._clock.now() if full else None

    def _resting(self) -> bool:
        return self._full_since is not None and self._clock.now() - self._full_since < LIMIT_PAUSE


def whole_answer(salesforce: Salesforce, text: str) -> list[dict[str, Any]]:
    """Every record of a query, each with every page of its child sets. ValueError beyond ANSWER_PAGES_MAX pages."""
    answer = salesforce.query(text, include_deleted=True)
    records: list[dict[str, Any]] = list(answer["records"])
    pages = 1
    while not answer["done"]:
        answer = salesforce.query_more(answer["nextRecordsUrl"], identifier_is_url=True)
        records += answer["records"]
        pages = _counted(pages)
    for record in records:
        for value in record.values():
            while isinstance(value, dict) and value.get("done") is False:
                more = salesforce.query_more(value["nextRecordsUrl"], identifier_is_url=True)
                value["records"] += more["records"]
                value["done"] = more["done"]
                value.pop("nextRecordsUrl")
                if not more["done"]:
                    value["nextRecordsUrl"] = more["nextRecordsUrl"]
                pages = _counted(pages)
    return records


def _counted(pages: int) -> int:
    if pages >= ANSWER_PAGES_MAX:
        raise ValueError(f"an answer of more than {ANSWER_PAGES_MAX} pages")
    return pages + 1


def missing(failure: Failure) -> bool:
    """Whether Salesforce says that there is no such record."""
    return failure.status == 404 and failure.code in {"NOT_FOUND", "ENTITY_IS_DELETED"}


def problem_of(failure: Failure) -> Problem:
    """A read that failed."""
    if failure.unanswered is not None:
        said = failure.unanswered
        return problem("source.unreachable", said.problem.detail if isinstance(said, NotSent) else said.evidence[:300])
    words = f"{failure.code or failure.status}: {failure.message}"
    if failure.code == LIMIT_EXCEEDED or failure.status == 429:
        return asks_for_less(detail=words, wait=RETRY_AFTER)
    if failure.code in BUSY or failure.status == 503:
        return problem("source.busy", words)
    if failure.code in CREDENTIALS or failure.status == 401:
        return problem("source.credentials_refused", words)
    if failure.status >= 500:
        return problem("source.unreachable", words)
    return problem("source.refused", words, field=",".join(failure.fields)[:100] or failure.code[:100])
