"""The configuration of a world's tenants: one folder for all of them, compiled once, and what it makes of connections.

Does for simulated processes what app's directory does for real ones, without the database: a world's configuration is the same
in every seed but for its tenant's name and its ERP's settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx2
from msgspec.structs import replace

from revline.connectors.sdk.source import SourceContext
from revline.connectors.simulated.connector import build
from revline.connectors.stripe.client import StripeClient, client_of
from revline.connectors.stripe.connector import StripeSource
from revline.connectors.stripe.farside import StripeFarSide
from revline.core.documents import Document
from revline.core.farside import EntityMapping
from revline.core.ids import derived_id
from revline.core.problem import Problem
from revline.delivery.kinds import Mapping as MappingSpec
from revline.delivery.values import FarSide
from revline.derive.expectation import EntityScope
from revline.derive.ports import DeriveConfiguration
from revline.feedback.kinds import Feedback
from revline.feedback.ports import FeedbackConfiguration
from revline.feedback.values import PostingState
from revline.intake.values import Channel
from revline.platform.config.documents import Configuration
from revline.platform.config.loader import load_folder
from revline.platform.config.registry import Registry
from revline.platform.tenancy.kinds import Connection, LegalEntity, tells_masters
from revline.sim.world.plan import TenantPlan, stream
from revline.sim.world.process import Process
from revline.sim.world.source import KEY, NUMBER_KEY, STATE_KEY
from revline.subledger.posting.setup import PostingSetup, compile_setup

TEMPLATE: Final = "cedar"
ENTITY: Final = "cedar-us"
COMPANY: Final = "CEDAR-US"
SOURCE: Final = "stripe"
ERP: Final = "erp"
SOURCE_URL: Final = "http://127.0.0.1:1"
TELLING: Final = Feedback(
    connection=SOURCE,
    source_kind="invoice",
    fields={"posting_state": STATE_KEY, "erp_number": NUMBER_KEY},
    when=(PostingState.POSTED, PostingState.VOIDED, PostingState.REJECTED),
)
TOKEN: Final = "a-token-of-a-simulated-erp"  # noqa: S105 - nothing real takes it


class Compiled:
    """The template tenant's configuration, read and compiled once a run."""

    def __init__(self, *, folder: Path, registry: Registry) -> None:
        loaded = load_folder(folder, registry)
        if loaded.errors:
            raise ValueError(f"the world's configuration has errors: {loaded.errors[0]}")
        self.configuration: Configuration = loaded.configurations()[TEMPLATE]
        setup = compile_setup(self.configuration)
        if isinstance(setup, Problem):
            raise ValueError(setup.detail)
        self.setup: PostingSetup = setup
        self.mapping: EntityMapping = next(iter(self.configuration.all(MappingSpec).values())).spec.for_entity()
        self.entity = self.configuration.all(LegalEntity)[ENTITY].spec


