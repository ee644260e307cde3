"""The simulated NetSuite as the conformance kit takes it: two subsidiaries, a chart, items, rates, in one process.

Troubles the simulator has no fault for are made on the way between the two.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

import httpx2
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from revline.connectors.netsuite.connector import NetSuiteConnector, build
from revline.connectors.netsuite.manifest import manifest_of
from revline.connectors.netsuite.simulator.account import SimulatedAccount
from revline.connectors.netsuite.simulator.faults import Fault, FaultRule
from revline.connectors.netsuite.simulator.setup import (
    Account,
    CurrencySetup,
    Item,
    ListValue,
    PeriodChange,
    RateSetup,
    RecordEdit,
    Settings,
    SetupBody,
    Subsidiary,
)
from revline.connectors.netsuite.simulator.tokens import Certificate
from revline.connectors.netsuite.simulator.transport import AccountTransport
from revline.connectors.sdk.conformance_documents import World
from revline.connectors.sdk.conformance_run import Adapter, Bench, Case, Trouble
from revline.core.farside import EntityMapping, ErpRecord, Manifest
from revline.platform.tenancy.kinds import Connection

CONTROL_TOKEN: Final = "control-token"  # noqa: S105 - opens nothing outside this process
DAY: Final = date(2026, 1, 15)
START: Final = datetime(2026, 1, 20, 12, 0, tzinfo=UTC)
LAG_SECONDS: Final = 5
BASE_URL: Final = "https://1234567-sb1.suitetalk.api.netsuite.com"
CODES: Final = {
    "accounts_receivable": "119",
    "processor_clearing": "122",
    "bank": "1",
    "tax_payable": "220",
    "deferred_revenue": "240",
    "revenue": "401",
    "fx_realized_loss": "710",
}
ITEMS: Final = {"item.deferred_revenue": "31", "item.tax_payable": "32", "item.revenue": "33"}
RATES: Final = {"EUR": Decimal("1.0825"), "JPY": Decimal("0.0067"), "KWD": Decimal("3.25")}
CURRENCIES: Final = {"USD": "1", "EUR": "4", "JPY": "5", "KWD": "6"}
DEPARTMENTS: Final = {"department": {"sales": "10", "support": "20"}}
FAULTS: Final = {
    Trouble.ANSWER_LOST: (Fault.ANSWER_LOST, 1, 0),
    Trouble.UNREADABLE: (Fault.UNREADABLE, 1, 0),
    Trouble.THROTTLED: (Fault.THROTTLE, 1, 0),
    Trouble.FAIL_BEFORE: (Fault.FAIL_BEFORE, 1, 0),
    Trouble.FAIL_AFTER: (Fault.FAIL_AFTER, 1, 0),
    Trouble.TOKEN_EXPIRED: (Fault.TOKEN, 1, 0),
    Trouble.PARTIAL: (Fault.PARTIAL, 1, 1),
}
"""Trouble -> fault of the next call that sends, how often, what it keeps."""
ON_THE_WAY: Final = frozenset({Trouble.FALSE_SUCCESS, Trouble.SECRET_ECHOED})
NOT_HERE: Final = frozenset({Trouble.BUSY, Trouble.SHORT_ANSWER, Trouble.REORDERED})
"""NetSuite has no answer that says so: it documents none for busy, and a batch is answered by a job, record by record."""
VARIANTS: Final[Mapping[str, Mapping[str, str]]] = {
    "batches": {"lookupLagSeconds": str(LAG_SECONDS)},
    "one by one": {"batches": "none", "lookupLagSeconds": str(LAG_SECONDS)},
    "references not unique": {"idempotency": "lookup"},
}
"""Settings of a connection to an account that takes batches, to one that is not to be asked for them, and to one that would take
an external id twice."""


@cache
def keys() -> tuple[str, str]:
    """A private and a public key in PEM, made for this process."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def rehearsal(*, settings: Settings | None = None) -> SetupBody:
    """A subsidiary in dollars and one in euros, with a chart, items and rates."""
    return SetupBody(
        settings=settings,
        currencies=tuple(CurrencySetup(id=number, symbol=symbol) for symbol, number in CURRENCIES.items()),
        subsidiaries=(
            Subsidiary(id="1", name="Parent US", currency="USD", fx_account="710"),
            Subsidiary(id="3", name="Germany", currency="EUR", fx_account="710"),
        ),
        accounts=tuple(
            Account(id=number, number=number, name=name, type="AcctRec" if name == "accounts_receivable" else "Other")
            for name, number in CODES.items()
        ),
        items=tuple(
            Item(id=number, name=name, account=CODES[name.removeprefix("item.")]) for name, number in ITEMS.items()
        ),
        rates=tuple(
            RateSetup(currency=code, base="USD", effective_from=date(2025, 1, 1), rate=rate)
            for code, rate in RATES.items()
        ),
        list_values=(
            ListValue(list="department", id="10", name="Sales"),
            ListValue(list="department", id="20", name="Support"),
        ),
        first_period="2026-01",
        period_count=12,
    )


