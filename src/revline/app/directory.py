"""The active configuration of every tenant in memory, and what it makes of connections: channels in, far sides out.

Answers from memory within `FRESH_SECONDS`; a newer version is read on a thread and a pool of its own, so that it may be asked
in the middle of somebody's transaction.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from importlib.metadata import entry_points
from typing import Any, Final

from revline.connectors.sdk.source import LinkRule, SourceConnector, SourceContext
from revline.core.clock import Clock
from revline.core.documents import Document
from revline.core.farside import EntityMapping, ErpConnector
from revline.core.ids import derived_id
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.core.secret import Secret
from revline.delivery.kinds import Mapping as MappingSpec
from revline.delivery.values import FarSide
from revline.derive.expectation import EntityScope
from revline.derive.ports import DeriveConfiguration
from revline.intake.corrections import CorrectionPolicy
from revline.intake.values import Channel
from revline.platform.config import queries as configurations
from revline.platform.config.documents import Configuration
from revline.platform.config.registry import Registry
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.tenancy.kinds import Connection, LegalEntity, tells_masters
from revline.platform.tenancy.secrets import SecretResolver
from revline.subledger.posting.setup import PostingSetup, compile_setup

FRESH_SECONDS: Final = 1.0
SOURCES: Final = "revline.sources"
CONNECTORS: Final = "revline.connectors"
SIGNING_SECRET: Final = "webhookSigningSecret"  # noqa: S105 - the name of a secret

define(
    code="configuration.missing",
    title="The tenant has no active configuration",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Run `revline config apply` with a folder that holds this tenant.",
)
define(
    code="connection.unusable",
    title="The connection can't be used as it is configured",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Correct the Connection the detail names, apply the configuration, then retry the cause.",
)


class _Held:
    """One tenant's configuration in memory, with what was made of it. checked: monotonic seconds."""

    def __init__(self, configuration: Configuration | None, checked: float) -> None:
        self.configuration = configuration
        self.checked = checked
        self.derive: DeriveConfiguration | Problem | None = None
        self.far_sides: dict[tuple[str, str], FarSide | Problem] = {}


