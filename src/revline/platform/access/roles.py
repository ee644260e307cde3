"""Roles and what each may do. Pure; doors guard routes with a `Permission`, never with a role."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec


class Role(StrEnum):
    """What a key is for. ingest: sends facts and reads nothing. operator: runs the tenant. auditor: reads all, changes nothing."""

    INGEST = "ingest"
    OPERATOR = "operator"
    AUDITOR = "auditor"


class Permission(StrEnum):
    """One thing a door lets somebody do."""

    SEND_EVENTS = "send_events"
    READ = "read"
    OPERATE = "operate"


PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.INGEST: frozenset({Permission.SEND_EVENTS}),
    Role.OPERATOR: frozenset({Permission.SEND_EVENTS, Permission.READ, Permission.OPERATE}),
    Role.AUDITOR: frozenset({Permission.READ}),
}


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who a request is from: one key of one tenant."""

    key_id: str
    tenant_id: str
    role: Role

    @property
    def actor(self) -> str:
        """Its name in the audit chain."""
        return f"key:{self.key_id}"

    def may(self, permission: Permission) -> bool:
        """Whether its role has the permission."""
        return permission in PERMISSIONS[self.role]
