"""Webhook addresses: unguessable paths, each of one connection. The path itself is shown once and stored as a digest."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Final

from sqlalchemy import insert, update

from revline.core.clock import Clock
from revline.intake import queries
from revline.intake.tables import webhook_address
from revline.platform.store.engine import Database

TOKEN_BYTES: Final = 20
TOKEN: Final = re.compile(r"[a-z2-7]{32}\Z", re.ASCII)


def token_digest(token: str) -> bytes:
    """SHA-256 of a path's token, whatever it looks like, so that a wrong form costs what a wrong token costs."""
    return hashlib.sha256(token.encode()).digest()


class Addresses:
    """Webhook addresses of one database."""

    def __init__(self, *, database: Database, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._database = database
        self._clock = clock
        self._random_bytes = random_bytes

    def issue(self, *, tenant_id: str, connection: str) -> str:
        """A new token for a connection's webhook path; shown once. Earlier ones stay good until revoked, so they can be rotated."""
        token = base64.b32encode(self._random_bytes(TOKEN_BYTES)).decode().lower()
        self.register(tenant_id=tenant_id, connection=connection, token=token)
        return token

    def register(self, *, tenant_id: str, connection: str, token: str) -> None:
        """Enters a token somebody made (32 letters of base32). ValueError when it is not of that form."""
        if not TOKEN.match(token):
            raise ValueError("a webhook token is 32 lower-case base32 letters")
        with self._database.control() as control:
            control.execute(
                insert(webhook_address).values(
                    address_digest=token_digest(token),
                    tenant_id=tenant_id,
                    connection=connection,
                    created_at=self._clock.now(),
                )
            )

    def revoke_all(self, *, tenant_id: str, connection: str) -> int:
        """Ends every address of a connection; gives how many."""
        statement = (
            update(webhook_address)
            .where(
                webhook_address.c.tenant_id == tenant_id,
                webhook_address.c.connection == connection,
                webhook_address.c.revoked_at.is_(None),
            )
            .values(revoked_at=self._clock.now())
        )
        with self._database.control() as control:
            return control.execute(statement).rowcount

    def resolve(self, *, token: str) -> tuple[str, str] | None:
        """(tenant, connection) behind a token, or None."""
        with self._database.control() as control:
            return queries.address_of(control, address_digest=token_digest(token))
