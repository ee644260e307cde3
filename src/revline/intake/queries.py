"""Reads of the fact log. Facts come back whole, in the order they were accepted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, and_, func, or_, select, tuple_

from revline.core.facts import Fact, Name, TranslatedFact
from revline.core.ids import SourceObject
from revline.core.money import decode_hook
from revline.intake.tables import (
    awaited,
    body,
    fact,
    fact_root,
    reread,
    root,
    untranslated,
    webhook_address,
)
from revline.intake.values import Awaited, Form, Input
from revline.platform.lineage.queries import records_named

FACTS_PER_ROOT_MAX: Final = 20_000
PAGE_MAX: Final = 1_000

_DECODER = msgspec.json.Decoder(TranslatedFact, dec_hook=decode_hook)


class TooManyFactsError(RuntimeError):
    """A root has more facts than one derive run reads."""


class KeptInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input that made no fact, with its bytes. code: why."""

    untranslated_id: str
    connection: str
    form: Form
    code: str
    taken: Input


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant's intake holds. awaited: names still waited for, overdue ones among them. to_read: objects to be read again."""

    facts: int
    roots: int
    kept_inputs: int
    awaited: int
    overdue: int
    to_read: int = 0


def _fact(row: Row[Any]) -> Fact:
    return Fact(
        fact_id=row.fact_id,
        position=row.position,
        ordinal=row.ordinal,
        received_at=row.received_at,
        translator=row.translator,
        body_digest=bytes(row.body_digest).hex(),
        translated=_DECODER.decode(row.content),
    )


def facts_of_roots(
    connection: Connection, *, tenant_id: str, root_ids: Collection[str]
) -> Mapping[str, tuple[Fact, ...]]:
    """Every fact of each root, oldest first; a root without facts has an empty entry. Raises TooManyFactsError."""
    found: dict[str, list[Fact]] = {identity: [] for identity in root_ids}
    if not found:
        return {}
    statement = (
        select(fact, fact_root.c.root_id)
        .join(
            fact_root,
            and_(
                fact_root.c.tenant_id == fact.c.tenant_id,
                fact_root.c.position == fact.c.position,
                fact_root.c.ordinal == fact.c.ordinal,
            ),
        )
        .where(
            fact_root.c.tenant_id == tenant_id,
            fact.c.tenant_id == tenant_id,
            fact_root.c.root_id.in_(sorted(found)),
        )
        .order_by(fact.c.position, fact.c.ordinal)
        .limit(FACTS_PER_ROOT_MAX + 1)
    )
    rows = connection.execute(statement).all()
    if len(rows) > FACTS_PER_ROOT_MAX:
        raise TooManyFactsError(f"the roots have more than {FACTS_PER_ROOT_MAX} facts")
    for row in rows:
        found[row.root_id].append(_fact(row))
    return {identity: tuple(facts) for identity, facts in found.items()}


def facts_of_root(connection: Connection, *, tenant_id: str, root_id: str) -> list[Fact]:
    """Every fact of one root, oldest first."""
    return list(facts_of_roots(connection, tenant_id=tenant_id, root_ids=[root_id])[root_id])


def places_of_root(connection: Connection, *, tenant_id: str, root_id: str) -> tuple[tuple[int, int], ...]:
    """(position, ordinal) of a root's facts, oldest first, without their content; at most PAGE_MAX."""
    statement = select(fact_root.c.position, fact_root.c.ordinal).where(
        fact_root.c.tenant_id == tenant_id, fact_root.c.root_id == root_id
    )
    rows = connection.execute(statement.order_by(fact_root.c.position, fact_root.c.ordinal).limit(PAGE_MAX))
    return tuple((row.position, row.ordinal) for row in rows)


def facts_by_names(
    connection: Connection, *, tenant_id: str, wanted: Collection[Awaited]
) -> Mapping[Awaited, tuple[Fact, ...]]:
    """Every fact of an object known by each of these names, oldest first; empty where there is none.

    All facts of a named object are given, also those that came without the name.
    """
    names = {Name(kind=one.name_kind, value=one.name_value) for one in wanted if one.name_kind != "outside_id"}
    by_name: dict[Name, set[str]] = {}
    for name, record_id in records_named(connection, tenant_id=tenant_id, names=names, record_kind="fact"):
        by_name.setdefault(name, set()).add(record_id)
    objects = _objects_of(connection, tenant_id=tenant_id, fact_ids={one for ids in by_name.values() for one in ids})
    meant: dict[Awaited, set[SourceObject]] = {}
    for one in wanted:
        if one.name_kind == "outside_id":
            sources = {SourceObject(connection=one.connection, kind=one.object_kind, outside_id=one.name_value)}
        else:
            ids = by_name.get(Name(kind=one.name_kind, value=one.name_value), set())
            sources = {objects[identity] for identity in ids if identity in objects}
        meant[one] = {
            source for source in sources if (source.connection, source.kind) == (one.connection, one.object_kind)
        }
    facts = facts_of_objects(
        connection, tenant_id=tenant_id, sources={source for sources in meant.values() for source in sources}
    )
    return {
        one: tuple(
            sorted(
                (item for source in sources for item in facts.get(source, ())),
                key=lambda item: (item.position, item.ordinal),
            )
        )
        for one, sources in meant.items()
    }


def facts_by_name(
    connection: Connection, *, tenant_id: str, source_connection: str, object_kind: str, kind: str, value: str
) -> list[Fact]:
    """Every fact of the objects of a kind on a source connection that are known by one name, oldest first."""
    one = Awaited(connection=source_connection, object_kind=object_kind, name_kind=kind, name_value=value)
    return list(facts_by_names(connection, tenant_id=tenant_id, wanted=[one])[one])


def facts_of_objects(
    connection: Connection, *, tenant_id: str, sources: Collection[SourceObject]
) -> Mapping[SourceObject, tuple[Fact, ...]]:
    """Every fact of each source object, oldest first."""
    if not sources:
        return {}
    keys = sorted((one.connection, one.kind, one.outside_id) for one in sources)
    statement = (
        select(fact)
        .where(
            fact.c.tenant_id == tenant_id,
            tuple_(fact.c.connection, fact.c.object_kind, fact.c.outside_id).in_(keys),
        )
        .order_by(fact.c.position, fact.c.ordinal)
        .limit(FACTS_PER_ROOT_MAX + 1)
    )
    rows = connection.execute(statement).all()
    if len(rows) > FACTS_PER_ROOT_MAX:
        raise TooManyFactsError(f"the objects have more than {FACTS_PER_ROOT_MAX} facts")
    found: dict[SourceObject, list[Fact]] = {}
    for row in rows:
        one = _fact(row)
        found.setdefault(one.translated.source, []).append(one)
    return {source: tuple(facts) for source, facts in found.items()}


def _objects_of(connection: Connection, *, tenant_id: str, fact_ids: Collection[str]) -> dict[str, SourceObject]:
    if not fact_ids:
        return {}
    columns = (fact.c.fact_id, fact.c.connection, fact.c.object_kind, fact.c.outside_id)
    statement = select(*columns).where(fact.c.tenant_id == tenant_id, fact.c.fact_id.in_(sorted(fact_ids)))
    return {
        row.fact_id: SourceObject(connection=row.connection, kind=row.object_kind, outside_id=row.outside_id)
        for row in connection.execute(statement)
    }


def facts_by_id(connection: Connection, *, tenant_id: str, fact_ids: Collection[str]) -> tuple[Fact, ...]:
    """The facts of these ids that are there, oldest first; at most PAGE_MAX ids."""
    ids = sorted(set(fact_ids))[:PAGE_MAX]
    statement = select(fact).where(fact.c.tenant_id == tenant_id, fact.c.fact_id.in_(ids))
    return tuple(_fact(row) for row in connection.execute(statement.order_by(fact.c.position, fact.c.ordinal)))


def fact_by_id(connection: Connection, *, tenant_id: str, fact_id: str) -> Fact | None:
    """One fact, or None."""
    found = facts_by_id(connection, tenant_id=tenant_id, fact_ids=[fact_id])
    return found[0] if found else None


def fact_by_source_event(
    connection: Connection, *, tenant_id: str, source_connection: str, source_event: str
) -> Fact | None:
    """The fact a message of a connection made, or None."""
    statement = select(fact).where(
        fact.c.tenant_id == tenant_id, fact.c.connection == source_connection, fact.c.source_event == source_event
    )
    row = connection.execute(statement).one_or_none()
    return _fact(row) if row is not None else None


def facts_page(
    connection: Connection, *, tenant_id: str, after: tuple[int, int] = (0, 0), limit: int = 100, kind: str = ""
) -> tuple[Fact, ...]:
    """Facts after a place in the log, oldest first. Positions only grow, so a page stays what it is while facts come in."""
    position, ordinal = after
    statement: Select[Any] = select(fact).where(
        fact.c.tenant_id == tenant_id,
        or_(fact.c.position > position, and_(fact.c.position == position, fact.c.ordinal > ordinal)),
    )
    if kind:
        statement = statement.where(fact.c.object_kind == kind)
    rows = connection.execute(statement.order_by(fact.c.position, fact.c.ordinal).limit(min(limit, PAGE_MAX)))
    return tuple(_fact(row) for row in rows)


def root_source(connection: Connection, *, tenant_id: str, root_id: str) -> SourceObject | None:
    """The source object behind a root's id, or None."""
    return root_sources(connection, tenant_id=tenant_id, root_ids=[root_id]).get(root_id)


