"""Stripe customers as canonical snapshots. Pure. Source: docs.stripe.com/api/customers."""

from __future__ import annotations

from revline.connectors.stripe.fields import Fields
from revline.connectors.stripe.reading import Message, Reading, link_names, links
from revline.core.canonical import Address, Customer
from revline.core.clock import from_unix_seconds


def read_customer(*, fields: Fields, message: Message) -> Reading:
    """A customer. Without a name, the business's or the person's, the email and at last the id stand in, since an ERP needs one.

    A deleted customer (`deleted: true`, or the event customer.deleted) outranks every other snapshot of it.
    """
    outside_id = fields.required_identifier("id")
    deleted = fields.flag("deleted") or message.event_type == "customer.deleted"
    candidates = (fields.text(name) for name in ("name", "business_name", "individual_name", "email"))
    linked = links(message=message, holders=(fields,))
    snapshot = Customer(
        outside_id=outside_id,
        name=next((name for name in candidates if name), outside_id),
        email=fields.text("email"),
        address=_address(fields.child("address")),
        currency=fields.currency().code if fields.text("currency") else "",
        tax_exempt=fields.text("tax_exempt") == "exempt",
        tax_ids=tuple((entry.text("type"), entry.text("value")) for entry in fields.children("tax_ids")),
        deleted=deleted,
        links=linked,
    )
    root = message.source("customer", outside_id)
    # The answer to a deletion has no time of its own; its rank already puts it last.
    latest = fields.moment("created") if fields.has("created") else from_unix_seconds(seconds=0)
    return Reading(
        source=root,
        snapshot=snapshot,
        roots=(root,),
        rank=int(deleted),
        latest=latest,
        names=link_names(linked),
    )


def _address(fields: Fields) -> Address:
    return Address(
        line1=fields.text("line1"),
        line2=fields.text("line2"),
        city=fields.text("city"),
        region=fields.text("state"),
        postal_code=fields.text("postal_code"),
        country=fields.text("country"),
    )
