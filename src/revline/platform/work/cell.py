"""The cell: one database and the workers on it, with the epoch a restore raises.

A restored database shows the past while far systems kept what happened since. Raising the epoch says so: what was written in an
earlier one is looked up before anything is sent, and a worker that still goes by the earlier one can mark nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, text

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.store.direct import fetch
from revline.platform.store.engine import Database
from revline.platform.store.walls import MAXIMUM_TENANTS_PER_UNIT
from revline.platform.work import queries
from revline.platform.work.epochs import BEGINNING, FIRST, Epoch
from revline.platform.work.tables import cell, epoch_raised

THE_CELL: Final = 1

_OPEN: Final = text(
    "INSERT INTO cell (cell_id, epoch, began_at, reason) VALUES (:cell, 1, :beginning, '') ON CONFLICT DO NOTHING"
)
_HOLD: Final = text("SELECT epoch, began_at FROM cell WHERE cell_id = :cell FOR SHARE")
_RAISE: Final = text(
    "UPDATE cell SET epoch = epoch + 1, began_at = :now, reason = :reason"
    " WHERE cell_id = :cell AND (:present = 0 OR epoch = :present) RETURNING epoch, began_at"
)


def open_cell(connection: Connection) -> Epoch:
    """The epoch; makes the cell's row when it isn't there, so that it can be held against a raise."""
    connection.execute(_OPEN, {"cell": THE_CELL, "beginning": BEGINNING})
    return read_epoch(connection)


def read_epoch(connection: Connection) -> Epoch:
    """The epoch as it is now."""
    row = connection.execute(select(cell.c.epoch, cell.c.began_at).where(cell.c.cell_id == THE_CELL)).one_or_none()
    return FIRST if row is None else Epoch(number=row.epoch, began_at=row.began_at)


def reason_of(connection: Connection) -> str:
    """Why the present epoch was begun, "" for the first."""
    return connection.execute(select(cell.c.reason).where(cell.c.cell_id == THE_CELL)).scalar_one_or_none() or ""


def hold_epoch(connection: Connection) -> Epoch:
    """The epoch, kept from being raised until this transaction ends: what is committed under it was committed before the raise."""
    rows = fetch(connection, _HOLD, {"cell": THE_CELL})
    return Epoch(number=rows[0][0], began_at=rows[0][1]) if rows else FIRST


def raise_epoch(
    database: Database,
    *,
    tenants: Sequence[str],
    actor: str,
    reason: str,
    recorded_at: datetime,
    present: int = 0,
) -> Epoch | Problem:
    """Begin the next epoch now, by the database's clock, and write so into the audit chain of each of these tenants.

    present: raise it only from this one, so that asking again does nothing more; 0 from whatever it is. Problem `epoch.changed`.

    The raise waits for marks under way and commits with the first tenants' chains; the others follow in units of their own.
    """
    with database.control() as connection:
        open_cell(connection)
    raised: Epoch | None = None
    for part in _parts(sorted(tenants)):
        with database.unit(tenants=part, kind="epoch", actor=actor, reason=reason, recorded_at=recorded_at) as unit:
            if raised is None:
                raised = _raise(unit.connection, reason, present)
                if raised is None:
                    return _changed(unit.connection, present)
            for tenant_id in part:
                unit.record(epoch_raised, tenant_id=tenant_id, epoch=raised.number, began_at=raised.began_at)
    if raised is None:
        with database.control() as connection:
            raised = _raise(connection, reason, present)
            if raised is None:
                return _changed(connection, present)
    return raised


def _raise(connection: Connection, reason: str, present: int) -> Epoch | None:
    values = {"cell": THE_CELL, "now": queries.moment(connection), "reason": reason, "present": present}
    row = connection.execute(_RAISE, values).one_or_none()
    return None if row is None else Epoch(number=row.epoch, began_at=row.began_at)


def _changed(connection: Connection, present: int) -> Problem:
    found = read_epoch(connection)
    detail = (
        f"the epoch is {found.number} and not {present}, since {found.began_at.isoformat()}: {reason_of(connection)}"
    )
    return problem("epoch.changed", detail, field=str(found.number))


define(
    code="epoch.changed",
    title="The epoch is another one",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.NOBODY,
    remedy="If it was raised for this restore, start the workers; if not, raise it from the one there is (`revline epoch show`).",
)


def _parts(tenants: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(tenants), MAXIMUM_TENANTS_PER_UNIT):
        yield tenants[start : start + MAXIMUM_TENANTS_PER_UNIT]
