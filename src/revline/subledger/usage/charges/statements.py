"""A customer's statement as charge lines: what commitments, minimums and prepaid credits add to its usage. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.canonical import CreditGrant, CreditRefund
from revline.core.hashing import canonical_bytes, digest_text
from revline.core.problem import Problem
from revline.subledger.usage.charges.comparing import Line
from revline.subledger.usage.charges.values import Charge
from revline.subledger.usage.commitments import NamedCommitment
from revline.subledger.usage.credits import values as paying
from revline.subledger.usage.credits.lines import lines_of
from revline.subledger.usage.credits.settling import settle

ZERO: Final = Decimal(0)


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What settling a customer takes beside its lines."""

    commitments: tuple[NamedCommitment, ...] = ()
    grants: tuple[CreditGrant, ...] = ()
    refunds: tuple[CreditRefund, ...] = ()


def statement_of(
    *,
    settled: Settled,
    standing: Iterable[Charge],
    tenant_id: str,
    time_zone: str,
    as_of: datetime,
    closed_until: datetime | None = None,
) -> paying.Statement | Problem:
    """The customer's statement as of a moment, from its lines of usage and adjustments. closed_until: what periods that ended
    by then say of credits and commitments stands."""
    return settle(
        tenant_id=tenant_id,
        lines=lines_of(tenant_id=tenant_id, charges=standing, closed_until=closed_until),
        commitments=settled.commitments,
        grants=settled.grants,
        refunds=settled.refunds,
        at=as_of,
        time_zone=time_zone,
        closed_until=closed_until,
    )


def statement_lines(
    *,
    settled: Settled,
    standing: Sequence[Charge],
    tenant_id: str,
    entity: str,
    time_zone: str,
    as_of: datetime,
    closed_until: datetime | None = None,
) -> tuple[Line, ...] | Problem:
    """The lines the statement adds."""
    made = statement_of(
        settled=settled,
        standing=standing,
        tenant_id=tenant_id,
        time_zone=time_zone,
        as_of=as_of,
        closed_until=closed_until,
    )
    return made if isinstance(made, Problem) else tuple(_line(each, entity) for each in made.charges)


def _line(added: paying.StatementCharge, entity: str) -> Line:
    return Line(
        subject=added.subject,
        entity=entity,
        product_family=added.product_family,
        meter="",
        unit="",
        quantity=ZERO,
        currency=added.currency,
        amount=added.amount,
        events=0,
        digest=digest_text([added.amount, added.explanation]),
        explanation=canonical_bytes({"kind": added.subject.kind, "figures": list(added.explanation)}),
    )
