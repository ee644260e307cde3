"""Small stories of webhooks that may arrive in any order, and a world that derives after each arrival without a database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import cache

from msgspec.structs import replace
from sqlalchemy import text

from revline.connectors.sdk.source import SourceContext
from revline.connectors.stripe.connector import StripeSource
from revline.core.clock import Period
from revline.core.events import AccountingEvent
from revline.core.facts import Fact, TranslatedFact
from revline.core.hashing import canonical_bytes
from revline.core.ids import SourceObject
from revline.core.journal import JournalEntry
from revline.derive.expectation import EntityScope, RootFacts
from revline.derive.planning import JournalKey, plan_root
from revline.derive.roots import rule_of
from revline.intake.values import Form
from revline.platform.config.loader import by_tenant, load_folder
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeMonth, StripeProfile
from revline.subledger.posting.setup import PostingSetup, compile_setup
from tests.harness import Harness

CONTEXT = SourceContext(connection="stripe-us", entity="aurora-us", time_zone="America/New_York", sandbox=True)
SCOPE = EntityScope(tenant="aurora", entity="aurora-us", time_zone="America/New_York")
NONE = Decimal(0)
SMALL = StripeProfile(
    account="small",
    customer_prefix="Small",
    invoices=2,
    customers=1,
    refund_share=Decimal("0.5"),
    void_share=Decimal("0.5"),
    open_share=NONE,
    partial_share=NONE,
    uncollectible_share=NONE,
    declined_share=NONE,
    refund_full_share=NONE,
    refund_failed_share=NONE,
    repeat_share=NONE,
    disorder_share=NONE,
    payout_days=40,
    payouts_failed=0,
    edge_share=NONE,
)
PAID = (
    "customer.created",
    "invoice.finalized",
    "invoice_payment.paid",
    "charge.succeeded",
    "invoice.paid",
    "refund.created",
)


def small_month() -> StripeMonth:
    return generate(seed=3, month=Period(start=date(2026, 1, 1), end=date(2026, 2, 1)), profile=SMALL)


def kind_of(body: bytes) -> tuple[str, str]:
    event = json.loads(body)
    thing = event.get("data", {}).get("object", event)
    return str(event.get("type")), str(thing["id"])


def paid_story() -> list[tuple[bytes, bool]]:
    """The paid invoice's six webhooks and its balance transaction: (body, is an object)."""
    month = small_month()
    void = {identity for name, identity in map(kind_of, month.webhooks) if name == "invoice.voided"}
    chosen = [(body, False) for body in month.webhooks if kind_of(body)[0] in PAID and kind_of(body)[1] not in void]
    return [*chosen, (month.balance_transactions[0], True)]


def void_story() -> list[tuple[bytes, bool]]:
    month = small_month()
    void = {identity for name, identity in map(kind_of, month.webhooks) if name == "invoice.voided"}
    return [
        (body, False) for body in month.webhooks if kind_of(body)[1] in void or kind_of(body)[0] == "customer.created"
    ]


ONE = replace(SMALL, invoices=1, refund_share=NONE, void_share=NONE)


def story_of(profile: StripeProfile, *kinds: str) -> list[tuple[bytes, bool]]:
    """The messages of these kinds in a month of one invoice, and the account of its credit balance."""
    month = generate(seed=3, month=Period(start=date(2026, 1, 1), end=date(2026, 2, 1)), profile=profile)
    told = [(body, False) for body in month.webhooks if kind_of(body)[0] in kinds]
    return [*told, *((body, True) for body in month.credit_movements)]


def memo_story() -> list[tuple[bytes, bool]]:
    """A paid invoice, credited in part with a refund: the refund may be told before the memo it pays out."""
    profile = replace(ONE, account="memo", memo_refund_share=Decimal(1), families=("hardware",))
    wanted = ("customer.created", "invoice.finalized", "charge.succeeded", "invoice_payment.paid")
    return story_of(profile, *wanted, "refund.created", "credit_note.created")


def voided_memo_story() -> list[tuple[bytes, bool]]:
    profile = replace(ONE, account="memovoid", memo_void_share=Decimal(1))
    return story_of(profile, "customer.created", "invoice.finalized", "credit_note.created", "credit_note.voided")


def credit_story() -> list[tuple[bytes, bool]]:
    """A memo that becomes credit, and the next invoice that uses it: two movements no webhook tells of."""
    profile = replace(ONE, account="credit", memo_balance_share=Decimal(1))
    return story_of(profile, "customer.created", "invoice.finalized", "credit_note.created")


def won_story() -> list[tuple[bytes, bool]]:
    profile = replace(ONE, account="won", dispute_won_share=Decimal(1))
    dispute = ("created", "funds_withdrawn", "closed", "funds_reinstated")
    return story_of(profile, "customer.created", "charge.succeeded", *(f"charge.dispute.{name}" for name in dispute))


def lost_story() -> list[tuple[bytes, bool]]:
    profile = replace(ONE, account="lost", dispute_lost_share=Decimal(1))
    dispute = ("created", "funds_withdrawn", "closed")
    return story_of(profile, "customer.created", "charge.succeeded", *(f"charge.dispute.{name}" for name in dispute))


STORIES = (memo_story, voided_memo_story, credit_story, won_story, lost_story)


@cache
def translated_once(body: bytes, is_object: bool) -> tuple[TranslatedFact, ...]:
    source = StripeSource()
    made = (source.translate_object if is_object else source.translate)(body=body, context=CONTEXT)
    assert isinstance(made, tuple)
    return made


