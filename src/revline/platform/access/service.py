"""Issues, lists, revokes and verifies API keys. Opens its own control transactions, which see no tenant's rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from sqlalchemy import Connection, insert, select, update

from revline.core.clock import Clock
from revline.core.problem import Problem, problem
from revline.platform.access.keys import bearer_key, digest_of, new_key, same
from revline.platform.access.roles import Principal, Role
from revline.platform.access.tables import access_change, api_key
from revline.platform.store.engine import Database

KEYS_PER_TENANT_MAX = 1_000


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key at the one moment it can be shown."""

    key_id: str
    text: str
    role: Role

    def __repr__(self) -> str:
        return f"IssuedKey(key_id={self.key_id!r}, role={self.role.value!r}, text=***)"


class ListedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is listed: never its text."""

    key_id: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class Access:
    """API keys of one database."""

    def __init__(self, *, database: Database, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._database = database
        self._clock = clock
        self._random_bytes = random_bytes

    def issue(
        self, *, tenant_id: str, role: Role, expires_at: datetime | None = None, actor: str = "", reason: str = ""
    ) -> IssuedKey:
        """A new key of a registered tenant (the caller checked that); its text is shown once."""
        made = new_key(random_bytes=self._random_bytes)
        with self._database.control() as connection:
            connection.execute(
                insert(api_key).values(
                    key_digest=made.digest,
                    key_id=made.key_id,
                    tenant_id=tenant_id,
                    role=role.value,
                    created_at=self._clock.now(),
                    expires_at=expires_at,
                )
            )
            self._note(connection, tenant_id, made.key_id, "key made", role, actor=actor, reason=reason)
        return IssuedKey(key_id=made.key_id, text=made.text, role=role)

    def revoke(self, *, tenant_id: str, key_id: str, actor: str = "", reason: str = "") -> bool:
        """Ends a key for good, at once; False when the tenant has no live key of that id."""
        statement = (
            update(api_key)
            .where(api_key.c.tenant_id == tenant_id, api_key.c.key_id == key_id, api_key.c.revoked_at.is_(None))
            .values(revoked_at=self._clock.now())
            .returning(api_key.c.role)
        )
        with self._database.control() as connection:
            role = connection.execute(statement).scalar_one_or_none()
            if role is not None:
                self._note(connection, tenant_id, key_id, "key revoked", Role(role), actor=actor, reason=reason)
        return role is not None

    def _note(
        self, connection: Connection, tenant_id: str, key_id: str, action: str, role: Role, *, actor: str, reason: str
    ) -> None:
        values = {"person_id": f"key:{key_id}", "tenant_id": tenant_id, "action": action, "role": role.value}
        noted = {**values, "actor": actor, "reason": reason[:500], "at": self._clock.now()}
        connection.execute(insert(access_change).values(**noted))

    def keys(self, *, tenant_id: str) -> tuple[ListedKey, ...]:
        """A tenant's keys, oldest first, at most `KEYS_PER_TENANT_MAX`."""
        statement = (
            select(api_key)
            .where(api_key.c.tenant_id == tenant_id)
            .order_by(api_key.c.created_at, api_key.c.key_id)
            .limit(KEYS_PER_TENANT_MAX)
        )
        with self._database.control() as connection:
            return tuple(
                ListedKey(
                    key_id=row.key_id,
                    role=Role(row.role),
                    created_at=row.created_at,
                    expires_at=row.expires_at,
                    revoked_at=row.revoked_at,
                )
                for row in connection.execute(statement)
            )

    def verify(self, *, authorization: str | None) -> Principal | Problem:
        """Whose the `Authorization` header is, or `access.key_unknown`: one answer for malformed, unknown, expired, revoked."""
        text = bearer_key(authorization)
        wanted = digest_of(text or "")
        with self._database.control() as connection:
            row = connection.execute(select(api_key).where(api_key.c.key_digest == wanted)).one_or_none()
        now = self._clock.now()
        known = row is not None and same(bytes(row.key_digest), wanted) and text is not None
        if not known or row is None or row.revoked_at is not None or (row.expires_at and row.expires_at <= now):
            return problem("access.key_unknown", "the API key is missing, malformed, unknown, expired or revoked")
        return Principal(key_id=row.key_id, tenant_id=row.tenant_id, role=Role(row.role))
