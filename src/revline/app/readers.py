"""Readers of configured connections: how each source can be read by the active configuration. Knows no lane and makes no call."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Final

import msgspec

from revline.app.directory import Directory, entry_of, pool_id
from revline.connectors.sdk.source import SourceReader
from revline.core.clock import Clock
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.config.documents import Configuration
from revline.platform.tenancy.kinds import Connection
from revline.platform.tenancy.secrets import SecretResolver
from revline.platform.work.pool_state import PoolLimits

READERS: Final = "revline.readers"
CHANGES_EVERY: Final = "changesEverySeconds"
"""Setting of a source connection: how often its change stream is looked at; the stream is followed when it is set."""


@cache
def _factory(connector: str) -> Callable[..., SourceReader] | None:
    """The factory of a connector's reader, or None. Kept: looking through what is installed takes milliseconds."""
    return entry_of(READERS, connector)


class SourceSide(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that can be read. changes_every: None when nobody configured its change stream to be followed."""

    reader: SourceReader
    pool_id: str
    changes_every: timedelta | None

    def limits(self) -> PoolLimits:
        """What the source allows, for its capacity pool."""
        manifest = self.reader.manifest
        per_second = Decimal(manifest.bucket_per_second)
        return PoolLimits(
            pool_id=self.pool_id,
            slots=manifest.slots,
            bucket_per_second=per_second,
            bucket_burst=max(1, int(per_second)),
        )


class Readers:
    """Readers by connection, made of the active configuration and kept while it stays the same. Safe for threads."""

    def __init__(self, *, directory: Directory, secrets: SecretResolver, clock: Clock, seed: int | None = None) -> None:
        self._directory, self._secrets, self._clock = directory, secrets, clock
        self._random = random.Random(seed)  # noqa: S311 - jitter only
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str, str], SourceReader] = {}

    def side(self, *, tenant_id: str, connection: str) -> SourceSide | Problem:
        """The reader of a connection; `source.not_readable` when its connector has none."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        document = configuration.get(Connection, connection)
        if document is None:
            detail = f"tenant {tenant_id} has no source connection {connection[:60]!r}"
            return problem("connection.unknown", detail, field=connection)
        reader = self._reader(tenant_id, connection, document.digest, document.spec)
        if isinstance(reader, Problem):
            return reader
        every = document.spec.settings.get(CHANGES_EVERY, "")
        return SourceSide(
            reader=reader,
            pool_id=pool_id(tenant_id=tenant_id, name=connection, pool=document.spec.pool),
            changes_every=timedelta(seconds=int(every)) if every.isdecimal() and len(every) < 7 else None,
        )

    def names(self, *, tenant_id: str) -> tuple[str, ...]:
        """The tenant's connections that can be read, sorted."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if not isinstance(configuration, Configuration):
            return ()
        found = configuration.all(Connection).items()
        return tuple(sorted(name for name, document in found if _factory(document.spec.connector)))

    async def close(self) -> None:
        """Let go of every reader."""
        for reader in self._made.values():
            await reader.close()
        self._made.clear()

    def _reader(self, tenant_id: str, name: str, digest: str, spec: Connection) -> SourceReader | Problem:
        key = (tenant_id, name, digest)
        with self._lock:
            if key not in self._made:
                factory = _factory(spec.connector)
                if factory is None:
                    detail = f"connection {name} has connector {spec.connector}, which reads nothing"
                    return problem("source.not_readable", detail, field=name)
                secrets = self._secrets.resolve_all(spec.secrets)
                if isinstance(secrets, Problem):
                    return secrets
                revealed = {secret: value.reveal() for secret, value in secrets.items()}
                try:
                    self._made[key] = factory(
                        connection=spec, secrets=revealed, transport=None, clock=self._clock, random=self._random
                    )
                except (KeyError, ValueError) as error:
                    detail = f"connection {name}: {type(error).__name__}: {error}"
                    return problem("connection.unusable", detail, field=name)
            return self._made[key]


define(
    code="source.not_readable",
    title="This connection can't be read",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Name a connection whose connector reads its source (`revline sources list`); others take pushes and imports only.",
)
