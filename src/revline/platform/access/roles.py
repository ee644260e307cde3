"""Roles and what each may do. Pure; doors guard routes with a `Permission`, never with a role."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

import msgspec


class Role(StrEnum):
    """What somebody, a person or a key, is there for.

    ingest: sends facts and reads nothing; for keys only. operator: runs the tenant. finance: decides about money.
    auditor: reads all, changes nothing. administrator: says who may come in.
    """

    INGEST = "ingest"
    OPERATOR = "operator"
    FINANCE = "finance"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Permission(StrEnum):
    """One thing a door lets somebody do."""

    SEND_EVENTS = "send_events"
    READ = "read"
    OPERATE = "operate"
    RESOLVE = "resolve"
    WAIVE = "waive"
    GRANT_CREDITS = "grant_credits"
    CONFIGURE = "configure"
    ADMINISTER = "administer"


MEANING: Final[Mapping[Permission, str]] = {
    Permission.SEND_EVENTS: "send facts",
    Permission.READ: "see every page and export every list",
    Permission.OPERATE: "send a document again, reprocess a root, verify the audit chain",
    Permission.RESOLVE: "try again what a case holds, and put a corrected copy in its place",
    Permission.WAIVE: "decide that nothing is to be done about money at risk, and which record of an ERP a document is",
    Permission.GRANT_CREDITS: "grant prepaid credits, end them, give them back",
    Permission.CONFIGURE: "apply configuration",
    Permission.ADMINISTER: "add people, give and take roles and keys",
}
"""Each permission in words, completing "may ..."."""

PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.INGEST: frozenset({Permission.SEND_EVENTS}),
    Role.OPERATOR: frozenset(
        {
            Permission.SEND_EVENTS,
            Permission.READ,
            Permission.OPERATE,
            Permission.RESOLVE,
            Permission.GRANT_CREDITS,
            Permission.CONFIGURE,
        }
    ),
    Role.FINANCE: frozenset({Permission.READ, Permission.RESOLVE, Permission.WAIVE, Permission.GRANT_CREDITS}),
    Role.AUDITOR: frozenset({Permission.READ}),
    Role.ADMINISTRATOR: frozenset(
        {Permission.READ, Permission.OPERATE, Permission.RESOLVE, Permission.CONFIGURE, Permission.ADMINISTER}
    ),
}
"""Waiving money is finance's alone: whoever runs the pipes does not decide that a loss is none."""

PERSON_ROLES: Final = (Role.ADMINISTRATOR, Role.OPERATOR, Role.FINANCE, Role.AUDITOR)
KEY_ROLES: Final = tuple(Role)


def may(roles: Collection[Role], permission: Permission) -> bool:
    """Whether any of the roles has the permission."""
    return any(permission in PERMISSIONS[role] for role in roles)


def roles_that_may(permission: Permission) -> tuple[Role, ...]:
    """The roles of people that have a permission, as a page names them beside a button."""
    return tuple(role for role in PERSON_ROLES if permission in PERMISSIONS[role])


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
