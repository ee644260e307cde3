"""Channels of connections a test states in code, as the directory makes them of the active configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from revline.connectors.sdk.source import SourceConnector, SourceContext
from revline.core.problem import Problem, problem
from revline.intake.values import Channel
from revline.platform.tenancy.kinds import Connection, LegalEntity

Specs = Callable[[str], tuple[Mapping[str, Connection], Mapping[str, LegalEntity]] | None]
"""A tenant's connections and legal entities of the active configuration; None for a tenant that is not active."""
Secrets = Callable[[str, str, Connection], Sequence[str]]
"""(tenant, connection name, its spec) -> the signing secrets of the connection, revealed."""


class ConfiguredChannels:
    """The `Channels` port over the active configuration. sources: connectors by code."""

    def __init__(self, *, specs: Specs, sources: Mapping[str, SourceConnector], secrets: Secrets) -> None:
        self._specs = specs
        self._sources = sources
        self._secrets = secrets

    def channel(self, *, tenant_id: str, connection: str) -> Channel | Problem:
        """See `Channels.channel`."""
        found = self._specs(tenant_id)
        spec = found[0].get(connection) if found else None
        source = self._sources.get(spec.connector) if spec else None
        entity = found[1].get(spec.entity) if found and spec else None
        if spec is None or source is None or entity is None:
            return problem(
                "connection.unknown", f"there is no source connection {connection[:60]!r}", field="connection"
            )
        context = SourceContext(
            connection=connection, entity=spec.entity, time_zone=entity.time_zone, sandbox=spec.sandbox
        )

        def verify(*, headers: Mapping[str, str], body: bytes, now: datetime) -> Problem | None:
            secrets = self._secrets(tenant_id, connection, spec)
            return source.verify(headers=headers, body=body, secrets=secrets, now=now)

        return Channel(
            tenant_id=tenant_id,
            connection=connection,
            connector=spec.connector,
            entity=spec.entity,
            translator=f"{source.name} {source.version}",
            translate=partial(source.translate, context=context),
            translate_object=partial(source.translate_object, context=context),
            verify=verify,
        )

    def names(self, *, tenant_id: str, connector: str) -> tuple[str, ...]:
        """See `Channels.names`."""
        found = self._specs(tenant_id)
        return tuple(sorted(name for name, spec in (found[0] if found else {}).items() if spec.connector == connector))
