"""Starting, steering and stopping the simulated account from a demo, a rehearsal or a test. Knows its control calls."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec

from revline.connectors.netsuite.simulator.control import Counters
from revline.connectors.netsuite.simulator.faults import FaultRule
from revline.connectors.netsuite.simulator.setup import PeriodChange, RecordEdit, SetupBody
from revline.connectors.sdk import rehearsal_launcher
from revline.connectors.sdk.rehearsal_launcher import RehearsalProcess


class Ready(rehearsal_launcher.Ready, frozen=True, kw_only=True):
    """What the process wrote when it began to listen."""

    client_id: str
    certificate_id: str
    private_key: str


class SimulatedNetSuite(RehearsalProcess[Ready]):
    """A simulated account's process. Use as a context manager, or call `start` and `stop`.

    folder: its data; the same folder again is the same account. port: 0 takes a free one; a restart keeps the one it had.
    """

    def __init__(self, *, folder: Path, port: int = 0, start_seconds: float = 20.0) -> None:
        super().__init__(
            module="revline.connectors.netsuite.simulator.server",
            name="simulated account",
            ready_type=Ready,
            folder=folder,
            port=port,
            start_seconds=start_seconds,
        )

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a connection to it, but for what one wants to change."""
        ready = self._started()
        return {
            "baseUrl": ready.base_url,
            "clientId": ready.client_id,
            "certificateId": ready.certificate_id,
            "algorithm": "ES256",
        }

    @property
    def private_key(self) -> str:
        """The secret privateKey of a connection to it."""
        return self._started().private_key

    def set_up(self, *, body: SetupBody) -> None:
        """Currencies, subsidiaries, chart, items, rates, periods and settings."""
        self._control("POST", "setup", body)

    def add_fault(self, *, rule: FaultRule) -> str:
        """Put a fault in force; its id."""
        return str(self._control("POST", "faults", rule)["rule_id"])

    def revoke_tokens(self) -> None:
        """Every access token given out is stale from now on."""
        self._control("POST", "revoke", {})

    def set_period(self, *, period: str, state: str, subsidiary: str = "") -> None:
        """Open, close or lock a month."""
        self._control("POST", "period", PeriodChange(period=period, state=state, subsidiary=subsidiary))

    def edit(self, *, change: RecordEdit) -> None:
        """Change a transaction as a person in the user interface would."""
        self._control("POST", "edit", change)

    def counters(self) -> Counters:
        """Calls, unanswered calls, records, tokens and faults, counted."""
        return msgspec.convert(self._control("GET", "counters", None), Counters)

    def trial_balance(self, *, subsidiary: str) -> dict[tuple[str, str, str], Decimal]:
        """(account id, currency, YYYY-MM) -> functional debit less credit, from its own books."""
        rows = self._control("GET", f"trial-balance?subsidiary={subsidiary}", None)
        return {(row["account"], row["currency"], row["period"]): Decimal(row["net"]) for row in rows}
