"""What must be true of a shop after each of its deaths."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from revline.subledger.usage.log.values import CommittedBatch, LogLimits
from tests.chaos.usage.shop import SMALL, TENANTS, TYPES, Sealer, opened


@dataclass(kw_only=True)
class Judgement:
    """lost: acknowledged and not there. doubled: there more than once. altered: there with another content or out of order."""

    events: int = 0
    lost: int = 0
    doubled: int = 0
    altered: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.altered)


def judge(folder: Path, acknowledged: dict[str, int], *, limits: LogLimits = SMALL) -> Judgement:
    """Opens the log as the next owner does, and compares what it and the sealed file hold with what was acknowledged: per tenant
    every event up to a number."""
    log = opened(folder, limits=limits)
    sealer = Sealer(folder / "sealed")
    for batch in log.recovered(types_of=TYPES.__getitem__, sealed=sealer.sealed):
        assert isinstance(batch, CommittedBatch), batch
        sealer.on_committed([batch])
    found = Judgement()
    numbers: dict[str, list[int]] = {tenant: [] for tenant in TENANTS}
    sequences: list[int] = []
    for line in (folder / "sealed").read_text().splitlines():
        tenant, sequence, event_id, amount = line.split(" ")
        number = int(event_id.removeprefix("e"))
        numbers[tenant].append(number)
        sequences.append(int(sequence))
        found.altered += amount != f"{number}.25"
    found.events = len(sequences)
    found.doubled += len(sequences) - len(set(sequences))
    found.lost += len(set(range(1, log.watermark + 1)) - set(sequences))
    for tenant, mine in numbers.items():
        found.doubled += len(mine) - len(set(mine))
        found.lost += len(set(range(acknowledged[tenant])) - set(mine))
        offset = log.offsets().get((tenant, 0), 0)
        if offset != len(mine):
            found.altered += 1
            found.notes.append(f"{tenant}: the offset {offset} stands beside {len(mine)} events")
    log.close()
    return found
