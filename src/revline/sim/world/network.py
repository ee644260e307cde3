"""The simulated network between processes and simulated ERPs: latency, lost and late answers, broken connections.

A request that has left belongs to the network: it takes effect, or not, whatever becomes of its caller meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import httpx2
import msgspec

from revline.connectors.sdk.effects import Effect, EffectsFile
from revline.connectors.sdk.rehearsal_calls import Answer, Request
from revline.connectors.simulated.calls import Arrival, call_of
from revline.connectors.simulated.simulator import Simulator
from revline.sim.world.plan import CALL_TIMEOUT_SECONDS, EFFECT_BOUND_SECONDS, Network, stream
from revline.sim.world.process import Process
from revline.sim.world.trace import Trace

LATENCY_SECONDS: Final = (0.002, 0.06)
LATE_SHARES: Final = ((0.01, 0.97), (0.85, 0.97))
"""Of the effect bound, that a late effect takes; its end is what tells a wait that is too short."""


class Fate(StrEnum):
    """What becomes of one call; see `plan.Network`."""

    CLEAN = "clean"
    REFUSED = "refused"
    RESET = "reset"
    LOST = "lost"
    LATE = "late"
    SLOW = "slow"


UNHEARD: Final = frozenset({Fate.LOST, Fate.LATE, Fate.SLOW})


class HeldEffects(EffectsFile):
    """A simulated ERP's effects, kept in memory for the judge."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.appended = self.synced = 0

    def append(self, effect: Effect) -> None:
        self.effects.append(effect)

    def sync(self) -> None:
        """Nothing is lost here."""

    def close(self) -> None:
        """Nothing to let go of."""


