"""What a tenant has configured, as pages show it: read from the active version, without any secret."""

from __future__ import annotations

from revline.core.problem import ProblemError, problem
from revline.doors.console.values import Visit
from revline.platform.config.documents import Configuration
from revline.platform.config.queries import active
from revline.platform.tenancy.kinds import Connection


def configuration_of(visit: Visit) -> Configuration | None:
    """The tenant's active configuration; None when nothing was applied yet."""
    with visit.read() as connection:
        return active(connection, tenant_id=visit.tenant_id, registry=visit.services.registry)


def connections_of(visit: Visit) -> tuple[tuple[str, str, bool], ...]:
    """(name, connector, sandbox) of every connection, by name."""
    configuration = configuration_of(visit)
    found = {} if configuration is None else configuration.all(Connection)
    return tuple((name, found[name].spec.connector, found[name].spec.sandbox) for name in sorted(found))


def connection_of(visit: Visit, name: str) -> Connection:
    """One connection. ProblemError `console.not_found` where there is none of this name."""
    configuration = configuration_of(visit)
    document = None if configuration is None else configuration.get(Connection, name)
    if document is None:
        raise ProblemError(problem("console.not_found", "no connection of this name is configured"))
    return document.spec
