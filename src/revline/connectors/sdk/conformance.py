"""The conformance kit: what every ERP connector must do, against its simulator or the real system. Knows no single system.

How a connector offers itself to `revline conformance NAME`: its package has a `conformance.py` with

    @asynccontextmanager
    async def bench() -> AsyncIterator[Bench]: ...

registered under the entry point group `revline.conformance` as `NAME = "package.conformance:bench"`. Entering it starts what is
needed once (a simulator in this process, a server on loopback) or raises `Missing` with what is missing and what to do. A `Bench`
has `variants` (name -> Manifest of a connection set up so; {"": manifest} for a single one), `troubles` (what its systems can
bring about) and `system(variant=, case=)`, an async context manager that gives an `Adapter` for one case:

    connector   the ErpConnector under test, built as app builds it, over a transport the adapter can trouble
    world       a `World`: nonce, functional currency (two decimals), a day in an open period, the EntityMapping with codes for
                `NEUTRAL_ACCOUNTS`; optional: rates, dimension, a second company, name_max, large
    secret      a value that evidence must never show
    bring(trouble), clear(), pass_time(duration)
    calls       optional (`Counting`): calls that reached the far side
    edit(record=)  optional (`Editing`): change a record as a person in the ERP would

Give each case books of its own where that is cheap, otherwise a nonce of its own; a case with Trouble.PERIOD_CLOSED needs a month
of its own in shared books. A case fails with ConformanceError and a sentence that says what broke. Each case belongs to a
capability: a connector without it has "not claimed" there, a system that can't bring about what the case needs has "not tried";
neither is ever green.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec

from revline.connectors.sdk import (
    conformance_amounts,
    conformance_booking,
    conformance_finding,
    conformance_resolving,
    conformance_sending,
)
from revline.connectors.sdk.conformance_run import (
    Adapter,
    Bench,
    Capability,
    Case,
    ConformanceError,
    NotTried,
    Trouble,
)
from revline.core.documents import DocumentKind
from revline.core.farside import Idempotency, Manifest

CASES: Final = (
    *conformance_booking.CASES,
    *conformance_amounts.CASES,
    *conformance_sending.CASES,
    *conformance_finding.CASES,
    *conformance_resolving.CASES,
)
BATCHED: Final = frozenset({Trouble.SHORT_ANSWER, Trouble.PARTIAL, Trouble.REORDERED})
CASE_LIMIT: Final = timedelta(seconds=120)


class Verdict(StrEnum):
    """What a cell says. not_claimed: the manifest has no such capability; not_tried: this system can't show it."""

    GREEN = "green"
    RED = "red"
    NOT_CLAIMED = "not_claimed"
    NOT_TRIED = "not_tried"


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One case of one connector. reason: what broke, or why it was not tried; "" when green."""

    connector: str
    variant: str
    case: str
    capability: Capability
    verdict: Verdict
    reason: str = ""


def unclaimed(*, manifest: Manifest, case: Case) -> str:
    """What a manifest lacks for a case, or ""."""
    lacking = [kind.value for kind in case.kinds if manifest.capability(kind) is None]
    if lacking:
        return f"takes no {', '.join(lacking)}"
    if case.searchable and all(entry.idempotency is Idempotency.NEITHER for entry in manifest.kinds):
        return "references can't be searched"
    journal = manifest.capability(DocumentKind.JOURNAL)
    if BATCHED.intersection(case.troubles) and (journal is None or journal.batch_max < 2):
        return "sends documents one by one"
    if case.idempotency and (journal is None or journal.idempotency not in case.idempotency):
        return f"not {' or '.join(case.idempotency)}"
    if case.lagging and not manifest.lookup_lag:
        return "look-up does not lag"
    if case.capability is Capability.DRAFTS and all(len(entry.steps) == 1 for entry in manifest.kinds):
        return "posts in one step"
    return ""


def untried(*, troubles: frozenset[Trouble], case: Case) -> str:
    """What a system can't bring about for a case, or ""."""
    lacking = [trouble.value for trouble in case.troubles if trouble not in troubles]
    return f"the system can't bring about {', '.join(lacking)}" if lacking else ""


async def judge(*, adapter: Adapter, case: Case, limit: timedelta = CASE_LIMIT) -> tuple[Verdict, str]:
    """What a case says of a system, with the reason. A case that does not end within `limit` is red, as is one that raises."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            await case.run(adapter)
    except NotTried as reason:
        return Verdict.NOT_TRIED, str(reason)
    except ConformanceError as failure:
        return Verdict.RED, str(failure)
    except TimeoutError:
        return Verdict.RED, f"did not end within {limit.total_seconds():g} seconds"
    except Exception as failure:  # noqa: BLE001 - a connector never raises for what the far side does
        return Verdict.RED, f"raised {type(failure).__name__}: {failure}"
    return Verdict.GREEN, ""


async def run_bench(*, connector: str, bench: Bench, cases: Sequence[Case] = CASES) -> AsyncIterator[Cell]:
    """Every case of every variant, one after the other."""
    for variant, manifest in bench.variants.items():
        for case in cases:
            verdict, reason = Verdict.NOT_CLAIMED, unclaimed(manifest=manifest, case=case)
            if not reason:
                verdict, reason = Verdict.NOT_TRIED, untried(troubles=bench.troubles, case=case)
            if not reason:
                async with bench.system(variant=variant, case=case) as adapter:
                    verdict, reason = await judge(adapter=adapter, case=case)
            yield Cell(
                connector=connector,
                variant=variant,
                case=case.name,
                capability=case.capability,
                verdict=verdict,
                reason=reason,
            )
