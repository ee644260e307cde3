"""The configuration kind UsagePolicy: who bills usage, when a period closes, what late usage does, what is accrued. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.problem import FieldError
from revline.platform.config.registry import Specs
from revline.platform.tenancy.kinds import LegalEntity, unknown_reference

DAYS_MAX: Final = 3_650
ACCRUAL_ACCOUNTS: Final = ("unbilled_receivable", "contract_asset")


class RatingAuthority(StrEnum):
    """Who bills metered usage. billing: the billing platform; Revline's charges are a shadow of its lines and bill nothing.
    revline: Revline; its charges are pushed out and must come back on invoice lines."""

    BILLING = "billing"
    REVLINE = "revline"


class LateUsage(StrEnum):
    """What usage does that changes a closed billing period.

    adjust_next: an adjustment in the customer's next open period, revenue counted then. adjust_original: the same adjustment,
    revenue counted in the month the usage was made in, closed or not. hold: the adjustment waits for a person.
    """

    ADJUST_NEXT = "adjust_next"
    ADJUST_ORIGINAL = "adjust_original"
    HOLD = "hold"


class Accrual(StrEnum):
    """Whether unbilled usage is accrued. none: never. month_end: at the end of each accounting month, by the usage until then."""

    NONE = "none"
    MONTH_END = "month_end"


class UsagePolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How metered usage of an entity and some product families is charged.

    entity: the legal entity, "" for every one. product_families: () for every family; the policy that names more wins. authority:
    who bills. accrual, accrual_account: whether unbilled usage is accrued, and the neutral account it is accrued against.
    close_after_days: a billing period closes by itself so many days after its end, None when only a person closes it.
    books_close_after_days: an accounting month takes no more accruals so many days after its end, None when only a person
    says so. late: what later usage does. late_days_max: usage received more days than these after its period's end is
    charged to nobody (it is counted as not billable, with a case), None for no bound. zero_lines: a line is kept for a customer a
    price names also when nothing was used.
    """

    title: str
    entity: str = ""
    product_families: tuple[str, ...] = ()
    authority: RatingAuthority = RatingAuthority.BILLING
    accrual: Accrual = Accrual.NONE
    accrual_account: str = "unbilled_receivable"
    close_after_days: int | None = 3
    books_close_after_days: int | None = None
    late: LateUsage = LateUsage.ADJUST_NEXT
    late_days_max: int | None = None
    zero_lines: bool = False

    @property
    def grace(self) -> timedelta | None:
        """How long after its end a billing period stays open; None until a person closes it."""
        return None if self.close_after_days is None else timedelta(days=self.close_after_days)

    @property
    def books_grace(self) -> timedelta | None:
        """How long after its end an accounting month takes changes of its accruals; None until a person closes it."""
        return None if self.books_close_after_days is None else timedelta(days=self.books_close_after_days)


DEFAULT_POLICY: Final = UsagePolicy(title="What holds where no UsagePolicy says otherwise")
"""Charges are a shadow of the billing platform's; nothing is accrued."""


def policy_of(policies: Iterable[UsagePolicy], *, entity: str, product_family: str) -> UsagePolicy:
    """The policy for an entity and product family: one that names both, then the family, then the entity, then any."""
    fitting = [
        each
        for each in policies
        if each.entity in ("", entity) and (not each.product_families or product_family in each.product_families)
    ]
    return max(fitting, key=lambda each: (bool(each.product_families), bool(each.entity)), default=DEFAULT_POLICY)


def check_usage_policy(name: str, spec: UsagePolicy, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with a policy: its entity, its days, its account, another one for the same usage."""
    entities = others.get(LegalEntity, {})
    found: list[FieldError] = []
    if spec.entity and spec.entity not in entities:
        found.append(unknown_reference(pointer="spec.entity", kind="LegalEntity", value=spec.entity, known=entities))
    for field, days in (
        ("closeAfterDays", spec.close_after_days),
        ("booksCloseAfterDays", spec.books_close_after_days),
        ("lateDaysMax", spec.late_days_max),
    ):
        if days is not None and not 0 <= days <= DAYS_MAX:
            found.append(
                FieldError(pointer=f"spec.{field}", detail=f"{days} days", instead=f"from 0 to {DAYS_MAX} days")
            )
    if spec.accrual_account not in ACCRUAL_ACCOUNTS:
        found.append(
            FieldError(
                pointer="spec.accrualAccount",
                detail=f"usage is not accrued against {spec.accrual_account!r}",
                instead=" or ".join(ACCRUAL_ACCOUNTS),
            )
        )
    found.extend(_doubles(name, spec, others))
    return tuple(found)


def _doubles(name: str, spec: UsagePolicy, others: Specs) -> Iterable[FieldError]:
    for other, each in sorted(others.get(UsagePolicy, {}).items()):
        same = set(spec.product_families) & set(each.product_families)
        general = not spec.product_families and not each.product_families
        if other < name and each.entity == spec.entity and (same or general):
            what = ", ".join(sorted(same)) or "every product family"
            yield FieldError(
                pointer="spec.productFamilies",
                detail=f"the policy {other!r} says already what holds for {what} of this entity",
                instead="one UsagePolicy for an entity and product family",
            )
