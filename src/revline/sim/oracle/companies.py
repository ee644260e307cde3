"""What the oracle knows of a company: its books from the configuration folder, read as plain YAML, and which account each event
debits and credits, from the golden journal examples. Must not import Revline's code.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

GOLDEN = Path(__file__).parent / "journal_examples.json"


@dataclass(frozen=True)
class BookData:
    """One book as the configuration folder says."""

    name: str
    entity: str
    time_zone: str
    functional: str
    half_even: bool
    families: Mapping[str, str]
    rates: tuple[tuple[str, date, Decimal], ...]


@cache
def golden_pairs() -> dict[str, tuple[str, str]]:
    """Event -> (debited, credited) neutral account, read from the golden examples; tax and earned parts come apart."""
    events = {event["id"]: event for event in json.loads(GOLDEN.read_text(encoding="utf-8"))["events"]}

    def sides(example: str, journal: int) -> tuple[list[str], list[str]]:
        lines = events[example]["journals"][journal]["lines"]
        debits = [line["account"] for line in lines if Decimal(line["debit"])]
        return debits, [line["account"] for line in lines if Decimal(line["credit"])]

    invoice = sides("invoice-advance-with-tax", 0)
    payment, fee, payout = (sides("payment-by-card-and-payout", index) for index in range(3))
    refund = sides("refund-of-paid-invoice", 0)
    allowance = sides("bad-debt-allowance-writeoff-recovery", 0)
    memo = sides("credit-memo-unpaid", 0)
    applied = sides("customer-balance-credit-applied", 1)
    taken, taken_fee, lost = (sides("chargeback-lost-with-fee", index) for index in range(3))
    return {
        "invoice.net": (invoice[0][0], invoice[1][0]),
        "invoice.tax": (invoice[0][0], invoice[1][1]),
        "payment.received": (payment[0][0], payment[1][0]),
        "processor_fee.charged": (fee[0][0], fee[1][0]),
        "payout.paid": (payout[0][0], payout[1][0]),
        "refund.earned": (refund[0][0], refund[1][0]),
        "refund.deferred": (refund[0][1], refund[1][0]),
        "invoice.uncollectible": (allowance[0][0], invoice[0][0]),
        "memo.deferred": (memo[0][0], memo[1][0]),
        "memo.earned": (memo[0][1], memo[1][0]),
        "memo.tax": (memo[0][2], memo[1][0]),
        "credit.applied": (applied[0][0], applied[1][0]),
        "credit.granted": (memo[1][0], applied[0][0]),
        "refund.memo": (memo[1][0], refund[1][0]),
        "dispute.taken": (taken[0][0], taken[1][0]),
        "dispute.fee": (taken_fee[0][0], taken_fee[1][0]),
        "dispute.lost": (lost[0][1], lost[1][0]),
    }


def read_books(folder: Path) -> dict[str, list[BookData]]:
    """Books by entity from every YAML file of a configuration folder."""
    documents = []
    for file in sorted(folder.rglob("*.yaml")):
        documents += [doc for doc in YAML(typ="safe", pure=True).load_all(file.read_text(encoding="utf-8")) if doc]
    entities = {doc["metadata"]["name"]: doc["spec"] for doc in documents if doc["kind"] == "LegalEntity"}
    tenant_of = {
        doc["metadata"]["name"]: doc["metadata"]["tenant"] for doc in documents if doc["kind"] == "LegalEntity"
    }
    books: dict[str, list[BookData]] = defaultdict(list)
    for doc in documents:
        if doc["kind"] != "Book":
            continue
        entity = doc["spec"]["entity"]
        tenant = tenant_of[entity]
        mine = [other for other in documents if other["metadata"].get("tenant") == tenant]
        books[entity].append(
            BookData(
                name=doc["metadata"]["name"],
                entity=entity,
                time_zone=entities[entity]["timeZone"],
                functional=entities[entity]["functionalCurrency"],
                half_even=doc["spec"].get("rounding") == "half_even",
                families=_families(mine, doc["metadata"]["name"]),
                rates=_rates(mine, entities[entity]["functionalCurrency"]),
            )
        )
    return dict(books)


def _families(documents: Iterable[Mapping[str, Any]], book: str) -> dict[str, str]:
    found = {}
    for doc in documents:
        if doc["kind"] != "PostingRule" or doc["spec"]["event"] != "invoice.issued":
            continue
        if doc["spec"].get("book", book) != book:
            continue
        for entry in doc["spec"]["entries"]:
            for choice in entry.get("accounts", []):
                named = re.search(r"product_family == [\"'](\w+)[\"']", choice.get("when", ""))
                if named:
                    found[named.group(1)] = choice["account"]
    return found


def _rates(documents: Iterable[Mapping[str, Any]], functional: str) -> tuple[tuple[str, date, Decimal], ...]:
    rates = [
        (doc["spec"]["from"], _day(each["effectiveFrom"]), Decimal(str(each["rate"])))
        for doc in documents
        if doc["kind"] == "RateTable" and doc["spec"]["to"] == functional
        for each in doc["spec"]["rates"]
    ]
    return tuple(sorted(rates, key=lambda rate: (rate[0], rate[1])))


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))
