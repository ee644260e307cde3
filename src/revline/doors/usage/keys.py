"""Whose a key is, remembered for a few seconds, so that a request costs no question to the database.

What is remembered is told: a key that is revoked or expires, and a tenant that is closed, is refused `fresh_seconds` later at the
latest. While the database does not answer, a key that was good is taken for `grace_seconds` more: accepting usage needs no
database, and a key can't be revoked while there is none to revoke it in. Keys are looked up by their SHA-256, so what the time of a
look-up tells says nothing of any key.
"""

from __future__ import annotations

import hashlib
import time
from asyncio import Event
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from revline.core.problem import Problem, problem
from revline.doors.api.ports import Threads
from revline.platform.access.keys import bearer_key, same
from revline.platform.access.roles import Principal
from revline.platform.store.engine import is_transient

FRESH_SECONDS: Final = 5.0
GRACE_SECONDS: Final = 300.0
KEYS_MAX: Final = 10_000
"""Keys remembered of each kind, good and refused; the one that was asked of longest ago is forgotten first."""


class _Remembered(msgspec.Struct, frozen=True):
    """proved_at: when the database said so. asked_at: when it was last asked, in vain where this is later."""

    digest: bytes
    found: Principal | Problem
    proved_at: float
    asked_at: float


class Keys:
    """The keys of one process. verify, tenant_active: as in `UsagePorts`; they run in threads. seconds: a monotonic clock."""

    def __init__(
        self,
        *,
        verify: Callable[[str], Principal | Problem],
        tenant_active: Callable[[str], bool],
        threads: Threads,
        fresh_seconds: float = FRESH_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verify, self._tenant_active, self._threads, self._seconds = verify, tenant_active, threads, seconds
        self._fresh, self._grace = fresh_seconds, grace_seconds
        self._good: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._refused: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._asking: dict[bytes, Event] = {}

    def remembered(self, header: bytes) -> Principal | Problem | None:
        """What is known of an `Authorization` header without asking anybody; None when it must be asked."""
        digest = hashlib.sha256(header).digest()
        one = self._good.get(digest) or self._refused.get(digest)
        if one is None or self._seconds() - one.asked_at >= self._fresh or not same(one.digest, digest):
            return None
        return one.found

    async def principal(self, header: bytes) -> Principal | Problem:
        """Whose a header is: `access.key_unknown` and `access.tenant_closed` when nobody's. Asked once for all who wait.

        Raises what the database raises when nothing is remembered of the key.
        """
        text = header.decode("latin-1")
        if bearer_key(text) is None:
            return problem("access.key_unknown", "the API key is missing, malformed, unknown, expired or revoked")
        while True:
            found = self.remembered(header)
            if found is not None:
                return found
            digest = hashlib.sha256(header).digest()
            asked = self._asking.get(digest)
            if asked is None:
                return await self._ask(digest, text)
            await asked.wait()

    async def _ask(self, digest: bytes, text: str) -> Principal | Problem:
        asked = self._asking[digest] = Event()
        try:
            found = await self._threads.run(partial(self._known, text))
        except Exception as failure:
            old, now = self._good.get(digest), self._seconds()
            if old is None or not is_transient(failure) or now - old.proved_at >= self._fresh + self._grace:
                raise
            self._good[digest] = msgspec.structs.replace(old, asked_at=now)
            return old.found
        else:
            self._remember(digest, found)
            return found
        finally:
            del self._asking[digest]
            asked.set()

    def _known(self, text: str) -> Principal | Problem:
        found = self._verify(text)
        if isinstance(found, Principal) and not self._tenant_active(found.tenant_id):
            return problem("access.tenant_closed", "the key's tenant is not active")
        return found

    def _remember(self, digest: bytes, found: Principal | Problem) -> None:
        kept, other = (self._good, self._refused) if isinstance(found, Principal) else (self._refused, self._good)
        other.pop(digest, None)
        kept.pop(digest, None)
        now = self._seconds()
        kept[digest] = _Remembered(digest, found, now, now)
        if len(kept) > KEYS_MAX:
            kept.popitem(last=False)
