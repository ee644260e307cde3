"""Removes log-ins that have ended. Who was let in, and by whom, is kept for good (`access_change`)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete

from revline.platform.access.tables import person_session
from revline.platform.store.engine import Database


def forget_sessions(database: Database, *, before: datetime) -> int:
    """Remove sessions that expired before a moment; gives how many."""
    with database.control() as connection:
        return connection.execute(delete(person_session).where(person_session.c.expires_at < before)).rowcount
