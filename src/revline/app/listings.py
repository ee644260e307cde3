"""The API's lists of facts, deliveries, cases and acts on many records: each page read from the room that owns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from revline.core.hashing import plain
from revline.core.problem import Problem, ProblemError, problem
from revline.delivery import queries as deliveries
from revline.doors.api.ports import Key, Listing
from revline.doors.credits import plain_grant
from revline.doors.usage_shadow import filter_of, plain_finding
from revline.doors.waiting_view import Hop, first_hops
from revline.intake import queries as fact_log
from revline.platform.bulk import queries as bulk
from revline.platform.cases import behind
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from revline.subledger.usage.charges import queries as charge_queries
from revline.subledger.usage.charges.queries import ChargeFilter
from revline.subledger.usage.credits import queries as credit_queries
from revline.subledger.usage.outward import queries as finding_queries

FINDING_FILTERS: Final = frozenset({"connection", "customer", "cause", "direction", "since", "until", "all"})

CHARGE_FILTERS = frozenset({"customer", "meter", "family", "held"})


def listings_of(database: Database) -> Mapping[str, Listing]:
    """By name, as they stand in the path."""
    return {
        "facts": Listing(page=partial(_facts, database), filters=frozenset({"kind"})),
        "deliveries": Listing(page=partial(_deliveries, database), filters=frozenset({"state", "connection"})),
        "cases": Listing(page=partial(_cases, database), filters=frozenset({"state", "cause", "sort", "currency"})),
        "credits": Listing(page=partial(_credits, database), filters=frozenset({"connection", "customer"})),
        "usage/charges": Listing(page=partial(_charges, database), filters=CHARGE_FILTERS),
        "acts": Listing(page=partial(_acts, database), filters=frozenset({"state"})),
        "usage-findings": Listing(page=partial(_findings, database), filters=FINDING_FILTERS),
    }


def _charges(
    database: Database, *, tenant_id: str, after: Key | None, limit: int, filters: Mapping[str, str]
) -> Sequence[tuple[Mapping[str, Any], Key]]:
    """Charge lines by the beginning of their period. customer: connection/outside id."""
    from revline.subledger.usage.charges.desk import shown  # noqa: PLC0415 - heavy

    connection_name, _, outside_id = filters.get("customer", "").partition("/")
    held = filters.get("held", "")
    if held not in {"", "true", "false"}:
        raise ProblemError(problem("http.request_invalid", "held is true or false", field="held"))
    wanted = ChargeFilter(
        connection=connection_name,
        customer=outside_id,
        meter=filters.get("meter", ""),
        product_family=filters.get("family", ""),
        held=None if not held else held == "true",
        after=(datetime.fromisoformat(str(after[0])), str(after[1])) if after else None,
    )
    with database.read(tenants=[tenant_id]) as connection:
        page = charge_queries.charges(connection, tenant_id=tenant_id, wanted=wanted, limit=limit)
    return [(shown(one), (one.subject.window.start.isoformat(), one.charge_id)) for one in page]


def _facts(
    database: Database, *, tenant_id: str, after: Key | None, limit: int, filters: Mapping[str, str]
) -> Sequence[tuple[Mapping[str, Any], Key]]:
    place = (int(after[0]), int(after[1])) if after else (0, 0)
    with database.read(tenants=[tenant_id]) as connection:
        page = fact_log.facts_page(
            connection, tenant_id=tenant_id, after=place, limit=limit, kind=filters.get("kind", "")
        )
    return [(plain(one), (one.position, one.ordinal)) for one in page]


def _deliveries(
    database: Database, *, tenant_id: str, after: Key | None, limit: int, filters: Mapping[str, str]
) -> Sequence[tuple[Mapping[str, Any], Key]]:
    with database.read(tenants=[tenant_id]) as connection:
        page = deliveries.deliveries(
            connection,
            tenant_id=tenant_id,
            state=filters.get("state", ""),
            far_connection=filters.get("connection", ""),
            after=str(after[0]) if after else "",
            limit=limit,
        )
        waits = first_hops(connection, tenant_id=tenant_id, documents=page)
    return [(_with_waits(one, waits), (one.document_id,)) for one in page]


def _with_waits(one: deliveries.Delivery, waits: Mapping[str, tuple[Hop, int]]) -> Mapping[str, Any]:
    hop, others = waits.get(one.document_id, (None, 0))
    return {**plain(one), "waits_for": None if hop is None else {**plain(hop), "title": hop.title, "others": others}}


def _cases(
    database: Database, *, tenant_id: str, after: Key | None, limit: int, filters: Mapping[str, str]
) -> Sequence[tuple[Mapping[str, Any], Key]]:
    sort = filters.get("sort", "")
    if (
        sort not in {"", "behind"}
        or (sort and filters.keys() & {"cause", "state"})
        or (not sort and "currency" in filters)
    ):
        detail = "sort is behind or nothing; behind takes currency, and neither cause nor state"
        raise ProblemError(problem("http.request_invalid", detail, field="sort"))
    if sort:
        return _most_behind(database, tenant_id, after, limit, filters.get("currency", "").upper())
    with database.read(tenants=[tenant_id]) as connection:
        page = cases.cases(
            connection,
            tenant_id=tenant_id,
            cause_id=filters.get("cause", ""),
            state=filters.get("state", "open"),
            after=str(after[0]) if after else "",
            limit=limit,
        )
    return [(plain(one), (one.case_id,)) for one in page]


def _most_behind(
    database: Database, tenant_id: str, after: Key | None, limit: int, currency: str
) -> Sequence[tuple[Mapping[str, Any], Key]]:
    """Open cases by what they hold up: by money of one currency, or by count."""
    place = (Decimal(str(after[0])), str(after[1])) if after else None
    with database.read(tenants=[tenant_id]) as connection:
        page = behind.most_behind(connection, tenant_id=tenant_id, currency=currency, after=place, limit=limit)
    places = [behind.place_of(one, currency=currency) for one in page]
    return [(plain(one), (str(amount), identity)) for one, (amount, identity) in zip(page, places, strict=True)]


def _acts(
    database: Database, *, tenant_id: str, after: Key | None, limit: int, filters: Mapping[str, str]
) -> Sequence[tuple[Mapping[str, Any], Key]]:
    with database.read(tenants=[tenant_id]) as connection:
        page = bulk.acts(
            connection,
            tenant_id=tenant_id,
            state=filters.get("state", ""),
            before=str(after[0]) if after else "",
            limit=limit,
        )
    return [(plain(one), (one.act_id,)) for one in page]


def _credits(
    database: Database, *, tenant_id: str, after: Key | None, limit: int, filters: Mapping[str, str]
) -> Sequence[tuple[Mapping[str, Any], Key]]:
    with database.read(tenants=[tenant_id]) as connection:
        page = credit_queries.grants_page(
            connection,
            tenant_id=tenant_id,
            source_connection=filters.get("connection", ""),
            customer=filters.get("customer", ""),
            after=(datetime.fromisoformat(str(after[0])), str(after[1])) if after else None,
            limit=limit,
        )
    return [(plain_grant(one), (one.grant.granted_at.isoformat(), one.grant_id)) for one in page]


def _findings(
    database: Database, *, tenant_id: str, after: Key | None, limit: int, filters: Mapping[str, str]
) -> Sequence[tuple[Mapping[str, Any], Key]]:
    asked = {name: value for name, value in filters.items() if name != "all"}
    wanted = filter_of(**asked, everything=filters.get("all", "") == "true")
    if isinstance(wanted, Problem):
        raise ProblemError(wanted)
    with database.read(tenants=[tenant_id]) as connection:
        page = finding_queries.findings(
            connection,
            tenant_id=tenant_id,
            wanted=wanted,
            after=(datetime.fromisoformat(str(after[0])), str(after[1])) if after else None,
            limit=limit,
        )
    return [(plain_finding(one), (one.finding.subject.window.end.isoformat(), one.finding_id)) for one in page]