def root_sources(connection: Connection, *, tenant_id: str, root_ids: Collection[str]) -> Mapping[str, SourceObject]:
    """The source objects behind roots' ids."""
    statement = select(root).where(root.c.tenant_id == tenant_id, root.c.root_id.in_(sorted(root_ids)))
    return {
        row.root_id: SourceObject(connection=row.connection, kind=row.kind, outside_id=row.outside_id)
        for row in (connection.execute(statement) if root_ids else ())
    }


def roots_of_fact(connection: Connection, *, tenant_id: str, position: int, ordinal: int) -> tuple[str, ...]:
    """Ids of the roots a fact touches, sorted."""
    statement = select(fact_root.c.root_id).where(
        fact_root.c.tenant_id == tenant_id, fact_root.c.position == position, fact_root.c.ordinal == ordinal
    )
    return tuple(sorted(connection.execute(statement).scalars()))


def raw_body(connection: Connection, *, tenant_id: str, digest: str) -> tuple[bytes, str] | None:
    """The raw bytes of a digest (hexadecimal) and their content type, or None when they were erased."""
    statement = select(body).where(body.c.tenant_id == tenant_id, body.c.digest == bytes.fromhex(digest))
    row = connection.execute(statement).one_or_none()
    return (bytes(row.bytes), row.content_type) if row is not None else None


def kept_input(connection: Connection, *, tenant_id: str, untranslated_id: str) -> KeptInput | None:
    """A kept input with its bytes, or None."""
    statement = (
        select(untranslated, body.c.bytes, body.c.content_type)
        .join(body, and_(body.c.tenant_id == untranslated.c.tenant_id, body.c.digest == untranslated.c.body_digest))
        .where(
            untranslated.c.tenant_id == tenant_id,
            body.c.tenant_id == tenant_id,
            untranslated.c.untranslated_id == untranslated_id,
        )
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    return KeptInput(
        untranslated_id=row.untranslated_id,
        connection=row.connection,
        form=Form(row.form),
        code=row.code,
        taken=Input(body=bytes(row.bytes), content_type=row.content_type, received_at=row.received_at),
    )


def counts(connection: Connection, *, tenant_id: str) -> Counts:
    """What the tenant's intake holds, counted."""

    def number(table: Any, *conditions: Any) -> int:
        statement = select(func.count()).select_from(table).where(table.c.tenant_id == tenant_id, *conditions)
        return int(connection.execute(statement).scalar_one())

    return Counts(
        facts=number(fact),
        roots=number(root),
        kept_inputs=number(untranslated),
        awaited=number(awaited, awaited.c.state.in_(("waiting", "overdue"))),
        overdue=number(awaited, awaited.c.state == "overdue"),
        to_read=number(reread, reread.c.state.in_(("asked", "overdue"))),
    )


def address_of(connection: Connection, *, address_digest: bytes) -> tuple[str, str] | None:
    """(tenant, connection) behind a webhook address, or None when there is none or it was revoked. A control table."""
    statement = select(webhook_address.c.tenant_id, webhook_address.c.connection).where(
        webhook_address.c.address_digest == address_digest, webhook_address.c.revoked_at.is_(None)
    )
    row = connection.execute(statement).one_or_none()
    return (row.tenant_id, row.connection) if row is not None else None


def fact_ids_at(connection: Connection, *, tenant_id: str, places: Collection[tuple[int, int]]) -> tuple[str, ...]:
    """Ids of the facts at these (position, ordinal), oldest first; at most PAGE_MAX places."""
    wanted = sorted(set(places))[:PAGE_MAX]
    if not wanted:
        return ()
    statement = (
        select(fact.c.fact_id)
        .where(fact.c.tenant_id == tenant_id, tuple_(fact.c.position, fact.c.ordinal).in_(wanted))
        .order_by(fact.c.position, fact.c.ordinal)
    )
    return tuple(connection.execute(statement).scalars())


def fact_ids_of_root(connection: Connection, *, tenant_id: str, root_id: str, limit: int = PAGE_MAX) -> tuple[str, ...]:
    """Ids of the facts that touch a root, oldest first."""
    statement = (
        select(fact.c.fact_id)
        .join(
            fact_root,
            and_(
                fact_root.c.tenant_id == fact.c.tenant_id,
                fact_root.c.position == fact.c.position,
                fact_root.c.ordinal == fact.c.ordinal,
            ),
        )
        .where(fact.c.tenant_id == tenant_id, fact_root.c.tenant_id == tenant_id, fact_root.c.root_id == root_id)
        .order_by(fact.c.position, fact.c.ordinal)
        .limit(limit)
    )
    return tuple(connection.execute(statement).scalars())
