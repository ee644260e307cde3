"""Which objects a snapshot names, and which of two came first on the way from a first talk to an invoice. Pure.

Fields and links name other objects by their outside ids; the way back is found by these names. Knows no vendor and no table.
"""

from __future__ import annotations

from typing import Final

from revline.core.canonical import (
    CanonicalObject,
    Contract,
    CreditMemo,
    Customer,
    Invoice,
    Opportunity,
    Order,
    Product,
    Quote,
    Subscription,
    SubscriptionSchedule,
)
from revline.core.facts import Name, TranslatedFact
from revline.core.ids import SourceObject

REFERS_TO: Final = "refers_to"
"""The kind of name by which what refers to an object is found."""
WAY: Final = (
    "customer",
    "product",
    "opportunity",
    "quote",
    "contract",
    "order",
    "subscription_schedule",
    "subscription",
    "invoice",
    "credit_memo",
)
"""Object kinds in the order in which one leads to the next."""


def references_of(*, source: SourceObject, snapshot: CanonicalObject) -> tuple[SourceObject, ...]:
    """The objects of the way that a snapshot of `source` names, its own connection's and, by links, others'; each once."""
    named: list[tuple[str, str]] = []
    links: tuple[SourceObject, ...] = ()
    match snapshot:
        case Customer():
            named, links = [("customer", snapshot.parent)], snapshot.links
        case Product():
            links = snapshot.links
        case Opportunity():
            named = [("customer", snapshot.customer), ("quote", snapshot.quote), ("contract", snapshot.contract)]
        case Quote():
            named = [("customer", snapshot.customer), ("opportunity", snapshot.opportunity)]
        case Contract():
            named, links = [("customer", snapshot.customer)], snapshot.links
        case Order():
            named = [
                ("customer", snapshot.customer),
                ("opportunity", snapshot.opportunity),
                ("quote", snapshot.quote),
                ("contract", snapshot.contract),
            ]
            links = snapshot.links
        case SubscriptionSchedule():
            named, links = [("subscription", snapshot.subscription)], snapshot.links
        case Subscription():
            named = [("customer", snapshot.customer), ("subscription_schedule", snapshot.schedule)]
            links = snapshot.links
        case Invoice():
            lines = [("subscription", line.subscription) for line in snapshot.lines]
            named = [("subscription", snapshot.subscription), ("contract", snapshot.contract), *lines]
            links = snapshot.links
        case CreditMemo():
            named = [("invoice", snapshot.invoice)]
    own = [
        SourceObject(connection=source.connection, kind=kind, outside_id=outside_id)
        for kind, outside_id in named
        if outside_id
    ]
    return tuple(one for one in dict.fromkeys((*own, *links)) if one != source and one.kind in WAY)


def reference_name(*, of: SourceObject) -> Name:
    """The name that everything which refers to an object has."""
    return Name(kind=REFERS_TO, value=f"{of.connection}/{of.kind}/{of.outside_id}")


def reference_names(*, fact: TranslatedFact) -> tuple[Name, ...]:
    """The names by which a fact is found from the objects it refers to."""
    return tuple(reference_name(of=one) for one in references_of(source=fact.source, snapshot=fact.snapshot))


def came_before(*, named: SourceObject, naming: SourceObject) -> bool:
    """Whether the named object came before the one that names it; of one kind (a parent, the same party elsewhere) it did."""
    return WAY.index(named.kind) <= WAY.index(naming.kind)
