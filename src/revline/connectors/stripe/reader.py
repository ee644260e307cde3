"""Reading Stripe: listings for a backfill, GET /v1/events as the change stream, and objects whole, every line of them.

Sources: docs.stripe.com/api/pagination, /api/events/list (events are kept 30 days), /api/invoice-line-item, /api/credit_notes,
/api/balance_transactions, /api/customer_balance_transactions. Stripe lists newest first and says no total.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import httpx2
import msgspec

from revline.connectors.sdk.source import ReaderManifest, SourcePage, SourceReader
from revline.connectors.stripe.client import (
    BUCKET_PER_SECOND,
    PAGE_MAX,
    SLOTS,
    Query,
    StripeClient,
    client_of,
    exact,
    listed,
    source_page,
)
from revline.connectors.stripe.manifest import MANIFEST
from revline.core.clock import Clock
from revline.core.problem import Problem, problem
from revline.platform.tenancy.kinds import Connection

CREDIT_MOVEMENTS: Final = "customer_balance_transactions"
PAYOUT_MEMBERS: Final = "payout_balance_transactions"
SINCE: Final = "since:"
SEEK: Final = "seek:"


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """How a kind is listed and read. path: of its list. variants: queries that together list all of it. expand: fields read with
    it. parts: the list inside it that Stripe cuts after ten members, and where the rest of it is ({id} stands for its id)."""

    path: str
    variants: tuple[tuple[tuple[str, str], ...], ...] = ((),)
    expand: tuple[str, ...] = ()
    parts: str = ""
    parts_path: str = ""


LISTINGS: Final[Mapping[str, Listing]] = {
    "product": Listing(path="/v1/products"),
    # Without the filter Stripe lists active prices only.
    "price": Listing(path="/v1/prices", variants=((("active", "true"),), (("active", "false"),)), expand=("tiers",)),
    "customer": Listing(path="/v1/customers"),
    "subscription": Listing(
        path="/v1/subscriptions",
        variants=((("status", "all"),),),
        parts="items",
        parts_path="/v1/subscription_items?subscription={id}",
    ),
    "subscription_schedule": Listing(path="/v1/subscription_schedules"),
    "invoice": Listing(path="/v1/invoices", parts="lines", parts_path="/v1/invoices/{id}/lines"),
    "invoice_payment": Listing(path="/v1/invoice_payments"),
    "credit_note": Listing(path="/v1/credit_notes", parts="lines", parts_path="/v1/credit_notes/{id}/lines"),
    "charge": Listing(path="/v1/charges", expand=("balance_transaction",)),
    "payment_intent": Listing(path="/v1/payment_intents"),
    "refund": Listing(path="/v1/refunds"),
    "dispute": Listing(path="/v1/disputes"),
    "payout": Listing(path="/v1/payouts"),
    "balance_transaction": Listing(path="/v1/balance_transactions"),
}
READER_MANIFEST: Final = ReaderManifest(
    listed=(*LISTINGS, CREDIT_MOVEMENTS),
    changes=True,
    page_max=PAGE_MAX,
    slots=SLOTS,
    bucket_per_second=BUCKET_PER_SECOND,
    since=True,
)


class ListCursor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a listing stands. variant: which of the listing's queries. after: the last object read in it. floor: objects made at
    that second or later; top: the newest seen, which the next listing begins at."""

    variant: int = 0
    after: str = ""
    floor: int = 0
    top: int = 0

    def text(self) -> str:
        """The cursor as the port passes it on."""
        return msgspec.json.encode(self).decode()


