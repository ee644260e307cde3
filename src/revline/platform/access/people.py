"""People who may log in, and their grants. Opens its own control transactions; every change leaves a line in `access_change`."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not

from revline.core.clock import Clock
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.access.passwords import hash_of, unfit
from revline.platform.access.roles import PERSON_ROLES, Permission, Role, may
from revline.platform.access.tables import EVERY_TENANT, access_change, person, person_grant, person_session
from revline.platform.store.engine import Database

EMAIL: Final = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,180}\Z")
PEOPLE_MAX: Final = 10_000
CHANGES_MAX: Final = 200
PERSON_ID_BYTES: Final = 10
PROVIDER: Final = "identity-provider"
"""Who gives and takes what groups of the identity provider say."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may log in. grants: tenant id ("*" for every one) to roles there. by_provider: known to the identity
    provider, so a password is not needed."""

    person_id: str
    email: str
    name: str
    by_provider: bool
    has_password: bool
    created_at: datetime
    seen_at: datetime | None
    disabled_at: datetime | None
    grants: Mapping[str, frozenset[Role]]

    @property
    def actor(self) -> str:
        """Its name in the audit chain: an id, since a chain outlives an e-mail and is shown to auditors."""
        return f"person:{self.person_id}"

    def roles(self, tenant_id: str) -> frozenset[Role]:
        """Its roles in a tenant, those it has in every tenant too."""
        return self.grants.get(tenant_id, frozenset()) | self.grants.get(EVERY_TENANT, frozenset())

    def may(self, permission: Permission, *, tenant_id: str) -> bool:
        """Whether it may do something in a tenant."""
        return may(self.roles(tenant_id), permission)

    @property
    def everywhere(self) -> frozenset[Role]:
        """Its roles in every tenant."""
        return self.grants.get(EVERY_TENANT, frozenset())


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of who may come in."""

    person_id: str
    tenant_id: str
    action: str
    role: str
    actor: str
    reason: str
    at: datetime


