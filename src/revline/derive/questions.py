"""Questions answered at once: previews, order checks, credit. Reads only: every answer comes from one read-only transaction.

The same pure code answers as derives and posts, so an answer is what would happen, not an estimate of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Final, TypeVar

from sqlalchemy import Connection

from revline.core.canonical import Customer, Order, Price, Product, Subscription
from revline.core.clock import Clock, local_date
from revline.core.facts import Fact, Name, TranslatedFact
from revline.core.ids import SourceObject, root_id
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.delivery.loading import closed_periods
from revline.delivery.ports import Directory
from revline.delivery.values import FarSide
from revline.derive.drafts import InvoiceDraft, draft_of_order, draft_of_subscription
from revline.derive.expectation import RootFacts, newest
from revline.derive.order_check import OrderKnown, order_reasons
from revline.derive.ports import Configurations, CreditPolicies, DeriveConfiguration
from revline.derive.preview import Reason, RootPreview, Surroundings, found_in, preview_root, supposed, with_supposed
from revline.derive.record import awaited_of
from revline.derive.roots import rule_of
from revline.intake import queries as fact_log
from revline.platform.lineage.queries import records_named
from revline.platform.store.engine import Database
from revline.subledger.posting import queries as posting
from revline.subledger.receivables.balances import balances_of_customer
from revline.subledger.receivables.credit import CreditPolicy, CreditStanding, credit_standing

Snapshot = TypeVar("Snapshot")
FACTS_MAX: Final = 100
ROOTS_MAX: Final = 20

define(
    code="preview.too_many",
    title="Too much for one question",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy=f"Ask about at most {FACTS_MAX} facts and {ROOTS_MAX} records at once.",
)
define(
    code="preview.root_unknown",
    title="No such record",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Give connection, kind and outside id of a record that was sent, or the record itself among the facts.",
)
define(
    code="customer.unknown",
    title="No such customer",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Give the outside id of a customer that was sent, and its connection where two sources share the id.",
)

FarSides = Mapping[tuple[str, str], FarSide | Problem]


class Questions:
    """Answers for doors. Every method opens one read-only transaction and writes nothing."""

    def __init__(
        self,
        *,
        database: Database,
        configurations: Configurations,
        policies: CreditPolicies,
        directory: Directory,
        clock: Clock,
    ) -> None:
        self._database, self._configurations, self._policies = database, configurations, policies
        self._directory, self._clock = directory, clock

    def journal(
        self, *, tenant_id: str, given: Sequence[TranslatedFact], root: SourceObject | None = None
    ) -> tuple[RootPreview, ...] | Problem:
        """What facts would book, for every root they touch, or for one known root with edited copies instead of its facts.

        Problems preview.too_many, preview.root_unknown, derive.configuration_missing.
        """
        configuration = self._configurations.derive_configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        roots = sorted({root} if root is not None else {one for fact in given for one in fact.roots})
        if len(given) > FACTS_MAX or len(roots) > ROOTS_MAX:
            return problem("preview.too_many", f"{len(given)} facts about {len(roots)} records")
        if not roots:
            return problem("preview.root_unknown", "neither facts nor a known record were given")
        far_sides = self._far_sides(tenant_id, configuration, roots)
        facts = supposed(given=given, at=self._clock.now())
        with self._database.read(tenants=[tenant_id]) as connection:
            found: list[RootPreview] = []
            for one in roots:
                preview = _preview(connection, tenant_id, one, facts, configuration, far_sides)
                if isinstance(preview, Problem):
                    return preview
                found.append(preview)
        return tuple(found)

    def order(self, *, tenant_id: str, connection: str, order: Order) -> tuple[Reason, ...] | Problem:
        """The reasons against an order of a source connection; none when it is accepted."""
        configuration = self._configurations.derive_configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        scope = configuration.scopes.get(connection)
        if scope is None:
            return problem("connection.unknown", f"there is no source connection {connection[:60]!r}", field=connection)
        books = configuration.setup.books_of(scope.entity)
        moment = order.activated_at or self._clock.now()
        day = order.start_date or local_date(moment=moment, time_zone=scope.time_zone)
        today = local_date(moment=self._clock.now(), time_zone=scope.time_zone)
        far_sides = self._far_sides_of(tenant_id, {(book.erp, book.entity) for book in books if book.erp})
        policy = self._policies.credit_policy(tenant_id=tenant_id, entity=scope.entity)
        with self._database.read(tenants=[tenant_id]) as reading:
            known = OrderKnown(
                customer=_newest_of(reading, tenant_id, connection, "customer", [order.customer], Customer).get(
                    order.customer
                ),
                products=_newest_of(
                    reading, tenant_id, connection, "product", [line.product for line in order.lines], Product
                ),
                needs_products=bool(fact_log.facts_page(reading, tenant_id=tenant_id, limit=1, kind="product")),
                books=books,
                far_sides=far_sides,
                closed=closed_periods(reading, tenants=[tenant_id]),
                credit=_credit(reading, tenant_id, connection, order.customer, policy, today, (order.currency,)),
                same=_same_orders(reading, tenant_id, connection, order),
                day=day,
            )
        return order_reasons(order=order, known=known)

    def credit(
        self, *, tenant_id: str, customer: str, connection: str = "", as_of: date | None = None
    ) -> tuple[SourceObject, CreditStanding] | Problem:
        """A customer's credit at the end of a day (today where its entity is). customer: outside id. Problem customer.unknown."""
        configuration = self._configurations.derive_configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        names = [connection] if connection else sorted(configuration.scopes)
        candidates = {
            root_id(tenant=tenant_id, source=source): source
            for source in (SourceObject(connection=name, kind="customer", outside_id=customer) for name in names)
        }
        policies = {
            name: self._policies.credit_policy(tenant_id=tenant_id, entity=scope.entity)
            for name, scope in configuration.scopes.items()
        }
        with self._database.read(tenants=[tenant_id]) as reading:
            known = fact_log.root_sources(reading, tenant_id=tenant_id, root_ids=list(candidates))
            if len(known) != 1 or next(iter(known.values())).connection not in configuration.scopes:
                what = "is known on several connections" if len(known) > 1 else "is not known"
                return problem("customer.unknown", f"customer {customer[:60]!r} {what}", field="connection")
            (source,) = known.values()
            zone = configuration.scopes[source.connection].time_zone
            day = as_of or local_date(moment=self._clock.now(), time_zone=zone)
            policy = policies[source.connection]
            return source, _credit(reading, tenant_id, source.connection, customer, policy, day, ())

    def draft(
        self, *, order: Order | None, subscription: Subscription | None, connection: str, tenant_id: str
    ) -> InvoiceDraft | Problem:
        """The draft that bills an order, or one period of a subscription at its known prices."""
        if order is not None:
            return draft_of_order(order=order, issued_at=self._clock.now())
        assert subscription is not None
        names = [item.price for item in subscription.items]
        with self._database.read(tenants=[tenant_id]) as reading:
            prices = _newest_of(reading, tenant_id, connection, "price", names, Price)
        return draft_of_subscription(subscription=subscription, prices=prices, issued_at=self._clock.now())

    def _far_sides(
        self, tenant_id: str, configuration: DeriveConfiguration, roots: Collection[SourceObject]
    ) -> FarSides:
        entities = {
            configuration.scopes[one.connection].entity for one in roots if one.connection in configuration.scopes
        }
        books = [book for entity in entities for book in configuration.setup.books_of(entity)]
        return self._far_sides_of(tenant_id, {(book.erp, book.entity) for book in books if book.erp})

    def _far_sides_of(self, tenant_id: str, places: Collection[tuple[str, str]]) -> FarSides:
        return {
            (erp, entity): self._directory.far_side(tenant_id=tenant_id, connection=erp, entity=entity)
            for erp, entity in sorted(places)
        }