class World:
    """Derive without a database: every root is derived anew after each arrival, exactly as its service would."""

    def __init__(self, setup: PostingSetup) -> None:
        self.setup = setup
        self.facts: list[Fact] = []
        self.booked: dict[SourceObject, dict[str, AccountingEvent]] = {}
        self.journals: dict[JournalKey, JournalEntry] = {}
        self.documents: dict[str, bytes] = {}

    def copy(self) -> World:
        """One more that is where this one is."""
        other = World(self.setup)
        other.facts, other.journals, other.documents = [*self.facts], {**self.journals}, {**self.documents}
        other.booked = {root: {**events} for root, events in self.booked.items()}
        return other

    def arrive(self, body: bytes, is_object: bool) -> None:
        for translated in translated_once(body, is_object):
            self.facts.append(
                Fact(
                    fact_id=translated.source_event,
                    position=len(self.facts) + 1,
                    ordinal=0,
                    received_at=translated.occurred_at,
                    translator="stripe",
                    body_digest="",
                    translated=translated,
                )
            )
        for root in sorted({root for fact in self.facts for root in fact.translated.roots}):
            self._derive(root)

    def _derive(self, root: SourceObject) -> None:
        facts = tuple(fact for fact in self.facts if root in fact.translated.roots)
        found = {
            need: tuple(
                fact
                for fact in self.facts
                if fact.translated.source.kind == need.object_kind
                and (
                    need.name in fact.translated.names
                    or (need.name.kind, need.name.value) == ("outside_id", fact.translated.source.outside_id)
                )
            )
            for need in rule_of(root.kind).needs(facts)
        }
        plan = plan_root(
            known=RootFacts(root=root, facts=facts, found={need: some for need, some in found.items() if some}),
            scope=SCOPE,
            setup=self.setup,
            booked=self.booked.setdefault(root, {}),
            journals=self.journals,
        )
        assert plan.problems == ()
        for booking in plan.bookings:
            self.booked[root][booking.event.event_id] = booking.event
            self.journals |= {(entry.event_id, entry.book): entry for entry in booking.journals}
            for document in booking.documents:
                self.documents[document.document_id] = canonical_bytes(document)
        for document in plan.masters:
            self.documents.setdefault(document.document_id, canonical_bytes(document))

    def balances(self) -> dict[tuple[str, str, str], Decimal]:
        """Debits less credits by (account, currency, accounting date), zeros left out."""
        sums: dict[tuple[str, str, str], Decimal] = {}
        for entry in self.journals.values():
            for line in entry.lines:
                key = (line.account, line.currency, str(entry.accounting_date))
                sums[key] = sums.get(key, NONE) + line.debit - line.credit
        return {key: amount for key, amount in sums.items() if amount}

    def corrected(self) -> bool:
        """Whether anything was booked too early and had to be reversed."""
        return any(event.reverses for events in self.booked.values() for event in events.values())

    def books(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        return {entry.journal_id: canonical_bytes(entry) for entry in self.journals.values()}, self.documents


def every_order(setup: PostingSetup, messages: Sequence[tuple[bytes, bool]]) -> Iterator[World]:
    """The world that each order of the messages ends in; orders that begin alike share their beginning."""

    def beyond(world: World, left: Sequence[tuple[bytes, bool]]) -> Iterator[World]:
        if not left:
            yield world
        for place, (body, is_object) in enumerate(left):
            further = world.copy()
            further.arrive(body, is_object)
            yield from beyond(further, [*left[:place], *left[place + 1 :]])

    return beyond(World(setup), messages)


def refund_story() -> list[tuple[bytes, bool]]:
    """A refund that fails, told by a listing first and by its messages later."""
    profile = replace(SMALL, account="failing", refund_share=NONE, refund_failed_share=Decimal(1), void_share=NONE)
    month = generate(seed=5, month=Period(start=date(2026, 1, 1), end=date(2026, 2, 1)), profile=profile)
    told = [
        body
        for body in month.webhooks
        if kind_of(body)[0].startswith("refund.") or kind_of(body)[0] == "charge.succeeded"
    ]
    failed = next(body for body in told if kind_of(body)[0] == "refund.failed")
    listed = json.dumps(json.loads(failed)["data"]["object"]).encode()
    charges = [body for body in told if kind_of(body)[0] == "charge.succeeded"]
    return [
        *((body, False) for body in charges),
        (listed, True),
        *((body, False) for body in told if body not in charges),
    ]


def stored_books(harness: Harness) -> tuple[dict[str, str], dict[str, str]]:
    with harness.database.read(tenants=["aurora"]) as connection:
        journals = connection.execute(text("SELECT journal_id, content FROM journal WHERE tenant_id = 'aurora'")).all()
        documents = connection.execute(
            text("SELECT document_id, content FROM document_revision WHERE tenant_id = 'aurora'")
        ).all()
    return {row[0]: row[1] for row in journals}, {row[0]: row[1] for row in documents}


def feed(harness: Harness, messages: Sequence[tuple[bytes, bool]], batch: int) -> None:
    for start in range(0, len(messages), batch):
        for body, is_object in messages[start : start + batch]:
            harness.accept("aurora", "stripe-us", [body], form=Form.OBJECT if is_object else Form.MESSAGE)
        harness.derive_all()


def compiled_setup(harness: Harness) -> PostingSetup:
    compiled = compile_setup(by_tenant(load_folder(harness.folder, harness.registry).documents)["aurora"])
    assert isinstance(compiled, PostingSetup)
    return compiled
