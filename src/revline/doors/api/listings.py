"""List routes: GET /v1/<name>, pages of a tenant with opaque cursors that stay right while rows are added."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.params import FromQuery, QueryParameter

from revline.core.hashing import plain
from revline.core.problem import Problem, ProblemError, problem
from revline.doors.api.cursors import make_cursor, read_cursor
from revline.doors.api.description import list_operation
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import ApiPorts, Key, Listing, Threads
from revline.intake import queries
from revline.platform.access.roles import Permission
from revline.platform.store.engine import Database

LIMIT_DEFAULT: Final = 100
FILTER_LENGTH_MAX: Final = 255


class PageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page. next_cursor: give it as `cursor` for the next one; null when this was the last at the time."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class ListRoute:
    """One list with what it needs."""

    def __init__(self, *, name: str, listing: Listing, ports: ApiPorts, threads: Threads) -> None:
        self.name = name
        self._listing = listing
        self._ports = ports
        self._threads = threads

    async def answer(self, request: Request[Any, Any, Any], limit: int, cursor: str | None) -> PageAnswer:
        """Checks cursor and filters, reads one page and one row more."""
        tenant_id = principal_of(request).tenant_id
        filters = self._filters(request)
        scope: dict[str, Any] = {
            "key": self._ports.cursor_key,
            "listing": self.name,
            "tenant_id": tenant_id,
            "filters": filters,
        }
        after = read_cursor(cursor, **scope) if cursor else None
        if isinstance(after, Problem):
            raise ProblemError(after)
        size = min(limit, self._ports.limits.page_max)
        page = partial(self._listing.page, tenant_id=tenant_id, after=after, limit=size + 1, filters=filters)
        rows = list(await self._threads.run(page))
        # A source may itself stop at the greatest page, and then can't show the one row more that says so.
        more = len(rows) > size or len(rows) == size == self._ports.limits.page_max
        return PageAnswer(
            items=[dict(plain(item)) for item, _ in rows[:size]],
            next_cursor=make_cursor(rows[size - 1][1], **scope) if more else None,
        )

    def _filters(self, request: Request[Any, Any, Any]) -> dict[str, str]:
        everything = list(request.query_params.multi_items())
        given = [(name, value) for name, value in everything if name not in {"limit", "cursor"}]
        unknown = sorted({name[:40] for name, _ in given} - self._listing.filters)
        if unknown or len({name for name, _ in everything}) != len(everything):
            known = ", ".join(sorted({"limit", "cursor", *self._listing.filters}))
            detail = f"unknown or repeated parameters; this list takes {known}"
            raise ProblemError(problem("http.request_invalid", detail, field=unknown[0] if unknown else ""))
        if any(len(value) > FILTER_LENGTH_MAX or "\0" in value for _, value in given):
            raise ProblemError(problem("http.request_invalid", "a filter is too long or holds NUL"))
        return dict(given)


def list_handler(route: ListRoute, *, filters: frozenset[str]) -> Any:
    """The handler of GET /v1/<name>."""
    taken = f" Filters: {', '.join(sorted(filters))}." if filters else ""

    @get(
        f"/{route.name}",
        opt={PERMISSION: Permission.READ},
        operation_id="list" + "".join(word.capitalize() for word in route.name.split("/")),
        operation_class=list_operation(filters=filters),
        summary=f"List {route.name}",
        description=f"At most 1000 a page; opaque cursors, stable while rows are added.{taken}",
        tags=["read"],
    )
    async def list_items(
        request: Request[Any, Any, Any],
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = LIMIT_DEFAULT,
        cursor: FromQuery[str | None] = None,
    ) -> Response[PageAnswer]:
        return Response(await route.answer(request, limit, cursor))

    return list_items


def facts_listing(database: Database) -> Listing:
    """GET /v1/facts: the fact log, oldest first; filter `kind` is the object kind."""

    def page(*, tenant_id: str, after: Key | None, limit: int, filters: Any) -> list[tuple[dict[str, Any], Key]]:
        position, ordinal = (int(after[0]), int(after[1])) if after else (0, 0)
        with database.read(tenants=[tenant_id]) as connection:
            facts = queries.facts_page(
                connection, tenant_id=tenant_id, after=(position, ordinal), limit=limit, kind=filters.get("kind", "")
            )
        return [(plain(fact), (fact.position, fact.ordinal)) for fact in facts]

    return Listing(page=page, filters=frozenset({"kind"}))
