"""A real Tryton for the tests: two companies in one database, a connector to it, and troubles brought about on the way to it."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx2

from revline.connectors.sdk.conformance_documents import World
from revline.connectors.sdk.conformance_run import Trouble
from revline.connectors.tryton.client import TrytonClient
from revline.connectors.tryton.connector import TrytonConnector, build
from revline.core.farside import EntityMapping
from revline.platform.tenancy.kinds import Connection
from revline.sim.tryton import ADMINISTRATOR, TrytonServer
from revline.sim.tryton_books import TrytonBooks, TrytonCompany, TrytonRate

FOLDER: Final = Path(
    os.environ.get("REVLINE_TEST_TRYTON", Path(__file__).resolve().parents[2] / ".revline" / "tryton-tests")
)
DOLLARS: Final = "AURORA-US"
EUROS: Final = "AURORA-DE"
BOOKS: Final = TrytonBooks(
    companies=(
        TrytonCompany(code=DOLLARS, title="Aurora Analytics Inc.", currency="USD"),
        TrytonCompany(code=EUROS, title="Aurora Analytics GmbH", currency="EUR"),
    ),
    rates=(
        TrytonRate(currency="EUR", first_day=date(2025, 1, 1), units=Decimal(1)),
        TrytonRate(currency="USD", first_day=date(2025, 1, 1), units=Decimal("1.25")),
        TrytonRate(currency="USD", first_day=date(2026, 8, 1), units=Decimal("1.0825")),
    ),
    year=2026,
)


class StandingClock:
    """The day the tests are played on."""

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class TroubledTransport(httpx2.AsyncHTTPTransport):
    """Sends requests on, but for the troubles that were asked for; each strikes the next create of a move once."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Trouble | None = None
        self.calls: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        self.calls.append(body[:80].decode())
        if self.trouble is None or b'"method":"model.account.move.create"' not in body[:80]:
            return await super().handle_async_request(request)
        trouble = self.trouble
        if trouble is Trouble.UNREACHABLE:
            raise httpx2.ConnectError("no way", request=request)
        if trouble is Trouble.CREDENTIALS_REFUSED:
            return httpx2.Response(401, stream=httpx2.ByteStream(b""))
        if trouble is Trouble.THROTTLED:
            return httpx2.Response(429, stream=httpx2.ByteStream(b""))
        answer = await super().handle_async_request(request)
        await answer.aread()
        if trouble is Trouble.ANSWER_LOST:
            raise httpx2.ReadError("reset", request=request)
        return httpx2.Response(200, stream=httpx2.ByteStream(b'{"id": 1, "resu'))


TROUBLES: Final = frozenset(Trouble) - {Trouble.BUSY}
"""A 503 on a create may have had an effect in Tryton, so it is no certain refusal there."""


class TrytonSystem:
    """The conformance kit's adapter: one company, one day, one nonce."""

    def __init__(self, server: TrytonServer, *, company: str = DOLLARS, day: date = date(2026, 3, 16)) -> None:
        self.server = server
        self.transport = TroubledTransport()
        self.connector: TrytonConnector = self.connect()
        self.secret = server.password
        currency = "USD" if company == DOLLARS else "EUR"
        mapping = EntityMapping(company=company, accounts=server.accounts[company])
        self.world = World(
            nonce=f"n{random.SystemRandom().getrandbits(40)}", currency=currency, day=day, mapping=mapping
        )

    def connect(self) -> TrytonConnector:
        settings = {"baseUrl": self.server.base_url, "database": self.server.database, "user": self.server.user}
        return build(
            connection=Connection(connector="tryton", settings=settings),
            secrets={"password": self.server.password},
            transport=self.transport,
            clock=StandingClock(),
            random=random.Random(1),
        )

    async def bring(self, trouble: Trouble) -> None:
        if trouble is Trouble.PERIOD_CLOSED:
            await self.administer("close", self.world.day)
        else:
            self.transport.trouble = trouble

    async def clear(self) -> None:
        self.transport.trouble = None
        await self.administer("reopen", self.world.day)

    async def pass_time(self, duration: timedelta) -> None:
        """Nothing lags here, and what was sent is done: the tests wait for every answer."""

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


@contextmanager
def running_tryton() -> Iterator[TrytonServer]:
    """A Tryton on fresh books; the first time this takes a minute or two."""
    server = TrytonServer(FOLDER, books=BOOKS)
    server.start()
    try:
        asyncio.run(_all_companies_for_administrator(server))
        yield server
    finally:
        server.stop()


async def _all_companies_for_administrator(server: TrytonServer) -> None:
    client = TrytonSystem(server).administrator()
    users = await client.call("model.res.user.search", [["login", "=", ADMINISTRATOR]], 0, None, None, context={})
    await client.call("model.res.user.write", users, {"company_filter": "all"}, context={})
    await client.close()
