"""A real Tryton as the conformance kit takes it: two companies in one database, a connector to it, and troubles on the way to it.

The server is started once for a run, on a fresh copy of its books, in the folder that REVLINE_TRYTON_FOLDER names or in
.revline/tryton. Cases share the books: each has references of its own, and a closed period is of a month that no other case uses.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx2

from revline.connectors.sdk.conformance_documents import World
from revline.connectors.sdk.conformance_run import Adapter, Bench, Case, Missing, Trouble
from revline.connectors.tryton.client import TrytonClient
from revline.connectors.tryton.connector import TrytonConnector, build
from revline.connectors.tryton.manifest import manifest_of
from revline.core.farside import EntityMapping, Manifest
from revline.platform.store.embedded import EmbeddedServerError
from revline.platform.tenancy.kinds import Connection
from revline.sim.tryton import ADMINISTRATOR, TrytonServer, TrytonServerError
from revline.sim.tryton_books import TrytonBooks, TrytonCompany, TrytonRate

FOLDER_VARIABLE: Final = "REVLINE_TRYTON_FOLDER"
DOLLARS: Final = "AURORA-US"
EUROS: Final = "AURORA-DE"
DAY: Final = date(2026, 3, 16)
CLOSED_DAY: Final = date(2025, 6, 16)
"""A month of its own: drafts of other cases would keep Tryton from closing the period."""
BOOKS: Final = TrytonBooks(
    companies=(
        TrytonCompany(code=DOLLARS, title="Aurora Analytics Inc.", currency="USD"),
        TrytonCompany(code=EUROS, title="Aurora Analytics GmbH", currency="EUR"),
    ),
    rates=(
        TrytonRate(currency="EUR", first_day=date(2025, 1, 1), units=Decimal(1)),
        TrytonRate(currency="USD", first_day=date(2025, 1, 1), units=Decimal("1.25")),
        TrytonRate(currency="USD", first_day=date(2026, 8, 1), units=Decimal("1.0825")),
        TrytonRate(currency="JPY", first_day=date(2025, 1, 1), units=Decimal(160)),
        TrytonRate(currency="KWD", first_day=date(2025, 1, 1), units=Decimal("0.3125")),
    ),
    year=2026,
)
RATES: Final = {"EUR": Decimal("1.25"), "JPY": Decimal("0.0078125"), "KWD": Decimal(4)}
"""Dollars a unit on DAY, as the books above have them."""
TROUBLES: Final = frozenset(Trouble) - {Trouble.BUSY, Trouble.LOOKUP_LAG, Trouble.PARTIAL, Trouble.REORDERED}
"""A 503 on a create may have had an effect in Tryton, so it is no certain refusal; nothing lags; a create makes all or none."""
_SENDS: Final = (b'"method":"model.account.move.create"',)
_EFFECTS: Final = (
    *_SENDS,
    b'"method":"model.party.party.create"',
    b'"method":"model.account.invoice.create"',
    b'"method":"model.account.invoice.write"',
    b'"method":"wizard.account.invoice.credit.execute"',
)
"""Calls by which a step of some kind takes effect; an answer may be lost to any of them."""
_ONCE: Final = frozenset({Trouble.TOKEN_EXPIRED, Trouble.SHORT_ANSWER, Trouble.FAIL_BEFORE, Trouble.FAIL_AFTER})


class StandingClock:
    """The day the rehearsal is played on."""

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class TroubledTransport(httpx2.AsyncHTTPTransport):
    """Sends requests on, but for the trouble that was asked for. It strikes creates of a move; a lost answer, any call that takes
    effect. secret: what an echo repeats."""

    def __init__(self, *, secret: str = "") -> None:
        super().__init__()
        self.trouble: Trouble | None = None
        self.calls: list[str] = []
        self._secret = secret

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request."""
        body = await request.aread()
        self.calls.append(body[:80].decode())
        trouble = self.trouble
        if trouble is Trouble.UNREACHABLE:
            raise httpx2.ConnectError("no way", request=request)
        struck = _EFFECTS if trouble is Trouble.ANSWER_LOST else _SENDS
        if trouble is None or not any(method in body[:100] for method in struck):
            return await super().handle_async_request(request)
        if trouble in _ONCE:
            self.trouble = None
        refused = self._before(trouble, request, body)
        if refused is not None:
            return refused
        answer = await super().handle_async_request(request)
        data = await answer.aread()
        return self._after(trouble, request, data)

    def _before(self, trouble: Trouble, request: httpx2.Request, body: bytes) -> httpx2.Response | None:
        """The answer of a call that never reaches its effect."""
        match trouble:
            case Trouble.CREDENTIALS_REFUSED | Trouble.TOKEN_EXPIRED:
                return _response(401, b"")
            case Trouble.THROTTLED:
                return _response(429, b"")
            case Trouble.FAIL_BEFORE:
                return _response(500, b"Internal Server Error")
            case Trouble.FALSE_SUCCESS:
                return _refusal(body, "nothing was made")
            case Trouble.SECRET_ECHOED:
                return _refusal(body, f"called with {self._secret}")
        return None

    def _after(self, trouble: Trouble, request: httpx2.Request, data: bytes) -> httpx2.Response:
        """What becomes of an answer on its way."""
        match trouble:
            case Trouble.ANSWER_LOST:
                raise httpx2.ReadError("reset", request=request)
            case Trouble.FAIL_AFTER:
                return _response(500, b"Internal Server Error")
            case Trouble.SHORT_ANSWER:
                answer = json.loads(data)
                return _response(200, json.dumps(answer | {"result": answer["result"][:1]}).encode())
        return _response(200, b'{"id": 1, "resu')


