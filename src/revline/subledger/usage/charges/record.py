"""Writes of charging that take an open unit: ticks, touches, what a customer's run found, what people decided.

Lock order: usage lanes, then derive lanes (the facts ask for them), then the caller's rows. Whoever holds derive lanes does not ask
for usage lanes in the same unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import delete, text

from revline.core.facts import Name
from revline.core.hashing import canonical_bytes
from revline.core.ids import SourceObject
from revline.core.problem import Mender, Retryable, define, problem
from revline.intake import record as intake
from revline.intake.record import Prepared
from revline.intake.values import Channel, Form, Input
from revline.platform.cases.record import NewCase, open_cases, resolve_cases
from revline.platform.lineage.record import add_names
from revline.platform.store.unit import Unit
from revline.platform.work import record as work
from revline.subledger.usage.charges import tables
from revline.subledger.usage.charges.accruing import Billing, Entry, fact_of
from revline.subledger.usage.charges.setup import Touch
from revline.subledger.usage.charges.state import LANE_KIND, Decision, Period, Tick, customer_lane, version_text
from revline.subledger.usage.charges.values import Charge
from revline.subledger.usage.versions import UsageVersion

if TYPE_CHECKING:  # what plans is heavy, and whoever only asks for a run has no need of it
    from revline.subledger.usage.charges.planning import CustomerPlan

define(
    code="usage.connection_gone",
    title="A customer's connection is not configured as a source",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Configure the connection again, then retry the cause; what was used meanwhile is charged then.",
)

SUBJECT_KIND: Final = "usage"
"""The kind of subject of cases about a customer's charges; its id is `case_subject`."""
LANE_SUBJECT: Final = "usage_lane"
"""The kind of subject of a case about a customer's lane of which nothing could be read; its id is the lane's."""
TRANSLATOR: Final = "usage/1"
CHARGE_NAME: Final = "charge_id"
CHARGE: Final = "charge"
TOUCHES_PER_STATEMENT: Final = 5_000
FACTS_PER_CALL: Final = 5_000
_TOUCH: Final = text(
    """
    INSERT INTO usage_touch (tenant_id, lane_id, connection, customer, start_at, end_at, meter, position)
    SELECT :tenant, given.*, :position
    FROM unnest(CAST(:lanes AS text[]), CAST(:connections AS text[]), CAST(:customers AS text[]),
                CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]), CAST(:meters AS text[])) AS given
    ON CONFLICT (tenant_id, lane_id, connection, customer, start_at, end_at, meter)
    DO UPDATE SET position = greatest(usage_touch.position, excluded.position)
    """
)


def case_subject(customer: SourceObject) -> str:
    """What cases about a customer's charges are of."""
    return f"{customer.connection}/{customer.outside_id}"


def write_tick(
    unit: Unit,
    *,
    tenant_id: str,
    usage_version: UsageVersion,
    as_of: datetime,
    configuration: int,
    read_position: int,
    touches: Sequence[Touch],
    others: Iterable[str],
) -> None:
    """Record a tick, what it asks to rate, and ask for the lanes of these customers. others: lanes due by time alone."""
    unit.record(
        tables.usage_tick,
        tenant_id=tenant_id,
        usage_version=version_text(usage_version),
        as_of=as_of,
        configuration_version=configuration,
        read_position=read_position,
        touched=len(touches),
    )
    lanes = {customer_lane(tenant_id=tenant_id, customer=each.customer) for each in touches}
    work.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=lanes | set(others))
    touch(unit, tenant_id=tenant_id, touches=touches, position=unit.position_before(tenant_id=tenant_id) + 1)


def touch(unit: Unit, *, tenant_id: str, touches: Sequence[Touch], position: int) -> None:
    """Have meters of customers' periods rated. position: of the tick from which on a run does it."""
    for start in range(0, len(touches), TOUCHES_PER_STATEMENT):
        page = touches[start : start + TOUCHES_PER_STATEMENT]
        parameters = {
            "tenant": tenant_id,
            "position": position,
            "lanes": [customer_lane(tenant_id=tenant_id, customer=each.customer) for each in page],
            "connections": [each.customer.connection for each in page],
            "customers": [each.customer.outside_id for each in page],
            "starts": [each.window.start for each in page],
            "ends": [each.window.end for each in page],
            "meters": [each.meter for each in page],
        }
        unit.connection.execute(_TOUCH, parameters)


