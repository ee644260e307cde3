"""A tenant's source as a system of its own: what it holds, the log of what happened there, and what it was told.

Webhooks may be lost on their way; the log and the listings stay, and whoever asks for them gets everything.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Final

import msgspec

from revline.connectors.sdk.rehearsal_calls import Answer, Request
from revline.connectors.stripe.simulator.api import SimulatedStripe
from revline.sim.world.network import Fate, Wires, WorldTransport, settle
from revline.sim.world.plan import CALL_TIMEOUT_SECONDS
from revline.sim.world.process import Process
from revline.sim.world.story import Story
from revline.sim.world.time import SimulatedTime

KEY: Final = "sk_test_of_a_world"
STATE_KEY: Final = "erp_state"
NUMBER_KEY: Final = "erp_number"


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """What the source was told and took in. key: the caller's idempotency key."""

    path: str
    key: str
    body: bytes


class SimulatedSource:
    """One tenant's source. name: for the trace. tells: whether Revline tells it what became of its invoices."""

    def __init__(self, *, name: str, story: Story, time: SimulatedTime, tells: bool) -> None:
        self.name, self.tells, self._story, self._time = name, tells, story, time
        self.stripe = SimulatedStripe(key=KEY, clock=lambda: int(time.now().timestamp()))
        self.tellings: list[Telling] = []
        events = [json.loads(body) for body in story.month.webhooks]
        things = [one["data"]["object"] for one in sorted(events, key=lambda one: (one["created"], one["id"]))]
        self.stripe.account.seed([*things, *(json.loads(line) for line in story.month.listed())])

    async def happen(self) -> None:
        """Each event enters the log when it happens, whether or not its webhook arrives."""
        for seconds, body in self._story.happens:
            await asyncio.sleep(max(0.0, seconds - self._time.seconds))
            self.stripe.account.happened(json.loads(body))

    def call(self, request: Request) -> Answer:
        """One call; what it tells is kept."""
        answer = self.stripe.call(
            method=request.method, target=request.target, headers=request.headers, body=request.body
        )
        if request.method == "POST" and answer.status == 200:
            key = request.headers.get("idempotency-key", "")
            self.tellings.append(Telling(path=request.target, key=key, body=request.body))
        return answer

    @property
    def events(self) -> int:
        """How many events the log has."""
        return len(self.stripe.account.events)

    def told(self) -> Mapping[str, tuple[str, str]]:
        """Number of an invoice -> the state and the ERP's number that its metadata says."""
        held = self.stripe.account.objects["invoice"].values()
        return {
            one["number"]: (one["metadata"].get(STATE_KEY, ""), one["metadata"].get(NUMBER_KEY, ""))
            for one in held
            if one.get("number")
        }

    def told_wrongly(self) -> tuple[str, ...]:
        """Paths that were told two contents under one key, or one content again under another key right after it."""
        contents: dict[str, bytes] = {}
        last: dict[str, Telling] = {}
        wrong: dict[str, None] = {}
        for one in self.tellings:
            before = last.get(one.path)
            again = before is not None and before.body == one.body and before.key != one.key
            if again or contents.setdefault(one.key, one.body) != one.body:
                wrong[one.path] = None
            last[one.path] = one
        return tuple(wrong)


class SourceTransport(WorldTransport):
    """Carries one process's calls to one source."""

    def __init__(self, *, wires: Wires, process: Process, source: SimulatedSource) -> None:
        super().__init__(wires=wires, process=process, name=source.name)
        self._source = source

    def _arrive(self, request: Request, fate: Fate, answered: asyncio.Future[Answer]) -> None:
        answer = self._source.call(request)
        returns = self._wires.latency() + (CALL_TIMEOUT_SECONDS if fate is Fate.SLOW else 0.0)
        if fate is Fate.LOST:
            answer = msgspec.structs.replace(answer, lost=True)
        asyncio.get_running_loop().call_later(returns, settle, answered, answer)
