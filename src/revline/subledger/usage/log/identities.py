"""Which identities are on disk already, and with which content."""

from __future__ import annotations

from revline.subledger.usage.log.values import ACCEPTED, CONFLICT, DUPLICATE


class Identities:
    """Every identity of a shard. A key is 16 bytes, a digest 8."""

    def __init__(self) -> None:
        self._digests: dict[bytes, bytes] = {}

    def meet(self, keys: bytes, digests: bytes) -> bytes:
        """The verdict on each identity, a byte each; new ones are known from then on."""
        verdicts = bytearray(len(digests) // 8)
        known = self._digests
        for index in range(len(verdicts)):
            digest = digests[8 * index : 8 * index + 8]
            found = known.setdefault(keys[16 * index : 16 * index + 16], digest)
            verdicts[index] = ACCEPTED if found is digest else DUPLICATE if found == digest else CONFLICT
        return bytes(verdicts)

    def __len__(self) -> int:
        return len(self._digests)