def ask(unit: Unit, *, tenant_id: str, customers: Iterable[SourceObject]) -> None:
    """Have customers computed again: what is not usage of theirs changed, such as a grant of credits."""
    lanes = {customer_lane(tenant_id=tenant_id, customer=customer) for customer in customers}
    work.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=lanes)


def write_plans(
    unit: Unit,
    *,
    tenant_id: str,
    channels: Mapping[str, Channel],
    plans: Sequence[CustomerPlan],
    tick: Tick,
    new_id: Callable[[datetime], str],
) -> Sequence[str]:
    """Everything that runs of customers found; gives the ids of the cases that stay open. channels: by connection.

    Facts first: their derive lanes are locked before the caller's own rows, and cases last, as everywhere.
    """
    for connection, channel in sorted(channels.items()):
        entries = [entry for plan in plans if plan.customer.connection == connection for entry in plan.entries]
        for start in range(0, len(entries), FACTS_PER_CALL):
            _state(unit, channel, entries[start : start + FACTS_PER_CALL], tick, new_id)
    for plan in plans:
        lane = customer_lane(tenant_id=tenant_id, customer=plan.customer)
        for charge in plan.revisions:
            _write_revision(unit, tenant_id, lane, charge)
        for period in plan.periods:
            _write_period(unit, tenant_id, lane, period)
    cases = [
        NewCase(
            tenant_id=tenant_id,
            subject_kind=SUBJECT_KIND,
            subject_id=case_subject(plan.customer),
            problem=each.problem,
            connection=plan.customer.connection,
            currency=each.currency,
            amount=each.amount if each.currency else None,
        )
        for plan in plans
        for each in plan.troubles
    ]
    return open_cases(unit, cases=cases) if cases else ()


def conclude(
    unit: Unit, *, tenant_id: str, customers: Sequence[SourceObject], kept_cases: Sequence[str], tick: Tick
) -> None:
    """What these customers' runs have done with: touches they read, cases that no longer hold."""
    row = tables.usage_touch.c
    lanes = [customer_lane(tenant_id=tenant_id, customer=each) for each in customers]
    statement = delete(tables.usage_touch).where(
        row.tenant_id == tenant_id, row.lane_id.in_(lanes), row.position <= tick.position
    )
    unit.connection.execute(statement)
    resolve_cases(
        unit,
        tenant_id=tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_ids=[case_subject(each) for each in customers],
        keep=kept_cases,
    )


def refuse(unit: Unit, *, tenant_id: str, customers: Sequence[SourceObject]) -> None:
    """These customers' connection takes no facts now: nothing of their run is written, what was touched stays, each is a case."""
    cases = [
        NewCase(
            tenant_id=tenant_id,
            subject_kind=SUBJECT_KIND,
            subject_id=case_subject(each),
            problem=problem(
                "usage.connection_gone", f"{each.connection} brings no facts any more", field=each.connection
            ),
            connection=each.connection,
        )
        for each in customers
    ]
    if cases:
        open_cases(unit, cases=cases)


def write_billings(unit: Unit, *, tenant_id: str, billings: Mapping[str, Billing | None]) -> None:
    """What bills charge lines, None where nothing does any more; the caller asks for their customers' lanes before (`ask`)."""
    for charge_id, billing in sorted(billings.items()):
        unit.project(
            tables.charge_billing,
            key=("charge_id",),
            tenant_id=tenant_id,
            charge_id=charge_id,
            day=date.min if billing is None else billing.day,
            cleared=Decimal(0) if billing is None else billing.cleared,
            billed=billing is not None,
        )


def decide(unit: Unit, *, tenant_id: str, charge_id: str, revision: int, decision: Decision) -> None:
    """A person's word on a held revision."""
    _decision(unit, tenant_id, kind=decision.value, subject=charge_id, revision=revision)


def close_period(unit: Unit, *, tenant_id: str, period_id: str) -> None:
    """A person closed a billing period."""
    _decision(unit, tenant_id, kind="close_period", subject=period_id)


