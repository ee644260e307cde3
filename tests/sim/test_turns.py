"""Code of many processes, of which one runs at a time: it waits at its boundaries, and ends there when its process does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from revline.sim.world.turns import Stopped, Turns, here


@pytest.fixture(params=["greenlets", "threads"])
def turns(request: pytest.FixtureRequest) -> Iterator[Turns]:
    made = Turns(threads=request.param == "threads")
    yield made
    made.close()


def boundary(seconds: float) -> None:
    turn = here()
    assert turn is not None
    turn.wait(seconds)


def test_code_runs_to_its_next_boundary_and_no_further(turns: Turns) -> None:
    told: list[str] = []

    def work(name: str) -> str:
        for step in range(2):
            told.append(f"{name} {step}")
            boundary(step + 1.0)
        return name

    first, second = turns.take(), turns.take()
    first.begin(lambda: work("a"))
    second.begin(lambda: work("b"))
    first.resume()
    second.resume()
    assert (told, first.waits, here()) == (["a 0", "b 0"], 1.0, None)
    second.resume()
    assert (told[-1], second.waits) == ("b 1", 2.0)
    second.resume()
    assert (second.waits, second.value, first.waits) == (None, "b", 1.0)
    first.stop()


def test_a_process_that_ends_takes_its_code_with_it(turns: Turns) -> None:
    told: list[str] = []

    def work() -> None:
        try:
            boundary(1)
        except Exception:  # noqa: BLE001 - what a careless handler would do
            told.append("taken for a failure")
        finally:
            told.append("unwound")
            with pytest.raises(Stopped):
                boundary(1)
        told.append("went on")

    turn = turns.take()
    turn.begin(work)
    turn.resume()
    turn.stop()
    assert told == ["unwound"]
    assert isinstance(turn.failure, Stopped)


def test_what_code_raises_is_kept_for_whoever_waits(turns: Turns) -> None:
    turn = turns.take()
    turn.begin(lambda: 1 // 0)
    turn.resume()
    assert isinstance(turn.failure, ZeroDivisionError)
