"""A corrected copy of what a source sent: a new fact that names the one it corrects. Pure; the original stays as it came.

A correction stands above its original and below whatever the source says later: its order key is the original's with one part
more, the moment it was decided, so that of two the later stands. It may not move to another object or root, since each has its own
lane and what the original had booked on its own would stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from revline.core.facts import Fact, Incomplete, Name, TranslatedFact
from revline.core.money import Amount
from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem

PREFIX: Final = "correction:"
MONEY_FIELDS: Final = ("total", "amount")
CORRECTION_BYTES_MAX: Final = 262_144
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CorrectionPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When a corrected copy needs a second person.

    second_person_above: currency -> amount; a correction whose object is worth more, before or after, is applied by somebody other
    than its author. A currency that is not named needs one from zero when `others` is true.
    """

    second_person_above: dict[str, Amount] = {}
    others: bool = False


class CorrectionState(StrEnum):
    """proposed: waits for a second person; applied: a fact stands; refused: a second person said no."""

    PROPOSED = "proposed"
    APPLIED = "applied"
    REFUSED = "refused"


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """What a correction is about in money; currency "" when its object has none."""

    currency: str
    amount: Decimal


def check_policy(name: str, spec: CorrectionPolicy, others: Mapping[type, Mapping[str, Any]]) -> tuple[FieldError, ...]:
    """What is wrong with a policy: negative amounts, and a second policy of the tenant."""
    found = [
        FieldError(
            pointer=f"spec.secondPersonAbove.{code}", detail="an amount is not negative", instead=f'{code}: "1000.00"'
        )
        for code, amount in sorted(spec.second_person_above.items())
        if amount < 0
    ]
    first = min(others.get(CorrectionPolicy, {name: spec}))
    if first != name:
        found.append(
            FieldError(pointer="metadata.name", detail=f"{first} is already the policy", instead="one for a tenant")
        )
    return tuple(found)


def corrected(
    *, made: Sequence[TranslatedFact | Incomplete], original: Fact, correction_id: str, decided_at: datetime
) -> TranslatedFact | Problem:
    """The fact of a corrected copy, from what its translation gave.

    Problems: correction.other_object when the copy speaks of another object, or of the same on another root;
    correction.unchanged when it says the same.
    """
    before = original.translated
    found = next((one for one in made if isinstance(one, TranslatedFact) and one.source == before.source), None)
    if found is None:
        return problem(
            "correction.other_object",
            f"the copy is not of {before.source.kind} {before.source.outside_id}",
            field=before.source.outside_id,
        )
    if found.roots != before.roots:
        named = ", ".join(f"{root.kind} {root.outside_id}" for root in before.roots)
        detail = f"the copy does not belong to {named}, where the original is booked"
        return problem("correction.other_object", detail, field=before.source.outside_id)
    if found.snapshot == before.snapshot:
        return problem("correction.unchanged", "the copy says what the original says")
    return msgspec.structs.replace(
        found,
        source_event=PREFIX + correction_id,
        event_type=before.event_type,
        occurred_at=before.occurred_at,
        order_key=above(before.order_key, decided_at=decided_at),
        names=(*found.names, Name(kind="corrects", value=original.fact_id)),
        correlation=before.correlation,
    )


def above(order_key: tuple[int, ...], *, decided_at: datetime) -> tuple[int, ...]:
    """The order key of a correction decided at a moment: above that key, and above corrections decided before."""
    return (*order_key, (decided_at - EPOCH) // timedelta(microseconds=1))


def worth(*snapshots: msgspec.Struct) -> Worth:
    """The greatest amount of some snapshots of one object; of a stated event, what it states."""
    holders = [holder for snapshot in snapshots for holder in (snapshot, getattr(snapshot, "payload", None))]
    amounts = [
        abs(value)
        for holder in holders
        for name in MONEY_FIELDS
        if isinstance(value := getattr(holder, name, None), Decimal)
    ]
    currency = next((str(code) for snapshot in snapshots if (code := getattr(snapshot, "currency", ""))), "")
    return Worth(currency=currency, amount=max(amounts, default=Decimal(0)))


def needs_second_person(*, policy: CorrectionPolicy | None, value: Worth) -> bool:
    """Whether somebody other than the author must apply it. Without a policy nobody has to."""
    if policy is None or not value.currency:
        return False
    above = policy.second_person_above.get(value.currency)
    return policy.others if above is None else value.amount > above


define(
    code="correction.other_object",
    title="The corrected copy is of another object",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Keep the object's id and what it belongs to as they are; to send another object, send it as an event of its own.",
)
define(
    code="correction.unchanged",
    title="The corrected copy changes nothing",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Change what is wrong in the copy, or try the case again as it is.",
)
define(
    code="correction.incomplete",
    title="The corrected copy holds no whole object",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Complete the copy, or try the case again as it is: the source is then asked for the object.",
)
define(
    code="correction.unknown",
    title="No such correction or record",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Name a fact or a kept input of this tenant, or a correction that is still proposed.",
)
define(
    code="correction.same_person",
    title="A second person must decide",
    status=403,
    retryable=Retryable.NO,
    mender=Mender.FINANCE,
    remedy="Ask somebody other than the author, who may resolve cases, to apply or refuse the correction.",
)
