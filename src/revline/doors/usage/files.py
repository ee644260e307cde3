"""Files of usage as events, one a line or a row: NDJSON, CSV, Parquet. It reads in pieces and holds no more than one.

A CSV or Parquet file has columns `id`, `source`, `type`, `subject` and `time`; every other column is a field of the event's data,
as is a member of a Parquet column `data`. What a file does not have may be given for all of it. Knows no log and no command line.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem
from revline.intake.imports import Line, lines_read
from revline.subledger.usage.kinds import FieldKind

ENVELOPE: Final = ("id", "source", "type", "subject", "time")
REQUIRED: Final = ("id", "source", "type", "subject")
DATA: Final = "data"
COLUMNS_MAX: Final = 200
DELIMITERS: Final = ",;\t|"
HEADER_BYTES_MAX: Final = 64 * 1024
LINE_LETTERS_MAX: Final = 1024 * 1024
ROWS_AT_ONCE: Final = 1_000
NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z", re.ASCII)
TRUTHS: Final = {"true": True, "false": False}

Fields = Callable[[str], Mapping[str, FieldKind]]
"""What the fields of a type of event hold; empty for a type nobody knows."""

define(
    code="usage.file_invalid",
    title="Not a file of usage events",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Give NDJSON of one event a line, or CSV or Parquet with the columns id, source, type, subject and time.",
)


class FileFormat(StrEnum):
    """How a file is written."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


SUFFIXES: Final = {
    ".ndjson": FileFormat.NDJSON,
    ".jsonl": FileFormat.NDJSON,
    ".json": FileFormat.NDJSON,
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".parquet": FileFormat.PARQUET,
}


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every row of a file that has no such column; "" for nothing."""

    source: str = ""
    type: str = ""
    subject: str = ""

    def columns(self) -> dict[str, str]:
        """Those that are given."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name))}


def ndjson(stream: BinaryIO, *, line_bytes_max: int) -> Iterator[Line]:
    """Each line that is not blank; one that is no JSON object, or too long, with its problem."""
    for line, _ in lines_read(stream, line_bytes_max=line_bytes_max):
        if line is None:
            continue
        found = None
        if line.too_long:
            found = problem("json.too_large", f"the line is longer than {line_bytes_max} bytes")
        elif not _is_object(line.data):
            found = problem("json.invalid", "the line is no JSON object")
        yield line if found is None else msgspec.structs.replace(line, problem=found)


def _is_object(data: bytes) -> bool:
    """Whether bytes are one JSON object, so that they can stand in an array with others."""
    if data[:1] != b"{":
        return False
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def csv_rows(stream: BinaryIO, *, fields: Fields, given: Given, delimiter: str = "") -> Iterator[Line] | Problem:
    """Each row of a CSV file with a header. An empty cell is a field that is left out. delimiter: "" to find it out."""
    header = stream.readline(HEADER_BYTES_MAX).removeprefix(b"\xef\xbb\xbf")
    try:
        text = header.decode().strip("\r\n")
    except UnicodeDecodeError:
        return problem("usage.file_invalid", "the header is not UTF-8")
    chosen = delimiter or max(DELIMITERS, key=text.count)
    names = [name.strip() for name in next(csv.reader([text], delimiter=chosen), [])]
    refused = _refused_columns(names, given)
    return refused if refused is not None else _csv_rows(stream, names, chosen, fields, given.columns())


def _csv_rows(
    stream: BinaryIO, names: Sequence[str], delimiter: str, fields: Fields, given: Mapping[str, str]
) -> Iterator[Line]:
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
    # A line longer than this is cut, and neither part has the header's number of cells.
    rows = csv.reader(iter(partial(text.readline, LINE_LETTERS_MAX), ""), delimiter=delimiter, strict=True)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            yield Line(number=rows.line_num + 1, data=b"", problem=problem("usage.file_invalid", f"the row: {error}"))
            break
        if row:
            yield _csv_row(rows.line_num + 1, row, names, fields, given)
    text.detach()


