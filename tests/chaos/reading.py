"""Workers that read a source page by page and tell it back what became of its invoices, killed at both.

The judges are the simulated Stripe's own objects, the calls that passed on the way to it and the simulated ERP's file.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import msgspec
from sqlalchemy import text

from revline.app.directory import pool_id
from revline.connectors.sdk.effects import Effect
from revline.connectors.stripe.simulator.server import RunningStripe
from revline.intake import following
from revline.platform.store.engine import Database
from revline.sim.demo.selling import NUMBER_KEY, STATE_KEY, fill, told_invoices
from revline.sim.stripe_profile import StripeMonth
from tests.chaos.breaking import Proxy
from tests.chaos.planning import Plan
from tests.chaos.running import TENANT, Rehearsal, Stand
from tests.harness import Harness

SOURCE: Final = "stripe"
KINDS: Final = ("customer", "invoice", "invoice_payment", "credit_note", "charge", "refund", "dispute", "payout")
LISTED: Final = (*KINDS, "balance_transaction")
LISTING: Final = re.compile(rb"\AGET (/v1/[a-z_]+\?[^ ]*limit=[^ ]*) ")
TELLING: Final = re.compile(rb"\APOST (/v1/invoices/[^ ]+) ")
KEY: Final = re.compile(rb"\r\nidempotency-key: *([^\r]+)", re.IGNORECASE)
SIGNING: Final = "secrets: {webhookSigningSecret: secret://env/REVLINE_SECRET_DEMO_SIGNING_BIRCH}"
FEEDBACK: Final = f"""\
apiVersion: revline/v1
kind: Feedback
metadata: {{name: invoices-in-stripe, tenant: {TENANT}}}
spec:
  connection: {SOURCE}
  sourceKind: invoice
  fields: {{posting_state: {STATE_KEY}, erp_number: {NUMBER_KEY}}}
  when: [posted, voided, rejected]
"""


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """One call that wrote an invoice's metadata and was answered."""

    path: str
    key: str
    content: str


class ReadingRehearsal(Rehearsal):
    """The month stands behind Stripe's API; workers list it, post it and tell Stripe. Use as a context manager."""

    module = "tests.chaos.small_pages"

    def __init__(self, *, stand: Stand, folder: Path, month: StripeMonth, plan: Plan) -> None:
        super().__init__(stand=stand, folder=folder, month=month, plan=plan)
        self.stripe = RunningStripe()
        self._around = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as around:
            around.enter_context(self.stripe)
            fill(self.stripe, self.month)
            self.source = around.enter_context(Proxy(target=self.stripe.base_url, marks=LISTING))
            super().__enter__()
            self.aimed_at = self.source
            self._around = around.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__(None, None, None)
        self._around.close()

    def configure(self) -> None:
        folder = self.configuration / TENANT
        (folder / "70-telling.yaml").write_text(FEEDBACK, encoding="utf-8")
        path = folder / "20-connections.yaml"
        written = path.read_text(encoding="utf-8")
        assert written.count(f"  {SIGNING}") == 1
        keyed = SIGNING.replace("}", ", apiKey: secret://env/REVLINE_SECRET_STRIPE_KEY}")
        settings = f'settings: {{baseUrl: "{self.source.base_url}"}}'
        path.write_text(written.replace(f"  {SIGNING}", f"  {keyed}\n  {settings}"), encoding="utf-8")

    def take_in(self, harness: Harness) -> None:
        now = harness.clock.now()
        with harness.database.unit(
            tenants=[TENANT], kind="test", actor="test", reason="a test", recorded_at=now
        ) as unit:
            following.ask_backfill(
                unit,
                tenant_id=TENANT,
                source_connection=SOURCE,
                object_kinds=LISTED,
                now=now,
                pool_id=pool_id(tenant_id=TENANT, name=SOURCE, pool=""),
            )

    def secrets(self) -> Mapping[str, str]:
        return {"REVLINE_SECRET_STRIPE_KEY": self.stripe.key}

    def kill_in(self, marks: re.Pattern[bytes], *, after: int) -> bool:
        """Kill a worker that waits for the answer to such a call, once so many were answered; False when it was answered yet."""
        self.source.marks = marks
        answered = len(self.source.passed)

        def came() -> bool:
            self.crew.check()
            since = sum(marks.search(one) is not None for one in self.source.passed[answered:])
            self.source.holding = since >= after
            return self.source.holding and self._stop_caller(waiting_seconds=0)

        if not self._until(came, or_else=self.idle) or self._stopped is None:
            return False
        place, held = self._stopped
        self._stopped = None
        return bool(self._kill(place, held))

    def tellings(self) -> tuple[Telling, ...]:
        """Every answered call that wrote an invoice's metadata, in order."""
        found = []
        for request in self.source.passed:
            path, key = TELLING.search(request), KEY.search(request)
            if path is not None and key is not None:
                body = request.partition(b"\r\n\r\n")[2].decode()
                found.append(Telling(path=path.group(1).decode(), key=key.group(1).decode(), content=body))
        return tuple(found)

    def held_by_stripe(self) -> Mapping[str, frozenset[str]]:
        """Ids of what stands behind the API, by kind."""
        return self.stripe.do(lambda one: {kind: frozenset(one.account.objects[kind]) for kind in LISTED})

    def told(self) -> Mapping[str, tuple[str, str]]:
        """Stripe's number of an invoice -> (state, ERP number), as its metadata says now."""
        return {number: (state, erp) for number, state, erp in told_invoices(self.stripe).values()}


def twice_otherwise(tellings: Iterable[Telling]) -> tuple[Telling, ...]:
    """Tellings that say something else under a key that was used, or again what another has replaced."""
    contents: dict[str, str] = {}
    said: dict[str, list[str]] = defaultdict(list)
    wrong = []
    for one in tellings:
        if contents.setdefault(one.key, one.content) != one.content:
            wrong.append(one)
        if one.content in said[one.path][:-1]:
            wrong.append(one)
        elif one.content not in said[one.path]:
            said[one.path].append(one.content)
    return tuple(wrong)


def facts(database: Database) -> frozenset[tuple[str, str]]:
    """(kind, outside id) of everything that was read."""
    with database.read(tenants=[TENANT]) as connection:
        rows = connection.execute(
            text(
                "SELECT DISTINCT object_kind, outside_id FROM fact WHERE tenant_id = :tenant AND connection = :source"
            ),
            {"tenant": TENANT, "source": SOURCE},
        )
        return frozenset((row[0], row[1]) for row in rows)


def invoices_in_erp(effects: Iterable[Effect]) -> frozenset[str]:
    """Numbers of the invoices the ERP made."""
    created = [one for one in effects if one.type == "effect" and one.action == "create" and one.kind == "invoices"]
    return frozenset(str(json.loads(bytes(one.data))["number"]) for one in created)