class People:
    """The people of one database."""

    def __init__(self, *, database: Database, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._database = database
        self._clock = clock
        self._random_bytes = random_bytes

    def add(
        self, *, email: str, name: str, actor: str, password: str = "", subject: str = "", issuer: str = ""
    ) -> Person | Problem:
        """A new person; without a password only the identity provider lets them in. `person.exists`, `person.invalid`,
        `access.password_unfit` otherwise."""
        address = email.strip().lower()
        if not EMAIL.match(address) or not name.strip() or len(name) > 200:
            return problem(
                "person.invalid", "a person has an e-mail and a name of at most 200 characters", field="email"
            )
        wrong = unfit(password=password, email=address) if password else None
        if wrong is not None:
            return wrong
        identity = base64.b32encode(self._random_bytes(PERSON_ID_BYTES)).decode().lower()
        statement = insert_or_not(person).values(
            person_id=identity,
            email=address,
            name=name.strip(),
            password_hash=hash_of(password) if password else "",
            issuer=issuer,
            subject=subject,
            created_at=self._clock.now(),
        )
        with self._database.control() as connection:
            made = statement.on_conflict_do_nothing().returning(person.c.person_id)
            if connection.execute(made).one_or_none() is None:
                return problem("person.exists", "there is a person of this e-mail", field="email")
            self._note(connection, identity, "added", actor=actor)
        found = self.find(person_id=identity)
        assert found is not None
        return found

    def grant(self, *, person_id: str, tenant_id: str, role: Role, actor: str, reason: str = "") -> Problem | None:
        """Give a role in a tenant ("*": every one); nothing happens where it is there."""
        if role not in PERSON_ROLES:
            return problem("access.role_unfit", f"{role.value} is a role of keys, not of people", field="role")
        statement = insert_or_not(person_grant).values(
            person_id=person_id,
            tenant_id=tenant_id,
            role=role.value,
            granted_at=self._clock.now(),
            granted_by=actor,
        )
        with self._database.control() as connection:
            if _row(connection, person.c.person_id == person_id) is None:
                return _unknown()
            given = statement.on_conflict_do_nothing().returning(person_grant.c.person_id)
            if connection.execute(given).one_or_none() is not None:
                self._note(connection, person_id, "granted", tenant_id, role.value, actor=actor, reason=reason)
        return None

    def revoke(self, *, person_id: str, tenant_id: str, role: Role, actor: str, reason: str = "") -> bool:
        """Take a role in a tenant, at once; False where it was not given."""
        table = person_grant.c
        statement = delete(person_grant).where(
            table.person_id == person_id, table.tenant_id == tenant_id, table.role == role.value
        )
        with self._database.control() as connection:
            taken = connection.execute(statement).rowcount == 1
            if taken:
                self._note(connection, person_id, "revoked", tenant_id, role.value, actor=actor, reason=reason)
        return taken

    def disable(self, *, person_id: str, actor: str, disabled: bool = True, reason: str = "") -> bool:
        """Let a person in no longer (or again), at once: every session ends. False for an unknown person."""
        statement = (
            update(person)
            .where(person.c.person_id == person_id)
            .values(disabled_at=self._clock.now() if disabled else None)
        )
        with self._database.control() as connection:
            known = connection.execute(statement).rowcount == 1
            if known:
                connection.execute(delete(person_session).where(person_session.c.person_id == person_id))
                self._note(connection, person_id, "disabled" if disabled else "enabled", actor=actor, reason=reason)
        return known

    def set_password(self, *, person_id: str, password: str, actor: str) -> Problem | None:
        """A new password; every session ends."""
        with self._database.control() as connection:
            row = _row(connection, person.c.person_id == person_id)
        if row is None:
            return _unknown()
        wrong = unfit(password=password, email=row.email)
        if wrong is not None:
            return wrong
        hashed = hash_of(password)
        with self._database.control() as connection:
            connection.execute(update(person).where(person.c.person_id == person_id).values(password_hash=hashed))
            connection.execute(delete(person_session).where(person_session.c.person_id == person_id))
            self._note(connection, person_id, "password set", actor=actor)
        return None

    def arrived(
        self, *, issuer: str, subject: str, email: str, name: str, grants: frozenset[tuple[Role, str]] | None
    ) -> Person | Problem:
        """The person an identity provider has proved: by subject, else by verified e-mail ("" when it is not), which binds the
        subject from then on. grants: what their groups give now (None: groups are not used); with one, an unknown person is
        added. `access.no_grant` for somebody without any role."""
        with self._database.control() as connection:
            row = _row(connection, (person.c.issuer == issuer) & (person.c.subject == subject))
            if row is None and email:
                row = _row(connection, (person.c.email == email) & (person.c.subject == ""))
                if row is not None:
                    bound = update(person).where(person.c.person_id == row.person_id)
                    connection.execute(bound.values(issuer=issuer, subject=subject))
                    self._note(connection, row.person_id, "bound to provider", actor=PROVIDER)
        if row is None:
            if not grants or not email:
                return problem("access.no_grant", "nobody of this identity was given a role")
            added = self.add(email=email, name=name, actor=PROVIDER, issuer=issuer, subject=subject)
            if isinstance(added, Problem):
                return added
            identity = added.person_id
        else:
            identity = row.person_id
        if grants is not None:
            self._follow(identity, grants)
        found = self.find(person_id=identity)
        if found is None or not found.grants:
            return problem("access.no_grant", "nobody of this identity was given a role")
        return found

    def _follow(self, person_id: str, grants: frozenset[tuple[Role, str]]) -> None:
        """What groups gave before and give no more is taken; what a person gave stays."""
        table = person_grant.c
        given = select(table.tenant_id, table.role).where(table.person_id == person_id, table.granted_by == PROVIDER)
        with self._database.control() as connection:
            before = {(Role(row.role), str(row.tenant_id)) for row in connection.execute(given)}
        for role, tenant_id in sorted(before - grants):
            self.revoke(person_id=person_id, tenant_id=tenant_id, role=role, actor=PROVIDER, reason="by groups")
        for role, tenant_id in sorted(grants - before):
            self.grant(person_id=person_id, tenant_id=tenant_id, role=role, actor=PROVIDER, reason="by groups")

    def find(self, *, person_id: str = "", email: str = "") -> Person | None:
        """A person by id or e-mail."""
        condition = person.c.person_id == person_id if person_id else person.c.email == email.strip().lower()
        with self._database.control() as connection:
            row = _row(connection, condition)
            return None if row is None else person_of(connection, row)

    def people(self, *, tenant_id: str = "") -> tuple[Person, ...]:
        """People by e-mail, all or those with a role in a tenant (those with one in every tenant too); at most 10,000."""
        statement = select(person).order_by(person.c.email).limit(PEOPLE_MAX)
        if tenant_id:
            granted = select(person_grant.c.person_id).where(
                or_(person_grant.c.tenant_id == tenant_id, person_grant.c.tenant_id == EVERY_TENANT)
            )
            statement = statement.where(person.c.person_id.in_(granted))
        with self._database.control() as connection:
            rows = connection.execute(statement).all()
            grants = _grants(connection, {row.person_id for row in rows})
        return tuple(_person(row, grants.get(row.person_id, {})) for row in rows)

    def changes(self, *, tenant_id: str = "") -> tuple[Change, ...]:
        """Who let whom in, newest first; of one tenant or of all."""
        statement = select(access_change).order_by(access_change.c.change_id.desc()).limit(CHANGES_MAX)
        if tenant_id:
            statement = statement.where(access_change.c.tenant_id.in_([tenant_id, EVERY_TENANT]))
        with self._database.control() as connection:
            rows = connection.execute(statement).mappings()
            return tuple(Change(**{name: row[name] for name in Change.__struct_fields__}) for row in rows)

    def _note(
        self, connection: Connection, person_id: str, action: str, tenant_id: str = "", role: str = "", *, actor: str,
        reason: str = "",
    ) -> None:  # fmt: skip
        statement = insert(access_change).values(
            person_id=person_id,
            tenant_id=tenant_id,
            action=action,
            role=role,
            actor=actor,
            reason=reason[:500],
            at=self._clock.now(),
        )
        connection.execute(statement)


def person_of(connection: Connection, row: Any) -> Person:
    """The person of a row of `person`, with grants."""
    return _person(row, _grants(connection, {row.person_id}).get(row.person_id, {}))


def _row(connection: Connection, condition: Any) -> Any | None:
    return connection.execute(select(person).where(condition)).one_or_none()


def _grants(connection: Connection, person_ids: set[str]) -> dict[str, dict[str, frozenset[Role]]]:
    found: dict[str, dict[str, frozenset[Role]]] = {}
    statement = select(person_grant).where(person_grant.c.person_id.in_(sorted(person_ids)))
    for row in connection.execute(statement) if person_ids else ():
        tenants = found.setdefault(row.person_id, {})
        tenants[row.tenant_id] = tenants.get(row.tenant_id, frozenset()) | {Role(row.role)}
    return found


def _person(row: Any, grants: Mapping[str, frozenset[Role]]) -> Person:
    return Person(
        person_id=row.person_id,
        email=row.email,
        name=row.name,
        by_provider=bool(row.subject),
        has_password=bool(row.password_hash),
        created_at=row.created_at,
        seen_at=row.seen_at,
        disabled_at=row.disabled_at,
        grants=grants,
    )


def _unknown() -> Problem:
    return problem("person.unknown", "there is no such person")


for _code, _title, _status, _remedy in (
    ("person.unknown", "There is no such person", 404, "List people with `revline users list`."),
    ("person.exists", "The person is there already", 409, "Give them a role with `revline users grant`."),
    ("person.invalid", "Not a person's name and e-mail", 422, "Give an e-mail such as ada@example.com, and a name."),
    ("access.role_unfit", "The role is not for this", 422, "People: administrator, operator, finance, auditor."),
):
    define(code=_code, title=_title, status=_status, retryable=Retryable.NO, mender=Mender.SENDER, remedy=_remedy)