def _csv_row(number: int, row: Sequence[str], names: Sequence[str], fields: Fields, given: Mapping[str, str]) -> Line:
    raw = ",".join(row).encode("utf-8", "surrogateescape")
    if len(row) != len(names):
        found = problem("usage.file_invalid", f"the row has {len(row)} cells, the header {len(names)}")
        return Line(number=number, data=b"", problem=found, raw=raw)
    cells = {**given, **{name: cell for name, cell in zip(names, row, strict=True) if cell}}
    kinds = fields(cells.get("type", ""))
    event: dict[str, Any] = {name: cells.pop(name) for name in ENVELOPE if name in cells}
    event[DATA] = {name.removeprefix("data."): _cell(cell, kinds, name) for name, cell in cells.items()}
    try:
        return Line(number=number, data=msgspec.json.encode(event), raw=raw)
    except UnicodeEncodeError:
        return Line(number=number, data=b"", problem=problem("usage.file_invalid", "the row is not UTF-8"), raw=raw)


def _cell(cell: str, kinds: Mapping[str, FieldKind], name: str) -> Any:
    kind = kinds.get(name.removeprefix("data."))
    if kind is FieldKind.BOOLEAN:
        return TRUTHS.get(cell.lower(), cell)
    if kind is FieldKind.DECIMAL and NUMBER.match(cell):
        return msgspec.Raw(cell.encode())
    return cell


def parquet_rows(path: Path, *, given: Given) -> Iterator[Line] | Problem:
    """Each row of a Parquet file. Whole numbers, decimals, texts, truths and moments with a time zone stay exactly what they are; a
    floating number is the shortest decimal that reads back as it."""
    # Arrow takes a fifth of a second to import; only an import of Parquet needs it.
    import pyarrow as arrow  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    try:
        file = parquet.ParquetFile(path)
    except (arrow.ArrowInvalid, OSError) as error:
        return problem("usage.file_invalid", f"{path.name} is no Parquet file: {str(error)[:120]}")
    refused = _refused_columns(file.schema_arrow.names, given)
    naive = [one.name for one in file.schema_arrow if arrow.types.is_timestamp(one.type) and one.type.tz is None]
    if refused is None and naive:
        errors = tuple(FieldError(pointer=name, detail="is a time without a zone", instead="UTC") for name in naive)
        refused = problem("usage.file_invalid", f"{', '.join(naive)}: no time zone is said", errors=errors)
    return refused if refused is not None else _parquet_rows(file, given.columns())


def _parquet_rows(file: Any, given: Mapping[str, str]) -> Iterator[Line]:
    number = 0
    for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
        for row in batch.to_pylist():
            number += 1
            cells = {**given, **{name: value for name, value in row.items() if value is not None}}
            try:
                yield Line(number=number, data=_parquet_event(cells))
            except (TypeError, ValueError) as error:
                found = problem("usage.file_invalid", f"the row can't be an event: {str(error)[:120]}")
                yield Line(number=number, data=b"", problem=found)


def _parquet_event(row: dict[str, Any]) -> bytes:
    event: dict[str, Any] = {name: _plain(row.pop(name)) for name in ENVELOPE if name in row}
    data = row.pop(DATA, {})
    if isinstance(data, str):
        if not _is_object(data.encode()):
            raise ValueError("the column data holds no JSON object")
        event[DATA] = msgspec.Raw(data.encode())
    else:
        members = {**(dict(data) if isinstance(data, list) else data), **row}
        event[DATA] = {
            name.removeprefix("data."): _plain(value) for name, value in members.items() if value is not None
        }
    return msgspec.json.encode(event)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Decimal():
            return msgspec.Raw(f"{value:f}".encode())
        case float():
            if not math.isfinite(value):
                raise ValueError("a number is not finite")
            return value
        case bytes():
            return value.decode()
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case _:
            return value


def _refused_columns(names: Sequence[str], given: Given) -> Problem | None:
    known = {*names, *given.columns()}
    missing = [name for name in REQUIRED if name not in known]
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if len(names) > COLUMNS_MAX:
        return problem("usage.file_invalid", f"{len(names)} columns; at most {COLUMNS_MAX}")
    if twice:
        return problem("usage.file_invalid", f"the column {twice[0]!r} is there twice", field=twice[0])
    if missing:
        errors = tuple(
            FieldError(pointer=name, detail="no such column", instead=_instead(name, given)) for name in missing
        )
        detail = f"the file has no column {', '.join(missing)}; it has {', '.join(names)[:200]}"
        return problem("usage.file_invalid", detail, field=missing[0], errors=errors)
    return None


def _instead(name: str, given: Given) -> str:
    return (
        f"a column {name}, or --{name} for all of the file" if name in given.__struct_fields__ else f"a column {name}"
    )
