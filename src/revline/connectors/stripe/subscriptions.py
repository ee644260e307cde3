"""Stripe subscriptions and subscription schedules as canonical snapshots. Pure.

Source: docs.stripe.com/api/subscriptions, /api/subscription_schedules. Since the versions of 2025 a period stands on the item; the
older shape has it on the subscription.
"""

from __future__ import annotations

from typing import Final

from revline.connectors.stripe.fields import Fields
from revline.connectors.stripe.reading import Message, Reading, expanded, link_names, links, names
from revline.core.canonical import (
    SchedulePhase,
    Subscription,
    SubscriptionItem,
    SubscriptionSchedule,
    SubscriptionStatus,
)

STATUSES: Final = {
    "incomplete": SubscriptionStatus.INCOMPLETE,
    "incomplete_expired": SubscriptionStatus.ENDED,
    "trialing": SubscriptionStatus.TRIALING,
    "active": SubscriptionStatus.ACTIVE,
    "past_due": SubscriptionStatus.PAST_DUE,
    "paused": SubscriptionStatus.PAUSED,
    "unpaid": SubscriptionStatus.UNPAID,
    "canceled": SubscriptionStatus.ENDED,
}
SCHEDULE_RANKS: Final = {"not_started": 0, "active": 1, "completed": 2, "released": 2, "canceled": 2}


def read_subscription(*, fields: Fields, message: Message) -> Reading:
    """A subscription with all its items. An ended one outranks the others; its other statuses come and go, so time decides."""
    status = STATUSES.get(fields.text("status"))
    if status is None:
        raise fields.refuse("status", "a subscription's status")
    linked = links(message=message, holders=(fields,))
    snapshot = Subscription(
        outside_id=fields.required_identifier("id"),
        customer=fields.required_identifier("customer"),
        status=status,
        currency=fields.currency().code,
        items=tuple(_item(item, older=fields) for item in fields.whole_list("items")),
        created_at=fields.moment("created"),
        started_at=fields.optional_moment("start_date"),
        trial_end_at=fields.optional_moment("trial_end"),
        cancel_at=fields.optional_moment("cancel_at"),
        canceled_at=fields.optional_moment("canceled_at"),
        ended_at=fields.optional_moment("ended_at"),
        schedule=fields.identifier("schedule"),
        latest_invoice=fields.identifier("latest_invoice"),
        collection_method=fields.text("collection_method"),
        links=linked,
    )
    root = message.source("subscription", snapshot.outside_id)
    times = (
        snapshot.created_at,
        snapshot.canceled_at,
        snapshot.ended_at,
        *(item.period_start for item in snapshot.items),
    )
    return Reading(
        source=root,
        snapshot=snapshot,
        roots=(root,),
        rank=int(status is SubscriptionStatus.ENDED),
        latest=max(moment for moment in times if moment is not None),
        names=(*link_names(linked), *names(customer=snapshot.customer)),
        nested=expanded(fields, "customer") + expanded(fields, "latest_invoice"),
    )


def read_subscription_schedule(*, fields: Fields, message: Message) -> Reading:
    """A schedule with its phases. An item of a phase has no id at Stripe; its place, "phase.item" from 0, stands in."""
    status = fields.text("status")
    if status not in SCHEDULE_RANKS:
        raise fields.refuse("status", "a schedule's status")
    linked = links(message=message, holders=(fields,))
    snapshot = SubscriptionSchedule(
        outside_id=fields.required_identifier("id"),
        customer=fields.required_identifier("customer"),
        subscription=fields.identifier("subscription") or fields.identifier("released_subscription"),
        status=status,
        phases=tuple(_phase(phase, index) for index, phase in enumerate(fields.children("phases"))),
        created_at=fields.moment("created"),
        links=linked,
    )
    root = message.source("subscription_schedule", snapshot.outside_id)
    ends = (fields.optional_moment(name) for name in ("canceled_at", "completed_at", "released_at"))
    begun = fields.child("current_phase").optional_moment("start_date")
    return Reading(
        source=root,
        snapshot=snapshot,
        roots=(root,),
        rank=SCHEDULE_RANKS[status],
        latest=max(moment for moment in (snapshot.created_at, begun, *ends) if moment is not None),
        names=link_names(linked),
        nested=expanded(fields, "subscription"),
    )


def _item(fields: Fields, *, older: Fields) -> SubscriptionItem:
    holder = fields if fields.has("current_period_start") else older
    price = fields.child("price") if fields.child("price").values else fields.child("plan")
    return SubscriptionItem(
        outside_id=fields.required_identifier("id"),
        price=fields.identifier("price") or fields.required_identifier("plan"),
        product=price.identifier("product"),
        quantity=fields.decimal("quantity"),
        period_start=holder.optional_moment("current_period_start"),
        period_end=holder.optional_moment("current_period_end"),
    )


def _phase(fields: Fields, index: int) -> SchedulePhase:
    items = tuple(
        SubscriptionItem(
            outside_id=f"{index}.{place}",
            price=item.identifier("price") or item.required_identifier("plan"),
            product=item.child("price").identifier("product"),
            quantity=item.decimal("quantity"),
        )
        for place, item in enumerate(fields.children("items"))
    )
    return SchedulePhase(start_at=fields.moment("start_date"), end_at=fields.moment("end_date"), items=items)