def _response(status: int, body: bytes) -> httpx2.Response:
    return httpx2.Response(status, stream=httpx2.ByteStream(body))


def _refusal(body: bytes, message: str) -> httpx2.Response:
    """HTTP 200 with JSON-RPC's error, as Tryton tells a user that something is wrong."""
    error = {"id": json.loads(body)["id"], "error": ["UserError", [message, ""], ""]}
    return _response(200, json.dumps(error).encode())


class TrytonSystem:
    """The conformance kit's adapter: one company, one day, one nonce."""

    def __init__(self, server: TrytonServer, *, company: str = DOLLARS, day: date = DAY) -> None:
        self.server = server
        self.secret = server.password
        self.transport = TroubledTransport(secret=self.secret)
        self.connector: TrytonConnector = self.connect()
        other = EUROS if company == DOLLARS else DOLLARS
        self.world = World(
            nonce=f"n{random.SystemRandom().getrandbits(40)}",
            currency=_currency(company),
            day=day,
            mapping=EntityMapping(company=company, accounts=server.accounts[company]),
            rates=RATES if company == DOLLARS else {},
            other_mapping=EntityMapping(company=other, accounts=server.accounts[other]),
            other_currency=_currency(other),
        )

    @property
    def calls(self) -> int:
        """Calls that were made."""
        return len(self.transport.calls)

    def connect(self) -> TrytonConnector:
        """A connector to this server."""
        settings = {"baseUrl": self.server.base_url, "database": self.server.database, "user": self.server.user}
        return build(
            connection=Connection(connector="tryton", settings=settings),
            secrets={"password": self.server.password},
            transport=self.transport,
            clock=StandingClock(),
            random=random.Random(1),
        )

    async def bring(self, trouble: Trouble) -> None:
        """Bring a trouble about."""
        if trouble is Trouble.PERIOD_CLOSED:
            await self.administer("close", self.world.day)
        else:
            self.transport.trouble = trouble

    async def clear(self) -> None:
        """End every trouble and open the period."""
        self.transport.trouble = None
        await self.administer("reopen", self.world.day)

    async def pass_time(self, duration: timedelta) -> None:
        """Nothing lags here, and what was sent is done: every answer is waited for."""

    async def administer(self, button: str, day: date) -> None:
        """Press a button on the period of a day in this company, unless it is so already."""
        wanted = {"close": "open", "reopen": "closed"}[button]
        domain = [
            ["start_date", "<=", day],
            ["end_date", ">=", day],
            ["state", "=", wanted],
            ["fiscalyear.company.party.code", "=", self.world.mapping.company],
        ]
        client = self.administrator()
        context = {"language": "en"}
        found = await client.call("model.account.period.search", domain, 0, None, None, context=context)
        if found:
            await client.call(f"model.account.period.{button}", found, context=context)
        await client.close()

    def administrator(self) -> TrytonClient:
        """A client that may do everything."""
        return TrytonClient(
            base_url=self.server.base_url,
            database=self.server.database,
            user=ADMINISTRATOR,
            password=self.server.administrator_password,
            call_timeout_seconds=60,
        )

    async def rows(self, model: str, domain: list[Any], fields: list[str]) -> list[dict[str, Any]]:
        """What Tryton's administrator sees."""
        client = self.administrator()
        try:
            found: list[dict[str, Any]] = await client.call(
                f"model.{model}.search_read", domain, 0, None, None, fields, context={"language": "en"}
            )
            return found
        finally:
            await client.close()


def _currency(company: str) -> str:
    return next(one.currency for one in BOOKS.companies if one.code == company)


async def see_all_companies(server: TrytonServer) -> None:
    """Let the administrator see every company at once."""
    client = TrytonSystem(server).administrator()
    users = await client.call("model.res.user.search", [["login", "=", ADMINISTRATOR]], 0, None, None, context={})
    await client.call("model.res.user.write", users, {"company_filter": "all"}, context={})
    await client.close()


class TrytonBench:
    """One running Tryton for every case."""

    def __init__(self, server: TrytonServer) -> None:
        self._server = server

    @property
    def variants(self) -> Mapping[str, Manifest]:
        """There is one kind of Tryton."""
        return {"": manifest_of(settings={})}

    @property
    def troubles(self) -> frozenset[Trouble]:
        """What can be brought about on the way to it."""
        return TROUBLES

    def system(self, *, variant: str, case: Case) -> AbstractAsyncContextManager[Adapter]:
        """A nonce of its own, and where a period is closed a month of its own."""
        return _system(self._server, CLOSED_DAY if Trouble.PERIOD_CLOSED in case.troubles else DAY)


@asynccontextmanager
async def _system(server: TrytonServer, day: date) -> AsyncIterator[Adapter]:
    system = TrytonSystem(server, day=day)
    try:
        yield system
    finally:
        await system.connector.close()


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """Start Tryton; the first time that installs and provisions it, which takes a minute or two."""
    server = TrytonServer(Path(os.environ.get(FOLDER_VARIABLE, ".revline/tryton")), books=BOOKS)
    try:
        await asyncio.to_thread(server.start)
    except (TrytonServerError, EmbeddedServerError, OSError) as error:
        raise Missing(f"Tryton does not start here: {error}") from error
    try:
        await see_all_companies(server)
        yield TrytonBench(server)
    finally:
        await asyncio.to_thread(server.stop)
