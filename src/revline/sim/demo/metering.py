"""Birch's product in the demonstration: what it reports of its use in a month, and what that costs by a count of its own.

It makes events and sends them as product code would. Prices stand here as figures, as in 60-usage.yaml; it knows none of Revline's
rooms.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final
from zoneinfo import ZoneInfo

import httpx2

from revline.core.clock import Period

EVENTS: Final = 1_000_000
EVENTS_A_REQUEST: Final = 2_000
SENDERS: Final = 3
SOURCE: Final = "//birch.example/gateway"
ZONE: Final = ZoneInfo("America/New_York")
REGIONS: Final = ("eu", "us", "apac")
REPEATED_EVERY: Final = 50
"""Every so many requests one is sent again, as after an answer that was lost."""
VOIDS: Final = 200
STRANGERS: Final = 300
"""Events of a subject that no customer has."""
STRANGER: Final = "birch-trial-0001"
FREE_REQUESTS: Final = 1_000
FIRST_TIER: Final = 10_000
FIRST_PRICE: Final = Decimal("0.004")
SECOND_PRICE: Final = Decimal("0.0025")
PACKAGE_TOKENS: Final = 100_000
PACKAGE_PRICE: Final = Decimal("0.15")
CENT: Final = Decimal("0.01")


class MeteredMonth:
    """A month of use. customers: outside ids at Stripe; how much each uses follows Zipf's law. scale: part of a million events."""

    def __init__(self, *, customers: Sequence[str], month: Period, seed: int, scale: Decimal) -> None:
        self.customers = tuple(sorted(customers))
        self.events = int(EVENTS * scale)
        self.requests: Counter[str] = Counter()
        self.tokens: Counter[tuple[str, str]] = Counter()
        self._random = random.Random(seed)
        chosen = self._random.sample(range(self.events), STRANGERS + VOIDS)
        self._strangers, self._taken_back = frozenset(chosen[:STRANGERS]), frozenset(chosen[STRANGERS:])
        self._start, end = (
            datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC) for day in (month.start, month.end)
        )
        self._step = (end - self._start) / self.events

    def bodies(self) -> Iterator[bytes]:
        """Requests in order, some of them twice; what is taken back comes last."""
        weights = [1 / rank for rank in range(1, len(self.customers) + 1)]
        for number, first in enumerate(range(0, self.events, EVENTS_A_REQUEST), 1):
            count = min(EVENTS_A_REQUEST, self.events - first)
            subjects = self._random.choices(self.customers, weights, k=count)
            body = (
                f"[{','.join(self._event(first + place, subject) for place, subject in enumerate(subjects))}]".encode()
            )
            yield body
            if not number % REPEATED_EVERY:
                yield body
        yield json.dumps([self._void(index) for index in sorted(self._taken_back)]).encode()

    def _event(self, index: int, subject: str) -> str:
        tokens, region, answered = 17 * index % 4_000, REGIONS[index % 7 % 3], index % 100 != 0
        if index in self._strangers:
            subject = STRANGER
        elif index not in self._taken_back:
            self.requests[subject] += answered
            self.tokens[subject, region] += tokens
        return (
            f'{{"specversion":"1.0","id":"r-{index:07d}","source":"{SOURCE}","type":"api.request","subject":"{subject}",'
            f'"time":"{(self._start + index * self._step).isoformat(timespec="milliseconds")}",'
            f'"data":{{"tokens":{tokens},"region":"{region}","ok":{"true" if answered else "false"}}}}}'
        )

    def _void(self, index: int) -> dict[str, object]:
        return {
            "specversion": "1.0",
            "id": f"v-{index:07d}",
            "source": SOURCE,
            "type": "revline.usage.void",
            "subject": self.customers[0],
            "time": self._start.isoformat(),
            "data": {"source": SOURCE, "id": f"r-{index:07d}", "reason": "a load test"},
        }

    def cost(self) -> Decimal:
        """What all of it costs in dollars, each line rounded by itself, counted here and by nobody else."""
        lines = [_requests_cost(count) for count in self.requests.values()]
        lines += [-(-tokens // PACKAGE_TOKENS) * PACKAGE_PRICE for tokens in self.tokens.values()]
        return sum((line.quantize(CENT, ROUND_HALF_UP) for line in lines), Decimal(0))


def _requests_cost(count: int) -> Decimal:
    first = max(0, min(count, FIRST_TIER) - FREE_REQUESTS)
    return first * FIRST_PRICE + max(0, count - FIRST_TIER) * SECOND_PRICE


async def send(*, month: MeteredMonth, api: str, key: str, advance: Callable[[int], None]) -> Counter[str]:
    """Send the month over HTTP, a few requests at a time; verdict -> how many. RuntimeError when a request is refused."""
    found: Counter[str] = Counter()
    waiting = month.bodies()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/cloudevents-batch+json"}
    async with httpx2.AsyncClient(base_url=api, headers=headers, timeout=60.0, trust_env=False) as client:

        async def sender() -> None:
            for body in waiting:
                answer = await client.post("/v1/usage", content=body)
                while answer.status_code == 429:
                    await asyncio.sleep(float(answer.headers.get("retry-after", "1")))
                    answer = await client.post("/v1/usage", content=body)
                if answer.status_code != 200:
                    raise RuntimeError(f"usage was answered {answer.status_code}: {answer.text[:300]}")
                counts = answer.json()["counts"]
                found.update(counts)
                advance(sum(counts.values()))

        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(sender())
    return found
