"""Documents delivered to an ERP that takes 20 ms, over 32 slots and the real HTTP client, beside the same requests sent bare.

Both sides run in as many processes, with the same event loop, and take turns. Ours claims, decides, prepares, marks, records
attempts, reads back and settles; the bare side has the bodies ready and sends them 32 at a time.
"""

from __future__ import annotations

import asyncio
import importlib.util
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from typing import Final

import aiohttp
from yarl import URL

from benchmarks.common import Measured, durable_server, progress
from benchmarks.delivery.erp import run_in_loop, running_erp
from benchmarks.delivery.settings import costs
from benchmarks.delivery.worker import deliver
from benchmarks.delivery.world import ACCOUNTS, Size, copy_of, journal, make_source, tenant_name
from benchmarks.fleet import Raced, Reins, processor_seconds, race
from revline.connectors.simulated.translate import prepare_step
from revline.core.farside import EntityMapping, PrepareContext, PreparedStep
from revline.platform.store.embedded import EmbeddedServer

SOURCE: Final = "http_source"
SLOTS: Final = 32
PAUSE_SECONDS: Final = 0.02
LIMIT_SECONDS: Final = 120.0
BODIES: Final = 256
SIZES: Final = {
    "tiny": Size(tenants=4, documents_a_tenant=10, pools=1, slots=SLOTS),
    "small": Size(tenants=20, documents_a_tenant=100, pools=1, slots=SLOTS),
    "full": Size(tenants=20, documents_a_tenant=800, pools=1, slots=SLOTS),
}
ROUNDS: Final = {"tiny": 1, "small": 1, "full": 3}
Case = tuple[int, bool]
"""Processes, and whether they run uvloop's event loop."""
CASES: Final[dict[str, tuple[Case, ...]]] = {
    "tiny": ((1, False),),
    "small": ((1, False), (2, False)),
    "full": ((1, False), (2, False), (2, True)),
}


def run(scale: str, options: Namespace) -> Measured:
    """Rates of both sides in every case, and the ratio in the best case of ours."""
    size = SIZES[scale]
    with durable_server() as server:
        make_source(server, name=SOURCE, size=size)
        if options.ours_only:
            return _ours_only(server, size, options)
        there = importlib.util.find_spec("uvloop") is not None
        cases = [case for case in CASES[scale] if there or not case[1]]
        found = {case: _case(server, size, case, options.rounds or ROUNDS[scale]) for case in cases}
    figures: dict[str, float] = {}
    for (processes, uvloop), sides in found.items():
        name = f"http_{processes}_process{'es' if processes > 1 else ''}{'_uvloop' if uvloop else ''}"
        for side, (raced, _) in sides.items():
            figures[f"{name}_{side}_a_second"] = raced.rate
            figures[f"{name}_{side}_worker_cpu_milliseconds"] = raced.worker_milliseconds
        ours, bare = sides["revline"], sides["bare"]
        figures[f"{name}_over_bare"] = ours[0].rate / bare[0].rate
        figures[f"{name}_own_cpu_milliseconds"] = ours[0].worker_milliseconds - bare[0].worker_milliseconds
        figures[f"{name}_postgres_cpu_milliseconds"] = ours[0].server_milliseconds
        figures[f"{name}_erp_cpu_milliseconds"] = ours[1]
    best = max(found, key=lambda case: found[case]["revline"][0].rate)
    ratio = found[best]["revline"][0].rate / found[best]["bare"][0].rate
    return Measured(ratios={"http_over_bare_client": ratio}, figures=figures)


def _case(server: EmbeddedServer, size: Size, case: Case, rounds: int) -> dict[str, tuple[Raced, float]]:
    """Of each side the race with the median rate, and the ERP's processor milliseconds a request."""
    processes, uvloop = case
    taken: dict[str, list[tuple[Raced, float]]] = {"revline": [], "bare": []}
    with running_erp(pause_seconds=PAUSE_SECONDS, uvloop=uvloop) as (url, erp):
        sides: dict[str, Callable[[], Raced]] = {
            "revline": partial(_ours, server, size, url, processes, uvloop=uvloop),
            "bare": partial(_bare, server, size, url, processes, uvloop=uvloop),
        }
        for number in range(rounds):
            for side, work in sides.items():
                begun = processor_seconds([erp])
                raced = work()
                taken[side].append((raced, 1000 * (processor_seconds([erp]) - begun) / size.documents))
                progress(
                    f"  {processes} processes{', uvloop' if uvloop else ''}, round {number + 1}: {side:<8}"
                    f" {raced.done} done, {raced.rate:8,.0f} a second, {costs(raced)}"
                )
    return {side: sorted(all_of_it, key=lambda one: one[0].rate)[rounds // 2] for side, all_of_it in taken.items()}


def _ours_only(server: EmbeddedServer, size: Size, options: Namespace) -> Measured:
    """One process of ours, without or with a profile."""
    with running_erp(pause_seconds=PAUSE_SECONDS, uvloop=False) as (url, _):
        raced = _ours(server, size, url, 1, uvloop=False, dump=options.cprofile)
    figures = {
        "http_1_process_revline_a_second": raced.rate,
        "http_1_process_revline_worker_cpu_milliseconds": raced.worker_milliseconds,
        "http_1_process_postgres_cpu_milliseconds": raced.server_milliseconds,
    }
    return Measured(ratios={}, figures=figures)


def _ours(server: EmbeddedServer, size: Size, url: str, processes: int, *, uvloop: bool, dump: str = "") -> Raced:
    given = {"dsn": copy_of(server, SOURCE, "http_run"), "size": size, "url": url, "uvloop": uvloop, "dump": dump}
    return race(
        server=server,
        work=deliver,
        arguments=[{"number": number, **given} for number in range(processes)],
        goal=size.documents,
        limit_seconds=LIMIT_SECONDS,
    )


def _bare(server: EmbeddedServer, size: Size, url: str, processes: int, *, uvloop: bool) -> Raced:
    given = {"url": url, "slots": SLOTS // processes, "requests": size.documents // processes, "uvloop": uvloop}
    return race(
        server=server,
        work=send_bare,
        arguments=[given] * processes,
        goal=size.documents // processes * processes,
        limit_seconds=LIMIT_SECONDS,
    )


def send_bare(reins: Reins, *, url: str, slots: int, requests: int, uvloop: bool) -> None:
    """Send so many requests, as many at once as there are slots."""
    run_in_loop(_send_bare(reins, url, slots, requests), uvloop=uvloop)


async def _send_bare(reins: Reins, url: str, slots: int, requests: int) -> None:
    bodies = _bodies()
    left = iter(range(requests))
    address = URL(f"{url}/v1/journals", encoded=True)
    same = {"authorization": "Bearer benchmark-token", "accept": "application/json", "content-type": "application/json"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=slots),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    ) as client:

        async def work_slot() -> None:
            for number in left:
                headers = {**same, "x-request-id": f"request-{number}"}
                async with client.post(address, data=bodies[number % len(bodies)], headers=headers) as answer:
                    await answer.read()
                    assert answer.status == 201
                reins.add(1)

        await asyncio.to_thread(reins.go)
        await asyncio.gather(*(work_slot() for _ in range(slots)))


def _bodies() -> list[bytes]:
    """The requests that the connector makes of our documents."""
    mapping = EntityMapping(company="1", accounts=ACCOUNTS)
    context = PrepareContext(mapping=mapping, functional_currency="USD", records={})
    steps = [
        prepare_step(document=journal(tenant_name(0), number), step="create", context=context)
        for number in range(BODIES)
    ]
    return [step.body for step in steps if isinstance(step, PreparedStep)]
