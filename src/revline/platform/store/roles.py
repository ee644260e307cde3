"""The database roles: who may do what, made by whoever administers the server.

    revline_owner     owns every table, runs migrations; no process that serves uses it
    revline_app       tenant and control tables, behind the row-level policy
    revline_control   control tables only

No runtime role owns anything, is a superuser, bypasses policies, creates roles or databases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import Connection, text

SUPERUSER: Final = "revline_superuser"
OWNER: Final = "revline_owner"
APP: Final = "revline_app"
CONTROL: Final = "revline_control"
RUNTIME_ROLES: Final = (OWNER, APP, CONTROL)


class PrivilegeError(RuntimeError):
    """The role we are connected as may do more than Revline's promise between tenants allows."""


def create_roles(connection: psycopg.Connection[Any], *, passwords: Mapping[str, str]) -> None:
    """Creates the three roles that are missing and sets their passwords and attributes (needs CREATEROLE)."""
    for role in RUNTIME_ROLES:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        connection.execute(
            sql.SQL(
                "ALTER ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {}"
            ).format(sql.Identifier(role), sql.Literal(passwords[role]))
        )


def create_database(
    connection: psycopg.Connection[Any], *, name: str, template: str | None, missing_only: bool = False
) -> None:
    """Creates a database owned by `revline_owner` that only the three roles may enter (needs autocommit and CREATEDB)."""
    present = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
    if missing_only and present:
        return
    made_from = sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(template)) if template else sql.SQL("")
    connection.execute(
        sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER)) + made_from
    )
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    connection.execute(
        sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(sql.Identifier(name), sql.Identifier(APP))
    )
    connection.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(name), sql.Identifier(CONTROL))
    )


def drop_database(connection: psycopg.Connection[Any], *, name: str) -> None:
    """Drops a database, closing its connections; nothing happens when it isn't there."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def assert_least_privilege(connection: Connection) -> None:
    """Raises PrivilegeError if the connected role owns a relation, bypasses policies or administers anything.

    Every server process calls it before it serves: all walls between tenants rest on it.
    """
    row = connection.execute(
        text(
            "SELECT current_user, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,"
            " (SELECT count(*) FROM pg_class WHERE relowner = pg_roles.oid),"
            " (SELECT count(*) FROM pg_database WHERE datdba = pg_roles.oid AND datname = current_database()),"
            " (SELECT count(*) FROM pg_auth_members WHERE member = pg_roles.oid)"
            " FROM pg_roles WHERE rolname = current_user"
        )
    ).one()
    names = ("is a superuser", "bypasses policies", "creates roles", "creates databases", "replicates")
    faults = [name for name, present in zip(names, row[1:6], strict=True) if present]
    faults += [name for name, count in (("owns relations", row[6]), ("owns the database", row[7])) if count]
    if row[8]:
        faults.append("is a member of another role")
    if faults:
        raise PrivilegeError(f"the database role {row[0]} {', '.join(faults)}; connect as {APP} or {CONTROL}")
