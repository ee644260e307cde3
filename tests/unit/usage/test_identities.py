"""Identities are known for ever, wherever they stand: in memory, on their way to a run, in one run or in many merged ones."""

from __future__ import annotations

import os
import random
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from revline.core.problem import Problem
from revline.subledger.usage.log.identities import Identities
from revline.subledger.usage.log.runs import Manifest, read_manifest, write_manifest
from revline.subledger.usage.log.values import ACCEPTED, CONFLICT, DUPLICATE


def opened(folder: Path, *, hot_max: int = 100) -> Identities:
    found = Identities.open(folder, hot_max=hot_max)
    assert isinstance(found, Identities)
    return found


def key(number: int) -> bytes:
    return random.Random(number).randbytes(16)


def digest(number: int) -> bytes:
    return random.Random(-number).randbytes(8)


def meet(identities: Identities, numbers: list[int], *, contents: list[int] | None = None) -> list[int]:
    return list(identities.meet([key(one) for one in numbers], [digest(one) for one in contents or numbers]))


def test_one_that_stands_twice_in_a_batch_is_new_once(tmp_path: Path) -> None:
    identities = opened(tmp_path)
    assert meet(identities, [1, 2, 1, 2], contents=[1, 2, 1, 3]) == [ACCEPTED, ACCEPTED, DUPLICATE, CONFLICT]
    identities.close()


def test_the_very_same_values_met_again_are_duplicates(tmp_path: Path) -> None:
    identities = opened(tmp_path)
    keys, digests = [key(1), key(2)], [digest(1), digest(2)]
    assert list(identities.meet(keys, digests)) == [ACCEPTED, ACCEPTED]
    assert list(identities.meet([*keys, key(3)], [*digests, digest(3)])) == [DUPLICATE, DUPLICATE, ACCEPTED]
    identities.close()


def test_identities_in_runs_are_known_and_their_content_too(tmp_path: Path) -> None:
    identities = opened(tmp_path)
    for start in range(0, 3000, 100):
        assert meet(identities, list(range(start, start + 100))) == [ACCEPTED] * 100
        identities.turn(last_sequence=start + 100)
        identities.settle()
    assert identities.in_runs == identities.covered_through == 3000
    assert len(list(tmp_path.glob("*.keys"))) < 10
    assert set(meet(identities, list(range(3000)))) == {DUPLICATE}
    assert set(meet(identities, list(range(3000)), contents=list(range(1, 3001)))) == {CONFLICT}
    assert set(meet(identities, list(range(3000, 6000)))) == {ACCEPTED}
    identities.close()
    again = opened(tmp_path)
    assert set(meet(again, list(range(3000)))) == {DUPLICATE}
    assert set(meet(again, list(range(3000, 3050)))) == {ACCEPTED}
    again.close()


def test_keys_that_share_their_first_half_are_told_apart(tmp_path: Path) -> None:
    identities = opened(tmp_path, hot_max=3)
    keys = [b"\x07" * 8 + bytes([number]) * 8 for number in (1, 2, 3)]
    assert list(identities.meet(keys, [digest(1)] * 3)) == [ACCEPTED] * 3
    identities.turn(last_sequence=3)
    identities.settle()
    assert identities.in_runs == 3
    assert list(identities.meet([*keys, b"\x07" * 8 + b"\x04" * 8], [digest(1)] * 4)) == [DUPLICATE] * 3 + [ACCEPTED]
    identities.close()


def test_a_run_that_was_changed_on_disk_stops_the_opening(tmp_path: Path) -> None:
    identities = opened(tmp_path)
    meet(identities, list(range(200)))
    identities.turn(last_sequence=200)
    identities.settle()
    identities.close()
    (path,) = tmp_path.glob("*.keys")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found = Identities.open(tmp_path, hot_max=100)
    assert isinstance(found, Problem)
    assert found.code == "usage.log_damaged"


def test_a_disk_that_takes_a_little_at_a_time_leaves_no_half_of_a_manifest(tmp_path: Path) -> None:
    real = os.write
    with patch.object(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:7])):
        write_manifest(tmp_path, Manifest(covered_through=5, made=1))
    assert read_manifest(tmp_path) == Manifest(covered_through=5, made=1)


def test_a_run_that_was_never_finished_goes(tmp_path: Path) -> None:
    (tmp_path / "000000000009.keys").write_bytes(b"half")
    identities = opened(tmp_path)
    assert not list(tmp_path.glob("*.keys"))
    identities.close()


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), min_size=1, max_size=12), min_size=1, max_size=20
    ),
    hot_max=st.integers(1, 30),
    reopen_at=st.integers(0, 20),
)
def test_it_answers_as_a_dict_of_everything_would(
    batches: list[list[tuple[int, int]]], hot_max: int, reopen_at: int, tmp_path_factory: object
) -> None:
    folder: Path = tmp_path_factory.mktemp("runs")  # type: ignore[attr-defined]
    identities = opened(folder, hot_max=hot_max)
    known: dict[int, int] = {}
    in_log: list[tuple[int, int]] = []
    for number, batch in enumerate(batches):
        if number == reopen_at:
            identities.settle()
            identities.close()
            identities = opened(folder, hot_max=hot_max)
            for one, content in in_log[identities.covered_through :]:
                meet(identities, [one], contents=[content])
        expected = []
        for one, content in batch:
            if one not in known:
                known[one] = content
                in_log.append((one, content))
                expected.append(ACCEPTED)
            else:
                expected.append(DUPLICATE if known[one] == content else CONFLICT)
        assert meet(identities, [one for one, _ in batch], contents=[content for _, content in batch]) == expected
        identities.turn(last_sequence=len(in_log))
    identities.close()
