"""The files of one folder: written whole under the next number, never changed, found again by the references in them.

Two steps make a file, and each is a link of a finished file to its name, which fails where the name is taken: first the data file
claims the next number, then its control file says what is in it. Whoever claims a number has read every file below it, so no two
writers can write one reference. What a killed writer left is a temporary file, or a data file whose control file the next one
writes from it. Knows no document and no wire.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from revline.core.money import Amount, amount_text, decode_hook

PREFIX: Final = "usage"
CONTROL: Final = ".control.json"
TEMPORARY: Final = ".tmp-"
FILES_MAX: Final = 10_000_000
FILE_BYTES_MAX: Final = 16 * 1024 * 1024
ATTEMPTS_MAX: Final = 1_000


class Layout(StrEnum):
    """How rows are written."""

    NDJSON = "ndjson"
    CSV = "csv"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One report of use, as text: see `core.documents.UsageContent`. charges: "id@revision", separated by spaces."""

    reference: str
    tenant: str
    connection: str
    customer_connection: str
    customer: str
    meter: str
    measure: str
    value: str
    unit: str
    at: str
    window_start: str
    window_end: str
    quantity: str
    amount: str
    currency: str
    charges: str
    cancels: str
    prepared_at: str


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """A control total: the rows of a meter and measure, and what their values add up to (unit: smallest units of a currency for
    amounts)."""

    meter: str
    measure: str
    unit: str
    rows: int
    value: Amount


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """What one data file holds. digest: SHA-256 of its bytes. previous: the digest of the file before, "" of the first."""

    file: str
    sequence: int
    tenant: str
    connection: str
    rows: int
    sums: tuple[Sum, ...]
    digest: str
    previous: str
    references: tuple[str, ...]


class TakenError(Exception):
    """The folder holds files of another connection or tenant."""


class NotOursError(Exception):
    """The caller may write no more."""


class Folder:
    """One folder. It must exist; nothing else may write `usage-*` files there."""

    def __init__(self, *, path: Path, layout: Layout) -> None:
        self._path, self._layout = path, layout
        self._known: dict[str, Control] = {}
        self._last: Control | None = None

    def find(self, references: Sequence[str]) -> Mapping[str, Control]:
        """The file of each reference that was written."""
        self._read()
        return {each: self._known[each] for each in references if each in self._known}

    def add(self, *, rows: Sequence[Row], may_write: Callable[[], bool]) -> Mapping[str, Control]:
        """Write the rows that are in no file yet as the next file; the file of each row. OSError as the disk says, TakenError,
        NotOursError when may_write says no before the file appears."""
        for _ in range(ATTEMPTS_MAX):
            self._read()
            missing = [row for row in rows if row.reference not in self._known]
            if missing:
                self._refuse_others(missing[0])
                if not self._claim(missing, may_write):
                    continue
            return {row.reference: self._known[row.reference] for row in rows}
        raise OSError(f"no number was free in {ATTEMPTS_MAX} attempts")

    def _claim(self, rows: Sequence[Row], may_write: Callable[[], bool]) -> bool:
        sequence = self._sequence + 1
        name = f"{PREFIX}-{sequence:08d}.{self._layout.value}"
        if not self._appear(name, encoded(rows, self._layout), may_write):
            return False
        self._read()
        return True

    @property
    def _sequence(self) -> int:
        return 0 if self._last is None else self._last.sequence

    def _read(self) -> None:
        """Learn of every file that is new since the last time, and finish what a killed writer began."""
        for _ in range(FILES_MAX):
            control = self._control(self._sequence + 1)
            if control is None:
                return
            self._last = control
            self._known.update(dict.fromkeys(control.references, control))

    def _control(self, sequence: int) -> Control | None:
        """What file of this number there is; its control file is written when only the data file is there."""
        for layout in Layout:
            name = f"{PREFIX}-{sequence:08d}.{layout.value}"
            path = self._path / f"{name}{CONTROL}"
            if path.exists():
                return _CONTROLS.decode(path.read_bytes())
            data = self._path / name
            if data.exists():
                previous = "" if self._last is None else self._last.digest
                control = control_of(data.read_bytes(), layout=layout, file=name, sequence=sequence, previous=previous)
                self._appear(f"{name}{CONTROL}", _JSON.encode(control) + b"\n", lambda: True)
                return control
        return None

    def _refuse_others(self, row: Row) -> None:
        if self._last is not None and (self._last.tenant, self._last.connection) != (row.tenant, row.connection):
            raise TakenError(f"the folder holds files of connection {self._last.connection}")

    def _appear(self, name: str, content: bytes, may_write: Callable[[], bool]) -> bool:
        """Put a whole file under a name; False where the name is taken."""
        temporary = self._path / f"{TEMPORARY}{name}.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if not may_write():
                raise NotOursError
            try:
                os.link(temporary, self._path / name)
            except FileExistsError:
                return False
            self._sync()
            return True
        finally:
            temporary.unlink(missing_ok=True)

    def _sync(self) -> None:
        handle = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def encoded(rows: Sequence[Row], layout: Layout) -> bytes:
    """A data file's bytes."""
    if layout is Layout.NDJSON:
        return b"".join(_JSON.encode(row) + b"\n" for row in rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row.__struct_fields__)
    writer.writerows([getattr(row, name) for name in Row.__struct_fields__] for row in rows)
    return text.getvalue().encode()


def decoded(content: bytes, layout: Layout) -> tuple[Row, ...]:
    """The rows of a data file. ValueError for one that is not ours."""
    if len(content) > FILE_BYTES_MAX:
        raise ValueError("the file is longer than any that is written here")
    if layout is Layout.NDJSON:
        return tuple(_ROWS.decode(line) for line in content.splitlines())
    return tuple(msgspec.convert(row, Row) for row in csv.DictReader(io.StringIO(content.decode(), newline="")))


def control_of(content: bytes, *, layout: Layout, file: str, sequence: int, previous: str) -> Control:
    """What a data file holds, from its bytes alone."""
    rows = decoded(content, layout)
    totals: dict[tuple[str, str, str], tuple[int, Decimal]] = {}
    for row in rows:
        key = (row.meter, row.measure, row.currency if row.measure == "amount" else row.unit)
        count, value = totals.get(key, (0, Decimal(0)))
        totals[key] = (count + 1, value + Decimal(row.value))
    return Control(
        file=file,
        sequence=sequence,
        tenant=rows[0].tenant if rows else "",
        connection=rows[0].connection if rows else "",
        rows=len(rows),
        sums=tuple(
            Sum(meter=meter, measure=measure, unit=unit, rows=count, value=Decimal(amount_text(value)))
            for (meter, measure, unit), (count, value) in sorted(totals.items())
        ),
        digest=hashlib.sha256(content).hexdigest(),
        previous=previous,
        references=tuple(row.reference for row in rows),
    )


_JSON: Final = msgspec.json.Encoder(decimal_format="string")
_CONTROLS: Final = msgspec.json.Decoder(Control, dec_hook=decode_hook)
_ROWS: Final = msgspec.json.Decoder(Row)
