"""Acts on many records as values: what is asked for, the set that was frozen, how far it has come. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from revline.core.hashing import canonical_bytes
from revline.core.money import Amount, at_least_in_scale
from revline.core.problem import Mender, Problem, Retryable, define, problem

SUBJECTS_MAX: Final = 100_000
"""The most records of one act."""
SAMPLE_MAX: Final = 10
VALUE_LENGTH_MAX: Final = 255


class BulkState(StrEnum):
    """Where an act stands.

    proposed: frozen, waits for a second person. running: workers go through its set. paused: a person stopped it for now. aborted:
    a person stopped it for good; what was done stays done. done: every record has its outcome. refused: the second person said no.
    """

    PROPOSED = "proposed"
    RUNNING = "running"
    PAUSED = "paused"
    ABORTED = "aborted"
    DONE = "done"
    REFUSED = "refused"


ENDED: Final = frozenset({BulkState.ABORTED, BulkState.DONE, BulkState.REFUSED})


class Outcome(StrEnum):
    """What came of one record. none: not its turn yet. refused: the act was not open to it; failed: our own code failed on it."""

    NONE = "none"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class Subject(NamedTuple):
    """A record: document, root, and so on, and its id."""

    kind: str
    identity: str


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the set, with the money behind it: None when there is none or it isn't known."""

    subject: Subject
    currency: str = ""
    amount: Decimal | None = None


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one currency and their amounts added up; of those without an amount, currency "" and amount 0."""

    currency: str
    amount: Amount
    records: int


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one record now. problem_code: why it would be refused, "" when it would not. detail: in words."""

    subject_kind: str
    subject_id: str
    problem_code: str = ""
    detail: str = ""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What an act would touch if it were started now. second_person: somebody other than its author would have to start it."""

    kind: str
    filter: Mapping[str, str]
    records: int
    money: tuple[Money, ...]
    second_person: bool
    sample: tuple[Sample, ...]


class BulkAct(msgspec.Struct, frozen=True, kw_only=True):
    """An act as it stands. filter: as it was given; records, money, digest: of the set frozen by it. decided_by: who started,
    refused, paused or aborted it last, and note why; "" for its author."""

    act_id: str
    kind: str
    filter: Mapping[str, str]
    records: int
    money: tuple[Money, ...]
    digest: str
    second_person: bool
    author: str
    reason: str
    frozen_at: datetime
    state: BulkState
    done: int
    refused: int
    failed: int
    decided_by: str
    note: str
    changed_at: datetime

    @property
    def treated(self) -> int:
        """Records that have an outcome."""
        return self.done + self.refused + self.failed


class BulkItem(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a set. number: its place, from 1."""

    number: int
    subject_kind: str
    subject_id: str
    currency: str
    amount: Amount | None
    outcome: Outcome
    problem_code: str
    problem_detail: str
    at: datetime | None


def money_of(chosen: Iterable[Chosen]) -> tuple[Money, ...]:
    """Counted and added up by currency, sorted."""
    found: dict[str, tuple[Decimal, int]] = {}
    for one in chosen:
        code = one.currency if one.amount is not None else ""
        amount, records = found.get(code, (Decimal(0), 0))
        found[code] = (amount + (one.amount or Decimal(0) if code else Decimal(0)), records + 1)
    return tuple(
        Money(currency=code, amount=at_least_in_scale(amount=amount, code=code) if code else amount, records=records)
        for code, (amount, records) in sorted(found.items())
    )


def digest_of(chosen: Sequence[Chosen]) -> bytes:
    """SHA-256 over the set in its order: what a second person agreed to, and what the audit chain keeps of it."""
    found = hashlib.sha256()
    for one in chosen:
        found.update(canonical_bytes(list(one.subject)))
    return found.digest()


def checked_filter(given: Mapping[str, str], *, known: Iterable[str]) -> dict[str, str] | Problem:
    """The filter, sorted. Problem `bulk.filter_unknown` for a name the act doesn't know, or a value empty or too long.

    An empty value is no "any": who means one cause and loses its id on the way must not act on everything.
    """
    names = sorted(known)
    for name, value in given.items():
        if name not in names:
            return problem("bulk.filter_unknown", f"{name[:60]!r} is none of {', '.join(names)}", field=name[:60])
        if not value:
            detail = f"the value of {name} is empty; leave {name} out to mean any"
            return problem("bulk.filter_unknown", detail, field=name)
        if len(value) > VALUE_LENGTH_MAX or "\0" in value:
            return problem("bulk.filter_unknown", f"the value of {name} is too long, or holds NUL", field=name)
    return {name: given[name] for name in sorted(given)}


define(
    code="bulk.unknown",
    title="No such act on many records",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="List the acts and give the id of one.",
)
define(
    code="bulk.kind_unknown",
    title="There is no such act",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Name one of the acts the detail lists.",
)
define(
    code="bulk.filter_unknown",
    title="The filter can't be used",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Use the filters the detail lists.",
)
define(
    code="bulk.empty",
    title="Nothing fits the filter",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.NOBODY,
    remedy="Look at the list with the same filter: either there is nothing left to do, or the filter is too narrow.",
)
define(
    code="bulk.too_many",
    title="Too many records for one act",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy=f"Narrow the filter to at most {SUBJECTS_MAX} records, and start one act after the other.",
)
define(
    code="bulk.changed",
    title="The set is not the one that was shown",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Preview it again, and start it with the count you see then.",
)
define(
    code="bulk.running",
    title="The same act is under way",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.NOBODY,
    remedy="Wait for it, or abort it first.",
)
define(
    code="bulk.ended",
    title="The act is not in a state for that",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.NOBODY,
    remedy="A running act can be paused or aborted, a paused one resumed or aborted, a proposed one decided.",
)
define(
    code="bulk.same_person",
    title="A second person must start it",
    status=403,
    retryable=Retryable.NO,
    mender=Mender.FINANCE,
    remedy="Ask somebody other than its author, who may do the same act, to start or refuse it.",
)
