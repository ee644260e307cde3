"""Small Stripe stories for derive's tests: one object in words, one webhook of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import text

from revline.platform.cases import queries as cases
from revline.sim import stripe_objects as shapes
from tests.harness import Harness, Outcome

TENANT = "aurora"
CONNECTION = "stripe-us"
_numbers = itertools.count(1)


def at(day: int, month: int = 1) -> int:
    """Noon UTC of a day of 2026."""
    return int(datetime(2026, month, day, 12, tzinfo=UTC).timestamp())


def webhook(kind: str, thing: Mapping[str, Any], *, created: int) -> bytes:
    """A webhook about an object as it is now."""
    number = next(_numbers)
    event = shapes.event(
        outside_id=f"evt_{number}", kind=kind, created=created, data=dict(thing), request="req_1", pending=1
    )
    return msgspec.json.encode(event)


def customer(**more: Any) -> dict[str, Any]:
    made = shapes.customer(
        outside_id="cus_1", name="Acme", email="a@acme.example", currency="usd", country="US", city="Boston",
        created=at(1),
    )  # fmt: skip
    return {**made, **more}


def invoice(*, status: str = "open", total: int = 10_000, currency: str = "usd", **more: Any) -> dict[str, Any]:
    parent = shapes.line_parent(
        subscription="", subscription_item="", invoice_item="ii_1", proration=False, credits_line=""
    )
    line = shapes.line_item(
        outside_id="il_1", invoice="in_1", currency=currency, amount=total, quantity=1, description="Work",
        period=(at(1), at(1)), price="price_1", product="prod_1", unit_amount=str(total), parent=parent,
        discounts=(), taxes=(), metadata={},
    )  # fmt: skip
    made = shapes.invoice(
        outside_id="in_1", customer=customer(currency=currency), lines=[line], total=total, created=at(3),
        subscription="", memo="",
    )  # fmt: skip
    moments = {**made["status_transitions"], "finalized_at": at(4), **more.pop("status_transitions", {})}
    return {**made, "number": "A-1", "status": status, "status_transitions": moments, **more}


def charge(
    outside_id: str = "ch_1", *, amount: int = 10_000, paid: bool = True, created: int = at(5)
) -> dict[str, Any]:
    made: dict[str, Any] = shapes.charge(
        outside_id=outside_id, intent="pi_1", transaction="txn_1" if paid else None, amount=amount, currency="usd",
        customer="cus_1", created=created,
    )  # fmt: skip
    return made


def application(*, amount: int = 10_000, **more: Any) -> dict[str, Any]:
    made = shapes.invoice_payment(
        outside_id="inpay_1", invoice="in_1", intent="pi_1", amount=amount, currency="usd", created=at(5)
    )
    return {**made, **more}


def tell(harness: Harness, *bodies: bytes, connection: str = CONNECTION) -> None:
    """The webhooks arrive and everything due is derived."""
    verdicts = harness.accept(TENANT, connection, bodies)
    assert {verdict.outcome for verdict in verdicts} == {Outcome.ACCEPTED}, verdicts
    harness.derive_all()


def open_cases(harness: Harness, *, subject_kind: str = "root") -> Sequence[cases.Case]:
    with harness.database.read(tenants=[TENANT]) as connection:
        found = cases.cases(connection, tenant_id=TENANT)
    return [case for case in found if case.subject_kind == subject_kind]


def rows(harness: Harness, statement: str, **parameters: Any) -> list[Any]:
    """Rows of the tenant; the statement names :tenant."""
    with harness.database.read(tenants=[TENANT]) as connection:
        return [tuple(row) for row in connection.execute(text(statement), {"tenant": TENANT, **parameters})]


def facts_without_disposition(harness: Harness) -> int:
    """Facts under a root that nothing was said of: what must never stay."""
    (found,) = rows(
        harness,
        "SELECT count(*) FROM fact_root LEFT JOIN disposition AS said ON said.tenant_id = fact_root.tenant_id"
        " AND said.root_id = fact_root.root_id AND said.fact_position = fact_root.position"
        " AND said.fact_ordinal = fact_root.ordinal"
        " WHERE fact_root.tenant_id = :tenant AND said.root_id IS NULL",
    )
    return int(found[0])


def balance(harness: Harness, account: str) -> Decimal:
    """Net debit of an account over all books and periods."""
    found = harness.totals(TENANT)
    return sum((Decimal(amount) for key, (amount, _) in found.items() if key[2] == account), Decimal(0))
