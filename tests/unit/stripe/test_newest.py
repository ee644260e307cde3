"""Which snapshot of an object is newest does not depend on the order they came in."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from revline.connectors.sdk.source import SourceContext
from revline.connectors.stripe.translate import translate
from revline.core.canonical import Invoice, InvoiceStatus, Payment, Payout, Refund
from revline.core.clock import month_of
from revline.core.facts import TranslatedFact
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeProfile

CONTEXT = SourceContext(connection="stripe_us", entity="us", time_zone="America/New_York", sandbox=True)
PROFILE = StripeProfile(account="us", customer_prefix="Example", invoices=12)
OCTOBER = month_of(day=date(2026, 10, 1))


def facts_of(bodies: tuple[bytes, ...]) -> list[TranslatedFact]:
    found: list[TranslatedFact] = []
    for body in bodies:
        translated = translate(body=body, context=CONTEXT)
        assert not isinstance(translated, Problem), translated
        found += translated
    return found


def newest(facts: list[TranslatedFact]) -> dict[SourceObject, TranslatedFact]:
    """Fold in the order given: a later one wins only by its order."""
    kept: dict[SourceObject, TranslatedFact] = {}
    for fact in facts:
        before = kept.get(fact.source)
        if before is None or (fact.order_key, fact.content_digest) > (before.order_key, before.content_digest):
            kept[fact.source] = fact
    return kept


FACTS = facts_of(generate(seed=1, month=OCTOBER, profile=PROFILE).webhooks)
IN_ORDER = newest(FACTS)


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_snapshots(randomness: random.Random) -> None:
    shuffled = FACTS.copy()
    randomness.shuffle(shuffled)
    assert {key: fact.snapshot for key, fact in newest(shuffled).items()} == {
        key: fact.snapshot for key, fact in IN_ORDER.items()
    }


def test_every_permutation_of_one_invoices_life() -> None:
    lives: dict[SourceObject, list[TranslatedFact]] = {}
    for fact in FACTS:
        if isinstance(fact.snapshot, Invoice):
            lives.setdefault(fact.source, []).append(fact)
    life = max((entry for entry in lives.values() if len(entry) <= 6), key=len)
    ends = [newest(list(order))[life[0].source].snapshot for order in permutations(life)]
    assert all(end == ends[0] for end in ends)


def test_the_newest_snapshots_are_the_ends_of_the_stories() -> None:
    month = generate(seed=1, month=OCTOBER, profile=PROFILE)
    ends = [fact.snapshot for fact in IN_ORDER.values()]
    invoices = [end for end in ends if isinstance(end, Invoice)]
    assert not [invoice for invoice in invoices if invoice.status is InvoiceStatus.DRAFT]
    assert sum(invoice.total for invoice in invoices) == Decimal(month.truth["usd issued"]).scaleb(-2)
    assert sum(end.amount for end in ends if isinstance(end, Payment) and end.status == "succeeded") == Decimal(
        month.truth["usd received"]
    ).scaleb(-2)
    failed = [end for end in ends if isinstance(end, Refund | Payout) and end.status == "failed"]
    assert len(failed) == 2
    assert all(end.failed_at is not None for end in failed)
