"""What the demonstration proves at its end: Revline's control totals beside the ERPs' own books, and what was told back beside the
numbers NetSuite itself gave.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from revline.core.money import amount_text
from revline.delivery import queries as deliveries
from revline.delivery.recurring import RECURRING
from revline.intake import following
from revline.intake import queries as fact_log
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from revline.platform.work import queries as work
from revline.sim.demo.metering import MeteredMonth
from revline.sim.demo.profiles import BIRCH_ACCOUNTS, BIRCH_ENTITY, BIRCH_SUBSIDIARY, MONTH, TRYTON_BOOKS
from revline.sim.demo.selling import told_invoices, told_orders
from revline.sim.demo.stage import Stage
from revline.sim.demo.totals import Totals, netsuite_numbers, of_netsuite, of_tryton
from revline.sim.stripe_profile import Sale
from revline.sim.tryton_books import account_codes
from revline.subledger.posting import queries as posting

ZERO: Final = Decimal(0)
NOTHING: Final = (ZERO, ZERO)
JOURNALS_A_TIME: Final = 500


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a tenant stands. documents: state -> how many. left: lanes that are due and objects to be read; stuck: open cases,
    references that are awaited, readings that stopped."""

    tenant: str
    facts: int
    documents: Mapping[str, int]
    open_cases: int
    left: int
    stuck: int


def standing_of(database: Database, *, tenant: str) -> Standing:
    """As `revline status` says it, without a process of its own each time."""
    with database.read(tenants=[tenant]) as connection:
        facts = fact_log.counts(connection, tenant_id=tenant)
        documents: Counter[str] = Counter()
        for count in deliveries.counts(connection, tenant_id=tenant):
            documents[count.state] += count.documents
        open_cases = sum(count.cases for count in cases.counts(connection, tenant_id=tenant))
        lanes = [one for one in work.counts(connection, tenant_id=tenant) if one.kind not in RECURRING]
        cursors = following.cursors_of(connection, tenant_id=tenant)
    due = sum(lane.lanes for lane in lanes if not lane.parked_code and not lane.waiting)
    reading = sum(cursor.state in {"asked", "running"} for cursor in cursors)
    stopped = sum(cursor.state == "stopped" for cursor in cursors)
    return Standing(
        tenant=tenant,
        facts=facts.facts,
        documents=documents,
        open_cases=open_cases,
        left=due + facts.to_read + reading,
        stuck=open_cases + facts.awaited + stopped,
    )


