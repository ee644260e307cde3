"""The ledger against a statement: what to post so that it says the same. Pure.

Nothing posted is edited. What a later statement says otherwise is posted as a difference, under the same key with the next
number; what it puts on another day or product family is taken back there and posted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal

import msgspec

from revline.core.ids import SourceObject, derived_id
from revline.subledger.usage.credits.values import MOVES, ZERO, Account, Entry, EntryKey


class Place(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where an entry stands in the ledger."""

    key: EntryKey
    day: date
    product_family: str
    currency: str


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted at a place. postings: how many times something was. at: of the latest."""

    amount: Decimal
    cost: Decimal
    postings: int
    at: datetime


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """A difference to post. number: 1 for the first at its place. amount, cost: signed; negative takes back."""

    place: Place
    number: int
    at: datetime
    amount: Decimal
    cost: Decimal

    def entry_id(self, *, tenant_id: str, customer: SourceObject) -> str:
        """Its id in the ledger of a customer: the same in every one that came to it the same way."""
        key = self.place.key
        return derived_id(
            "credit-entry",
            tenant_id,
            customer.connection,
            customer.outside_id,
            key.grant_id,
            key.rule.value,
            key.cause,
            self.place.day.isoformat(),
            self.place.product_family,
            self.place.currency,
            self.number,
        )


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One side of an entry; both sides sum to zero."""

    account: Account
    amount: Decimal
    cost: Decimal


def deltas(*, entries: Iterable[Entry], posted: Mapping[Place, Posted]) -> tuple[Delta, ...]:
    """What is posted and no longer stands, then what is missing of the entries, in their order."""
    wanted: dict[Place, list[Entry]] = {}
    for entry in entries:
        place = Place(key=entry.key, day=entry.day, product_family=entry.product_family, currency=entry.currency)
        wanted.setdefault(place, []).append(entry)
    found = []
    for place in (*sorted(posted.keys() - wanted.keys()), *wanted):
        before, mine = posted.get(place), wanted.get(place, [])
        amount = sum((entry.amount for entry in mine), ZERO) - (before.amount if before else ZERO)
        cost = sum((entry.cost for entry in mine), ZERO) - (before.cost if before else ZERO)
        if amount or cost:
            at = mine[-1].at if mine else before.at if before else None
            assert at is not None, "a place is wanted or posted"
            number = (before.postings if before else 0) + 1
            found.append(Delta(place=place, number=number, at=at, amount=amount, cost=cost))
    return tuple(found)


def posted_after(*, posted: Mapping[Place, Posted], deltas: Iterable[Delta]) -> dict[Place, Posted]:
    """What is posted once the differences are."""
    after = dict(posted)
    for delta in deltas:
        before = after.get(delta.place)
        after[delta.place] = Posted(
            amount=(before.amount if before else ZERO) + delta.amount,
            cost=(before.cost if before else ZERO) + delta.cost,
            postings=delta.number,
            at=delta.at,
        )
    return after


def postings_of(entry: Entry | Delta) -> tuple[Posting, Posting]:
    """Both sides of a movement: from where, to where."""
    key = entry.key if isinstance(entry, Entry) else entry.place.key
    source, target = MOVES[key.rule]
    return (
        Posting(account=source, amount=-entry.amount, cost=-entry.cost),
        Posting(account=target, amount=entry.amount, cost=entry.cost),
    )
