"""Keys, people and their log-ins: control tables, so that who is asking is known before any tenant is named.

No key, password or session is stored, only what proves one. An e-mail is personal data: the tables that hold or lead to one are
readable by the application's role alone. Business data stands in none of them.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from revline.platform.access.roles import KEY_ROLES, PERSON_ROLES
from revline.platform.store.walls import control_table

_KEY_ROLES: Final = ", ".join(f"'{role}'" for role in KEY_ROLES)
_PERSON_ROLES: Final = ", ".join(f"'{role}'" for role in PERSON_ROLES)
EVERY_TENANT: Final = "*"

api_key: Final[Table] = control_table(
    "api_key",
    Column("key_digest", LargeBinary, primary_key=True),
    Column("key_id", Text, nullable=False, unique=True),
    Column("tenant_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint(f"role IN ({_KEY_ROLES})", name="role"),
    CheckConstraint("octet_length(key_digest) = 32", name="key_digest"),
    Index("ix_api_key_tenant", "tenant_id", "key_id"),
    control_role="read",
)
"""One row a key, live or not. A key has 160 random bits, so a plain SHA-256 of it can't be searched."""

person: Final[Table] = control_table(
    "person",
    Column("person_id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True)),
    Column("disabled_at", DateTime(timezone=True)),
    CheckConstraint("length(email) <= 254 AND email = lower(email)", name="email"),
    CheckConstraint("length(name) <= 200", name="name"),
    Index("ix_person_subject", "issuer", "subject", unique=True, postgresql_where=text("subject <> ''")),
    control_role="none",
)
"""Somebody who may log in. `password_hash`: argon2id, "" for who comes through the identity provider only."""

person_grant: Final[Table] = control_table(
    "person_grant",
    Column("person_id", Text, primary_key=True),
    Column("tenant_id", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("granted_at", DateTime(timezone=True), nullable=False),
    Column("granted_by", Text, nullable=False),
    CheckConstraint(f"role IN ({_PERSON_ROLES})", name="role"),
    CheckConstraint("tenant_id = '*' OR tenant_id ~ '^[a-z][a-z0-9-]{0,38}$'", name="tenant_id"),
    Index("ix_person_grant_tenant", "tenant_id", "person_id"),
    control_role="none",
)
"""A role of a person in one tenant, or in every one ("*")."""

person_session: Final[Table] = control_table(
    "person_session",
    Column("session_digest", LargeBinary, primary_key=True),
    Column("person_id", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("octet_length(session_digest) = 32", name="session_digest"),
    Index("ix_person_session_person", "person_id"),
    Index("ix_person_session_expires", "expires_at"),
    control_role="none",
)
"""One row a log-in by the digest of its cookie."""

login_window: Final[Table] = control_table(
    "login_window",
    Column("subject_digest", LargeBinary, primary_key=True),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("failures", Integer, nullable=False),
    Index("ix_login_window_started", "started_at"),
    control_role="none",
)
"""Failed log-ins of one address of either kind, e-mail or network, by digest."""

login_request: Final[Table] = control_table(
    "login_request",
    Column("state_digest", LargeBinary, primary_key=True),
    Column("nonce", Text, nullable=False),
    Column("verifier", Text, nullable=False),
    Column("return_to", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index("ix_login_request_created", "created_at"),
    control_role="none",
)
"""A log-in that went to the identity provider and is not back; used once."""

access_change: Final[Table] = control_table(
    "access_change",
    Column("change_id", BigInteger, Identity(always=True), primary_key=True),
    Column("person_id", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_access_change_tenant", "tenant_id", "change_id"),
    control_role="none",
    info={"append_only": True},
)
"""Who let whom in, and who changed it; append-only."""
