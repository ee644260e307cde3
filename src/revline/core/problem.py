"""Errors as values.

A `Problem` says what can't go on, who can mend it and whether trying again helps. Pure code returns it; a door turns it
into RFC 9457, a CLI message or a case. This module holds the type and the catalogue of codes; it must not know any door.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Retryable(StrEnum):
    """Whether the same attempt can succeed later: `no`, `yes` (by itself), `after_fix` (when somebody mends something)."""

    NO = "no"
    YES = "yes"
    AFTER_FIX = "after_fix"


class Mender(StrEnum):
    """Who can mend it."""

    SENDER = "sender"  # whoever sent the input
    CONFIGURATION = "configuration"  # whoever owns the configuration folder
    ERP_ADMINISTRATOR = "erp_administrator"
    OPERATOR = "operator"  # whoever runs Revline
    FINANCE = "finance"  # a decision of finance operations
    NOBODY = "nobody"  # passes by itself


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One wrong place in an input. `pointer` is a JSON pointer or a `file:line`; `instead` says what to write."""

    pointer: str
    detail: str
    instead: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can't go on, as a value.

    code: stable, dotted, from the catalogue (`CATALOGUE`). detail: one sentence for a person, with no secret and no
    personal data. field: the field or missing key that causes are grouped by ("" when none). errors: single places.
    """

    code: str
    detail: str
    field: str = ""
    errors: tuple[FieldError, ...] = ()

    @property
    def entry(self) -> ProblemType:
        """The catalogue's entry of this code; an unknown code is a programming error."""
        return CATALOGUE[self.code]

    @property
    def title(self) -> str:
        return self.entry.title

    @property
    def retryable(self) -> Retryable:
        return self.entry.retryable

    @property
    def mender(self) -> Mender:
        return self.entry.mender


class ProblemType(msgspec.Struct, frozen=True, kw_only=True):
    """A catalogue entry: what a code means wherever it appears. status: the HTTP status a door answers with."""

    code: str
    title: str
    status: int
    retryable: Retryable
    mender: Mender
    remedy: str


class ProblemError(Exception):
    """Carries a `Problem` through a shell up to its door. Pure code returns the value instead."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.problem = problem


CATALOGUE: Final[dict[str, ProblemType]] = {}


def define(*, code: str, title: str, status: int, retryable: Retryable, mender: Mender, remedy: str) -> ProblemType:
    """Add a code to the catalogue. Each package defines its own codes once, at import; a second definition is an error."""
    if code in CATALOGUE:
        raise ValueError(f"problem code {code} is defined twice")
    CATALOGUE[code] = ProblemType(
        code=code, title=title, status=status, retryable=retryable, mender=mender, remedy=remedy
    )
    return CATALOGUE[code]


def problem(code: str, detail: str, *, field: str = "", errors: tuple[FieldError, ...] = ()) -> Problem:
    """A `Problem` of a defined code. KeyError when the code is not in the catalogue, so a typo can't reach a user."""
    if code not in CATALOGUE:
        raise KeyError(f"problem code {code} is not defined")
    return Problem(code=code, detail=detail, field=field, errors=errors)


define(
    code="amount.invalid",
    title="Not an amount",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy='Send amounts as JSON strings of a plain decimal number, such as "12.50", within the currency\'s scale.',
)
define(
    code="currency.unknown",
    title="Not an ISO 4217 currency",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Send the three-letter ISO 4217 code of an active currency.",
)
define(
    code="time.invalid",
    title="Not a time",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Send RFC 3339 times with an offset, such as 2026-01-31T09:00:00Z.",
)
define(
    code="internal.unexpected",
    title="Revline failed unexpectedly",
    status=500,
    retryable=Retryable.YES,
    mender=Mender.OPERATOR,
    remedy="Try again. If it stays, give the operator the correlation id.",
)
define(
    code="webhook.signature_invalid",
    title="The message could not be proved",
    status=404,  # the same answer as for a path that is not there, so neither can be told from outside
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Check the address and the signing secret of the endpoint, and the clocks of both sides.",
)
