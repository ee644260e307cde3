"""How long questions take in process, beside deriving the same root: median and 99th percentile of each, interleaved.

One tenant of the demonstration's configuration with some customers, each with an invoice of three lines. A question reads and
answers; derive reads, plans and writes one unit. No HTTP: the door's own cost is the server's.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.common import Measured, durable_server, progress
from revline.app.asking import answers_of
from revline.core.problem import Problem
from revline.platform.store.engine import Database
from revline.platform.store.migrate import upgrade
from tests.harness import Harness
from tests.integration.derive.world import CONNECTION, TENANT, at, customer, invoice, tell, webhook

SCALES: Final = {"small": (20, 60), "full": (200, 1_000)}
"""Customers with an invoice each, then rounds."""


def run(scale: str) -> Measured:
    """Every question once a round, and a derive of one invoice that changed."""
    customers, rounds = SCALES[scale]
    with durable_server() as server, tempfile.TemporaryDirectory() as folder:
        upgrade(owner_dsn=server.dsn("revline_owner"))
        database = Database(dsn=server.dsn("revline_app"), pool_size=4)
        harness = Harness(database=database, folder=Path(folder) / "configuration")
        harness.apply()
        for number in range(customers):
            tell(
                harness,
                webhook("customer.created", customer(id=f"cus_{number}"), created=at(1)),
                webhook("invoice.finalized", _invoice(number), created=at(4)),
            )
        progress(f"{customers} invoices are booked")
        taken = _measured(harness, database, customers, rounds)
        harness.close()
        database.dispose()
    figures = {}
    for name, times in taken.items():
        figures[f"{name}_p50_milliseconds"] = statistics.median(times) * 1000
        figures[f"{name}_p99_milliseconds"] = statistics.quantiles(times, n=100)[98] * 1000
    derived = statistics.median(taken["derive"])
    ratios = {
        f"{name}_over_derive": statistics.median(each) / derived for name, each in taken.items() if name != "derive"
    }
    return Measured(ratios=ratios, figures=figures)


def _measured(harness: Harness, database: Database, customers: int, rounds: int) -> dict[str, list[float]]:
    answers = answers_of(database=database, directory=harness.directory, clock=harness.clock)
    taken: dict[str, list[float]] = {}
    for turn in range(rounds + 5):
        number = turn % customers
        for name, ask in _questions(answers, number).items():
            _timed(taken, name, ask, counts=turn >= 5)
        body = webhook("invoice.updated", _invoice(number, memo=f"turn {turn}"), created=at(4) + turn)
        harness.accept(TENANT, CONNECTION, [body])
        _timed(taken, "derive", harness.derive.turn, counts=turn >= 5)
    return taken


def _timed(taken: dict[str, list[float]], name: str, work: Callable[[], Any], *, counts: bool) -> None:
    begun = time.perf_counter()
    answer = work()
    took = time.perf_counter() - begun
    assert not isinstance(answer, Problem), answer
    if counts:
        taken.setdefault(name, []).append(took)


def _questions(answers: Any, number: int) -> dict[str, Callable[[], Any]]:
    root = {"connection": CONNECTION, "kind": "invoice", "outside_id": f"in_{number}"}
    lines = [{"product": f"prod_{place}", "quantity": "3", "unit_price": "19.99"} for place in range(3)]
    draft = {
        "customer": f"cus_{number}",
        "currency": "USD",
        "issued_at": "2026-01-04T12:00:00Z",
        "lines": lines,
    }
    order = {
        "outside_id": f"o_{number}",
        "number": f"SO-{number}",
        "status": "draft",
        "customer": f"cus_{number}",
        "currency": "USD",
        "total": "59.97",
        "start_date": "2026-02-01",
        "created_at": "2026-01-04T12:00:00Z",
        "lines": [{"outside_id": "1", "product": "p", "quantity": "3", "unit_price": "19.99", "total": "59.97"}],
    }
    return {
        "preview_journal": lambda: answers.preview_journal(tenant_id=TENANT, body=msgspec.json.encode({"root": root})),
        "preview_invoice": lambda: answers.preview_invoice(
            tenant_id=TENANT, body=msgspec.json.encode({"connection": CONNECTION, "draft": draft})
        ),
        "validate_order": lambda: answers.validate_order(
            tenant_id=TENANT, body=msgspec.json.encode({"connection": CONNECTION, "order": order})
        ),
        "customer_credit": lambda: answers.credit(
            tenant_id=TENANT, customer=f"cus_{number}", connection=CONNECTION, as_of=None
        ),
        "master_data": lambda: answers.master_data(tenant_id=TENANT, kind="customers", key=f"cus_{number}"),
    }


def _invoice(number: int, **more: Any) -> dict[str, Any]:
    made = invoice(id=f"in_{number}", customer=f"cus_{number}", **more)
    return {**made, "number": f"A-{number}"}