def _preview(
    connection: Connection,
    tenant_id: str,
    root: SourceObject,
    given: Sequence[Fact],
    configuration: DeriveConfiguration,
    far_sides: FarSides,
) -> RootPreview | Problem:
    scope = configuration.scopes.get(root.connection)
    if scope is None or not configuration.setup.books_of(scope.entity):
        detail = f"connection {root.connection[:60]} has no entity with a book"
        return problem("derive.configuration_missing", detail, field=root.connection)
    identity = root_id(tenant=tenant_id, source=root)
    logged = fact_log.facts_of_roots(connection, tenant_id=tenant_id, root_ids=[identity])[identity]
    own = [fact for fact in given if root in fact.translated.roots]
    facts = with_supposed(known=logged, given=own)
    if not facts:
        return problem(
            "preview.root_unknown", f"{root.kind} {root.outside_id[:60]!r} of {root.connection} is not known"
        )
    needs = rule_of(root.kind).needs(facts)
    awaited = {need: awaited_of(need, root) for need in needs}
    answers = fact_log.facts_by_names(connection, tenant_id=tenant_id, wanted=set(awaited.values()))
    found = {
        need: with_supposed(known=answers.get(one, ()), given=found_in(given, need, root))
        for need, one in awaited.items()
    }
    booked = posting.events_of_roots(connection, tenant_id=tenant_id, root_ids=[identity]).get(identity, {})
    stored = posting.journals_of_events(connection, tenant_id=tenant_id, event_ids=list(booked)) if booked else {}
    around = Surroundings(
        scope=scope,
        setup=configuration.setup,
        booked=booked,
        journals={(one.entry.event_id, one.entry.book): one.entry for each in stored.values() for one in each},
        far_sides=far_sides,
        closed=closed_periods(connection, tenants=[tenant_id]),
    )
    known = RootFacts(root=root, facts=facts, found={need: each for need, each in found.items() if each})
    return preview_root(known=known, around=around)


