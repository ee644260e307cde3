"""The events that ingest is measured with: CloudEvents of three types, from one tenant or from a thousand.

A body has the events of one tenant. With repeats, 1 % of the events are earlier ones written again otherwise (another order of
keys, white space, numbers with zeros at the end, a trace header), and 0.1 % are earlier ids with another content.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from revline.subledger.usage.kinds import EventType, FieldKind, UsageField

FIELDS = {
    "model": UsageField(kind=FieldKind.TEXT),
    "region": UsageField(kind=FieldKind.TEXT, required=True),
    "seconds": UsageField(kind=FieldKind.DECIMAL, scale=3),
    "tokens": UsageField(kind=FieldKind.DECIMAL, required=True),
}
NAMES = ("api.call", "llm.tokens", "build.minutes")
TYPES = {name: EventType(title=name, type=name, fields=FIELDS) for name in NAMES}
CUSTOMERS, SOURCES = 10_000, 20


@dataclass(frozen=True, kw_only=True)
class Event:
    """What one event says."""

    id: str
    source: str
    type: str
    subject: str
    time: str
    tokens: int
    milliseconds: int
    region: str
    model: str

    def text(self) -> bytes:
        """As a sender writes it: about 260 bytes."""
        seconds = f"{self.milliseconds // 1000}.{self.milliseconds % 1000:03d}"
        return (
            f'{{"specversion":"1.0","id":"{self.id}","source":"{self.source}","type":"{self.type}",'
            f'"subject":"{self.subject}","time":"{self.time}","datacontenttype":"application/json","data":'
            f'{{"tokens":{self.tokens},"seconds":{seconds},"region":"{self.region}","model":"{self.model}"}}}}'
        ).encode()

    def rewritten(self, *, tokens: int | None = None) -> bytes:
        """The same event by another serialiser; with tokens, another content under the same id."""
        seconds = f"{self.milliseconds // 1000}.{self.milliseconds % 1000:03d}00"
        return (
            f'{{ "type": "{self.type}", "id": "{self.id}", "source": "{self.source}", "time": "{self.time}",'
            f' "data": {{ "model": "{self.model}", "region": "{self.region}", "seconds": {seconds},'
            f' "tokens": {self.tokens if tokens is None else tokens} }}, "subject": "{self.subject}",'
            f' "specversion": "1.0", "traceparent": "00-{self.id}-01" }}'
        ).encode()


def made(*, seed: int) -> Iterator[Event]:
    """Events without end; the same ones for the same seed."""
    chance = random.Random(seed)
    for number in itertools.count():
        word = chance.getrandbits(128)
        second = number % 86_400
        clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        yield Event(
            id=f"{word >> 96:08x}-{word >> 80 & 0xFFFF:04x}-7{word >> 68 & 0xFFF:03x}-8{word >> 56 & 0xFFF:03x}-{number:012x}",
            source=f"svc-{number % SOURCES}",
            type=NAMES[chance.randrange(3)],
            subject=f"cust-{chance.randrange(CUSTOMERS):05d}",
            time=f"2026-11-{chance.randrange(28) + 1:02d}T{clock}.{chance.randrange(1000):03d}Z",
            tokens=chance.randrange(100_000),
            milliseconds=chance.randrange(100_000),
            region=chance.choice(("eu", "us", "ap")),
            model=chance.choice(("a", "b")),
        )


Commit = Sequence[tuple[str, bytes]]
"""The bodies of one commit, with the tenant of each."""


def one_tenant(count: int, *, batch: int, seed: int) -> list[Commit]:
    """Commits of one body each."""
    source = made(seed=seed)
    return [
        [("tenant-0000", _body([one.text() for one in itertools.islice(source, batch)]))] for _ in range(count // batch)
    ]


def many_tenants(count: int, *, batch: int, seed: int, tenants: int = 1000) -> list[Commit]:
    """Commits whose events come from so many tenants by Zipf's law, a body for each tenant of a commit; with repeats."""
    source, chance = made(seed=seed), random.Random(seed + 1)
    names = [f"tenant-{number:04d}" for number in range(tenants)]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, tenants + 1)))
    sent: list[tuple[str, Event]] = []
    commits: list[Commit] = []
    for _ in range(count // batch):
        bodies: dict[str, list[bytes]] = {}
        for tenant in chance.choices(names, cum_weights=weights, k=batch):
            dice = chance.random()
            if sent and dice < 0.011:
                earlier, event = sent[chance.randrange(len(sent))]
                tokens = event.tokens + 1 if dice < 0.001 else None
                bodies.setdefault(earlier, []).append(event.rewritten(tokens=tokens))
                continue
            event = next(source)
            sent.append((tenant, event))
            bodies.setdefault(tenant, []).append(event.text())
        commits.append([(tenant, _body(texts)) for tenant, texts in bodies.items()])
    return commits


def _body(texts: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(texts) + b"]"
