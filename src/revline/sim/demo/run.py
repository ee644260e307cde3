"""The demonstration's story: a month of Stripe input comes in, an outage and a missing mapping get in its way, and every cent
ends in an ERP or in a case. Prints the proof; without a terminal it prints the table and ends.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx2
from msgspec.structs import replace
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from revline.core.clock import Period
from revline.core.money import amount_text
from revline.delivery import queries as deliveries
from revline.platform.store.engine import Database
from revline.sim.demo.folder import add_missing_mapping
from revline.sim.demo.stage import TRYTON_BOOKS, Stage
from revline.sim.demo.totals import Totals, of_simulated, of_tryton
from revline.sim.stripe_month import generate, sign
from revline.sim.stripe_profile import StripeMonth, StripeProfile
from revline.sim.tryton_books import account_codes
from revline.subledger.posting import queries as posting

SEED: Final = 2026
MONTH: Final = Period(start=date(2026, 1, 1), end=date(2026, 2, 1))
HARDWARE: Final = ("subscription", "usage", "hardware", "")
PROFILES: Final = {
    "stripe-us": StripeProfile(
        account="aurus",
        customer_prefix="Aurora US",
        invoices=10,
        customers=5,
        other_currency="EUR",
        other_share=Decimal("0.4"),
        families=("subscription", "hardware", ""),
        payout_days=10,
        payouts_failed=0,
        declined_share=Decimal(0),
        memo_refund_share=Decimal("0.1"),
        dispute_won_share=Decimal("0.1"),
    ),
    "stripe-de": StripeProfile(
        account="aurde",
        customer_prefix="Aurora DE",
        currency="EUR",
        time_zone="Europe/Berlin",
        invoices=7,
        customers=3,
        families=("subscription", "hardware"),
        payout_days=12,
        payouts_failed=0,
        declined_share=Decimal(0),
        credit_share=Decimal("0.1"),
    ),
    "stripe": StripeProfile(
        account="birch",
        customer_prefix="Birch",
        invoices=700,
        customers=120,
        families=HARDWARE,
        credit_share=Decimal("0.01"),
        memo_void_share=Decimal("0.002"),
        memo_refund_share=Decimal("0.01"),
        memo_balance_share=Decimal("0.01"),
        dispute_won_share=Decimal("0.005"),
        dispute_lost_share=Decimal("0.005"),
        inquiry_share=Decimal("0.005"),
        account_fees=1,
        subscriptions=12,
    ),
}
ENTITIES: Final = {"stripe-us": "aurora-us", "stripe-de": "aurora-de", "stripe": "birch-us"}
BIRCH_CODES: Final = {
    "1100": "accounts_receivable",
    "1050": "processor_clearing",
    "1000": "bank",
    "1010": "cash",
    "1150": "disputes_receivable",
    "1160": "unbilled_receivable",
    "1170": "contract_asset",
    "2300": "customer_credit_balance",
    "2450": "refund_liability",
    "4000": "revenue_subscription",
    "4010": "revenue_usage",
    "6110": "dispute_fees",
    "2400": "deferred_revenue",
    "2200": "tax_payable",
    "4100": "revenue_product",
    "4900": "refunds_contra_revenue",
    "4910": "credit_notes_contra_revenue",
    "4920": "disputes_contra_revenue",
    "6100": "processing_fees",
    "6500": "bad_debt_expense",
}
SENDERS: Final = 8
OUTAGE_SECONDS: Final = 10.0
IDLE_LIMIT_SECONDS: Final = 600
WIDTH_WITHOUT_TERMINAL: Final = 132


class DemoError(RuntimeError):
    """The demonstration did not come to its end; the message says where and what to look at."""


class Story:
    """Tells one run on a stage."""

    def __init__(self, *, stage: Stage, console: Console, scale: Decimal) -> None:
        self.stage, self.console = stage, console
        self.months: dict[str, StripeMonth] = {}
        for name in PROFILES:
            if self.tenant_of(name) in stage.tenants:
                profile = PROFILES[name]
                if scale != 1:
                    profile = _scaled(profile, scale)
                self.months[name] = generate(seed=SEED, month=MONTH, profile=profile)
        self.database = Database(dsn=stage.dsn, pool_size=2)

    @staticmethod
    def tenant_of(connection: str) -> str:
        """The tenant a source connection belongs to."""
        return "birch" if connection == "stripe" else "aurora"

    def tell(self) -> bool:
        """The whole story; whether every total is equal at its end."""
        stage = self.stage
        self._write_input()
        stage.run("config", "apply", str(stage.configuration), "--reason", "the demonstration begins")
        paths = self._addresses()
        stage.start("server", "serve")
        stage.wait_until_served()
        stage.start("worker", "worker")
        self._send(paths)
        self._settle("posting")
        self._show_cases()
        self._mend()
        self._settle("posting what was held up")
        stage.stop("worker")
        stage.stop("server")
        return self._prove()

    # -- input

    def _write_input(self) -> None:
        folder = self.stage.folder / "input"
        folder.mkdir(parents=True, exist_ok=True)
        for name, month in self.months.items():
            (folder / f"{name}-webhooks.ndjson").write_bytes(month.webhooks_ndjson())
            (folder / f"{name}-balance-transactions.ndjson").write_bytes(month.balance_transactions_ndjson())

    def _addresses(self) -> dict[str, str]:
        return {
            name: self.stage.run("webhooks", "address", name, "--tenant", self.tenant_of(name)).strip()
            for name in self.months
        }

    def _send(self, paths: dict[str, str]) -> None:
        """Every webhook over HTTP with Stripe's own signature; balance transactions by import, as they are listed."""
        total = sum(len(month.webhooks) for month in self.months.values())
        with self._bar("webhooks in", total) as advance:
            asyncio.run(self._push(paths, advance))
        for name in self.months:
            file = self.stage.folder / "input" / f"{name}-balance-transactions.ndjson"
            self.stage.run("import", str(file), "--connection", name, "--tenant", self.tenant_of(name))

    async def _push(self, paths: dict[str, str], advance: Callable[[int], None]) -> None:
        queue = [(name, body) for name, month in self.months.items() for body in month.webhooks]
        waiting = iter(queue)
        limits = httpx2.Limits(max_connections=SENDERS)
        half, sent = len(queue) // 2, 0
        async with httpx2.AsyncClient(base_url=self.stage.api, limits=limits, timeout=30.0, trust_env=False) as client:

            async def sender() -> None:
                nonlocal sent
                for name, body in waiting:
                    headers = sign(body=body, secret=self.stage.signing[name], timestamp=int(time.time()))
                    answer = await client.post(paths[name], content=body, headers=headers)
                    if answer.status_code >= 300:
                        raise DemoError(f"a webhook was answered {answer.status_code}: {answer.text[:300]}")
                    advance(1)
                    sent += 1
                    if sent == half:
                        group.create_task(asyncio.to_thread(self._outage))

            async with asyncio.TaskGroup() as group:
                for _ in range(SENDERS):
                    group.create_task(sender())

    # -- what gets in the way

    def _outage(self) -> None:
        self._say("The simulated ERP is shut down in the middle of it, and comes back after ten seconds.")
        self.stage.simulated.stop()
        time.sleep(OUTAGE_SECONDS)
        self.stage.simulated.start()

    def _show_cases(self) -> None:
        causes = json.loads(self.stage.run("cases", "list", "--tenant", "birch", "--json"))
        if not causes:
            raise DemoError("the missing mapping made no case")
        table = Table(title="What can't go on, by cause", box=None, title_justify="left")
        for column in ("cause", "where", "missing", "cases", "money at risk"):
            table.add_column(column)
        for cause in causes:
            table.add_row(
                cause["title"], cause["connection"], cause["field"], str(cause["cases"]), cause["money_at_risk"]
            )
        self.console.print(table)
        expected, there, held = self._revline("birch"), self._erp(), self._held("birch")
        mine = {key: balance for key, balance in there.items() if key[0] == "birch-us"}
        wrong = [key for key in expected if _plus(mine.get(key), held.get(key)) != expected[key]]
        self._say(
            "Expected = in the ERP + held up, per account: " + ("yes, for every one." if not wrong else f"NO: {wrong}")
        )
        if wrong:
            raise DemoError(f"expected is not in the ERP plus held up: {wrong}")

    def _mend(self) -> None:
        line = add_missing_mapping(folder=self.stage.configuration)
        self._say(f"Mended: {line} in birch/40-mapping.yaml; configuration applied; the cause tried again.")
        self.stage.run("config", "apply", str(self.stage.configuration), "--reason", "the missing account")
        for cause in json.loads(self.stage.run("cases", "list", "--tenant", "birch", "--json")):
            self.stage.run(
                "cases", "retry", cause["cause_id"], "--tenant", "birch", "--reason", "the account is there now"
            )

    def _settle(self, label: str) -> None:
        """Until nothing is due, under way or waiting for its time."""
        deadline = time.monotonic() + IDLE_LIMIT_SECONDS
        with self._bar(label, 1) as advance:
            before = 0
            while time.monotonic() < deadline:
                status = json.loads(self.stage.run("status", "--json"))
                documents = [one["documents"] for one in status]
                total = sum(count for states in documents for count in states.values())
                ended = sum(
                    count
                    for states in documents
                    for state, count in states.items()
                    if state in {"posted", "rejected", "waived"}
                )
                advance.total(max(total, 1))
                advance(ended - before)
                before = ended
                # Documents that wait for a rejected one stay where they are; the others must have ended.
                if total and not any(one["work_due"] for one in status):
                    return
                time.sleep(0.5)
        raise DemoError(f"{label} did not end in {IDLE_LIMIT_SECONDS} s; see {self.stage.folder / 'worker.log'}")

    # -- the proof

    def _prove(self) -> bool:
        status = json.loads(self.stage.run("status", "--json"))
        there, equal = self._erp(), True
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
            mine |= self._revline(tenant)
        for key in sorted(set(mine) | set(there)):
            ours, theirs = mine.get(key, (Decimal(0), Decimal(0))), there.get(key, (Decimal(0), Decimal(0)))
            same = ours == theirs
            equal &= same
            table.add_row(
                *key, amount_text(ours[0]), amount_text(theirs[0]), amount_text(theirs[1]), "yes" if same else "NO"
            )
        self.console.print(table)
        for one in status:
            self.console.print(
                f"{one['tenant']}: {one['facts']} facts in, {one['documents'].get('posted', 0)} documents posted,"
                f" {one['open_cases']} cases open",
                highlight=False,
            )
            equal &= not one["open_cases"] and set(one["documents"]) <= {"posted"}
        self.console.print("Every total is equal." if equal else "NOT EVERY TOTAL IS EQUAL.", style="bold")
        return equal

    def _revline(self, tenant: str) -> Totals:
        sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
        with self.database.read(tenants=[tenant]) as connection:
            for total in posting.control_totals(connection, tenant_id=tenant):
                entry = sums[total.entity, total.account, total.currency]
                entry[0] += total.debit - total.credit
                entry[1] += total.functional_debit - total.functional_credit
        return {key: (entry[0], entry[1]) for key, entry in sums.items() if any(entry)}

    def _held(self, tenant: str) -> Totals:
        """Journal lines of documents that are not posted, the same way."""
        sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
        with self.database.read(tenants=[tenant]) as connection:
            waiting: list[Any] = []
            after = ""
            while page := deliveries.deliveries(connection, tenant_id=tenant, after=after, limit=1_000):
                waiting += [one for one in page if one.state != "posted" and one.journal_id]
                after = page[-1].document_id
            for start in range(0, len(waiting), 500):
                ids = [one.journal_id for one in waiting[start : start + 500]]
                for journal in posting.journals_by_id(connection, tenant_id=tenant, journal_ids=ids):
                    for line in journal.lines:
                        entry = sums[journal.entity, line.account, line.currency]
                        entry[0] += line.debit - line.credit
                        entry[1] += line.functional_debit - line.functional_credit
        return {key: (entry[0], entry[1]) for key, entry in sums.items() if any(entry)}

    def _erp(self) -> Totals:
        found = of_simulated(erp=self.stage.simulated, company="BIRCH-US", entity="birch-us", accounts=BIRCH_CODES)
        if self.stage.tryton is not None:
            codes = account_codes(books=TRYTON_BOOKS)
            for company, entity, currency in (("AURORA-US", "aurora-us", "USD"), ("AURORA-DE", "aurora-de", "EUR")):
                names = {code: neutral for neutral, code in codes[company].items()}
                found |= of_tryton(
                    server=self.stage.tryton, company=company, entity=entity, currency=currency, accounts=names
                )
        return found

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False)

    def _bar(self, label: str, total: int) -> _Bar:
        return _Bar(self.console, label, total)


