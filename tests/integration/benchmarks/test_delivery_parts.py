"""Every part of the delivery benchmark runs, at a scale where its figures mean nothing: what it measures is never asserted."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from benchmarks import delivery
from benchmarks.common import execute_all
from benchmarks.delivery import http, lanes, latency, noop, quiet
from revline.platform.store.embedded import EmbeddedServer
from revline.platform.store.roles import SUPERUSER

SERVER_OF = {
    noop: "durable_server",
    http: "durable_server",
    lanes: "durable_server",
    quiet: "timing_server",
    latency: "timing_server",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    folder: Path = tmp_path_factory.mktemp("benchmarks")
    server = EmbeddedServer(folder / "postgres", durable=False)
    server.start()
    execute_all(server.dsn(SUPERUSER, "postgres"), ["ALTER SYSTEM SET track_commit_timestamp = on"])
    server.stop()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def options() -> Namespace:
    parser = ArgumentParser()
    delivery.add_options(parser)
    return parser.parse_args([])


@pytest.mark.slow
@pytest.mark.parametrize("part", sorted(delivery.PARTS))
def test_a_part_runs_and_names_its_figures(
    part: str, server: EmbeddedServer, options: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def this_server() -> AbstractContextManager[EmbeddedServer]:
        return nullcontext(server)

    for module, name in SERVER_OF.items():
        monkeypatch.setattr(module, name, this_server)
    options.part = part
    if part == "noop":
        pytest.importorskip("procrastinate")
        pytest.importorskip("dbos")
    measured = delivery.run("tiny", options)
    assert measured.figures
    assert all(math.isfinite(value) for value in (*measured.ratios.values(), *measured.figures.values()))
    assert all(name.startswith((part, "lanes_", "http_")) for name in measured.figures)


def test_zipf_gives_every_lane_to_somebody() -> None:
    shares = lanes.zipf(total=10_000, among=300)
    assert sum(shares) == 10_000
    assert shares == sorted(shares, reverse=True)
