"""The ERP's own file and books held against what was wanted: each once, in order, to the cent.

Expected balances come from the oracle, accounts from the configuration folder read as plain YAML; nothing here asks Revline
what it did in the ERP. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
from ruamel.yaml import YAML

from revline.connectors.sdk.effects import Effect
from revline.connectors.simulated.wire import TrialBalanceAnswer
from revline.sim.oracle import books as oracle
from revline.sim.oracle.companies import BookData, read_books
from revline.sim.stripe_profile import StripeMonth

Balances = dict[tuple[str, str, str], tuple[Decimal, Decimal]]
"""(far account code, currency, period YYYY-MM) -> (in the currency, functional), zeros left out."""


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A document that should have one effect. lane, sequence: its place. after: references that must be there before it."""

    reference: str
    lane: str
    sequence: int
    after: tuple[str, ...]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """References by what is wrong with them."""

    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    unknown: tuple[str, ...]
    out_of_order: tuple[tuple[str, str], ...]

    @property
    def good(self) -> bool:
        """Nothing is wrong."""
        return not (self.lost or self.doubled or self.unknown or self.out_of_order)


def judge(*, wanted: Iterable[Intent], effects: Iterable[Effect]) -> Verdict:
    """The ERP's file against what was wanted: each once, each lane in its order, nothing before what it waits for."""
    made: Counter[str] = Counter()
    posted: Counter[str] = Counter()
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for effect in effects:
        if effect.type != "effect" or effect.action not in {"create", "post"}:
            continue
        (made if effect.action == "create" else posted)[effect.external_reference] += 1
        first.setdefault(effect.external_reference, effect.sequence)
        last[effect.external_reference] = effect.sequence
    intended = {one.reference: one for one in wanted}
    lanes: dict[str, list[Intent]] = defaultdict(list)
    for one in intended.values():
        lanes[one.lane].append(one)
    pairs = [(name, one.reference) for one in intended.values() for name in one.after]
    for members in lanes.values():
        members.sort(key=lambda one: one.sequence)
        pairs += [(earlier.reference, later.reference) for earlier, later in pairwise(members)]
    return Verdict(
        lost=tuple(sorted(name for name in intended if not made[name])),
        doubled=tuple(sorted(name for name in made.keys() | posted.keys() if made[name] > 1 or posted[name] > 1)),
        unknown=tuple(sorted(name for name in made if name not in intended)),
        out_of_order=tuple(
            pair for pair in pairs if pair[0] in last and pair[1] in first and last[pair[0]] > first[pair[1]]
        ),
    )


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What an oracle needs to know of a configuration: an entity's books, and the far codes of its accounts."""

    books: list[BookData]
    codes: Mapping[str, str]


def expectation_of(*, folder: Path, entity: str) -> Expectation:
    """Read from the configuration folder as plain YAML."""
    codes: dict[str, str] = {}
    for file in sorted(folder.rglob("*.yaml")):
        for document in YAML(typ="safe", pure=True).load_all(file.read_text(encoding="utf-8")):
            if document and document["kind"] == "Mapping" and document["spec"]["entity"] == entity:
                codes |= document["spec"]["accounts"]
    return Expectation(books=read_books(folder)[entity], codes=codes)


def expected_balances(*, folder: Path, entity: str, month: StripeMonth) -> Balances:
    """What the oracle computes from the raw input, by the far codes of the entity's mapping."""
    return balances_of(expectation=expectation_of(folder=folder, entity=entity), month=month)


def balances_of(*, expectation: Expectation, month: StripeMonth) -> Balances:
    """`expected_balances` of a folder that is read already."""
    found = oracle.expected_in(
        books=expectation.books,
        webhooks=month.webhooks,
        balance_transactions=month.balance_transactions,
        credit_movements=month.credit_movements,
    )
    sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for key, balance in found.items():
        both = sums[expectation.codes[key.account], key.currency, key.period]
        both[0] += balance.amount
        both[1] += balance.functional
    return _without_zeros(sums)


def booked_balances(answer: TrialBalanceAnswer) -> Balances:
    """The simulated ERP's own trial balance."""
    sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for row in answer.rows:
        both = sums[row.account, row.currency, row.period]
        both[0] += row.currency_debit - row.currency_credit
        both[1] += row.debit - row.credit
    return _without_zeros(sums)


def _without_zeros(sums: Mapping[tuple[str, str, str], list[Decimal]]) -> Balances:
    return {key: (both[0], both[1]) for key, both in sums.items() if any(both)}
