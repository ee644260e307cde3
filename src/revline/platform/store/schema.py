"""The whole schema as SQL: tables, partitions, indexes, policies and grants of every declared table.

    python -m revline.platform.store.schema revline.platform.store.tables revline.intake.tables … > 0001_spine.sql

A migration freezes what this prints; a test compares the migrated database with the declarations. It reads declarations only
and knows no package: the modules that declare are named by the caller.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, MetaData, Table, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from revline.platform.store.roles import APP, CONTROL, OWNER
from revline.platform.store.walls import (
    TENANT_POLICY,
    is_archivable,
    is_recorded,
    is_tenant_table,
    metadata,
    wall_findings,
)

_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]

ROLES_PRESENT: Final = f"""\
DO $check$
BEGIN
    IF (SELECT count(*) FROM pg_roles WHERE rolname IN ('{OWNER}', '{APP}', '{CONTROL}')) < 3 THEN
        RAISE EXCEPTION 'create the roles {OWNER}, {APP} and {CONTROL} first (see docs: operate, database)';
    END IF;
END
$check$;"""


def schema_sql(tables: MetaData) -> str:
    """The DDL of every table, to run once in an empty database as `revline_owner`.

    Raises ValueError when a table breaks the rules of the walls.
    """
    findings = wall_findings(tables)
    if findings:
        raise ValueError("; ".join(findings))
    parts = [ROLES_PRESENT, *(part for table in tables.sorted_tables for part in _table_parts(table))]
    return "\n\n".join(parts) + "\n"


def _table_parts(table: Table) -> Iterator[str]:
    lines = str(CreateTable(table).compile(dialect=_DIALECT)).strip().splitlines()
    yield "\n".join(line.replace("\t", "    ").rstrip() for line in lines) + ";"
    for name, value in (("live", "false"), ("history", "true")) if is_archivable(table) else ():
        settings = table.info.get("live_with", {}) if name == "live" else {}
        stored = f" WITH ({', '.join(f'{key} = {given}' for key, given in settings.items())})" if settings else ""
        yield f"CREATE TABLE {table.name}_{name} PARTITION OF {_quoted(table.name)} FOR VALUES IN ({value}){stored};"
    for index in sorted(table.indexes, key=lambda one: str(one.name)):
        yield str(CreateIndex(index).compile(dialect=_DIALECT)).strip() + ";"
    if is_tenant_table(table):
        yield "\n".join(line for name in _with_partitions(table) for line in _wall(name))
    yield "\n".join(_grants(table))


def _with_partitions(table: Table) -> list[str]:
    own = _quoted(table.name)
    return [own, f"{table.name}_live", f"{table.name}_history"] if is_archivable(table) else [own]


def _quoted(name: str) -> str:
    return str(_DIALECT.identifier_preparer.quote(name))


def _wall(name: str) -> list[str]:
    return [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY;",
        f"CREATE POLICY tenant_wall ON {name}\n    USING ({TENANT_POLICY})\n    WITH CHECK ({TENANT_POLICY});",
    ]


def _grants(table: Table) -> Iterator[str]:
    """Partitions get none: they are reached through their table only. Append-only tables can't be changed by any runtime role."""
    append_only = is_recorded(table) or table.info.get("append_only")
    rights = "SELECT, INSERT" if append_only else "SELECT, INSERT, UPDATE, DELETE"
    if append_only and is_archivable(table):
        rights += ", UPDATE (archived)"
    yield f"GRANT {rights} ON {_quoted(table.name)} TO {APP};"
    if not is_tenant_table(table) and table.info["control_role"] != "none":
        control = "SELECT" if table.info["control_role"] == "read" else "SELECT, INSERT, UPDATE, DELETE"
        yield f"GRANT {control} ON {_quoted(table.name)} TO {CONTROL};"


CATALOGUE: Final = {
    "column": """
        SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
            || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
            || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraint": """
        SELECT c.relname || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE c.relnamespace = 'public'::regnamespace""",
    "index": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "policy": """
        SELECT tablename || ' ' || policyname || ' ' || permissive || ' ' || array_to_string(roles, ',') || ' ' || cmd
            || ' USING ' || coalesce(qual, '') || ' CHECK ' || coalesce(with_check, '')
        FROM pg_policies WHERE schemaname = 'public'""",
    "relation": """
        SELECT relname || ' ' || relkind::text || ' owner ' || pg_get_userbyid(relowner)
            || ' row security ' || relrowsecurity || ' forced ' || relforcerowsecurity
            || coalesce(' partition ' || pg_get_expr(relpartbound, oid), '')
            || coalesce(' partitioned ' || pg_get_partkeydef(oid), '')
            || coalesce(' options ' || array_to_string(reloptions, ','), '')
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')""",
    "grant": """
        SELECT c.relname || ' ' || pg_get_userbyid(x.grantee) || ' ' || x.privilege_type
        FROM pg_class c, aclexplode(c.relacl) x WHERE c.relnamespace = 'public'::regnamespace AND x.grantee <> c.relowner
        UNION ALL
        SELECT c.relname || '.' || a.attname || ' ' || pg_get_userbyid(x.grantee) || ' ' || x.privilege_type
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid, aclexplode(a.attacl) x
        WHERE c.relnamespace = 'public'::regnamespace AND x.grantee <> c.relowner""",
}
"""One query for each kind of thing a schema is made of, each row one line of text."""


def catalogue_lines(connection: Connection) -> frozenset[str]:
    """What a database's schema is made of, but for the migration tool's own table; two equal schemas give equal sets."""
    return frozenset(
        f"{kind}: {line}"
        for kind, query in CATALOGUE.items()
        for line in connection.execute(text(query)).scalars()
        if "alembic_version" not in line
    )


def main() -> int:
    """Prints the schema of the tables the named modules declare."""
    parser = argparse.ArgumentParser(prog="python -m revline.platform.store.schema", description=main.__doc__)
    parser.add_argument("modules", nargs="+", help="modules that declare tables, such as revline.platform.store.tables")
    for module in parser.parse_args().modules:
        importlib.import_module(module)
    sys.stdout.write(schema_sql(metadata))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