class SimulatedErp(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's ERP. name: for the trace."""

    name: str
    simulator: Simulator
    effects: HeldEffects


class Wires:
    """The network of one world. fell: how many calls met which fate. over: it works without a fault from now on."""

    def __init__(self, *, seed: int, network: Network, trace: Trace) -> None:
        self.random = stream(seed, "network")
        self.trace = trace
        self.over = False
        self.fell: Counter[str] = Counter()
        self.unheard: Callable[[SimulatedErp, Effect], None] = lambda erp, effect: None
        """Hears of each effect whose caller does not."""
        shares = {
            Fate.REFUSED: network.refused,
            Fate.RESET: network.reset,
            Fate.LOST: network.lost,
            Fate.LATE: network.late,
            Fate.SLOW: network.slow,
        }
        self._fates = [fate for fate, share in shares.items() for _ in range(share)]

    def fate(self) -> Fate:
        """Of the next call."""
        drawn = self.random.randrange(100)
        chosen = self._fates[drawn] if drawn < len(self._fates) and not self.over else Fate.CLEAN
        self.fell[chosen] += 1
        return chosen

    def latency(self) -> float:
        """Of one way."""
        return self.random.uniform(*LATENCY_SECONDS)


class WorldTransport(httpx2.AsyncBaseTransport):
    """Carries one process's calls to one system outside. name: of that system, for the trace."""

    def __init__(self, *, wires: Wires, process: Process, name: str) -> None:
        self._wires, self._process, self._name = wires, process, name

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request. Raises what a real connection would."""
        wires, process = self._wires, self._process
        fate = wires.fate()
        what = f"{request.method} {request.url.raw_path.decode('ascii').partition('?')[0]}"
        if process.may_die("before a call") or fate is Fate.REFUSED:
            await asyncio.sleep(wires.latency())
            wires.trace.tell(process.name, f"can't reach {self._name} for {what}")
            raise httpx2.ConnectError("connection refused", request=request)
        # A process that is stopped here sends when it goes on, unless it is told that it no longer may: that is asked of the body.
        await process.awake()
        body = await request.aread()
        wires.trace.tell(process.name, f"sends {what} to {self._name}{'' if fate is Fate.CLEAN else f' ({fate})'}")
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._send(request_of(request, body), fate, answered)
        process.may_die("with a call in flight")
        answer = await answered
        await process.awake()
        if process.may_die("after an answer"):
            await asyncio.sleep(0)
        if answer.lost:
            raise httpx2.RemoteProtocolError("server disconnected without sending a response", request=request)
        wires.trace.tell(process.name, f"is answered {answer.status} to {what}")
        return httpx2.Response(answer.status, headers=list(answer.headers), content=answer.body, request=request)

    def _send(self, request: Request, fate: Fate, answered: asyncio.Future[Answer]) -> None:
        loop, wires = asyncio.get_running_loop(), self._wires
        travels = wires.latency()
        if fate is Fate.RESET:
            loop.call_later(travels, settle, answered, Answer(status=0, lost=True))
            return
        if fate is Fate.LATE:
            self._hold_back(request, answered)
            return
        loop.call_later(travels, self._arrive, request, fate, answered)

    def _hold_back(self, request: Request, answered: asyncio.Future[Answer]) -> None:
        """It takes effect some time after its caller has given up: when the time-out is over, or when the caller dies."""
        loop = asyncio.get_running_loop()
        after = EFFECT_BOUND_SECONDS * self._wires.random.uniform(*self._wires.random.choice(LATE_SHARES))

        def arrive() -> None:
            forget()
            self._arrive(request, Fate.LATE, answered)

        def give_up() -> None:
            if answered.done():
                # It gave up before it died, and the bound counts from then.
                return
            timer.cancel()
            loop.call_later(after, self._arrive, request, Fate.LATE, answered)

        timer = loop.call_later(CALL_TIMEOUT_SECONDS + after, arrive)
        forget = self._process.when_it_dies(give_up)

    def _arrive(self, request: Request, fate: Fate, answered: asyncio.Future[Answer]) -> None:
        """It is there."""
        raise NotImplementedError


class ErpTransport(WorldTransport):
    """Carries one process's calls to one ERP."""

    def __init__(self, *, wires: Wires, process: Process, erp: SimulatedErp) -> None:
        super().__init__(wires=wires, process=process, name=erp.name)
        self._erp = erp

    def _arrive(self, request: Request, fate: Fate, answered: asyncio.Future[Answer]) -> None:
        simulator = self._erp.simulator
        arrival = simulator.arrive(call=call_of(request))
        if arrival.wait_before:
            asyncio.get_running_loop().call_later(
                arrival.wait_before.total_seconds(), self._process_call, arrival, fate, answered
            )
            return
        self._process_call(arrival, fate, answered)

    def _process_call(self, arrival: Arrival, fate: Fate, answered: asyncio.Future[Answer]) -> None:
        simulator, before = self._erp.simulator, len(self._erp.effects.effects)
        answer = simulator.process(arrival=arrival)
        simulator.leave(arrival=arrival, client_gone=answered.cancelled())
        for effect in self._erp.effects.effects[before:]:
            done = f"{effect.action} {effect.kind} {effect.record_id} {effect.external_reference}"
            self._wires.trace.tell(self._erp.name, done if effect.type == "effect" else "answers a caller that is gone")
            if fate in UNHEARD or answer.lost:
                self._wires.unheard(self._erp, effect)
        for fault in arrival.faults:
            self._wires.fell[f"erp {fault}"] += 1
        returns = arrival.wait_after.total_seconds() + self._wires.latency()
        if fate is Fate.SLOW:
            returns += CALL_TIMEOUT_SECONDS
        if fate is Fate.LOST:
            answer = msgspec.structs.replace(answer, lost=True)
        asyncio.get_running_loop().call_later(returns, settle, answered, answer)


def settle(answered: asyncio.Future[Answer], answer: Answer) -> None:
    """Give a call its answer, unless nobody waits for it any more."""
    if not answered.done():
        answered.set_result(answer)


def request_of(request: httpx2.Request, body: bytes) -> Request:
    """A request as a simulated system takes it."""
    return Request(
        method=request.method,
        base_url=f"{request.url.scheme}://{request.url.host}",
        target=request.url.raw_path.decode("ascii"),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )
