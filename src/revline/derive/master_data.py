"""What an ERP calls our customers, products, accounts, taxes, dimensions, entities and books: reads only.

Accounts, taxes and dimensions are what a Mapping says; customers and products what their master documents became, or, for products,
what the Mapping says. A key nothing is known of says so with a reason, and is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from revline.core.documents import DocumentState
from revline.core.facts import Name
from revline.core.farside import EntityMapping
from revline.core.ids import SourceObject, root_id
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.delivery.ports import Directory
from revline.delivery.standings import DocumentStanding, standings
from revline.delivery.values import FarSide
from revline.derive.ports import Configurations, DeriveConfiguration
from revline.derive.record import MASTER_NAME
from revline.intake import queries as fact_log
from revline.platform.lineage.queries import records_named
from revline.platform.store.engine import Database
from revline.subledger.posting.setup import BookSetup

KINDS: Final = ("accounts", "books", "customers", "dimensions", "entities", "products", "taxes")
MASTERS: Final = {"customers": "customer", "products": "product"}
ROWS_MAX: Final = 1_000

define(
    code="master_data.kind_unknown",
    title="No such kind of master data",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy=f"Ask for one of: {', '.join(KINDS)}.",
)
define(
    code="master_data.key_missing",
    title="Whom is asked for is missing",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Give `key`: the outside id of a customer or product.",
)


class MasterRow(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What one ERP connection calls one key for one entity. code: its code or id there; number: what people call it. reason: why
    there is none (a problem code), "" when there is one."""

    connection: str
    entity: str
    key: str
    code: str
    number: str = ""
    reason: str = ""
    detail: str = ""


class MasterData(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. truncated: there are more than `ROWS_MAX`; ask with a key."""

    kind: str
    key: str
    rows: tuple[MasterRow, ...]
    truncated: bool = False


class MasterQuestions:
    """Look-ups for doors."""

    def __init__(self, *, database: Database, configurations: Configurations, directory: Directory) -> None:
        self._database, self._configurations, self._directory = database, configurations, directory

    def look_up(self, *, tenant_id: str, kind: str, key: str = "") -> MasterData | Problem:
        """Every place that knows a key, or every key of a kind (customers and products only by key).

        Problems master_data.kind_unknown, master_data.key_missing, and whatever keeps the configuration from being used.
        """
        if kind not in KINDS:
            return problem("master_data.kind_unknown", f"{kind[:40]!r} is no kind of master data", field=kind[:40])
        configuration = self._configurations.derive_configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        if kind in MASTERS and not key:
            return problem("master_data.key_missing", f"{kind} are looked up one by one", field="key")
        books = [book for _, book in sorted(configuration.setup.books.items())]
        if kind == "books":
            rows = [_book_row(book) for book in books if key in {"", book.name}]
        else:
            rows = self._mapped(tenant_id, kind, key, books)
        if kind in MASTERS:
            with self._database.read(tenants=[tenant_id]) as connection:
                rows = _masters(connection, tenant_id, MASTERS[kind], key, configuration, rows)
        ordered = tuple(sorted(rows))
        return MasterData(kind=kind, key=key, rows=ordered[:ROWS_MAX], truncated=len(ordered) > ROWS_MAX)

    def _mapped(self, tenant_id: str, kind: str, key: str, books: Sequence[BookSetup]) -> list[MasterRow]:
        rows: list[MasterRow] = []
        for erp, entity in sorted({(book.erp, book.entity) for book in books if book.erp}):
            far = self._directory.far_side(tenant_id=tenant_id, connection=erp, entity=entity)
            if isinstance(far, Problem):
                reason = MasterRow(connection=erp, entity=entity, key=key, code="", reason=far.code, detail=far.detail)
                rows.append(reason)
                continue
            found = _READ[kind](far, entity)
            rows.extend(
                MasterRow(connection=erp, entity=entity, key=name, code=code)
                for name, code in found.items()
                if key in {"", name}
            )
            if key and key not in found:
                rows.append(_missing(erp, entity, kind, key))
        return rows


def _dimensions(mapping: EntityMapping) -> Mapping[str, str]:
    return {f"{name}.{value}": code for name, codes in mapping.dimensions.items() for value, code in codes.items()}


_READ: Final[Mapping[str, Callable[[FarSide, str], Mapping[str, str]]]] = {
    "accounts": lambda far, entity: far.mapping.accounts,
    "taxes": lambda far, entity: far.mapping.taxes,
    "products": lambda far, entity: far.mapping.products,
    "customers": lambda far, entity: {},
    "dimensions": lambda far, entity: _dimensions(far.mapping),
    "entities": lambda far, entity: {entity: far.mapping.company},
}


def _missing(connection: str, entity: str, kind: str, key: str) -> MasterRow:
    detail = f"the Mapping of {connection} for {entity} lacks {kind}.{key}"
    return MasterRow(connection=connection, entity=entity, key=key, code="", reason="mapping.missing", detail=detail)


def _book_row(book: BookSetup) -> MasterRow:
    reason = "" if book.erp else "mapping.missing"
    detail = "" if book.erp else "the book is kept here alone"
    return MasterRow(
        connection=book.erp, entity=book.entity, key=book.name, code=book.company, reason=reason, detail=detail
    )


def _masters(
    connection: Connection,
    tenant_id: str,
    kind: str,
    key: str,
    configuration: DeriveConfiguration,
    mapped: Iterable[MasterRow],
) -> list[MasterRow]:
    """What the master documents of an outside id became; what the Mapping says stands beside where it says anything."""
    sources = [SourceObject(connection=name, kind=kind, outside_id=key) for name in sorted(configuration.scopes)]
    roots = [root_id(tenant=tenant_id, source=source) for source in sources]
    known = fact_log.root_sources(connection, tenant_id=tenant_id, root_ids=roots)
    names = [Name(kind=MASTER_NAME, value=one) for one in known]
    found = records_named(connection, tenant_id=tenant_id, names=names, record_kind="document")
    documents = standings(connection, tenant_id=tenant_id, document_ids=[document_id for _, document_id in found])
    rows = [_document_row(one, key) for one in documents]
    there = {(row.connection, row.entity) for row in rows}
    rows.extend(row for row in mapped if not row.reason or (row.connection, row.entity) not in there)
    return rows


def _document_row(one: DocumentStanding, key: str) -> MasterRow:
    posted = one.state is DocumentState.POSTED or bool(one.erp_id)
    return MasterRow(
        connection=one.connection,
        entity=one.entity,
        key=key,
        code=one.erp_id or "",
        number=one.erp_number,
        reason="" if posted else one.problem_code or "erp.record_missing",
        detail="" if posted else one.problem_detail or f"its record is {one.state}",
    )
