"""The demonstration's story: orders made in Salesforce, a month of Stripe that bills and collects them, an outage of NetSuite and a
missing mapping that get in the way; every cent ends in an ERP or in a case, and whoever sold it is told. Prints the proof, and
leaves the console open where a person watches.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

import httpx2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from revline.platform.store.engine import Database
from revline.sim.demo.folder import add_missing_mapping
from revline.sim.demo.metering import MeteredMonth, send
from revline.sim.demo.profiles import LATE_ORDERS, MONTH, PROFILES, SEED, TENANT_OF, scaled
from revline.sim.demo.proof import Proof, plus
from revline.sim.demo.selling import amend, customers_of, fill, sell
from revline.sim.demo.stage import Stage
from revline.sim.stripe_month import generate, sign
from revline.sim.stripe_profile import StripeMonth

SENDERS: Final = 8
OUTAGE_SECONDS: Final = {True: 3.0, False: 10.0}
"""How long NetSuite is away, in a small run and in a whole one."""
IDLE_LIMIT_SECONDS: Final = 600
LOOK_EVERY_SECONDS: Final = 0.2
WIDTH_WITHOUT_TERMINAL: Final = 132
PERSON: Final = "demo@revline.example"
ENDED: Final = frozenset({"posted", "rejected", "waived", "superseded"})


class DemoError(RuntimeError):
    """The demonstration did not come to its end; the message says where and what to look at."""


class Story:
    """Tells one run on a stage. small: a tenth of the input."""

    def __init__(self, *, stage: Stage, console: Console, small: bool) -> None:
        self.stage, self.console, self.small = stage, console, small
        scale = Decimal("0.1") if small else Decimal(1)
        self.months: dict[str, StripeMonth] = {
            name: generate(seed=SEED, month=MONTH, profile=scaled(profile, scale))
            for name, profile in PROFILES.items()
            if TENANT_OF[name] in stage.tenants
        }
        self.sales = self.months["stripe"].sales
        self.use = MeteredMonth(customers=customers_of(self.months["stripe"]), month=MONTH, seed=SEED, scale=scale)
        self.database = Database(dsn=stage.dsn, pool_size=2)
        self.proof = Proof(stage=stage, console=console, database=self.database, sales=self.sales)

    def tell(self) -> bool:
        """The whole story; whether every total is equal and everybody was told at its end."""
        stage = self.stage
        self._write_input()
        late = self.sales[-LATE_ORDERS:]
        stage.org.do(lambda org: sell(org, self.sales[:-LATE_ORDERS]))
        fill(stage.stripe, self.months["stripe"])
        stage.run("config", "apply", str(stage.configuration), "--reason", "the demonstration begins")
        paths = self._addresses()
        stage.start("server", "serve")
        stage.wait_until_served()
        stage.start("worker", "worker")
        stage.run("sources", "backfill", "crm", "--tenant", "birch", "--reason", "orders made before Revline was there")
        self._send(paths)
        first = len(self.sales) - len(late)
        self._say(
            f"Salesforce: {first} orders read by a backfill; {len(late)} more, and changes, by change data capture"
        )
        self._use()
        self._settle("posting")
        self._show_cases()
        self._mend()
        self._settle("posting what was held up", told=True)
        return self._prove()

    def close(self) -> None:
        """Let go of the database."""
        self.database.dispose()

    # -- input

    def _write_input(self) -> None:
        folder = self.stage.folder / "input"
        folder.mkdir(parents=True, exist_ok=True)
        for name, month in self.months.items():
            (folder / f"{name}-webhooks.ndjson").write_bytes(month.webhooks_ndjson())
            (folder / f"{name}-balance-transactions.ndjson").write_bytes(month.balance_transactions_ndjson())

    def _addresses(self) -> dict[str, str]:
        return {
            name: self.stage.run("webhooks", "address", name, "--tenant", TENANT_OF[name]).strip()
            for name in self.months
        }

    def _send(self, paths: dict[str, str]) -> None:
        """Every webhook over HTTP with Stripe's own signature; balance transactions by import, as they are listed."""
        total = sum(len(month.webhooks) for month in self.months.values())
        with self._bar("webhooks in", total) as advance:
            asyncio.run(self._push(paths, advance))
        for name in self.months:
            file = self.stage.folder / "input" / f"{name}-balance-transactions.ndjson"
            self.stage.run("import", str(file), "--connection", name, "--tenant", TENANT_OF[name])

    async def _push(self, paths: dict[str, str], advance: Callable[[int], None]) -> None:
        queue = [(name, body) for name, month in self.months.items() for body in month.webhooks]
        waiting = iter(queue)
        limits = httpx2.Limits(max_connections=SENDERS)
        events = {len(queue) // 4: self._sell_more, len(queue) // 2: self._outage}
        sent = 0
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
                    if sent in events:
                        group.create_task(asyncio.to_thread(events[sent]))

            async with asyncio.TaskGroup() as group:
                for _ in range(SENDERS):
                    group.create_task(sender())

    # -- what happens on the way

    def _sell_more(self) -> None:
        """People go on selling while the month is read: new orders, and changes of old ones."""
        self.stage.org.do(lambda org: sell(org, self.sales[-LATE_ORDERS:]))
        self.stage.org.do(lambda org: amend(org, self.sales[:LATE_ORDERS]))

    def _outage(self) -> None:
        seconds = OUTAGE_SECONDS[self.small]
        self._say(f"NetSuite is shut down in the middle of it, and comes back after {seconds:.0f} seconds.")
        self.stage.netsuite.stop()
        time.sleep(seconds)
        self.stage.netsuite.start()

    def _use(self) -> None:
        """What Birch's product reports of its use, over HTTP; then a worker charges it, and what is unbilled is accrued."""
        issued = self.stage.run("keys", "issue", "--role", "ingest", "--tenant", "birch", "--json")
        key = json.loads(issued)["key"]
        began = time.monotonic()
        with self._bar("usage events in", self.use.events) as advance:
            verdicts = asyncio.run(send(month=self.use, api=self.stage.api, key=key, advance=advance))
        rate = sum(verdicts.values()) / (time.monotonic() - began)
        told = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(verdicts.items()))
        self._say(f"Usage of Birch's product: {told}; {rate:,.0f} events a second, each on disk when it was answered")
        self.stage.run("usage", "rate", "--tenant", "birch", "--reason", "the month is over")

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
        expected, there, held = self.proof.revline("birch"), self.proof.erp(), self.proof.held("birch")
        mine = {key: balance for key, balance in there.items() if key[0] == "birch-us"}
        wrong = [key for key in expected if plus(mine.get(key), held.get(key)) != expected[key]]
        self._say(
            "Expected = in the ERP + held up, per account: " + ("yes, for every one." if not wrong else f"NO: {wrong}")
        )
        if wrong:
            raise DemoError(f"expected is not in the ERP plus held up: {wrong}")

    def _mend(self) -> None:
        line = add_missing_mapping(folder=self.stage.configuration)
        self._say(f"Mended: {line} in birch/40-mapping.yaml; configuration applied; the cause tried again.")
        self.stage.run("config", "apply", str(self.stage.configuration), "--reason", "the missing tax rate")
        for cause in json.loads(self.stage.run("cases", "list", "--tenant", "birch", "--json")):
            self.stage.run(
                "cases", "retry", cause["cause_id"], "--tenant", "birch", "--reason", "the rate is there now"
            )

    def _settle(self, label: str, *, told: bool = False) -> None:
        """Until nothing is due, under way or to be read. told: and until Salesforce knows of every order's invoice."""
        deadline = time.monotonic() + IDLE_LIMIT_SECONDS
        with self._bar(label, 1) as advance:
            before = 0
            while time.monotonic() < deadline:
                found = self.proof.standings()
                total = sum(sum(one.documents.values()) for one in found)
                ended = sum(count for one in found for state, count in one.documents.items() if state in ENDED)
                advance.total(max(total, 1))
                advance(ended - before)
                before = ended
                # Documents that wait for a rejected one stay where they are; the others must have ended.
                if total and not any(one.left for one in found) and (not told or self.proof.everybody_told()):
                    return
                time.sleep(LOOK_EVERY_SECONDS)
        raise DemoError(f"{label} did not end in {IDLE_LIMIT_SECONDS} s; see {self.stage.folder / 'worker.log'}")

    def _prove(self) -> bool:
        equal = self.proof.totals()
        told = self.proof.told()
        charged = self.proof.charged(self.use)
        whole = self.proof.without_silence()
        self.console.print("Every total is equal." if equal else "NOT EVERY TOTAL IS EQUAL.", style="bold")
        if not told:
            self.console.print("NOT EVERYBODY WAS TOLD WHAT THE ERP SAYS.", style="bold")
        if not charged:
            self.console.print("NOT EVERYTHING THAT WAS USED IS CHARGED.", style="bold")
        return equal and told and charged and whole

    def let_in(self) -> str:
        """Add a person who may do everything in the console; their password, which is kept nowhere else."""
        password = secrets.token_urlsafe(12)
        named = ("--name", "Demo Person", "--role", "finance", "--tenant", "*", "--password-stdin")
        self.stage.run("users", "add", PERSON, *named, stdin=password + "\n")
        role, why = ("--role", "administrator", "--tenant", "*"), "somebody must see everything"
        self.stage.run("users", "grant", PERSON, *role, "--reason", why)
        return password

    def leave_open(self) -> None:
        """Let a person look around until they press Ctrl-C."""
        password, number = self.let_in(), self.proof.number_to_search()
        for line in (
            f"\nThe console is open: {self.stage.api}",
            f"  e-mail    {PERSON}",
            f"  password  {password}",
            "Three things to try:",
            f"  1. Search {number}, an invoice of Birch in NetSuite: its way leads back to order, quote and account.",
            "  2. Open Cases and choose the closed ones: what was missing, who mended it, what was posted then.",
            "  3. Open Webhooks and replay a message: the endpoint is told again, under the same id.",
            "Press Ctrl-C to end it all.",
        ):
            self._say(line)
        threading.Event().wait()

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


def run(folder: Path, small: bool, keep: bool) -> int:  # noqa: FBT001 - one command's flags
    """Run it; 0 when every total is equal. keep: leave the console open also without a terminal."""
    console = Console()
    watched = console.is_terminal or keep
    if not console.is_terminal:
        console = Console(width=WIDTH_WITHOUT_TERMINAL)
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _end)
    try:
        with Stage(folder=folder, with_tryton=not small, report=lambda text: console.print(text, style="dim")) as stage:
            ready = time.monotonic()
            story = Story(stage=stage, console=console, small=small)
            try:
                equal = story.tell()
                done = time.monotonic()
                console.print(f"{done - ready:.0f} s after a set-up of {ready - began:.0f} s", highlight=False)
                if watched:
                    story.leave_open()
            finally:
                story.close()
    except KeyboardInterrupt:
        console.print("Ended; nothing of it runs on.")
        return 130
    return 0 if equal else 1


def _end(*_: object) -> None:
    """A request to end is taken as Ctrl-C is, so that every process is ended."""
    raise KeyboardInterrupt
