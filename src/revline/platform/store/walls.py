"""The two kinds of tables, the one `metadata` all packages share, and the rules every table keeps.

Tenant tables carry `tenant_id` first in every key, foreign key and index and stand behind the row-level policy; control tables
have no policy and hold no business data. This module declares and checks; it runs no statement and knows no package's tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Constraint,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.schema import SchemaItem

NAMING: Final = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
metadata: Final = MetaData(naming_convention=NAMING)
"""Every table of every package."""

MAXIMUM_TENANTS_PER_UNIT: Final = 100
"""Tenants one unit or read may name: a group commit over 100 costs about 1.15 times one without walls, over 500 1.6 times, and
holds as many counters until it has committed (docs/decisions/0001-tenant-walls.md)."""
TENANT_ID_PATTERN: Final = re.compile(r"[a-z][a-z0-9-]{0,38}")
TENANTS_SETTING: Final = "revline.tenants"
NAME_TENANTS: Final = text(f"SELECT set_config('{TENANTS_SETTING}', :tenants, true)")
"""Says for the rest of a transaction whose rows it sees and writes; `tenants` as `tenants_setting` gives it."""
TENANT_POLICY: Final = f"strpos(current_setting('{TENANTS_SETTING}', true), ',' || tenant_id || ',') > 0"
"""Admits a row whose tenant stands in the setting, ",alpha,beta,". A search in a text, not membership of an array: it costs a
quarter at 100 tenants, and gives the planner no reason to read all rows of the named tenants instead of the keys asked for."""


def tenants_setting(tenants: Sequence[str]) -> str:
    """The value of the transaction setting that names these tenants: `,alpha,beta,`, or empty for none.

    Raises ValueError for a name that is no slug (so none can smuggle in a second one) and for more than the cap.
    """
    names = sorted(set(tenants))
    for name in names:
        if not TENANT_ID_PATTERN.fullmatch(name):
            raise ValueError(f"not a tenant id: {name!r}; a tenant id is a slug such as 'north-america'")
    if len(names) > MAXIMUM_TENANTS_PER_UNIT:
        raise ValueError(f"{len(names)} tenants named; one transaction names at most {MAXIMUM_TENANTS_PER_UNIT}")
    return f",{','.join(names)}," if names else ""


def tenant_table(
    name: str,
    *items: SchemaItem,
    archivable: bool = False,
    recorded: bool | None = None,
    live_with: Mapping[str, str] | None = None,
    into: MetaData = metadata,
    **options: Any,
) -> Table:
    """Declares a table behind the wall. `tenant_id` is added as first column and first part of the primary key.

    archivable: partitioned by `archived` into `<name>_live` and `<name>_history`; `archived` joins the primary key. An update
        of `archived` moves the row.
    recorded: rows are append-only, written with `unit.record`, and part of the audit hash chain; `position` and `ordinal` are
        added when not declared (they are the primary key if none is). Default: true when both are declared. Columns added to
        a recorded table later must be nullable without a default, or old rows would no longer match their hash.
    live_with: storage settings of the live partition (`hot`); a partitioned table itself can have none.
    into: another collection than the shared one, for tests of the store itself.
    """
    columns = [item for item in items if isinstance(item, Column)]
    names = [column.name for column in columns]
    is_recorded = recorded if recorded is not None else {"position", "ordinal"} <= set(names)
    leading: list[SchemaItem] = [] if "tenant_id" in names else [Column("tenant_id", Text, nullable=False)]
    if is_recorded:
        leading += [] if "position" in names else [Column("position", BigInteger, nullable=False)]
        leading += [] if "ordinal" in names else [Column("ordinal", Integer, nullable=False)]
    if archivable and "archived" not in names:
        leading.append(Column("archived", Boolean, nullable=False, server_default=false()))
    key = _primary_key_names(items) or (["position", "ordinal"] if is_recorded else [])
    key = ["tenant_id", *(part for part in key if part not in {"tenant_id", "archived"})]
    tail = ["archived"] if archivable else []
    for column in columns:
        column.primary_key = False
    kept = [item for item in items if not isinstance(item, PrimaryKeyConstraint)]
    if is_recorded and not set(key) <= {"tenant_id", "position", "ordinal"}:
        kept.append(UniqueConstraint("tenant_id", "position", "ordinal", *tail))
    if archivable:
        options["postgresql_partition_by"] = "LIST (archived)"
    more = {"live_with": dict(live_with)} if live_with else {}
    info = {"wall": "tenant", "archivable": archivable, "recorded": is_recorded, **more, **options.pop("info", {})}
    return Table(name, into, *leading, *kept, PrimaryKeyConstraint(*key, *tail), info=info, **options)


def control_table(
    name: str, *items: SchemaItem, control_role: Literal["write", "read", "none"] = "write", **options: Any
) -> Table:
    """Declares a table without a policy and without business data; keys of outside things are stored as hashes.

    control_role: what the role `revline_control` may do with it; none where a row says who a person is.
    """
    info = {"wall": "control", "control_role": control_role, **options.pop("info", {})}
    return Table(name, metadata, *items, info=info, **options)


def is_tenant_table(table: Table) -> bool:
    """True for a table behind the wall."""
    return table.info.get("wall") == "tenant"


def is_recorded(table: Table) -> bool:
    """True for a table whose rows are append-only and part of the audit hash chain."""
    return bool(table.info.get("recorded"))


def is_archivable(table: Table) -> bool:
    """True for a table split into live rows and history."""
    return bool(table.info.get("archivable"))


def wall_findings(tables: MetaData) -> list[str]:
    """What breaks the rules of the walls, one sentence each; empty when all is well."""
    return [finding for table in tables.sorted_tables for finding in _findings_of(table)]


def _findings_of(table: Table) -> Iterator[str]:
    if table.info.get("wall") not in {"tenant", "control"}:
        yield f"{table.name} is declared with neither tenant_table nor control_table"
        return
    if not list(table.primary_key.columns):
        yield f"{table.name} has no primary key"
    if not is_tenant_table(table):
        if any(is_tenant_table(key.column.table) for key in table.foreign_keys):
            yield f"{table.name} is a control table and refers to a tenant table"
        return
    if next(iter(table.columns)).name != "tenant_id" or not isinstance(table.c.tenant_id.type, Text):
        yield f"{table.name}.tenant_id is not the first column, or not text"
    for constraint in table.constraints:
        yield from _constraint_findings(table, constraint)
    for index in table.indexes:
        if not _leads(list(index.columns)):
            yield f"index {index.name} does not begin with tenant_id"


def _constraint_findings(table: Table, constraint: Constraint) -> Iterator[str]:
    if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint) and not _leads(list(constraint.columns)):
        yield f"a key of {table.name} ({', '.join(column.name for column in constraint.columns)}) does not begin with tenant_id"
    if isinstance(constraint, ForeignKeyConstraint):
        first = constraint.elements[0]
        if is_tenant_table(first.column.table) and not (
            first.parent.name == "tenant_id" and first.column.name == "tenant_id"
        ):
            yield f"a foreign key of {table.name} does not begin with tenant_id on both sides"


def _leads(columns: Sequence[Column[Any]]) -> bool:
    return bool(columns) and columns[0].name == "tenant_id"


def _primary_key_names(items: Sequence[SchemaItem]) -> list[str]:
    for item in items:
        if isinstance(item, PrimaryKeyConstraint):
            pending = item._pending_colargs  # names given as text are not resolved before there is a table
            return [part if isinstance(part, str) else str(part.name) for part in pending if part is not None]
    return [item.name for item in items if isinstance(item, Column) and item.primary_key]


__all__ = [
    "MAXIMUM_TENANTS_PER_UNIT",
    "TENANT_POLICY",
    "control_table",
    "is_archivable",
    "is_recorded",
    "is_tenant_table",
    "metadata",
    "tenant_table",
    "tenants_setting",
    "wall_findings",
]
