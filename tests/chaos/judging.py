"""What is true after the kills: Revline's end state, and the ERP's own file and books held against it.

Expected balances come from the oracle, accounts from the configuration folder read as plain YAML; nothing here asks Revline
what it did in the ERP.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
from ruamel.yaml import YAML
from sqlalchemy import text

from revline.connectors.sdk.effects import Effect
from revline.connectors.simulated.wire import TrialBalanceAnswer
from revline.platform.store.engine import Database
from revline.sim.stripe_month import StripeMonth
from tests.oracle import books as oracle

Balances = dict[tuple[str, str, str], tuple[Decimal, Decimal]]
"""(far account code, currency, period YYYY-MM) -> (in the currency, functional), zeros left out."""


class EndState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that must not depend on how often a worker died. entries: as the ERP answered them, per document and line."""

    journals: Mapping[str, str]
    documents: Mapping[str, str]
    states: Mapping[str, tuple[object, ...]]
    entries: tuple[tuple[object, ...], ...]
    cases: int
    work_left: int
    unanswered_attempts: int


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


def end_state(database: Database, *, tenant: str) -> EndState:
    """The end state of one tenant."""
    statements = {
        "journals": "SELECT journal_id, content FROM journal WHERE tenant_id = :tenant",
        "documents": "SELECT document_id || '/' || revision, content FROM document_revision WHERE tenant_id = :tenant",
        "states": "SELECT document_id, state, revision, step, kind, lane_id, rank, currency, amount, accounting_date,"
        " problem_code, uncertain_since FROM document_state WHERE tenant_id = :tenant",
        "entries": "SELECT document_id, line, account, debit, credit, currency, currency_amount, day"
        " FROM erp_entry WHERE tenant_id = :tenant ORDER BY document_id, line",
        "cases": "SELECT count(*) FROM exception_case WHERE tenant_id = :tenant AND state = 'open'",
        "attempts": "SELECT count(*) FROM attempt WHERE tenant_id = :tenant AND state = 'sending'",
    }
    with database.read(tenants=[tenant]) as connection:
        rows = {
            name: connection.execute(text(statement), {"tenant": tenant}).all()
            for name, statement in statements.items()
        }
    with database.control() as connection:
        left = connection.execute(text("SELECT count(*) FROM lane WHERE pending > 0 OR requested > read_through"))
        work_left = int(left.scalar_one())
    return EndState(
        journals={row[0]: row[1] for row in rows["journals"]},
        documents={row[0]: row[1] for row in rows["documents"]},
        states={row[0]: tuple(row[1:]) for row in rows["states"]},
        entries=tuple(tuple(row) for row in rows["entries"]),
        cases=rows["cases"][0][0],
        work_left=work_left,
        unanswered_attempts=rows["attempts"][0][0],
    )


def intents(database: Database, *, tenant: str) -> tuple[Intent, ...]:
    """Every document of a tenant with its place in its lane and what it waits for."""
    with database.read(tenants=[tenant]) as connection:
        rows = connection.execute(
            text(
                "SELECT document.document_id, external_reference, document.lane_id, sequence FROM document"
                " JOIN document_state USING (tenant_id, document_id) WHERE tenant_id = :tenant"
            ),
            {"tenant": tenant},
        ).all()
        before = connection.execute(
            text("SELECT document_id, predecessor_id FROM document_predecessor WHERE tenant_id = :tenant"),
            {"tenant": tenant},
        ).all()
    references = {row[0]: row[1] for row in rows}
    after: dict[str, list[str]] = defaultdict(list)
    for document_id, predecessor_id in before:
        after[document_id].append(references[predecessor_id])
    return tuple(Intent(reference=row[1], lane=row[2], sequence=row[3], after=tuple(after[row[0]])) for row in rows)


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


def expected_balances(*, folder: Path, entity: str, month: StripeMonth) -> Balances:
    """What the oracle computes from the raw input, by the far codes of the entity's mapping."""
    codes: dict[str, str] = {}
    for file in sorted(folder.rglob("*.yaml")):
        for document in YAML(typ="safe", pure=True).load_all(file.read_text(encoding="utf-8")):
            if document and document["kind"] == "Mapping" and document["spec"]["entity"] == entity:
                codes |= document["spec"]["accounts"]
    found = oracle.expected(
        folder=folder, entity=entity, webhooks=month.webhooks, balance_transactions=month.balance_transactions
    )
    sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for key, balance in found.items():
        both = sums[codes[key.account], key.currency, key.period]
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
