"""Passwords: argon2id hashes, the rule for a new one, and a check that takes as long for an unknown person as for a known one."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from revline.core.problem import Mender, Problem, Retryable, define, problem

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 200
_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
"""Above the least OWASP's password storage sheet names for argon2id (19 MiB, 2 passes)."""


@lru_cache(maxsize=1)
def _nobody() -> str:
    """The hash that an unknown person's password is compared with; made when first needed, for it takes a while."""
    return _HASHER.hash("the password of nobody")


def hash_of(password: str) -> str:
    """The argon2id hash of a password in PHC form."""
    return _HASHER.hash(password)


def matches(*, password: str, stored: str) -> bool:
    """Whether a password is the stored one. An empty `stored` costs the same time and never matches."""
    try:
        right = _HASHER.verify(stored or _nobody(), password[:LENGTH_MAX])
    except (VerificationError, InvalidHashError):
        return False
    return right and bool(stored)


def unfit(*, password: str, email: str) -> Problem | None:
    """Why a password may not be used, or None: length counts, and it may not be the e-mail (NIST SP 800-63B, 3.1.1.2)."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        return problem("access.password_unfit", f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters")
    if password.casefold() in {email.casefold(), email.partition("@")[0].casefold()} or len(set(password)) < 5:
        return problem("access.password_unfit", "the password is the e-mail or almost one character repeated")
    return None


define(
    code="access.password_unfit",
    title="The password can't be used",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy=f"Choose {LENGTH_MIN} characters or more; a few unrelated words are good.",
)
