"""What a failing database means to a person: whatever the driver raises becomes a `Problem` with a next step. Knows no door."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from revline.core.problem import Mender, Problem, Retryable, define, problem

define(
    code="database.unreachable",
    title="The database can't be reached",
    status=503,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Start it with `revline up`, or set REVLINE_DSN to a PostgreSQL server's address.",
)
define(
    code="database.behind",
    title="The database's schema is older than this program",
    status=503,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Run `revline db upgrade` (or `revline up` for the embedded server).",
)
define(
    code="database.refused",
    title="The database refused a statement",
    status=500,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Check the server's log and the rights of the role in REVLINE_DSN; run `revline db upgrade --check`.",
)

DatabaseFailure = (DBAPIError, PoolTimeoutError, psycopg.Error)
"""What can come out of a transaction when the database, not the program, is at fault."""


def problem_of(failure: BaseException) -> Problem:
    """The failure as a `Problem`: unreachable, behind (a table or column is missing) or refused.

    The driver's text is cut to its first line and never holds parameters; a refused statement is told by its kind only.
    """
    cause = failure.orig if isinstance(failure, DBAPIError) else failure
    if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return problem("database.behind", "a table or column this program needs is missing")
    if isinstance(failure, PoolTimeoutError):
        return problem("database.unreachable", "no connection became free in time")
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
        lines = str(cause).strip().splitlines() or ["the connection failed"]
        return problem("database.unreachable", lines[0][:300])
    return problem(
        "database.refused", f"{type(cause).__name__} (SQLSTATE {getattr(cause, 'sqlstate', None) or 'none'})"
    )
