"""Which identities are on disk already, and with which content."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_

from revline.subledger.usage.log.values import ACCEPTED, CONFLICT, DUPLICATE


class Identities:
    """Every identity of a shard. A key is 16 bytes, a digest 8."""

    def __init__(self) -> None:
        self._digests: dict[bytes, bytes] = {}

    def meet(self, keys: Sequence[bytes], digests: Sequence[bytes]) -> bytes:
        """The verdict on each identity, a byte each; new ones are known from then on."""
        found = list(map(self._digests.setdefault, keys, digests))
        if all(map(is_, found, digests)):
            return bytes(len(keys))
        return bytes(
            [
                ACCEPTED if mine is known else DUPLICATE if mine == known else CONFLICT
                for mine, known in zip(digests, found, strict=True)
            ]
        )

    def __len__(self) -> int:
        return len(self._digests)
