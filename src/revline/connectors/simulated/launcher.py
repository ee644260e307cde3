"""Starting, steering and stopping the simulated ERP from a demo, a rehearsal or a test. Knows its control calls."""

from __future__ import annotations

from pathlib import Path

import httpx2
import msgspec

from revline.connectors.sdk import rehearsal_launcher
from revline.connectors.sdk.rehearsal_launcher import RehearsalProcess
from revline.connectors.simulated import wire
from revline.connectors.simulated.control import Counters, PeriodChange, RecordEdit
from revline.connectors.simulated.faults import FaultRule
from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.setup import SetupBody
from revline.connectors.simulated.wire import TrialBalanceAnswer


class Ready(rehearsal_launcher.Ready, frozen=True, kw_only=True):
    """What the process wrote when it began to listen."""

    mode: str
    token: str


class SimulatedErp(RehearsalProcess[Ready]):
    """A simulated ERP's process. Use as a context manager, or call `start` and `stop`.

    folder: its data; the same folder again is the same ERP. port: 0 takes a free one; a restart keeps the one it had.
    """

    def __init__(self, *, folder: Path, mode: Mode = Mode.UNIQUE, port: int = 0, start_seconds: float = 20.0) -> None:
        super().__init__(
            module="revline.connectors.simulated.server",
            name="simulated ERP",
            ready_type=Ready,
            folder=folder,
            port=port,
            start_seconds=start_seconds,
            options=("--mode", mode.value),
        )
        self.mode = mode

    @property
    def token(self) -> str:
        """The API token, for the connection's secret `token`."""
        return self._started().token

    def set_up(self, *, body: SetupBody) -> None:
        """Companies, charts, rates, periods and house rules."""
        self._control("POST", "setup", body)

    def add_fault(self, *, rule: FaultRule) -> str:
        """Put a fault in force; its id."""
        return str(self._control("POST", "faults", rule)["rule_id"])

    def set_period(self, *, company: str, period: str, state: str) -> None:
        """Open, soft-close or close a period."""
        self._control("POST", "period", PeriodChange(company=company, period=period, state=state))

    def edit(self, *, change: RecordEdit) -> None:
        """Change a record as a person in the ERP would."""
        self._control("POST", "edit", change)

    def counters(self) -> Counters:
        """Calls, unanswered calls, records and faults, counted."""
        return msgspec.convert(self._control("GET", "counters", None), Counters)

    def trial_balance(self, *, company: str) -> TrialBalanceAnswer:
        """The ERP's own balances."""
        ready = self._started()
        answer = httpx2.get(
            f"{ready.base_url}/v1/companies/{company}/trial-balance",
            headers={"authorization": f"Bearer {ready.token}"},
            timeout=30.0,
            trust_env=False,
        )
        answer.raise_for_status()
        balance: TrialBalanceAnswer = wire.decode(answer.content, TrialBalanceAnswer)
        return balance