def close_books(unit: Unit, *, tenant_id: str, entity: str, through: date) -> None:
    """A person closed an entity's books for accruals, up to and with a day."""
    _decision(unit, tenant_id, kind="close_books", subject=entity, through=through)


def _decision(
    unit: Unit, tenant_id: str, *, kind: str, subject: str, revision: int = 0, through: date | None = None
) -> None:
    unit.record(
        tables.usage_decision,
        tenant_id=tenant_id,
        kind=kind,
        subject=subject,
        revision=revision,
        closed_through=through,
    )


def _write_revision(unit: Unit, tenant_id: str, lane: str, charge: Charge) -> None:
    subject = charge.subject
    unit.record(
        tables.charge_revision,
        tenant_id=tenant_id,
        charge_id=charge.charge_id,
        revision=charge.revision,
        connection=subject.customer.connection,
        customer=subject.customer.outside_id,
        kind=subject.kind.value,
        price=subject.price,
        groups=canonical_bytes(subject.group).decode(),
        start_at=subject.window.start,
        end_at=subject.window.end,
        origin_start_at=None if subject.origin is None else subject.origin.start,
        origin_end_at=None if subject.origin is None else subject.origin.end,
        entity=charge.entity,
        product_family=charge.product_family,
        meter=charge.meter,
        unit=charge.unit,
        quantity=charge.quantity,
        currency=charge.currency,
        amount=charge.amount,
        events=charge.events,
        usage_version=version_text(charge.usage_version),
        configuration_version=charge.configuration,
        read_position=charge.read_position,
        digest=charge.digest,
        explanation=charge.explanation.decode(),
        held=charge.held,
    )
    unit.project(
        tables.charge,
        key=("charge_id",),
        tenant_id=tenant_id,
        charge_id=charge.charge_id,
        lane_id=lane,
        connection=subject.customer.connection,
        customer=subject.customer.outside_id,
        start_at=subject.window.start,
        end_at=subject.window.end,
        newest=charge.revision,
        standing=0 if charge.held else charge.revision,  # a line is held in all its revisions or in none
    )
    if charge.revision == 1:
        names = [Name(kind=CHARGE_NAME, value=charge.charge_id)]
        add_names(unit, tenant_id=tenant_id, names=names, record_kind=CHARGE, record_id=charge.charge_id)


def _write_period(unit: Unit, tenant_id: str, lane: str, period: Period) -> None:
    unit.project(
        tables.usage_period,
        key=("period_id",),
        tenant_id=tenant_id,
        period_id=period.period_id(tenant_id),
        lane_id=lane,
        connection=period.customer.connection,
        customer=period.customer.outside_id,
        entity=period.entity,
        start_at=period.window.start,
        end_at=period.window.end,
        state=period.state.value,
        look_at=period.look_at,
        usage_version=version_text(period.usage_version),
        configuration_version=period.configuration,
        closed_at=period.closed_at,
    )


def _state(
    unit: Unit,
    channel: Channel,
    entries: Sequence[tuple[Entry, Charge, str]],
    tick: Tick,
    new_id: Callable[[datetime], str],
) -> None:
    """Accounting events go the way of every fact: into the log, then derive books them."""
    if not entries:
        return
    facts = [
        fact_of(entry=entry, charge=charge, account=account, stated_at=tick.as_of) for entry, charge, account in entries
    ]
    prepared = [
        Prepared(
            taken=Input(
                body=canonical_bytes(fact.snapshot), content_type="application/json", received_at=unit.recorded_at
            ),
            form=Form.OBJECT,
            facts=(fact,),
        )
        for fact in facts
    ]
    verdicts = intake.accept(
        unit,
        channel=msgspec.structs.replace(channel, translator=TRANSLATOR),
        prepared=prepared,
        new_id=new_id,
    )
    for (entry, _, _), verdict in zip(entries, verdicts, strict=True):
        (fact_id,) = verdict.fact_ids
        unit.record(
            tables.charge_entry,
            tenant_id=channel.tenant_id,
            charge_id=entry.charge_id,
            part=entry.part,
            entry=entry.ordinal,
            kind=entry.kind,
            day=entry.day,
            amount=entry.amount,
            currency=entry.currency,
            revision=entry.revision,
            connection=channel.connection,
            fact_id=fact_id,
        )
