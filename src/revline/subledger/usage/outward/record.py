"""Writes of comparing usage into an open unit: lines that bill, findings, and cases of those that need somebody."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from revline.core.hashing import canonical_bytes
from revline.core.ids import SourceObject, root_id
from revline.core.money import amount_text
from revline.core.problem import Problem, problem
from revline.platform.cases.record import NewCase, open_cases, resolve_cases
from revline.platform.store.unit import Unit
from revline.platform.work import record as work_record
from revline.subledger.usage.outward import problems  # noqa: F401 - defines the codes
from revline.subledger.usage.outward.comparing import CODES, Compared
from revline.subledger.usage.outward.queries import finding_ids, lines_of_invoice
from revline.subledger.usage.outward.reading import ReadLine
from revline.subledger.usage.outward.tables import usage_billed_line, usage_finding
from revline.subledger.usage.outward.values import Cause, Finding

LANE_KIND: Final = "usage_billing"
INVOICE_PREFIX: Final = "billing.invoice."
CUSTOMER_PREFIX: Final = "billing.customer."
TELLING_KIND: Final = "usage_telling"
TELLING_PREFIX: Final = "telling."
SUBJECT_KIND: Final = "usage_finding"
"""What a case of a finding names as its subject kind."""


def request_comparison(unit: Unit, *, tenant_id: str, customers: Collection[SourceObject]) -> None:
    """Compare these customers again: their charges or what bills them changed. Asking many times costs one run."""
    roots = {root_id(tenant=tenant_id, source=customer) for customer in customers}
    request_customers(unit, tenant_id=tenant_id, roots=roots)


def request_customers(unit: Unit, *, tenant_id: str, roots: Collection[str]) -> None:
    """The same by root ids."""
    lanes = [CUSTOMER_PREFIX + root for root in roots]
    work_record.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=lanes)


def request_invoices(unit: Unit, *, tenant_id: str, roots: Collection[str]) -> None:
    """Read the lines of these invoice roots again."""
    lanes = [INVOICE_PREFIX + root for root in roots]
    work_record.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=lanes)


def request_tellings(unit: Unit, *, tenant_id: str, customers: Collection[SourceObject]) -> None:
    """Work out again what billing is to be told of these customers: their charges changed."""
    lanes = [TELLING_PREFIX + root_id(tenant=tenant_id, source=customer) for customer in customers]
    work_record.request(unit, tenant_id=tenant_id, kind=TELLING_KIND, lane_ids=lanes)


def request_lanes(unit: Unit, *, tenant_id: str, lanes: Collection[str], kind: str = LANE_KIND) -> None:
    """Run lanes of a kind again by their ids."""
    work_record.request(unit, tenant_id=tenant_id, kind=kind, lane_ids=lanes)


def write_lines(
    unit: Unit, *, tenant_id: str, source: str, invoice: str, lines: Sequence[ReadLine]
) -> tuple[SourceObject, ...]:
    """The lines of an invoice that may bill metered use are these; gives the customers of whom something changed."""
    there = lines_of_invoice(unit.connection, tenant_id=tenant_id, source=source, invoice=invoice)
    changed: set[SourceObject] = set()
    wanted: dict[str, dict[str, Any]] = {}
    for one in lines:
        row = _row(tenant_id, source, one)
        wanted[one.line.line] = row
        before = there.get(one.line.line)
        if before is None or any(before[name] != value for name, value in row.items()):
            changed.add(one.subject.customer)
    for line, before in there.items():
        if line not in wanted and before["live"]:
            wanted[line] = {**before, "live": False}
            changed.add(SourceObject(connection=source, kind="customer", outside_id=before["customer"]))
    if not changed:
        return ()
    for row in wanted.values():
        values = {name: value for name, value in row.items() if name not in {"tenant_id", "position"}}
        unit.project(usage_billed_line, key=("connection", "invoice", "line"), tenant_id=tenant_id, **values)
    return tuple(sorted(changed))


def _row(tenant_id: str, source: str, one: ReadLine) -> dict[str, Any]:
    return {
        "connection": source,
        "invoice": one.line.invoice,
        "line": one.line.line,
        "customer": one.subject.customer.outside_id,
        "customer_root": root_id(tenant=tenant_id, source=one.subject.customer),
        "price": one.subject.price,
        "window_start": one.subject.window.start,
        "window_end": one.subject.window.end,
        "currency": one.currency,
        "quantity": one.line.quantity,
        "unit_price": one.line.unit_price,
        "amount": one.line.amount,
        "billed_on": one.line.billed_on,
        "charge": one.line.charge,
        "accrued": one.line.accrued,
        "live": True,
    }


def write_findings(
    unit: Unit, *, tenant_id: str, customer_root: str, found: Sequence[Compared], compared_at: datetime
) -> int:
    """The findings of a customer are these; one that is no more is equal from now on. Gives how many need somebody."""
    stored = finding_ids(unit.connection, tenant_id=tenant_id, customer_root=customer_root)
    cases: list[NewCase] = []
    kept: set[str] = set()
    for one in found:
        identity = one.finding.subject.finding_id(tenant_id)
        kept.add(identity)
        unit.project(
            usage_finding, key=("finding_id",), tenant_id=tenant_id,
            **_finding_row(identity, customer_root, one, compared_at),
        )  # fmt: skip
        case = case_of(one.finding, tenant_id=tenant_id)
        if case is not None:
            cases.append(case)
    gone = stored - kept
    for identity in sorted(gone):
        unit.change(
            usage_finding, key=("finding_id",), tenant_id=tenant_id, finding_id=identity, direction="equal", cause="",
            tolerated=True, compared_at=compared_at,
        )  # fmt: skip
    ids = open_cases(unit, cases=cases)
    resolve_cases(
        unit,
        tenant_id=tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_ids=sorted(kept | gone),
        reason="billing and usage agree, or differ otherwise",
        keep=ids,
    )
    return len(cases)


def _finding_row(identity: str, customer_root: str, one: Compared, compared_at: datetime) -> dict[str, Any]:
    finding, expected = one.finding, one.expected
    return {
        "finding_id": identity,
        "customer_root": customer_root,
        "connection": finding.subject.customer.connection,
        "customer": finding.subject.customer.outside_id,
        "price": finding.subject.price,
        "window_start": finding.subject.window.start,
        "window_end": finding.subject.window.end,
        "entity": "" if expected is None else expected.entity,
        "product_family": "" if expected is None else expected.product_family,
        "currency": finding.currency,
        "expected_quantity": finding.expected_quantity,
        "expected_amount": finding.expected_amount,
        "billed_quantity": finding.billed_quantity,
        "billed_amount": finding.billed_amount,
        "difference": finding.difference,
        "direction": finding.direction.value,
        "cause": "" if finding.cause is None else finding.cause.value,
        "tolerated": finding.tolerated,
        "content": canonical_bytes(finding),
        "first_quantity": None if one.first is None else one.first.quantity,
        "first_amount": None if one.first is None else one.first.amount,
        "compared_at": compared_at,
    }


def case_of(finding: Finding, *, tenant_id: str) -> NewCase | None:
    """The case of a finding; None where nobody needs to act."""
    if finding.cause is None or finding.tolerated or not (finding.difference or finding.cause is Cause.CURRENCY):
        return None
    return NewCase(
        tenant_id=tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_id=finding.subject.finding_id(tenant_id),
        problem=_problem(finding, finding.cause),
        connection=finding.subject.customer.connection,
        currency=finding.currency,
        amount=abs(finding.difference),
    )


def _problem(finding: Finding, cause: Cause) -> Problem:
    said = "; ".join(
        f"{part.cause.value.replace('_', ' ')} {amount_text(part.amount)}"
        + (f" ({part.detail})" if part.detail else "")
        for part in finding.parts
    )
    detail = (
        f"billed {amount_text(finding.billed_amount)} of {amount_text(finding.expected_amount)} {finding.currency}"
        f" expected: {said}"
    )
    return problem(CODES[cause], detail, field=finding.subject.price[:100])