def _newest_of(
    connection: Connection,
    tenant_id: str,
    source: str,
    kind: str,
    outside_ids: Collection[str],
    snapshot: type[Snapshot],
) -> dict[str, Snapshot]:
    """The newest snapshot of each of these objects that is known, by outside id."""
    sources = {SourceObject(connection=source, kind=kind, outside_id=one) for one in outside_ids if one}
    facts = fact_log.facts_of_objects(connection, tenant_id=tenant_id, sources=sources)
    found = {one.outside_id: newest(each).translated.snapshot for one, each in facts.items()}
    return {name: each for name, each in found.items() if isinstance(each, snapshot)}


def _credit(
    connection: Connection,
    tenant_id: str,
    source: str,
    customer: str,
    policy: CreditPolicy | None,
    day: date,
    currencies: Collection[str],
) -> CreditStanding:
    identity = root_id(tenant=tenant_id, source=SourceObject(connection=source, kind="customer", outside_id=customer))
    items = balances_of_customer(connection, tenant_id=tenant_id, customer_id=identity, as_of=day)
    return credit_standing(items=items, policy=policy, customer=customer, as_of=day, currencies=currencies)


def _same_orders(connection: Connection, tenant_id: str, source: str, order: Order) -> tuple[str, ...]:
    """Other orders of the connection with its number, and its own id where it is active already."""
    own = SourceObject(connection=source, kind="order", outside_id=order.outside_id)
    names = [Name(kind="order_number", value=order.number)] if order.number else []
    records = records_named(connection, tenant_id=tenant_id, names=names, record_kind="fact") if names else ()
    named = fact_log.facts_by_id(connection, tenant_id=tenant_id, fact_ids=[fact_id for _, fact_id in records])
    sources = {fact.translated.source for fact in named if fact.translated.source.connection == source} | {own}
    facts = fact_log.facts_of_objects(connection, tenant_id=tenant_id, sources=sources)
    found: set[str] = set()
    for one, each in facts.items():
        snapshot = newest(each).translated.snapshot
        if (
            isinstance(snapshot, Order)
            and snapshot.status != "canceled"
            and (one != own or snapshot.status == "activated")
        ):
            found.add(one.outside_id)
    return tuple(sorted(found))
