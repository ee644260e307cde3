"""Import of NDJSON: streamed, in batches, with rejects that say what was wrong, and safe to run again."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

from sqlalchemy import text

from revline.intake.imports import Importer, ImportProgress, ImportState, ImportSummary
from revline.intake.service import Intake
from revline.intake.values import Outcome
from revline.platform.store.engine import Database
from tests.integration.intake.conftest import StandingClock, line, shop


def run(intake: Intake, data: bytes, **more: Any) -> tuple[ImportSummary, list[dict[str, Any]], list[ImportProgress]]:
    seen: list[ImportProgress] = []
    rejects = io.BytesIO()
    limits = {name: more.pop(name) for name in ("batch", "line_bytes_max") if name in more}
    importer = Importer(
        intake=intake, clock=StandingClock(), channel=shop(), actor="person:ops", reason="import", **limits
    )
    summary = importer.run(stream=io.BytesIO(data), rejects=rejects, progress=seen.append, **more)
    return summary, [json.loads(one) for one in rejects.getvalue().splitlines()], seen


def lines(*numbers: int) -> bytes:
    return b"".join(line(f"m{number}", f"cus_{number}").body + b"\n" for number in numbers)


def units(database: Database) -> int:
    with database.read(tenants=["alpha"]) as connection:
        return int(connection.execute(text("SELECT count(*) FROM unit WHERE tenant_id = 'alpha'")).scalar_one())


def test_a_file_comes_in_by_batches_and_again_changes_nothing(intake: Intake, database: Database) -> None:
    data = lines(*range(25))
    summary, rejects, seen = run(intake, data, batch=10)
    assert (summary.facts, summary.lines, summary.rejected, summary.bytes_read) == (25, 25, 0, len(data))
    assert [one.lines for one in seen] == [10, 20, 25]
    assert seen[-1].bytes_read == len(data)
    assert rejects == []
    assert units(database) == 3
    again, _, _ = run(intake, data, batch=10)
    assert again.counts == {"duplicate": 25}
    assert units(database) == 3


def test_a_stopped_import_goes_on_where_it_was(intake: Intake) -> None:
    first, _, _ = run(intake, lines(*range(25)), batch=10, stop=lambda: True)
    assert (first.state, first.facts) == (ImportState.STOPPED, 10)
    second, _, _ = run(intake, lines(*range(25)), batch=10)
    assert (second.state, second.facts, second.counts) == (
        ImportState.COMPLETE,
        15,
        {"duplicate": 10, "accepted": 15},
    )


def test_what_is_refused_is_in_the_rejects_with_its_line_and_reason(intake: Intake) -> None:
    data = b"\xef\xbb\xbf" + lines(1) + b"\n  \r\n{broken\n\xff\xfe\n" + b'"' + b"x" * 500 + b'"\n' + lines(2)
    summary, rejects, _ = run(intake, data + line("m1", "cus_1", text="Eve").body, line_bytes_max=200)
    assert summary.facts == 2
    assert [(one["line"], one["problem"]["code"]) for one in rejects] == [
        (4, "json.invalid"),
        (5, "json.invalid"),
        (6, "json.too_large"),
        (8, "intake.conflict"),
    ]
    assert rejects[0]["raw"] == "{broken"
    assert base64.b64decode(rejects[1]["raw_base64"]) == b"\xff\xfe"
    assert rejects[2]["cut"] is True
    assert summary.counts == {Outcome.ACCEPTED: 2, Outcome.INVALID: 3, Outcome.CONFLICT: 1}
    assert summary.codes == {"json.invalid": 2, "json.too_large": 1, "intake.conflict": 1}


def test_an_empty_file_is_an_empty_import(intake: Intake) -> None:
    summary, rejects, seen = run(intake, b"")
    assert (summary.lines, summary.counts, rejects, seen) == (0, {}, [], [])