class WorldDirectory:
    """One process's view of the tenants: the ports of intake (Channels), derive (Configurations) and delivery (Directory)."""

    def __init__(
        self,
        *,
        compiled: Compiled,
        tenants: Mapping[str, TenantPlan],
        transports: Mapping[str, httpx2.AsyncBaseTransport],
        sources: Mapping[str, httpx2.AsyncBaseTransport],
        process: Process,
        seed: int,
    ) -> None:
        """transports: each tenant's way to its ERP. sources: to its source."""
        self._compiled, self._tenants, self._process = compiled, tenants, process
        self._transports, self._sources = transports, sources
        self._random = stream(seed, f"requests of {process.name}")
        self._derive: dict[str, DeriveConfiguration] = {}
        self._far_sides: dict[tuple[str, str], FarSide] = {}

    def derive_configuration(self, *, tenant_id: str) -> DeriveConfiguration | Problem:
        """What derive needs of the tenant's configuration."""
        if tenant_id not in self._derive:
            setup, found = self._compiled.setup, self._compiled.configuration.all(Connection)
            self._derive[tenant_id] = DeriveConfiguration(
                version=1,
                setup=setup,
                scopes={
                    name: EntityScope(
                        tenant=tenant_id,
                        entity=document.spec.entity,
                        time_zone=self._compiled.entity.time_zone,
                        native_items=any(book.items is not None for book in setup.books_of(document.spec.entity)),
                        masters=tells_masters(document.spec),
                    )
                    for name, document in found.items()
                    if document.spec.entity
                },
                pools={name: derived_id("pool", tenant_id, name) for name in found},
            )
        return self._derive[tenant_id]

    def channel(self, *, tenant_id: str, connection: str) -> Channel | Problem:
        """The tenant's source."""
        source = StripeSource()
        context = SourceContext(
            connection=connection,
            entity=ENTITY,
            time_zone=self._compiled.entity.time_zone,
            sandbox=True,
        )
        return Channel(
            tenant_id=tenant_id,
            connection=connection,
            connector=source.name,
            entity=ENTITY,
            translator=f"{source.name}/{source.version}",
            translate=partial(source.translate, context=context),
            translate_object=partial(source.translate_object, context=context),
            verify=_not_asked,
            pool_id=derived_id("pool", tenant_id, connection),
        )

    def names(self, *, tenant_id: str, connector: str) -> tuple[str, ...]:
        """The tenant's connections of one connector."""
        return (SOURCE,) if connector == SOURCE else (ERP,)

    def far_side(self, *, tenant_id: str, connection: str, entity: str) -> FarSide | Problem:
        """The tenant's ERP, over this process's own network."""
        key = (tenant_id, connection)
        if connection == SOURCE:
            return self._source(tenant_id)
        if key not in self._far_sides:
            spec = self._compiled.configuration.all(Connection)[ERP].spec
            settings = {**spec.settings, **self._tenants[tenant_id].settings}
            self._far_sides[key] = FarSide(
                connector=build(
                    connection=replace(spec, settings=settings),
                    secrets={"token": TOKEN},
                    transport=self._transports[tenant_id],
                    clock=self._process.clock,
                    random=self._random,
                ),
                mapping=self._compiled.mapping if entity else EntityMapping(company="", accounts={}),
                functional_currency=self._compiled.entity.functional_currency if entity else "",
                pool_id=derived_id("pool", tenant_id, connection),
                configuration_version=1,
            )
        return self._far_sides[key]

    def _source(self, tenant_id: str) -> FarSide:
        """The tenant's source, as the far side of what it is told."""
        key = (tenant_id, SOURCE)
        if key not in self._far_sides:
            client = self.source_client(tenant_id=tenant_id)
            self._far_sides[key] = FarSide(
                connector=StripeFarSide(client=client, clock=self._process.clock),
                mapping=EntityMapping(company="", accounts={}),
                functional_currency="",
                pool_id=derived_id("pool", tenant_id, SOURCE),
                configuration_version=1,
            )
        return self._far_sides[key]

    def source_client(self, *, tenant_id: str) -> StripeClient:
        """This process's way to the tenant's source."""
        spec = self._compiled.configuration.all(Connection)[SOURCE].spec
        return client_of(
            connection=replace(spec, settings={"baseUrl": SOURCE_URL}),
            secrets={"apiKey": KEY},
            transport=self._sources[tenant_id],
            clock=self._process.clock,
        )

    def feedback_configuration(self, *, tenant_id: str) -> FeedbackConfiguration | Problem:
        """Who is told what: the source of its invoices, where the plan says so."""
        return FeedbackConfiguration(
            version=1,
            feedbacks={"invoices": TELLING} if self.tells(tenant_id) else {},
            subscriptions={},
            entities={SOURCE: ENTITY},
            pools={name: derived_id("pool", tenant_id, name) for name in (SOURCE, ERP)},
        )

    def tells(self, tenant_id: str) -> bool:
        """Whether a tenant tells anybody."""
        return self._tenants[tenant_id].tells

    def held(self, *, tenant_id: str, document: Document) -> Problem | None:
        """Nothing is held back beyond what the ERP's periods do."""
        return None


def _not_asked(**_: Any) -> Problem | None:
    return None
