"""Files of usage as events: what a line, a row and a column become, and what can't become an event."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as arrow
import pytest
from pyarrow import parquet

from revline.core.problem import Problem
from revline.doors.usage.files import Given, csv_rows, ndjson, parquet_rows
from revline.intake.imports import Line
from revline.subledger.usage.kinds import FieldKind

FIELDS = {"tokens": FieldKind.DECIMAL, "cached": FieldKind.BOOLEAN, "zip": FieldKind.TEXT}


def rows(text: str | bytes, **more: Any) -> list[Line]:
    found = more_rows(text, **more)
    assert not isinstance(found, Problem), found
    return list(found)


def more_rows(text: str | bytes, *, given: Given | None = None, delimiter: str = "") -> Iterator[Line] | Problem:
    data = text.encode() if isinstance(text, str) else text
    return csv_rows(io.BytesIO(data), fields=lambda kind: FIELDS, given=given or Given(), delimiter=delimiter)


def event_of(line: Line) -> Any:
    assert line.problem is None, line.problem
    return msgspec.json.decode(line.data)


# ---- NDJSON


def test_a_line_is_an_event_and_a_wrong_one_is_named() -> None:
    lines = list(ndjson(io.BytesIO(b'{"id":"1"}\n\n  \n[1]\n{"id":\n{"id":"4"}'), line_bytes_max=100))
    assert [(line.number, line.problem is None) for line in lines] == [(1, True), (4, False), (5, False), (6, True)]


def test_a_line_that_is_too_long_is_skipped_and_the_next_is_read() -> None:
    lines = list(ndjson(io.BytesIO(b'{"x":"' + b"y" * 500 + b'"}\n{"id":"2"}\n'), line_bytes_max=100))
    assert lines[0].problem is not None
    assert lines[0].problem.code == "json.too_large"
    assert event_of(lines[1]) == {"id": "2"}


def test_a_line_that_nests_too_deep_is_refused_alone() -> None:
    deep = b'{"x":' + b"[" * 9_000 + b"]" * 9_000 + b"}"
    lines = list(ndjson(io.BytesIO(deep + b'\n{"id":"2"}'), line_bytes_max=100_000))
    assert [line.problem is None for line in lines] == [False, True]


# ---- CSV


def test_columns_become_the_event_and_its_data() -> None:
    (line,) = rows("id,source,type,subject,time,tokens,zip\n1,s,api.call,c,2026-03-01T00:00:00Z,12,0123\n")
    assert event_of(line) == {
        "id": "1",
        "source": "s",
        "type": "api.call",
        "subject": "c",
        "time": "2026-03-01T00:00:00Z",
        "data": {"tokens": 12, "zip": "0123"},
    }


def test_a_number_keeps_every_digit() -> None:
    (line,) = rows("id;source;type;subject;tokens\n1;s;api.call;c;12345678901234567890.10\n")
    assert b'"tokens":12345678901234567890.10' in line.data


def test_cells_that_are_no_number_or_truth_stay_text_for_the_type_to_judge() -> None:
    (line,) = rows("id,source,type,subject,tokens,cached,zip\n1,s,t,c,twelve,TRUE,\n")
    assert event_of(line)["data"] == {"tokens": "twelve", "cached": True}


def test_what_holds_for_the_whole_file_is_given_beside() -> None:
    (line,) = rows("id,subject,data.tokens\n1,c,5\n", given=Given(source="//app", type="api.call"))
    assert event_of(line) == {"id": "1", "source": "//app", "type": "api.call", "subject": "c", "data": {"tokens": 5}}


def test_a_missing_column_is_named_with_the_way_to_give_it() -> None:
    found = more_rows("id,subject,tokens\n1,c,5\n")
    assert isinstance(found, Problem)
    assert [error.pointer for error in found.errors] == ["source", "type"]
    assert "--source" in found.errors[0].instead


def test_a_row_of_another_length_is_refused_alone() -> None:
    lines = rows("id,source,type,subject\n1,s,t\n2,s,t,c\n")
    assert [line.number for line in lines] == [2, 3]
    assert [line.problem is None for line in lines] == [False, True]


def test_a_column_that_is_there_twice_is_refused() -> None:
    assert isinstance(more_rows("id,source,type,subject,id\n"), Problem)


def test_a_quoted_cell_may_hold_line_breaks() -> None:
    lines = rows('id,source,type,subject,zip\n1,s,t,c,"two\nlines"\n2,s,t,c,x\n')
    assert event_of(lines[0])["data"] == {"zip": "two\nlines"}
    assert event_of(lines[1])["id"] == "2"


def test_bytes_that_are_not_utf_8_are_refused_by_row() -> None:
    lines = rows(b"id,source,type,subject\n\xff,s,t,c\n2,s,t,c\n")
    assert [line.problem is None for line in lines] == [False, True]


# ---- Parquet


def written(folder: Path, columns: dict[str, Any]) -> Path:
    path = folder / "usage.parquet"
    parquet.write_table(arrow.table(columns), path)
    return path


def parquet_lines(path: Path) -> list[Line]:
    found = parquet_rows(path, given=Given(type="api.call", source="//app"))
    assert not isinstance(found, Problem), found
    return list(found)


def test_a_parquet_row_stays_exactly_what_it_is(tmp_path: Path) -> None:
    noon = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    path = written(
        tmp_path,
        {
            "id": ["1", "2"],
            "subject": ["c", "c"],
            "time": arrow.array([noon, noon], arrow.timestamp("us", tz="UTC")),
            "amount": arrow.array([Decimal("0.10"), None], arrow.decimal128(20, 2)),
            "whole": arrow.array([2**62, None], arrow.int64()),
            "floating": arrow.array([0.1, None], arrow.float64()),
            "cached": [True, None],
        },
    )
    first, second = parquet_lines(path)
    assert b'"amount":0.10' in first.data
    assert b'"whole":4611686018427387904' in first.data
    assert b'"floating":0.1' in first.data
    assert event_of(first)["time"] == "2026-03-01T12:00:00.250000+00:00"
    assert event_of(second)["data"] == {}


def test_data_may_be_a_struct_or_json(tmp_path: Path) -> None:
    (line,) = parquet_lines(written(tmp_path, {"id": ["1"], "subject": ["c"], "data": [{"tokens": 5}]}))
    assert event_of(line)["data"] == {"tokens": 5}
    (line,) = parquet_lines(written(tmp_path, {"id": ["1"], "subject": ["c"], "data": ['{"tokens":5.00}']}))
    assert b'"data":{"tokens":5.00}' in line.data
    (line,) = parquet_lines(written(tmp_path, {"id": ["1"], "subject": ["c"], "data": ["{"]}))
    assert line.problem is not None


def test_a_number_that_is_not_finite_is_refused_by_row(tmp_path: Path) -> None:
    (line,) = parquet_lines(written(tmp_path, {"id": ["1"], "subject": ["c"], "x": [float("nan")]}))
    assert line.problem is not None


def test_times_without_a_zone_are_refused_with_their_column(tmp_path: Path) -> None:
    naive = arrow.array([datetime(2026, 3, 1)], arrow.timestamp("us"))  # noqa: DTZ001 - what is refused
    found = parquet_rows(
        written(tmp_path, {"id": ["1"], "subject": ["c"], "time": naive}), given=Given(type="t", source="s")
    )
    assert isinstance(found, Problem)
    assert found.errors[0].pointer == "time"


def test_a_file_that_is_no_parquet_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"hello")
    found = parquet_rows(path, given=Given())
    assert isinstance(found, Problem)
    assert found.code == "usage.file_invalid"


@pytest.mark.parametrize("rows_of_file", [3_000])
def test_a_large_file_is_read_in_pieces(tmp_path: Path, rows_of_file: int) -> None:
    path = written(tmp_path, {"id": [str(n) for n in range(rows_of_file)], "subject": ["c"] * rows_of_file})
    assert [line.number for line in parquet_lines(path)] == list(range(1, rows_of_file + 1))
