"""GET /livez: the process answers. GET /readyz: it can serve. Neither tells a stranger more than that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from litestar import Response, get
from sqlalchemy import text

from revline.core.problem import FieldError, ProblemError, problem
from revline.doors.api.description import PublicOperation
from revline.doors.api.guards import PERMISSION, PUBLIC
from revline.doors.api.ports import ApiPorts, Threads
from revline.platform.store.engine import Database
from revline.platform.store.migrate import SchemaState


class HealthAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe reads."""

    status: str


def health_handlers(*, ports: ApiPorts, threads: Threads) -> list[Any]:
    """The two probes."""

    @get(
        "/livez",
        opt={PERMISSION: PUBLIC},
        operation_id="live",
        operation_class=PublicOperation,
        summary="Is the process alive",
        tags=["health"],
    )
    async def live() -> HealthAnswer:
        return HealthAnswer(status="alive")

    @get(
        "/readyz",
        opt={PERMISSION: PUBLIC},
        operation_id="ready",
        operation_class=PublicOperation,
        summary="Can it serve",
        tags=["health"],
    )
    async def ready() -> Response[HealthAnswer]:
        missing = tuple(await threads.run(ports.ready))
        if missing:
            named = ", ".join(one.pointer for one in missing)
            raise ProblemError(problem("service.unready", f"not ready: {named}", errors=missing))
        return Response(HealthAnswer(status="ready"))

    return [live, ready]


def readiness(*, database: Database, schema_state: Callable[[], SchemaState]) -> Callable[[], Sequence[FieldError]]:
    """What is not ready of a database: that it answers, that its schema is the newest."""

    def check() -> Sequence[FieldError]:
        try:
            with database.control() as connection:
                connection.execute(text("SELECT 1"))
            current = schema_state().is_current
        except Exception:  # noqa: BLE001 - whatever is wrong, the probe's answer is the same: not ready
            return (FieldError(pointer="database", detail="does not answer"),)
        return (
            () if current else (FieldError(pointer="migrations", detail="are missing", instead="revline db upgrade"),)
        )

    return check