class Directory:
    """Implements the ports of intake (Channels), derive (Configurations) and delivery (Directory). Safe for threads."""

    def __init__(
        self, *, database: Database, registry: Registry, secrets: SecretResolver, clock: Clock, seed: int | None = None
    ) -> None:
        """database: a small pool of its own."""
        self._database = database
        self._registry = registry
        self._secrets = secrets
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 - jitter only
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="configuration")
        self._lock = threading.RLock()
        self._held: dict[str, _Held] = {}
        self._connectors: dict[tuple[str, str, str], ErpConnector] = {}
        self._sources: dict[str, SourceConnector] = {}

    def configuration(self, *, tenant_id: str) -> Configuration | Problem:
        """The tenant's active configuration, at most a second old."""
        found = self._hold(tenant_id).configuration
        if found is None:
            return problem("configuration.missing", f"tenant {tenant_id} has no active configuration", field=tenant_id)
        return found

    def forget(self) -> None:
        """Read configurations anew when they are asked for next."""
        with self._lock:
            for held in self._held.values():
                held.checked = 0.0

    def derive_configuration(self, *, tenant_id: str) -> DeriveConfiguration | Problem:
        """What derive needs of it, compiled once a version."""
        held = self._hold(tenant_id)
        if held.derive is None:
            held.derive = self._compile(tenant_id, held.configuration)
        return held.derive

    def channel(self, *, tenant_id: str, connection: str) -> Channel | Problem:
        """A source connection ready to take input, or `connection.unknown`."""
        configuration = self.configuration(tenant_id=tenant_id)
        document = None if isinstance(configuration, Problem) else configuration.get(Connection, connection)
        source = None if document is None else self._source(document.spec.connector)
        if isinstance(configuration, Problem) or document is None or source is None:
            return problem("connection.unknown", f"tenant {tenant_id} has no source connection {connection[:60]!r}")
        spec = document.spec
        entity = configuration.get(LegalEntity, spec.entity)
        if entity is None:
            return problem("connection.unusable", f"connection {connection} belongs to no entity", field=connection)
        context = SourceContext(
            connection=connection,
            entity=spec.entity,
            time_zone=entity.spec.time_zone,
            sandbox=spec.sandbox,
            links=tuple(_link(field, target) for field, target in sorted(spec.links.items())),
            settings=tuple(sorted(spec.settings.items())),
        )
        return Channel(
            tenant_id=tenant_id,
            connection=connection,
            connector=spec.connector,
            entity=spec.entity,
            translator=f"{source.name}/{source.version}",
            translate=partial(source.translate, context=context),
            translate_object=partial(source.translate_object, context=context),
            verify=partial(self._verify, source, spec),
            pool_id=pool_id(tenant_id=tenant_id, name=connection, pool=spec.pool),
            simulated_time=spec.sandbox and source.manifest.simulated_time,
        )

    def names(self, *, tenant_id: str, connector: str) -> tuple[str, ...]:
        """The tenant's connections of one connector, sorted."""
        configuration = self.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return ()
        found = configuration.all(Connection).items()
        return tuple(sorted(name for name, document in found if document.spec.connector == connector))

    def correction_policy(self, tenant_id: str) -> CorrectionPolicy | None:
        """When a corrected copy needs a second person; None when the tenant says nothing."""
        configuration = self.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return None
        return next((document.spec for document in configuration.all(CorrectionPolicy).values()), None)

    def far_side(self, *, tenant_id: str, connection: str, entity: str) -> FarSide | Problem:
        """The connector, mapping and pool of an ERP connection for one entity."""
        held = self._hold(tenant_id)
        key = (connection, entity)
        if key not in held.far_sides:
            made = self._far_side(tenant_id, held.configuration, connection, entity)
            if isinstance(made, Problem):
                return made
            held.far_sides[key] = made
        return held.far_sides[key]

    def erp_entities(self, *, tenant_id: str) -> tuple[int, tuple[tuple[str, str], ...]]:
        """The active version, and every (connection, entity) that a Mapping leads to; version 0 where nothing is configured."""
        configuration = self.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return 0, ()
        pairs = {(each.spec.connection, each.spec.entity) for each in configuration.all(MappingSpec).values()}
        return configuration.version, tuple(sorted(pairs))

    def far_sides_of(self, *, tenant_id: str, connection: str) -> Mapping[str, FarSide]:
        """Entity -> far side of one ERP connection, of those that can be used."""
        _, pairs = self.erp_entities(tenant_id=tenant_id)
        found = {
            entity: self.far_side(tenant_id=tenant_id, connection=name, entity=entity)
            for name, entity in pairs
            if name == connection
        }
        return {entity: far for entity, far in found.items() if not isinstance(far, Problem)}

    def held(self, *, tenant_id: str, document: Document) -> Problem | None:
        """Our own period policy holds nothing back yet beyond what the ERP's periods do."""
        return None

    async def close(self) -> None:
        """Let go of every connector and of the reading thread."""
        for connector in self._connectors.values():
            await connector.close()
        self._connectors.clear()
        self._reader.shutdown(wait=True)

    def _hold(self, tenant_id: str) -> _Held:
        with self._lock:
            held = self._held.get(tenant_id)
            if held is not None and time.monotonic() - held.checked < FRESH_SECONDS:
                return held
            version = 0 if held is None or held.configuration is None else held.configuration.version
            newer = self._reader.submit(self._read, tenant_id, version).result()
            if held is None or newer is not None:
                held = self._held[tenant_id] = _Held(newer, 0.0)
            held.checked = time.monotonic()
            return held

    def _read(self, tenant_id: str, known_version: int) -> Configuration | None:
        with self._database.read(tenants=[tenant_id]) as connection:
            newest = configurations.active_version(connection, tenant_id=tenant_id)
            if newest is None or newest.version == known_version:
                return None
            return configurations.at_version(
                connection, tenant_id=tenant_id, version=newest.version, registry=self._registry
            )

    def _compile(self, tenant_id: str, configuration: Configuration | None) -> DeriveConfiguration | Problem:
        if configuration is None:
            return problem("configuration.missing", f"tenant {tenant_id} has no active configuration", field=tenant_id)
        setup = compile_setup(configuration)
        if isinstance(setup, Problem):
            return setup
        assert isinstance(setup, PostingSetup)
        entities = configuration.all(LegalEntity)
        scopes: dict[str, EntityScope] = {}
        pools: dict[str, str] = {}
        for name, document in configuration.all(Connection).items():
            pools[name] = pool_id(tenant_id=tenant_id, name=name, pool=document.spec.pool)
            entity = entities.get(document.spec.entity)
            if entity is not None:
                zone = entity.spec.time_zone
                scopes[name] = EntityScope(
                    tenant=tenant_id,
                    entity=document.spec.entity,
                    time_zone=zone,
                    native_items=any(book.items is not None for book in setup.books_of(document.spec.entity)),
                    masters=tells_masters(document.spec),
                )
        return DeriveConfiguration(version=configuration.version, setup=setup, scopes=scopes, pools=pools)

    def _far_side(
        self, tenant_id: str, configuration: Configuration | None, name: str, entity: str
    ) -> FarSide | Problem:
        document = None if configuration is None else configuration.get(Connection, name)
        if configuration is None or document is None:
            return problem("connection.unusable", f"there is no connection {name} any more", field=name)
        connector = self._connector(tenant_id, name, document.digest, document.spec)
        if isinstance(connector, Problem):
            return connector
        mapping = EntityMapping(company="", accounts={})
        if entity:
            found = [
                each.spec
                for each in configuration.all(MappingSpec).values()
                if (each.spec.connection, each.spec.entity) == (name, entity)
            ]
            if not found:
                detail = f"no Mapping for entity {entity} in connection {name}"
                return problem("mapping.missing", detail, field=f"{name}/{entity}")
            mapping = found[0].for_entity()
        owner = configuration.get(LegalEntity, entity)
        return FarSide(
            connector=connector,
            mapping=mapping,
            functional_currency="" if owner is None else owner.spec.functional_currency,
            pool_id=pool_id(tenant_id=tenant_id, name=name, pool=document.spec.pool),
            configuration_version=configuration.version,
        )

    def _connector(self, tenant_id: str, name: str, digest: str, spec: Connection) -> ErpConnector | Problem:
        key = (tenant_id, name, digest)
        if key not in self._connectors:
            factory = entry_of(CONNECTORS, spec.connector)
            secrets = self._secrets.resolve_all(spec.secrets)
            if isinstance(secrets, Problem):
                return secrets
            if factory is None:
                return problem("connection.unusable", f"no connector is called {spec.connector}", field=name)
            revealed = {secret: value.reveal() for secret, value in secrets.items()}
            try:
                self._connectors[key] = factory(
                    connection=spec, secrets=revealed, transport=None, clock=self._clock, random=self._random
                )
            except (KeyError, ValueError) as error:
                return problem("connection.unusable", f"connection {name}: {type(error).__name__}: {error}", field=name)
        return self._connectors[key]

    def _source(self, connector: str) -> SourceConnector | None:
        if connector not in self._sources:
            factory = entry_of(SOURCES, connector)
            if factory is None:
                return None
            self._sources[connector] = factory()
        return self._sources[connector]

    def _verify(
        self, source: SourceConnector, spec: Connection, *, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Problem | None:
        found = [self._secrets.resolve(spec.secrets[name]) for name in sorted(spec.secrets) if SIGNING_SECRET in name]
        secrets = [secret.reveal() for secret in found if isinstance(secret, Secret)]
        if len(secrets) < len(found):
            # The sender hears the same as for a wrong signature; whoever runs Revline must hear why.
            log().error("webhook.secret_missing", connector=spec.connector, entity=spec.entity, code="secret.missing")
        return source.verify(headers=headers, body=body, secrets=secrets, now=now)


def pool_id(*, tenant_id: str, name: str, pool: str) -> str:
    """The id of the capacity pool a connection belongs to; a pool with a name may be shared by connections of many tenants."""
    return derived_id("pool", pool) if pool else derived_id("pool", tenant_id, name)


def entry_of(group: str, name: str) -> Callable[..., Any] | None:
    """The factory an installed connector registers under a group and name, or None."""
    found = entry_points(group=group, name=name)
    return next(iter(found)).load() if found else None


def _link(field: str, target: str) -> LinkRule:
    connection, _, kind = target.partition("/")
    return LinkRule(field=field, connection=connection, kind=kind)
