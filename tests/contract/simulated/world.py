"""The simulated ERP as the contract tests set it up: the conformance kit's, by its mode, and with faults of every kind."""

from __future__ import annotations

from pathlib import Path

from revline.connectors.simulated import conformance
from revline.connectors.simulated.conformance import CODES, CONTROL_TOKEN, DAY, START, TOKEN, StandingClock, companies
from revline.connectors.simulated.faults import Fault, FaultRule
from revline.connectors.simulated.records import Mode

__all__ = [
    "CODES",
    "CONTROL_TOKEN",
    "DAY",
    "START",
    "TOKEN",
    "SimulatedSystem",
    "StandingClock",
    "companies",
]


class SimulatedSystem(conformance.SimulatedSystem):
    """The ERP and a connector to it in this process."""

    def __init__(self, *, mode: Mode = Mode.UNIQUE, two_step: str = "", folder: Path | None = None) -> None:
        settings = {"idempotency": "unique_reference" if mode is Mode.UNIQUE else mode.value, "twoStep": two_step}
        super().__init__(settings=settings, folder=folder)

    def strike(self, fault: Fault, *, operation: str = "*", **values: object) -> None:
        """Put a fault in force for the next matching call."""
        name = self.simulator.faults.add(rule=FaultRule(fault=fault, operation=operation, **values))  # type: ignore[arg-type]
        assert isinstance(name, str)
