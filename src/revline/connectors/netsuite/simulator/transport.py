"""The simulated account inside the caller's process, as httpx2's transport. Knows only how its calls are read."""

from __future__ import annotations

from revline.connectors.netsuite.simulator.account import SimulatedAccount
from revline.connectors.netsuite.simulator.calls import Arrival, Call, call_of
from revline.connectors.sdk.rehearsal_transport import RehearsalTransport


class AccountTransport(RehearsalTransport[Call, Arrival]):
    """Carries an AsyncClient's requests to a SimulatedAccount."""

    def __init__(self, *, account: SimulatedAccount) -> None:
        super().__init__(system=account, read=call_of)
        self.account = account
