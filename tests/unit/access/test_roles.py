"""Who may what: waiving is finance's alone, an auditor changes nothing, and a page can name who may."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from revline.platform.access.passwords import hash_of, matches, unfit
from revline.platform.access.roles import (
    MEANING,
    PERMISSIONS,
    PERSON_ROLES,
    Permission,
    Role,
    may,
    roles_that_may,
)


def test_every_role_and_permission_is_spoken_of() -> None:
    assert set(PERMISSIONS) == set(Role)
    assert set(MEANING) == set(Permission)
    assert all(roles_that_may(permission) for permission in Permission)


def test_waiving_money_is_finances_alone() -> None:
    assert roles_that_may(Permission.WAIVE) == (Role.FINANCE,)


@pytest.mark.parametrize("permission", [one for one in Permission if one is not Permission.READ])
def test_an_auditor_changes_nothing(permission: Permission) -> None:
    assert not may([Role.AUDITOR], permission)


def test_several_roles_add_up() -> None:
    assert may([Role.AUDITOR, Role.FINANCE], Permission.WAIVE)
    assert not may([], Permission.READ)
    assert Role.INGEST not in PERSON_ROLES


def test_a_password_is_dear_to_guess(real_hasher: PasswordHasher) -> None:
    assert real_hasher.hash("correct horse battery").startswith("$argon2id$v=19$m=65536,t=3,p=1$")


def test_a_password_matches_its_hash_and_nothing_else() -> None:
    stored = hash_of("correct horse battery")
    assert stored.startswith("$argon2id$")
    assert matches(password="correct horse battery", stored=stored)
    assert not matches(password="correct horse batterY", stored=stored)
    assert not matches(password="the password of nobody", stored=""), "who has no password can't come in with any"
    assert not matches(password="correct horse battery", stored="not a hash")


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "ada.lovelace@example.com", "x" * 201])
def test_a_poor_password_is_refused(password: str) -> None:
    found = unfit(password=password, email="ada.lovelace@example.com")
    assert found is not None
    assert found.code == "access.password_unfit"
    assert password not in found.detail
