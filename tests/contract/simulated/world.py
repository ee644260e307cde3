"""The simulated ERP as the contract tests set it up: two companies, a chart, a rate, and a connector to it inside one process."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from revline.connectors.sdk.conformance_documents import World
from revline.connectors.sdk.conformance_run import Trouble
from revline.connectors.simulated.connector import SimulatedConnector, build
from revline.connectors.simulated.control import PeriodChange, set_period, set_up
from revline.connectors.simulated.faults import Fault, FaultRule
from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.setup import Account, CompanySetup, Rate, SetupBody
from revline.connectors.simulated.simulator import Simulator
from revline.connectors.simulated.transport import SimulatorTransport
from revline.connectors.simulated.wire import Kind
from revline.core.farside import EntityMapping
from revline.platform.tenancy.kinds import Connection

TOKEN = "api-token-that-must-not-show"
CONTROL_TOKEN = "control-token"
DAY = date(2026, 1, 15)
START = datetime(2026, 1, 20, 12, 0, tzinfo=UTC)
CODES = {
    "accounts_receivable": "1100",
    "processor_clearing": "1200",
    "bank": "1000",
    "tax_payable": "2200",
    "deferred_revenue": "2400",
    "fx_realized_loss": "7100",
}


def chart() -> tuple[Account, ...]:
    return tuple(
        Account(code=code, name=name, kind="receivable" if name == "accounts_receivable" else "other")
        for name, code in CODES.items()
    )


def companies(*, two_step: tuple[Kind, ...] = ()) -> SetupBody:
    rate = Rate(currency="EUR", effective_from=date(2026, 1, 1), rate=Decimal("1.0825"))
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


class StandingClock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment


class SimulatedSystem:
    """The ERP and a connector to it in this process; also the conformance kit's adapter."""

    def __init__(self, *, mode: Mode = Mode.UNIQUE, two_step: str = "", folder: Path | None = None) -> None:
        self.clock = StandingClock()
        self.simulator = Simulator(mode=mode, clock=self.clock, token=TOKEN, control_token=CONTROL_TOKEN, folder=folder)
        kinds = {"journal": Kind.JOURNALS, "invoice": Kind.INVOICES, "customer": Kind.CUSTOMERS}
        set_up(
            ledger=self.simulator.ledger,
            body=companies(two_step=tuple(kinds[name] for name in two_step.split(",") if name)),
        )
        self.transport = SimulatorTransport(simulator=self.simulator)
        settings = {
            "baseUrl": "https://erp.example",
            "idempotency": "unique_reference" if mode is Mode.UNIQUE else mode.value,
            "twoStep": two_step,
        }
        self.connector: SimulatedConnector = self.connect(settings)
        self.world = World(
            nonce=f"n{random.Random(7).getrandbits(40)}",
            currency="USD",
            day=DAY,
            mapping=EntityMapping(company="US01", accounts=CODES),
        )
        self.secret = TOKEN

    def connect(self, settings: Mapping[str, str], *, token: str = TOKEN) -> SimulatedConnector:
        connection = Connection(connector="simulated", settings=dict(settings), secrets={"token": "secret://env/X"})
        return build(
            connection=connection,
            secrets={"token": token},
            transport=self.transport,
            clock=self.clock,
            random=random.Random(1),
        )

    def strike(self, fault: Fault, *, operation: str = "*", **values: object) -> None:
        """Put a fault in force for the next matching call."""
        name = self.simulator.faults.add(rule=FaultRule(fault=fault, operation=operation, **values))  # type: ignore[arg-type]
        assert isinstance(name, str)

    def period(self, state: str, *, company: str = "US01", period: str = "2026-01") -> None:
        set_period(ledger=self.simulator.ledger, body=PeriodChange(company=company, period=period, state=state))

    async def bring(self, trouble: Trouble) -> None:
        match trouble:
            case Trouble.PERIOD_CLOSED:
                self.period("closed")
            case Trouble.UNREACHABLE:
                self.transport.reachable = False
            case Trouble.ANSWER_LOST | Trouble.BUSY | Trouble.UNREADABLE:
                self.strike(Fault(trouble.value))
            case Trouble.THROTTLED:
                self.strike(Fault.THROTTLE, seconds="3")
            case Trouble.CREDENTIALS_REFUSED:
                self.strike(Fault.TOKEN)

    async def clear(self) -> None:
        self.transport.reachable = True
        self.simulator.faults.lift()
        self.period("open")

    async def pass_time(self, duration: timedelta) -> None:
        self.clock.moment += duration