def mapping(*, company: str = "1") -> EntityMapping:
    """The neutral keys of the kit in this account."""
    return EntityMapping(
        company=company, accounts=CODES, taxes={"standard": "32"}, dimensions=DEPARTMENTS, settings=ITEMS
    )


def world(*, nonce: str) -> World:
    """Where the kit's documents go."""
    return World(
        nonce=nonce,
        currency="USD",
        day=DAY,
        mapping=mapping(),
        rates=RATES,
        dimension=("department", "sales", "support"),
        other_mapping=mapping(company="3"),
        other_currency="EUR",
    )


class StandingClock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment


class TroubledTransport(httpx2.AsyncBaseTransport):
    """The way to the account: counts calls, and brings the troubles that happen on the way, each once, to a call that sends."""

    def __init__(self, *, inner: AccountTransport) -> None:
        self.inner = inner
        self.trouble: Trouble | None = None
        self.calls = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request."""
        self.calls += 1
        if self.trouble is None or request.method != "POST" or "/record/" not in request.url.path:
            return await self.inner.handle_async_request(request)
        trouble, self.trouble = self.trouble, None
        detail = "Error while accessing a resource. Nothing was made."
        if trouble is Trouble.SECRET_ECHOED:
            detail += f" Called with {request.headers.get('authorization', '')}"
        status = 200 if trouble is Trouble.FALSE_SUCCESS else 400
        body = {"title": "Error", "status": status, "o:errorDetails": [{"detail": detail, "o:errorCode": "USER_ERROR"}]}
        return httpx2.Response(status, content=msgspec.json.encode(body), request=request)


class NetSuiteSystem:
    """A simulated account and a connector to it in this process; the conformance kit's adapter."""

    def __init__(
        self,
        *,
        settings: Mapping[str, str] = VARIANTS["batches"],
        nonce: str = "n1",
        folder: Path | None = None,
        account_settings: Settings | None = None,
    ) -> None:
        """settings: of the connection. account_settings: of the account. folder: where it keeps its file, None for nowhere."""
        self.clock = StandingClock()
        self.account = SimulatedAccount(clock=self.clock, control_token=CONTROL_TOKEN, folder=folder)
        if not self.account.books.lists.subsidiaries:
            self.account.books.set_up(body=rehearsal(settings=account_settings), at=self.clock.now())
            self.account.touch_all()
        certificate = Certificate(id="cert-1", client_id="client-1", public_key=keys()[1])
        self.account.tokens.certificates[certificate.id] = certificate
        self.transport = AccountTransport(account=self.account)
        self.way = TroubledTransport(inner=self.transport)
        self.connector: NetSuiteConnector = self.connect(settings)
        self.world = world(nonce=nonce)

    @property
    def secret(self) -> str:
        """The access token in use; before the first one, a piece of the private key."""
        return self.account.tokens.last or keys()[0].splitlines()[1]

    @property
    def calls(self) -> int:
        """Calls since the beginning."""
        return self.way.calls

    def connect(self, settings: Mapping[str, str]) -> NetSuiteConnector:
        """A connector to this account under other settings."""
        named = {"account": "1234567_SB1", "clientId": "client-1", "certificateId": "cert-1", "algorithm": "ES256"}
        connection = Connection(
            connector="netsuite", settings=named | dict(settings), secrets={"privateKey": "secret://env/X"}
        )

        async def pause(seconds: float) -> None:
            self.clock.moment += timedelta(seconds=seconds)

        return build(
            connection=connection,
            secrets={"privateKey": keys()[0]},
            transport=self.way,
            clock=self.clock,
            random=random.Random(1),  # noqa: S311 - nothing is drawn from it
            pause=pause,
        )

    def strike(
        self, fault: Fault, *, operation: str = "*", count: int | None = 1, seconds: int = 0, keep: int = 0
    ) -> None:
        """Put a fault in force for the next matching calls."""
        rule = FaultRule(fault=fault, operation=operation, count=count, seconds=seconds, keep=keep)
        self.account.faults.add(rule=rule)

    def period(self, state: str, *, period: str = "2026-01", subsidiary: str = "") -> None:
        """Open, close or lock a month."""
        self.account.books.lists.set_period(change=PeriodChange(period=period, state=state, subsidiary=subsidiary))
        self.account.touch_all()

    async def bring(self, trouble: Trouble) -> None:
        """Bring a trouble about."""
        match trouble:
            case Trouble.PERIOD_CLOSED:
                self.period("closed")
            case Trouble.UNREACHABLE:
                self.transport.reachable = False
            case Trouble.CREDENTIALS_REFUSED:
                self.strike(Fault.TOKEN, count=None)
            case Trouble.LOOKUP_LAG:
                self.strike(Fault.LOOKUP_LAG, operation="suiteql.query", count=None, seconds=LAG_SECONDS)
            case _ if trouble in ON_THE_WAY:
                self.way.trouble = trouble
            case _:
                fault, count, keep = FAULTS[trouble]
                # A call that sends is a create, a batch of creates or a change.
                for operation in ("*.create", "*.batch", "*.patch", "*.transform"):
                    self.strike(fault, operation=operation, count=count, keep=keep)

    async def clear(self) -> None:
        """End every trouble and open the period."""
        self.transport.reachable = True
        self.way.trouble = None
        self.account.faults.lift()
        self.period("open")

    async def pass_time(self, duration: timedelta) -> None:
        """Move the clock of both sides."""
        self.clock.moment += duration

    async def edit(self, *, record: ErpRecord) -> None:
        """Date a transaction on another day, as a person would."""
        change = RecordEdit(id=record.erp_id, day=date(2026, 1, 16))
        self.account.books.edit(change=change, at=self.clock.now())
        self.account.tables.touch(number=record.erp_id)


class NetSuiteBench:
    """Books of its own for every case: they cost milliseconds."""

    @property
    def variants(self) -> Mapping[str, Manifest]:
        """With batches and without."""
        return {name: manifest_of(settings=settings) for name, settings in VARIANTS.items()}

    @property
    def troubles(self) -> frozenset[Trouble]:
        """What NetSuite has an answer for."""
        return frozenset(Trouble) - NOT_HERE

    def system(self, *, variant: str, case: Case) -> AbstractAsyncContextManager[Adapter]:
        """A fresh account."""
        return _system(variant)


@asynccontextmanager
async def _system(variant: str) -> AsyncIterator[Adapter]:
    settings = VARIANTS[variant]
    unique = settings.get("idempotency") != "lookup"
    system = NetSuiteSystem(settings=settings, account_settings=Settings(external_id_unique=unique))
    try:
        yield system
    finally:
        await system.connector.close()


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """Nothing to start: the account is in this process."""
    yield NetSuiteBench()
