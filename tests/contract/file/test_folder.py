"""Metered use as files: whole, in sequence, with control totals, each report once however often and by whomever it is written."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from revline.connectors.file import folder as folder_module
from revline.connectors.file.connector import FileConnector, build
from revline.connectors.file.folder import CONTROL, Folder, Layout, Row
from revline.core.clock import SystemClock
from revline.core.documents import Document, DocumentKind, Rank, UsageContent
from revline.core.farside import (
    EntityMapping,
    NotSent,
    Outcome,
    Posted,
    PrepareContext,
    PreparedStep,
    Rejected,
    Uncertain,
)
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.core.sending import MAY_SEND
from revline.platform.tenancy.kinds import Connection

CONTEXT = PrepareContext(mapping=EntityMapping(company="", accounts={}), functional_currency="USD", records={})
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def document(number: int, *, value: str = "1.5", tenant: str = "acme", meter: str = "calls") -> Document:
    reference = f"REFERENCE{number:07d}"
    content = UsageContent(
        tenant=tenant, customer=SourceObject(connection="stripe", kind="customer", outside_id='cus "a", b'),
        meter=meter, measure="quantity", value=Decimal(value), unit="call", at=MARCH, window_start=MARCH,
        window_end=datetime(2026, 4, 1, tzinfo=UTC), charges=(("charge", 1),), quantity=Decimal(value),
        amount=Decimal("0.15"), currency="USD", prepared_at=MARCH,
    )  # fmt: skip
    return Document(
        document_id=reference.lower(), kind=DocumentKind.USAGE, connection="files", entity="", book="",
        external_reference=reference, event_id="", journal_id="", lane_key="lane", rank=Rank.FEEDBACK,
        predecessors=(), currency="USD", amount=Decimal("0.15"), accounting_date=None, content=content,
    )  # fmt: skip


def connector(path: Path, layout: str = "ndjson") -> FileConnector:
    return build(
        connection=Connection(connector="file", settings={"format": layout}),
        secrets={"folder": str(path)},
        transport=None,
        clock=SystemClock(),
        random=random.Random(1),
    )


def write(one: FileConnector, *documents: Document) -> list[Outcome]:
    steps = [one.prepare(document=each, step="write", context=CONTEXT) for each in documents]
    return list(asyncio.run(one.submit(steps=[step for step in steps if isinstance(step, PreparedStep)])))


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


def references(path: Path) -> list[str]:
    """Of every row of every data file."""
    return [
        json.loads(line)["reference"]
        for each in sorted(path.glob("*.ndjson"))
        for line in each.read_text().splitlines()
    ]


@pytest.mark.parametrize("layout", ["ndjson", "csv"])
def test_reports_become_one_file_with_what_is_in_it_beside(tmp_path: Path, layout: str) -> None:
    outcomes = write(connector(tmp_path, layout), document(1), document(2, value="-0.25"), document(3, meter="bytes"))
    assert [isinstance(each, Posted) and each.record.number for each in outcomes] == [
        f"usage-00000001.{layout}#{number}" for number in (1, 2, 3)
    ]
    assert names(tmp_path) == [f"usage-00000001.{layout}", f"usage-00000001.{layout}{CONTROL}"]
    control = json.loads((tmp_path / f"usage-00000001.{layout}{CONTROL}").read_text())
    assert control["sums"] == [
        {"meter": "bytes", "measure": "quantity", "unit": "call", "rows": 1, "value": "1.5"},
        {"meter": "calls", "measure": "quantity", "unit": "call", "rows": 2, "value": "1.25"},
    ]
    content = (tmp_path / f"usage-00000001.{layout}").read_bytes()
    assert (control["rows"], control["digest"]) == (3, hashlib.sha256(content).hexdigest())
    rows = folder_module.decoded(content, Layout(layout))
    assert (rows[0].customer, rows[1].value, rows[0].charges) == ('cus "a", b', "-0.25", "charge@1")


def test_files_follow_one_another_and_name_the_one_before(tmp_path: Path) -> None:
    one = connector(tmp_path)
    write(one, document(1))
    write(one, document(2))
    first, second = (json.loads((tmp_path / f"usage-{number:08d}.ndjson{CONTROL}").read_text()) for number in (1, 2))
    assert (first["previous"], second["previous"], second["sequence"]) == ("", first["digest"], 2)


def test_what_was_written_is_not_written_again_by_anybody(tmp_path: Path) -> None:
    write(connector(tmp_path), document(1), document(2))
    again = write(connector(tmp_path), document(2), document(3), document(1))
    assert [isinstance(each, Posted) and each.record.erp_id for each in again] == [
        "usage-00000001.ndjson#2",
        "usage-00000002.ndjson#1",
        "usage-00000001.ndjson#1",
    ]
    assert len(references(tmp_path)) == 3


def test_data_files_may_be_taken_away(tmp_path: Path) -> None:
    write(connector(tmp_path), document(1))
    (tmp_path / "usage-00000001.ndjson").unlink()
    write(connector(tmp_path), document(1), document(2))
    assert references(tmp_path) == ["REFERENCE0000002"]


@pytest.mark.parametrize("call", range(1, 9))
def test_a_writer_killed_at_any_step_leaves_nothing_half_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Every call to the disk ends the writer in turn: before it, and after it."""

    class KilledError(BaseException):
        pass

    calls = iter(range(1, 100))

    def killing(real: Any) -> Any:
        def made(*given: Any, **named: Any) -> Any:
            number = next(calls)
            if number == call:
                raise KilledError
            found = real(*given, **named)
            if number == call - 1 and real is link:
                raise KilledError
            return found

        return made

    link = os.link
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", killing(os.link))
        patched.setattr(os, "fsync", killing(os.fsync))
        with contextlib.suppress(KilledError):
            Folder(path=tmp_path, layout=Layout.NDJSON).add(rows=[row(1), row(2)], may_write=lambda: True)
    Folder(path=tmp_path, layout=Layout.NDJSON).add(rows=[row(2), row(1), row(3)], may_write=lambda: True)
    assert sorted(references(tmp_path)) == [f"REFERENCE{number:07d}" for number in (1, 2, 3)]
    data = sorted(tmp_path.glob("usage-*.ndjson"))
    assert all((tmp_path / f"{each.name}{CONTROL}").exists() for each in data)


