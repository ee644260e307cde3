"""The simulated ERP inside the caller's process, as httpx2's transport. Knows only how its calls are read."""

from __future__ import annotations

from revline.connectors.sdk.rehearsal_transport import RehearsalTransport
from revline.connectors.simulated.calls import Arrival, Call, call_of
from revline.connectors.simulated.simulator import Simulator


class SimulatorTransport(RehearsalTransport[Call, Arrival]):
    """Carries an AsyncClient's requests to a Simulator."""

    def __init__(self, *, simulator: Simulator) -> None:
        super().__init__(system=simulator, read=call_of)
        self.simulator = simulator
