"""The simulated ERP as the conformance kit takes it: two companies, a chart, rates, and a connector to it in one process.

Troubles the simulator has no fault for are made on the way between the two.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import httpx2
import msgspec

from revline.connectors.sdk.conformance_documents import World
from revline.connectors.sdk.conformance_run import Adapter, Bench, Case, Trouble
from revline.connectors.simulated.connector import SimulatedConnector, build
from revline.connectors.simulated.control import PeriodChange, RecordEdit, edit, set_period, set_up
from revline.connectors.simulated.faults import Fault, FaultRule
from revline.connectors.simulated.manifest import manifest_of
from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.setup import Account, CompanySetup, Rate, SetupBody
from revline.connectors.simulated.simulator import Simulator
from revline.connectors.simulated.transport import SimulatorTransport
from revline.connectors.simulated.wire import BatchAnswer, Kind, decode, encode
from revline.core.farside import EntityMapping, ErpRecord, Manifest
from revline.platform.tenancy.kinds import Connection

TOKEN: Final = "api-token-that-must-not-show"  # noqa: S105 - opens nothing outside this process
CONTROL_TOKEN: Final = "control-token"  # noqa: S105 - opens nothing outside this process
DAY: Final = date(2026, 1, 15)
START: Final = datetime(2026, 1, 20, 12, 0, tzinfo=UTC)
LAG_SECONDS: Final = 5
CODES: Final = {
    "accounts_receivable": "1100",
    "processor_clearing": "1200",
    "bank": "1000",
    "tax_payable": "2200",
    "deferred_revenue": "2400",
    "fx_realized_loss": "7100",
}
RATES: Final = {"EUR": Decimal("1.0825"), "JPY": Decimal("0.0067"), "KWD": Decimal("3.25")}
DEPARTMENTS: Final = {"department": {"sales": "D-10", "support": "D-20"}}
FAULTS: Final = {
    Trouble.ANSWER_LOST: FaultRule(fault=Fault.ANSWER_LOST),
    Trouble.BUSY: FaultRule(fault=Fault.BUSY),
    Trouble.UNREADABLE: FaultRule(fault=Fault.UNREADABLE),
    Trouble.THROTTLED: FaultRule(fault=Fault.THROTTLE, seconds="3"),
    Trouble.CREDENTIALS_REFUSED: FaultRule(fault=Fault.TOKEN, count=None),
    Trouble.TOKEN_EXPIRED: FaultRule(fault=Fault.TOKEN),
    Trouble.FAIL_BEFORE: FaultRule(fault=Fault.FAIL_BEFORE),
    Trouble.FAIL_AFTER: FaultRule(fault=Fault.FAIL_AFTER),
    Trouble.LOOKUP_LAG: FaultRule(fault=Fault.LOOKUP_LAG, operation="*.search", seconds=str(LAG_SECONDS), count=None),
    Trouble.SHORT_ANSWER: FaultRule(fault=Fault.SHORT_ANSWER, keep=1),
    Trouble.PARTIAL: FaultRule(fault=Fault.PARTIAL, keep=1),
}
ON_THE_WAY: Final = frozenset({Trouble.FALSE_SUCCESS, Trouble.SECRET_ECHOED, Trouble.REORDERED})
VARIANTS: Final[Mapping[str, Mapping[str, str]]] = {
    "key": {"idempotency": "key", "lookupLagSeconds": str(LAG_SECONDS)},
    "unique": {"idempotency": "unique_reference", "lookupLagSeconds": str(LAG_SECONDS)},
    "lookup": {"idempotency": "lookup"},
    "neither": {"idempotency": "neither"},
    "two steps": {"idempotency": "unique_reference", "twoStep": "journal,invoice"},
}
"""Settings of a connection to each kind of ERP that the simulated one can be."""


def chart() -> tuple[Account, ...]:
    """Every neutral account of the kit."""
    return tuple(
        Account(code=code, name=name, kind="receivable" if name == "accounts_receivable" else "other")
        for name, code in CODES.items()
    )


def companies(*, two_step: tuple[Kind, ...] = ()) -> SetupBody:
    """A company in dollars with a rate of the euro, and one in yen."""
    rate = Rate(currency="EUR", effective_from=date(2026, 1, 1), rate=RATES["EUR"])
    return SetupBody(
        companies=(
            CompanySetup(
                code="US01",
                functional_currency="USD",
                accounts=chart(),
                rates=(rate,),
                first_period="2026-01",
                period_count=12,
            ),
            CompanySetup(
                code="JP01", functional_currency="JPY", accounts=chart(), first_period="2026-01", period_count=12
            ),
        ),
        two_step=two_step,
    )


def world(*, nonce: str) -> World:
    """Where the kit's documents go."""
    return World(
        nonce=nonce,
        currency="USD",
        day=DAY,
        mapping=EntityMapping(company="US01", accounts=CODES, dimensions=DEPARTMENTS),
        rates=RATES,
        dimension=("department", "sales", "support"),
        other_mapping=EntityMapping(company="JP01", accounts=CODES, dimensions=DEPARTMENTS),
        other_currency="JPY",
    )


class StandingClock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment


class TroubledTransport(httpx2.AsyncBaseTransport):
    """The way to the simulator: counts calls, and brings the troubles that happen on the way, each once, to a call that sends."""

    def __init__(self, *, inner: SimulatorTransport) -> None:
        self.inner = inner
        self.trouble: Trouble | None = None
        self.calls = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request."""
        self.calls += 1
        if self.trouble is None or request.method != "POST":
            return await self.inner.handle_async_request(request)
        trouble, self.trouble = self.trouble, None
        if trouble is Trouble.FALSE_SUCCESS:
            body = b'{"status":200,"error":{"code":"invalid","message":"nothing was made","field":"lines"}}'
            return httpx2.Response(200, content=body, request=request)
        if trouble is Trouble.SECRET_ECHOED:
            echo = request.headers.get("authorization", "")
            refused = encode({"error": {"code": "invalid", "message": f"called with {echo}", "field": "lines"}})
            return httpx2.Response(422, content=refused, request=request)
        answer = await self.inner.handle_async_request(request)
        batch: BatchAnswer = decode(await answer.aread(), BatchAnswer)
        turned = msgspec.structs.replace(batch, results=batch.results[::-1])
        return httpx2.Response(answer.status_code, content=encode(turned), request=request)


class SimulatedSystem:
    """The ERP and a connector to it in this process; the conformance kit's adapter."""

    def __init__(
        self, *, settings: Mapping[str, str] = VARIANTS["unique"], nonce: str = "n1", folder: Path | None = None
    ) -> None:
        """settings: one of VARIANTS. folder: where the ERP keeps its file, None to keep nothing."""
        self.clock = StandingClock()
        idempotency = settings["idempotency"]
        mode = Mode.UNIQUE if idempotency == "unique_reference" else Mode(idempotency)
        self.simulator = Simulator(mode=mode, clock=self.clock, token=TOKEN, control_token=CONTROL_TOKEN, folder=folder)
        kinds = {"journal": Kind.JOURNALS, "invoice": Kind.INVOICES, "customer": Kind.CUSTOMERS}
        two_step = settings.get("twoStep", "")
        set_up(
            ledger=self.simulator.ledger,
            body=companies(two_step=tuple(kinds[name] for name in two_step.split(",") if name)),
        )
        self.transport = SimulatorTransport(simulator=self.simulator)
        self.way = TroubledTransport(inner=self.transport)
        self.connector: SimulatedConnector = self.connect({"baseUrl": "https://erp.example", **settings})
        self.world = world(nonce=nonce)
        self.secret = TOKEN

    @property
    def calls(self) -> int:
        """Calls since the beginning."""
        return self.way.calls

    def connect(self, settings: Mapping[str, str], *, token: str = TOKEN) -> SimulatedConnector:
        """A connector to this ERP under other settings."""
        connection = Connection(connector="simulated", settings=dict(settings), secrets={"token": "secret://env/X"})
        return build(
            connection=connection,
            secrets={"token": token},
            transport=self.way,
            clock=self.clock,
            random=random.Random(1),  # noqa: S311 - request ids of a rehearsal, no secret
        )

    def period(self, state: str, *, company: str = "US01", period: str = "2026-01") -> None:
        """Open or close a period."""
        set_period(ledger=self.simulator.ledger, body=PeriodChange(company=company, period=period, state=state))

    async def bring(self, trouble: Trouble) -> None:
        """Bring a trouble about."""
        if trouble is Trouble.PERIOD_CLOSED:
            self.period("closed")
        elif trouble is Trouble.UNREACHABLE:
            self.transport.reachable = False
        elif trouble in ON_THE_WAY:
            self.way.trouble = trouble
        else:
            self.simulator.faults.add(rule=FAULTS[trouble])

    async def clear(self) -> None:
        """End every trouble and open the period."""
        self.transport.reachable = True
        self.way.trouble = None
        self.simulator.faults.lift()
        self.period("open")

    async def pass_time(self, duration: timedelta) -> None:
        """Move the ERP's clock."""
        self.clock.moment += duration

    async def edit(self, *, record: ErpRecord) -> None:
        """Change what a journal says, as a person would."""
        body = RecordEdit(kind=Kind(record.record_kind), id=record.erp_id, fields={"memo": "changed by hand"})
        edit(ledger=self.simulator.ledger, body=body, at=self.clock.now())


class SimulatedBench:
    """Books of its own for every case: they cost milliseconds."""

    @property
    def variants(self) -> Mapping[str, Manifest]:
        """Every kind of ERP it can be."""
        return {name: manifest_of(settings=settings) for name, settings in VARIANTS.items()}

    @property
    def troubles(self) -> frozenset[Trouble]:
        """All of them."""
        return frozenset(Trouble)

    def system(self, *, variant: str, case: Case) -> AbstractAsyncContextManager[Adapter]:
        """A fresh ERP."""
        return _system(variant)


@asynccontextmanager
async def _system(variant: str) -> AsyncIterator[Adapter]:
    system = SimulatedSystem(settings=VARIANTS[variant])
    try:
        yield system
    finally:
        await system.connector.close()


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """Nothing to start: the ERP is in this process."""
    yield SimulatedBench()
