"""Documents from due to posted with a far side that does nothing, beside jobs that do nothing in Procrastinate and DBOS.

A document of ours is claimed in its lane's order, decided, prepared, marked before the call, called, settled, recorded with its
general-ledger lines and names in the audit chain, and wakes whoever waits; a job of theirs is fetched, run and finished.
"""

from __future__ import annotations

import importlib
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from benchmarks.common import Measured, durable_server, progress
from benchmarks.delivery.settings import Setting, best_of, costs
from benchmarks.delivery.worker import deliver
from benchmarks.delivery.world import Filled, Size, copy_of, make_source
from benchmarks.fleet import Raced, race
from revline.platform.store.embedded import EmbeddedServer

SOURCE: Final = "noop_source"
COPY: Final = "noop_run"
LIMIT_SECONDS: Final = 240.0
SIZES: Final = {"tiny": Size(tenants=10, documents_a_tenant=4), "small": Size(), "full": Size(documents_a_tenant=100)}
JOBS: Final = {"tiny": 20, "small": 1_500, "full": 5_000}
JOBS_TRIED: Final = {"tiny": 20, "small": 300, "full": 1_500}
ROUNDS: Final = {"tiny": 1, "small": 1, "full": 5}
SETTINGS: Final = (
    Setting.of(workers=1, slots=500, batch=1),
    Setting.of(workers=2, slots=500, batch=1),
    Setting.of(workers=1, slots=64, batch=100),
    Setting.of(workers=2, slots=64, batch=100),
    Setting.of(workers=3, slots=64, batch=100),
)
BEST: Final = SETTINGS[3]
PEERS: Final = ("procrastinate", "dbos")


def run(scale: str, options: Namespace) -> Measured:
    """Rates, the ratios of ours to theirs, and processor milliseconds beside."""
    usual = SIZES[scale]
    size = replace(
        usual,
        tenants=options.tenants or usual.tenants,
        documents_a_tenant=options.documents_a_tenant or usual.documents_a_tenant,
        pools=options.pools or usual.pools,
    )
    with durable_server() as server:
        filled = make_source(server, name=SOURCE, size=size)
        if options.profile or options.cprofile:
            return _profiled(server, size, filled, options)
        attempt = partial(_ours, server, size)
        given = _given(options)
        best = given or best_of(
            name="revline", settings=SETTINGS, known_best=BEST, attempt=attempt, search=scale == "full"
        )
        contestants: dict[str, Callable[[], Raced]] = {"revline": partial(attempt, best)}
        chosen = {"revline": best}
        for name in () if options.ours_only else PEERS:
            peer = importlib.import_module(f"benchmarks.delivery.{name}_peer")
            peer.make_source(server, name=f"{name}_tried", jobs=JOBS_TRIED[scale])
            peer.make_source(server, name=f"{name}_source", jobs=JOBS[scale])
            tried = partial(peer.run_jobs, server, f"{name}_tried", JOBS_TRIED[scale])
            theirs = best_of(
                name=name, settings=peer.SETTINGS, known_best=peer.BEST, attempt=tried, search=scale == "full"
            )
            chosen[name] = theirs
            contestants[name] = partial(peer.run_jobs, server, f"{name}_source", JOBS[scale], theirs)
            if name == "dbos":
                contestants["dbos_with_step"] = partial(contestants[name], steps=True)
        measured = _interleaved(contestants, rounds=options.rounds or ROUNDS[scale])
    ours = measured["revline"]
    ratios = {f"noop_over_{name}": ours.rate / theirs.rate for name, theirs in measured.items() if theirs is not ours}
    settings = {
        f"noop_{name}_setting_{part}": value for name, setting in chosen.items() for part, value in setting.values
    }
    return Measured(ratios=ratios, figures=_figures(measured, filled) | settings)


def _given(options: Namespace) -> Setting | None:
    """A setting from the command line, None when none is given."""
    if not (options.workers or options.slots or options.batch):
        return None
    return Setting.of(
        workers=options.workers or BEST["workers"],
        slots=options.slots or BEST["slots"],
        batch=options.batch or BEST["batch"],
    )


def _ours(
    server: EmbeddedServer,
    size: Size,
    setting: Setting,
    *,
    turn_milliseconds: int = 20,
    profile: bool = False,
    dump: str = "",
) -> Raced:
    asked = replace(size, slots=setting.whole("slots"), batch=setting.whole("batch"))
    given = {
        "dsn": copy_of(server, SOURCE, COPY),
        "size": asked,
        "turn_milliseconds": turn_milliseconds,
        "profile": profile,
        "dump": dump,
    }
    return race(
        server=server,
        work=deliver,
        arguments=[{"number": number, **given} for number in range(setting.whole("workers"))],
        goal=size.documents,
        limit_seconds=LIMIT_SECONDS,
    )


def _interleaved(contestants: Mapping[str, Callable[[], Raced]], *, rounds: int) -> dict[str, Raced]:
    """Of each contestant the race with the median rate; every round runs all in turn."""
    taken: dict[str, list[Raced]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, work in contestants.items():
            raced = work()
            taken[name].append(raced)
            progress(
                f"  round {number + 1}: {name:<14} {raced.done} done, {raced.rate:10,.0f} a second, {costs(raced)}"
            )
    return {name: sorted(raced, key=lambda one: one.rate)[len(raced) // 2] for name, raced in taken.items()}


def _figures(measured: Mapping[str, Raced], filled: Filled) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, raced in measured.items():
        unit = "documents" if name == "revline" else "jobs"
        figures[f"noop_{name}_{unit}"] = raced.done
        figures[f"noop_{name}_{unit}_a_second"] = raced.rate
        figures[f"noop_{name}_worker_cpu_milliseconds"] = raced.worker_milliseconds
        figures[f"noop_{name}_postgres_cpu_milliseconds"] = raced.server_milliseconds
        figures[f"noop_{name}_cpu_over_revline"] = _processor(raced) / _processor(measured["revline"])
    figures["noop_written_documents_a_second"] = filled.documents_a_second
    figures["noop_written_postgres_cpu_milliseconds"] = filled.server_milliseconds
    return figures


def _processor(raced: Raced) -> float:
    return raced.worker_milliseconds + raced.server_milliseconds


def _profiled(server: EmbeddedServer, size: Size, filled: Filled, options: Namespace) -> Measured:
    """One process; statements a document, and which statements its time goes to."""
    setting = _given(options) or Setting.of(**(dict(BEST.values) | {"workers": 1}))
    raced = _ours(
        server,
        size,
        setting,
        turn_milliseconds=options.turn_milliseconds,
        profile=options.profile,
        dump=options.cprofile,
    )
    progress(f"{setting}: {raced.done} documents, {raced.rate:,.0f} a second, {costs(raced)}")
    figures = _figures({"revline": raced}, filled)
    counts: Mapping[str, tuple[int, float]] = raced.told[0] if raced.told else {}
    for text, (times, seconds) in sorted(counts.items(), key=lambda one: -one[1][1]):
        share = 1000 * seconds / max(1, raced.done)
        progress(f"  {times:>7} sent {share:8.4f} ms a document waited  {text}")
    figures["noop_statements_a_document"] = sum(times for times, _ in counts.values()) / max(1, raced.done)
    figures["noop_commits_a_document"] = counts.get("COMMIT", (0, 0.0))[0] / max(1, raced.done)
    return Measured(ratios={}, figures=figures)
