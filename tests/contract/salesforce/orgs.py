"""Simulated orgs for the tests: a clock that is moved by hand, a reader on one, and facts from what it read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from joserfc.jwk import RSAKey

from revline.connectors.salesforce.connector import SalesforceSource
from revline.connectors.salesforce.reader import SalesforceReader, build
from revline.connectors.salesforce.simulator import Behaviour, Org, SimulatedSalesforce
from revline.connectors.salesforce.simulator.server import CONSUMER_KEY, CONSUMER_SECRET, USERNAME
from revline.connectors.sdk.source import LinkRule, SourceContext
from revline.core.facts import Incomplete, TranslatedFact
from revline.core.problem import Problem
from revline.platform.tenancy.kinds import Connection

T = TypeVar("T")
SOURCE = SalesforceSource()
_KEY: list[RSAKey] = []


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, moment: datetime = datetime(2026, 9, 1, 9, tzinfo=UTC)) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def pass_seconds(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def key() -> RSAKey:
    """One key pair for all tests: making one takes long."""
    if not _KEY:
        _KEY.append(RSAKey.generate_key(2048))
    return _KEY[0]


@contextmanager
def serving(org: Org, *, assertions: bool = False) -> Iterator[SimulatedSalesforce]:
    """The org behind an address, with or without a registered key."""
    public = key().as_pem(private=False).decode() if assertions else ""
    with SimulatedSalesforce(org=org, public_key=public) as server:
        yield server


def an_org(**behaviour: Any) -> tuple[Org, HandClock]:
    clock = HandClock()
    return Org(clock=clock, behaviour=Behaviour(**behaviour)), clock


def connection_to(server: SimulatedSalesforce, **settings: str) -> Connection:
    given = {"consumerKey": CONSUMER_KEY, "domain": "acme.my", "baseUrl": server.base_url, **settings}
    return Connection(connector="salesforce", entity="us", sandbox=True, settings=given)


SECRETS = {"consumerSecret": CONSUMER_SECRET}


def jwt_settings() -> dict[str, str]:
    return {"domain": "test", "myDomain": "acme--uat.sandbox.my", "username": USERNAME}


def jwt_secrets() -> dict[str, str]:
    return {"privateKey": key().as_pem(private=True).decode()}


def reading(
    server: SimulatedSalesforce,
    work: Callable[[SalesforceReader], Awaitable[T]],
    *,
    connection: Connection | None = None,
    secrets: dict[str, str] | None = None,
) -> T:
    """What some work with a reader gives."""

    async def run() -> T:
        reader = build(
            connection=connection or connection_to(server),
            secrets=SECRETS if secrets is None else secrets,
            transport=None,
            clock=server.clock,
            random=random.Random(1),
        )
        try:
            return await work(reader)
        finally:
            await reader.close()

    return asyncio.run(run())


def context(*links: LinkRule, **settings: str) -> SourceContext:
    return SourceContext(
        connection="crm",
        entity="us",
        time_zone="America/New_York",
        sandbox=True,
        links=links,
        settings=tuple(sorted(settings.items())),
    )


def fact_of(body: bytes, *, within: SourceContext | None = None) -> TranslatedFact:
    """The one fact of a record."""
    found = SOURCE.translate_object(body=body, context=within or context())
    assert not isinstance(found, Problem), found
    (fact,) = found
    return fact


def asked_of(body: bytes, *, within: SourceContext | None = None) -> tuple[Incomplete, ...]:
    """What a change event asks to be read."""
    found = SOURCE.translate(body=body, context=within or context())
    assert not isinstance(found, Problem), found
    assert all(isinstance(one, Incomplete) for one in found)
    return tuple(one for one in found if isinstance(one, Incomplete))


def whole(found: T | Problem | None) -> T:
    """What was asked for, which must have come."""
    assert found is not None
    assert not isinstance(found, Problem), found
    return found