class _Bar:
    """A progress bar where a person watches; one line at the end elsewhere."""

    def __init__(self, console: Console, label: str, total: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._console, self._label, self._total = console, label, total
        self._done, self._began = 0, time.monotonic()

    def __enter__(self) -> _Bar:
        self._progress.start()
        self._task = self._progress.add_task(self._label, total=self._total)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._progress.stop()
        if kind is None and not self._console.is_terminal:
            seconds = time.monotonic() - self._began
            self._console.print(f"{self._label}: {self._done} in {seconds:.1f} s", highlight=False)

    def __call__(self, count: int) -> None:
        self._done += count
        self._progress.update(self._task, advance=count)

    def total(self, total: int) -> None:
        """What it is out of now."""
        self._progress.update(self._task, total=total)


def run(folder: Path, small: bool) -> int:  # noqa: FBT001 - one command's flag
    """Run it; 0 when every total is equal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_WITHOUT_TERMINAL)
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with Stage(folder=folder, with_tryton=not small, report=lambda text: console.print(text, style="dim")) as stage:
        ready = time.monotonic()
        equal = Story(stage=stage, console=console, scale=Decimal("0.1") if small else Decimal(1)).tell()
    done = time.monotonic()
    console.print(f"{done - ready:.0f} s after a set-up of {ready - began:.0f} s", highlight=False)
    return 0 if equal else 1


def _scaled(profile: StripeProfile, scale: Decimal) -> StripeProfile:
    return replace(
        profile, invoices=max(1, int(profile.invoices * scale)), customers=max(1, int(profile.customers * scale))
    )


def _plus(one: tuple[Decimal, Decimal] | None, other: tuple[Decimal, Decimal] | None) -> tuple[Decimal, Decimal]:
    values: Sequence[tuple[Decimal, Decimal]] = [value for value in (one, other) if value is not None]
    return sum((value[0] for value in values), Decimal(0)), sum((value[1] for value in values), Decimal(0))