class Proof:
    """Reads both sides of a run. sales: the orders that Salesforce must have been told about."""

    def __init__(self, *, stage: Stage, console: Console, database: Database, sales: tuple[Sale, ...]) -> None:
        self.stage, self.console, self.database, self.sales = stage, console, database, sales

    def totals(self) -> bool:
        """The table of control totals; whether every one is equal."""
        there, equal = self.erp(), True
        table = Table(
            title="Control totals: Revline's journals and the ERPs' own books", box=None, title_justify="left"
        )
        for column in ("entity", "account", "currency"):
            table.add_column(column)
        for column in ("Revline", "ERP", "ERP, functional"):
            table.add_column(column, justify="right")
        table.add_column("equal")
        mine: Totals = {}
        for tenant in self.stage.tenants:
            mine |= self.revline(tenant)
        for key in sorted(set(mine) | set(there)):
            ours, theirs = mine.get(key, NOTHING), there.get(key, NOTHING)
            same = ours == theirs
            equal &= same
            table.add_row(
                *key, amount_text(ours[0]), amount_text(theirs[0]), amount_text(theirs[1]), "yes" if same else "NO"
            )
        self.console.print(table)
        return equal

    def charged(self, use: MeteredMonth) -> bool:
        """What was used and what it was charged, beside the count of whoever made the events; whether nothing is missing, and the
        greatest line comes to itself when its events are counted again."""
        birch = ("--tenant", "birch")
        lines = json.loads(self.stage.run("usage", "charges", *birch, "--limit", "1000", "--json"))
        days = ("--from", MONTH.start.isoformat(), "--until", (MONTH.end + timedelta(days=1)).isoformat())
        balance = json.loads(self.stage.run("usage", "balance", *days, *birch, "--json"))
        amount, cost = sum((Decimal(one["amount"]) for one in lines), ZERO), use.cost()
        greatest = max(lines, key=lambda one: Decimal(one["amount"]))
        proven = json.loads(self.stage.run("usage", "prove", greatest["charge_id"], *birch, "--json"))
        table = Table(title="Usage: every event is accounted for", box=None, title_justify="left")
        names = ("type", "accepted", "counted", "held", "void", "commands", "not_billable")
        for name in names:
            table.add_column(name.replace("_", " "), justify="left" if name == "type" else "right")
        for one in balance["types"]:
            table.add_row(*(str(one[name]) if name == "type" else f"{int(one[name]):,}" for name in names))
        self.console.print(table)
        self.console.print(
            f"{len(lines)} charge lines come to {amount:,} USD; whoever made the events counts {cost:,} USD."
            f" The greatest line, {greatest['amount']} USD, again from its {proven['events']:,} events: {proven['amount']} USD.",
            highlight=False,
        )
        return amount == cost and balance["closes"] and proven["proven"]

    def everybody_told(self) -> bool:
        """Whether every order names its invoice's number, as far as Salesforce is concerned."""
        orders = self.stage.org.do(lambda org: told_orders(org, self.sales))
        return all(state not in {"", "pending", "rejected"} for state, _ in orders.values())

    def number_to_search(self) -> str:
        """NetSuite's number of an invoice that leads to an order in Salesforce."""
        orders = self.stage.org.do(lambda org: told_orders(org, self.sales))
        return next((number for state, number in orders.values() if state == "posted"), "")

    def told(self) -> bool:
        """What the sources and the endpoint were told, and whether each number is the one NetSuite has."""
        numbers = netsuite_numbers(account=self.stage.netsuite)
        invoices = told_invoices(self.stage.stripe)
        orders = self.stage.org.do(lambda org: told_orders(org, self.sales))
        of_invoice = {outside_id: number for outside_id, (number, _, _) in invoices.items()}
        invoices_right = sum(numbers.get(number) == erp for number, _, erp in invoices.values())
        orders_right = sum(
            bool(state) and numbers.get(of_invoice.get(invoice, "")) == erp for invoice, (state, erp) in orders.items()
        )
        receiver = self.stage.receiver
        types = ", ".join(f"{count} {kind}" for kind, count in sorted(receiver.types.items()))
        table = Table(title="Told back, and what NetSuite itself says", box=None, title_justify="left")
        for column, justify in (("to whom", "left"), ("told", "right"), ("right", "right"), ("what", "left")):
            table.add_column(column, justify="right" if justify == "right" else "left")
        in_netsuite = f"state and number in metadata, of {len(numbers)} invoices in NetSuite"
        table.add_row("Stripe invoices", str(len(invoices)), str(invoices_right), in_netsuite)
        table.add_row("Salesforce orders", str(len(orders)), str(orders_right), "state and number of the invoice")
        verified = str(receiver.verified)
        table.add_row("webhook endpoint", str(receiver.verified + receiver.refused), verified, types)
        self.console.print(table)
        everybody = len(invoices) == len(numbers) == invoices_right and len(orders) == orders_right
        return everybody and receiver.verified > 0 and not receiver.refused

    def standings(self) -> list[Standing]:
        """Where every tenant of the run stands."""
        return [standing_of(self.database, tenant=tenant) for tenant in self.stage.tenants]

    def without_silence(self) -> bool:
        """The line of each tenant; whether nothing is left over anywhere."""
        whole = True
        for one in self.standings():
            self.console.print(
                f"{one.tenant}: {one.facts} facts in, {one.documents.get('posted', 0)} documents posted,"
                f" {one.open_cases} cases open",
                highlight=False,
            )
            whole &= not one.left and not one.stuck and set(one.documents) <= {"posted", "superseded"}
        return whole

    def revline(self, tenant: str) -> Totals:
        """Sums of the tenant's journals."""
        sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
        with self.database.read(tenants=[tenant]) as connection:
            for total in posting.control_totals(connection, tenant_id=tenant):
                entry = sums[total.entity, total.account, total.currency]
                entry[0] += total.debit - total.credit
                entry[1] += total.functional_debit - total.functional_credit
        return {key: (entry[0], entry[1]) for key, entry in sums.items() if any(entry)}

    def held(self, tenant: str) -> Totals:
        """Journal lines of documents that are not posted, the same way."""
        sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
        with self.database.read(tenants=[tenant]) as connection:
            waiting: list[Any] = []
            after = ""
            while page := deliveries.deliveries(connection, tenant_id=tenant, after=after, limit=1_000):
                waiting += [one for one in page if one.state != "posted" and one.journal_id]
                after = page[-1].document_id
            for start in range(0, len(waiting), JOURNALS_A_TIME):
                ids = [one.journal_id for one in waiting[start : start + JOURNALS_A_TIME]]
                for journal in posting.journals_by_id(connection, tenant_id=tenant, journal_ids=ids):
                    for line in journal.lines:
                        entry = sums[journal.entity, line.account, line.currency]
                        entry[0] += line.debit - line.credit
                        entry[1] += line.functional_debit - line.functional_credit
        return {key: (entry[0], entry[1]) for key, entry in sums.items() if any(entry)}

    def erp(self) -> Totals:
        """The ERPs' own books."""
        found = of_netsuite(
            account=self.stage.netsuite,
            subsidiary=BIRCH_SUBSIDIARY,
            entity=BIRCH_ENTITY,
            currency="USD",
            accounts=BIRCH_ACCOUNTS,
        )
        if self.stage.tryton is not None:
            codes = account_codes(books=TRYTON_BOOKS)
            for company, entity, currency in (("AURORA-US", "aurora-us", "USD"), ("AURORA-DE", "aurora-de", "EUR")):
                names = {code: neutral for neutral, code in codes[company].items()}
                found |= of_tryton(
                    server=self.stage.tryton, company=company, entity=entity, currency=currency, accounts=names
                )
        return found


def plus(one: tuple[Decimal, Decimal] | None, other: tuple[Decimal, Decimal] | None) -> tuple[Decimal, Decimal]:
    """Two balances together, one of which may be missing."""
    first, second = one or NOTHING, other or NOTHING
    return first[0] + second[0], first[1] + second[1]
