"""Writes of credits that take an open unit: what a fact says of a grant, requests to settle, and a statement brought to the
ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from revline.core.canonical import CreditGrant, CreditRefund
from revline.core.facts import TranslatedFact
from revline.core.hashing import canonical_bytes
from revline.core.ids import SourceObject, lane_id, root_id
from revline.intake import record as intake
from revline.intake.record import Prepared
from revline.intake.values import Channel, Form, Input
from revline.platform.cases.record import NewCase, open_cases, resolve_cases
from revline.platform.store.unit import Unit
from revline.platform.work import record as work
from revline.subledger.usage.credits import queries, tables
from revline.subledger.usage.credits.deltas import Delta, postings_of
from revline.subledger.usage.credits.facts import movement_fact, object_fact
from revline.subledger.usage.credits.values import Statement

LANE_KIND: Final = "credits"
SUBJECT_KIND: Final = "credits"


def holder_of(*, tenant_id: str, customer: SourceObject) -> str:
    """The id of a customer as one that has credits, and of the lane that settles it."""
    return lane_id(tenant=tenant_id, kind=LANE_KIND, key=root_id(tenant=tenant_id, source=customer))


def ask(unit: Unit, *, tenant_id: str, customers: Iterable[SourceObject]) -> None:
    """Have customers settled again: a charge line of theirs was revised, or a grant or refund became known."""
    holders = [holder_of(tenant_id=tenant_id, customer=customer) for customer in customers]
    work.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=holders)


def ask_holders(unit: Unit, *, tenant_id: str, customers: Iterable[SourceObject]) -> None:
    """As `ask`, of those customers that have or had credits; of the others nothing is kept. Whoever is granted the first in
    another unit meanwhile is asked for by that one."""
    holders = [holder_of(tenant_id=tenant_id, customer=customer) for customer in customers]
    known = queries.holders_by_id(unit.connection, tenant_id=tenant_id, holder_ids=holders) if holders else {}
    work.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=known)


def keep(unit: Unit, *, tenant_id: str, source: SourceObject, snapshot: CreditGrant | CreditRefund) -> SourceObject:
    """The newest snapshot of a grant or refund, as what is known of it; gives its customer."""
    customer = SourceObject(connection=source.connection, kind="customer", outside_id=snapshot.customer)
    holder = holder_of(tenant_id=tenant_id, customer=customer)
    unit.project(
        tables.credit_holder,
        key=("holder_id",),
        tenant_id=tenant_id,
        holder_id=holder,
        connection=customer.connection,
        customer=customer.outside_id,
    )
    identity, content = root_id(tenant=tenant_id, source=source), canonical_bytes(snapshot).decode()
    if isinstance(snapshot, CreditRefund):
        unit.project(
            tables.credit_refund,
            key=("refund_id",),
            tenant_id=tenant_id,
            refund_id=identity,
            holder_id=holder,
            content=content,
        )
        return customer
    unit.project(
        tables.credit_grant,
        key=("grant_id",),
        tenant_id=tenant_id,
        grant_id=identity,
        holder_id=holder,
        connection=source.connection,
        outside_id=snapshot.outside_id,
        customer=snapshot.customer,
        plan=snapshot.plan,
        granted_at=snapshot.granted_at,
        voided=snapshot.voided,
        content=content,
    )
    return customer


def post(
    unit: Unit,
    *,
    channel: Channel,
    customer: SourceObject,
    statement: Statement,
    deltas: Sequence[Delta],
    grants: Sequence[CreditGrant],
    refunds: Sequence[CreditRefund],
    look_at: datetime | None,
    new_id: Callable[[datetime], str],
) -> int:
    """Bring the ledger to a statement: post the differences, state what they book, make the top-ups it asks for, tell what
    could not be carried out. Gives how many differences were posted.

    channel: of the customer's connection. look_at: when time alone changes the statement next. grants, refunds: those it was
    settled from, and those of grants that are gone since.
    """
    tenant_id = channel.tenant_id
    holder = holder_of(tenant_id=tenant_id, customer=customer)
    said = [
        object_fact(snapshot=one, connection=customer.connection, said_at=unit.recorded_at) for one in statement.top_ups
    ]
    for fact, one in zip(said, statement.top_ups, strict=True):
        keep(unit, tenant_id=tenant_id, source=fact.source, snapshot=one)
    known = {one.outside_id: one for one in (*grants, *statement.top_ups)}
    methods = {one.outside_id: one.method for one in refunds}
    for delta in deltas:
        key = delta.place.key
        entry_id = delta.entry_id(tenant_id=tenant_id, customer=customer)
        _write(unit, tenant_id=tenant_id, holder=holder, entry_id=entry_id, delta=delta)
        booked = movement_fact(
            delta=delta,
            grant=known[key.grant_id],
            customer=customer,
            entry_id=entry_id,
            method=methods.get(key.cause, "") or known[key.grant_id].method,
            stated_at=unit.recorded_at,
        )
        said += [] if booked is None else [booked]
    _accept(unit, channel, said, new_id)
    _looked(unit, tenant_id, holder, customer, statement.at, look_at)
    _tell(unit, tenant_id, holder, customer, statement)
    return len(deltas)


def _looked(
    unit: Unit, tenant_id: str, holder: str, customer: SourceObject, settled_at: datetime, look_at: datetime | None
) -> None:
    unit.project(
        tables.credit_holder,
        key=("holder_id",),
        tenant_id=tenant_id,
        holder_id=holder,
        connection=customer.connection,
        customer=customer.outside_id,
        look_at=look_at,
        settled_at=settled_at,
    )


def _write(unit: Unit, *, tenant_id: str, holder: str, entry_id: str, delta: Delta) -> None:
    place = delta.place
    for side in postings_of(delta):
        unit.record(
            tables.credit_posting,
            tenant_id=tenant_id,
            entry_id=entry_id,
            account=side.account.value,
            holder_id=holder,
            grant=place.key.grant_id,
            rule=place.key.rule.value,
            cause=place.key.cause,
            day=place.day,
            product_family=place.product_family,
            number=delta.number,
            moved_at=delta.at,
            currency=place.currency,
            amount=side.amount,
            cost=side.cost,
        )


def _accept(unit: Unit, channel: Channel, facts: Sequence[TranslatedFact], new_id: Callable[[datetime], str]) -> None:
    prepared = [
        Prepared(
            taken=Input(body=canonical_bytes(fact), content_type="application/json", received_at=unit.recorded_at),
            form=Form.OBJECT,
            facts=(fact,),
        )
        for fact in facts
    ]
    if prepared:
        intake.accept(unit, channel=channel, prepared=prepared, new_id=new_id)


def _tell(unit: Unit, tenant_id: str, holder: str, customer: SourceObject, statement: Statement) -> None:
    if not statement.findings:
        resolve_cases(unit, tenant_id=tenant_id, subject_kind=SUBJECT_KIND, subject_ids=[holder])
        return
    cases = [
        NewCase(
            tenant_id=tenant_id,
            subject_kind=SUBJECT_KIND,
            subject_id=holder,
            problem=finding,
            connection=customer.connection,
        )
        for finding in statement.findings
    ]
    open_cases(unit, cases=cases)