class StripeReader:
    """connectors.sdk.source.SourceReader for Stripe."""

    def __init__(self, *, client: StripeClient) -> None:
        self._client = client

    @property
    def manifest(self) -> ReaderManifest:
        return READER_MANIFEST

    async def list_page(self, *, object_kind: str, cursor: str, limit: int) -> SourcePage | Problem:
        """Newest first, since Stripe has no other order; a listing begun later goes back to the newest object of this one."""
        if object_kind not in READER_MANIFEST.listed:
            return problem("source.refused", f"Stripe lists no {object_kind[:60]!r} here", field=object_kind)
        place = _list_cursor(cursor)
        if isinstance(place, Problem):
            return place
        if object_kind == CREDIT_MOVEMENTS:
            return await self._credit_movements(place, limit)
        listing = LISTINGS[object_kind]
        page = await self._members(listing, place, limit)
        if isinstance(page, Problem):
            return page
        members, more = page
        whole = []
        for member in members:
            complete = await self._complete(listing, member)
            if isinstance(complete, Problem):
                return complete
            whole.append(complete)
        after = _next(listing, place, members, more=more)
        return source_page(members=whole, cursor=after.text(), more=more or after.variant > place.variant)

    async def changes_page(self, *, cursor: str, limit: int) -> SourcePage | Problem:
        """Events oldest first. Without a cursor the walk first goes down to the oldest Stripe has, giving nothing."""
        size = str(min(limit, PAGE_MAX))
        seeking = cursor.removeprefix(SEEK) if cursor.startswith(SEEK) else ""
        place: Query = ()
        if seeking:
            place = (("starting_after", seeking),)
        elif cursor:
            place = (("ending_before", cursor),)
        page = await self._client.page(path="/v1/events", query=[("limit", size), *place])
        if page is None or isinstance(page, Problem):
            gone = page is None or page.code == "source.refused"
            if cursor and gone:
                return problem("source.cursor_expired", "Stripe has forgotten the event the changes were read to")
            return page or problem("source.refused", "Stripe has no events", field="/v1/events")
        members, more = page
        if not members:
            return SourcePage(bodies=(), next_cursor="" if seeking else cursor, more=False)
        if more and (seeking or not cursor):
            return SourcePage(bodies=(), next_cursor=f"{SEEK}{members[-1].get('id', '')}", more=True)
        newest = str(members[0].get("id", ""))
        told = [member for member in reversed(members) if _is_told(str(member.get("type", "")))]
        # Above the oldest page the walk turns round: what is newer follows by ending_before.
        return source_page(members=told, cursor=newest, more=more or bool(seeking))

    async def read(self, *, object_kind: str, outside_id: str) -> bytes | Problem | None:
        """One object whole. Of a customer also its credit's movements, of a payout its members: then a list object."""
        identity = quote(outside_id, safe="")
        if object_kind == CREDIT_MOVEMENTS:
            return await self._list_body(f"/v1/customers/{identity}/balance_transactions", ())
        if object_kind == PAYOUT_MEMBERS:
            return await self._list_body("/v1/balance_transactions", (("payout", outside_id),))
        listing = LISTINGS.get(object_kind)
        if listing is None:
            return problem("source.refused", f"Stripe's {object_kind[:60]!r} is not read here", field=object_kind)
        expand = [("expand[]", name) for name in listing.expand]
        found = await self._client.get(path=f"{listing.path}/{identity}", query=expand)
        if found is None or isinstance(found, Problem):
            return found
        complete = await self._complete(listing, found)
        return complete if isinstance(complete, Problem) else exact(complete)

    async def close(self) -> None:
        await self._client.caller.close()

    async def _list_body(self, path: str, query: Query) -> bytes | Problem | None:
        found = await self._client.whole(path=path, query=query)
        return found if found is None or isinstance(found, Problem) else listed(members=found, path=path)

    async def _members(
        self, listing: Listing, place: ListCursor, limit: int
    ) -> tuple[list[dict[str, Any]], bool] | Problem:
        query = [("limit", str(min(limit, PAGE_MAX))), *listing.variants[place.variant]]
        query += [("expand[]", f"data.{name}") for name in listing.expand]
        query += [("created[gte]", str(place.floor))] if place.floor else []
        query += [("starting_after", place.after)] if place.after else []
        page = await self._client.page(path=listing.path, query=query)
        return page or problem("source.refused", f"Stripe has no {listing.path}", field=listing.path)

    async def _complete(self, listing: Listing, member: dict[str, Any]) -> dict[str, Any] | Problem:
        """The object with every member of its inner list; one that was deleted meanwhile is as it was listed."""
        inner = member.get(listing.parts) if listing.parts else None
        if not isinstance(inner, dict) or inner.get("has_more") is not True:
            return member
        path, _, query = listing.parts_path.format(id=quote(str(member.get("id", "")), safe="")).partition("?")
        pairs = [(name, value) for name, _, value in [query.partition("=")] if name]
        beginning = [part for part in inner.get("data", []) if isinstance(part, dict)]
        parts = await self._client.whole(path=path, query=pairs, beginning=beginning)
        if parts is None or isinstance(parts, Problem):
            return member if parts is None else parts
        return {**member, listing.parts: {**inner, "data": parts, "has_more": False}}

    async def _credit_movements(self, place: ListCursor, limit: int) -> SourcePage | Problem:
        """A list object of each customer whose credit ever moved. Always of all customers: a movement doesn't touch `created`."""
        listing = LISTINGS["customer"]
        whole = msgspec.structs.replace(place, floor=0)
        page = await self._members(listing, whole, limit)
        if isinstance(page, Problem):
            return page
        members, more = page
        bodies = []
        for member in members:
            path = f"/v1/customers/{quote(str(member.get('id', '')), safe='')}/balance_transactions"
            movements = await self._client.whole(path=path)
            if isinstance(movements, Problem):
                return movements
            if movements:
                bodies.append(listed(members=movements, path=path))
        after = _next(listing, whole, members, more=more)
        return SourcePage(bodies=tuple(bodies), next_cursor=after.text(), more=more)


def _next(listing: Listing, place: ListCursor, members: list[dict[str, Any]], *, more: bool) -> ListCursor:
    made = [created for member in members if isinstance(created := member.get("created"), int)]
    top = max([place.top, *made])
    if more and members:
        return msgspec.structs.replace(place, after=str(members[-1].get("id", "")), top=top)
    if place.variant + 1 < len(listing.variants):
        return msgspec.structs.replace(place, variant=place.variant + 1, after="", top=top)
    return ListCursor(floor=max(place.floor, top))


def _list_cursor(cursor: str) -> ListCursor | Problem:
    """A cursor of ours, "" for the start, or since: and a moment."""
    if cursor.startswith(SINCE):
        try:
            moment = datetime.fromisoformat(cursor.removeprefix(SINCE))
        except ValueError:
            return problem("source.refused", "since: is not followed by an RFC 3339 moment", field="since")
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return ListCursor(floor=int(aware.timestamp()))
    try:
        return msgspec.json.decode(cursor, type=ListCursor) if cursor else ListCursor()
    except msgspec.MsgspecError:
        return problem("source.refused", "the cursor is not one of this reader", field="cursor")


def _is_told(event_type: str) -> bool:
    """Whether an event is one of those that are translated; others of the account say nothing here."""
    return any(event_type.startswith(family) for family in MANIFEST.event_families)


def build(
    *,
    connection: Connection,
    secrets: Mapping[str, str],
    transport: httpx2.AsyncBaseTransport | None,
    clock: Clock,
    random: random.Random,
) -> SourceReader:
    """The entry point of the group `revline.readers`. Secret apiKey; setting baseUrl for a simulator."""
    del random
    return StripeReader(client=client_of(connection=connection, secrets=secrets, transport=transport, clock=clock))