def row(number: int) -> Row:
    step = FileConnector.prepare(None, document=document(number), step="write", context=CONTEXT)  # type: ignore[arg-type]
    assert isinstance(step, PreparedStep)
    return folder_module.decoded(step.body + b"\n", Layout.NDJSON)[0]


def test_writers_at_once_write_each_report_once(tmp_path: Path) -> None:
    def run(seed: int) -> None:
        mine = Folder(path=tmp_path, layout=Layout.NDJSON)
        order = list(range(40))
        random.Random(seed).shuffle(order)
        for start in range(0, 40, 4):
            mine.add(rows=[row(number) for number in order[start : start + 4]], may_write=lambda: True)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(references(tmp_path)) == [f"REFERENCE{number:07d}" for number in range(40)]


def test_who_may_write_no_more_writes_nothing(tmp_path: Path) -> None:
    token = MAY_SEND.set(lambda: False)
    try:
        outcomes = write(connector(tmp_path), document(1))
    finally:
        MAY_SEND.reset(token)
    assert isinstance(outcomes[0], NotSent)
    assert names(tmp_path) == []


def test_a_folder_of_another_tenant_is_left_alone(tmp_path: Path) -> None:
    write(connector(tmp_path), document(1))
    refused = write(connector(tmp_path), document(2, tenant="globex"))[0]
    assert isinstance(refused, Rejected)
    assert refused.problem.code == "usage.folder_taken"
    assert len(references(tmp_path)) == 1


def test_a_folder_that_is_gone_is_uncertain_and_looked_up_later(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    one = connector(path)
    path.rmdir()
    assert isinstance(write(one, document(1))[0], Uncertain)
    path.mkdir()
    write(one, document(1))
    found = asyncio.run(
        one.lookup(kind=DocumentKind.USAGE, references=["REFERENCE0000001", "REFERENCE0000002"], company="")
    )
    assert not isinstance(found, Problem)
    assert [len(each) for each in found.values()] == [1, 0]


def test_a_connection_names_a_folder_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        connector(tmp_path / "none")
    with pytest.raises(ValueError, match="xml"):
        connector(tmp_path, "xml")
