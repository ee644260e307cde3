"""Files into the usage log: verdicts counted, refused events written down, an import that broke off run again or gone on with."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from revline.core.problem import problem
from revline.doors.usage import importing
from revline.doors.usage.files import ndjson
from revline.doors.usage.importing import UsageImported, UsageImporter
from revline.doors.usage.receiving import Receiver
from tests.fakes.usage import MemoryLog
from tests.integration.cli.conftest import Cli
from tests.integration.usage.conftest import event
from tests.integration.usage.world import receiver_in


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiver_in(tmp_path) as made:
        yield made


def lines_of(*events: object) -> bytes:
    return b"\n".join(each if isinstance(each, bytes) else msgspec.json.encode(each) for each in events)


def imported(sink: Receiver | MemoryLog, data: bytes) -> tuple[UsageImported, list[dict[str, object]]]:
    rejects = io.BytesIO()
    importer = UsageImporter(sink=sink, tenant_id="alpha", rejects=rejects, sleep=lambda _: None)
    summary = importer.run(ndjson(io.BytesIO(data), line_bytes_max=100_000))
    return summary, [msgspec.json.decode(line) for line in rejects.getvalue().splitlines()]


def test_every_line_is_answered_and_refused_ones_are_written_down(receiver: Receiver) -> None:
    data = lines_of(event(1), event(1), event(1, subject="x"), b"{", event(2, data={"tokens": "many"}), event(3))
    summary, rejects = imported(receiver, data)
    assert summary.counts == {"accepted": 2, "duplicate": 1, "conflict": 1, "invalid": 2}
    assert (summary.events, summary.through, summary.rejected, summary.stopped) == (6, 6, 3, None)
    assert [(one["line"], one["problem"]["code"]) for one in rejects] == [  # type: ignore[index]
        (3, "usage.conflict"),
        (4, "json.invalid"),
        (5, "usage.event_invalid"),
    ]


def test_run_again_everything_is_a_duplicate(receiver: Receiver) -> None:
    data = lines_of(*(event(number) for number in range(5_000)))
    assert imported(receiver, data)[0].counts == {"accepted": 5_000}
    assert imported(receiver, data)[0].counts == {"duplicate": 5_000}


def test_a_log_that_is_full_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    log.refusal = problem("usage.under_way", "full")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            log.refusal = None

    importer = UsageImporter(sink=log, tenant_id="alpha", rejects=io.BytesIO(), sleep=sleep)
    summary = importer.run(ndjson(io.BytesIO(lines_of(event(1), event(2))), line_bytes_max=1_000))
    assert summary.counts == {"accepted": 2}
    assert len(slept) == 3


def test_a_log_that_stops_ends_the_import_at_a_line_without_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_EVENTS", 10)
    log = MemoryLog()
    data = lines_of(*(event(number) for number in range(100)))

    class Stopping(MemoryLog):
        def submit_each(self, **given: object) -> None:
            if len(log.stored) >= 30:
                log.refusal = problem("usage.log_stopped", "a write failed")
            log.submit_each(**given)  # type: ignore[arg-type]

    summary, _ = imported(Stopping(), data)
    assert summary.stopped is not None
    assert summary.stopped.code == "usage.log_stopped"
    assert (summary.through, summary.counts) == (30, {"accepted": 30})


# ---- the command

TYPES = """apiVersion: revline/v1
kind: EventType
metadata: {name: api-call, tenant: acme}
spec: {title: API calls, type: api.call, fields: {tokens: {kind: decimal}, cached: {kind: boolean}}}
"""


@pytest.fixture
def cli(app_dsn: str, owner_dsn: str, tmp_path: Path) -> Cli:
    made = Cli({"REVLINE_DSN": app_dsn, "REVLINE_OWNER_DSN": owner_dsn, "REVLINE_DATA_FOLDER": str(tmp_path / "data")})
    made("init", tmp_path / "starter")
    (tmp_path / "starter" / "90-usage.yaml").write_text(TYPES, encoding="utf-8")
    made("config", "apply", tmp_path / "starter")
    return made


def test_the_command_takes_ndjson_and_csv(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "usage.ndjson"
    file.write_bytes(lines_of(*(event(number) for number in range(30))))
    assert cli("import", file, "--usage", "--json").data["counts"] == {"accepted": 30}
    assert cli("import", file, "--usage", "--json", "--from-line", "21").data["counts"] == {"duplicate": 10}
    table = tmp_path / "usage.csv"
    table.write_text(
        "id,subject,time,tokens,cached\nx1,cus_1,2026-03-01T00:00:00Z,5,true\nx2,cus_1,2026-03-01T00:00:00Z,5.5,no\n"
    )
    told = cli("import", table, "--usage", "--type", "api.call", "--source", "//app", "--json", code=1).data
    assert told["counts"] == {"accepted": 1, "invalid": 1}
    assert "line" in (tmp_path / "usage.csv.rejects").read_text()


def test_a_file_that_is_not_what_it_says_is_refused_with_the_next_step(cli: Cli, tmp_path: Path) -> None:
    table = tmp_path / "usage.csv"
    table.write_text("name\nx\n")
    told = cli.refused("import", table, "--usage", problem="usage.file_invalid")
    assert {error["pointer"] for error in told["errors"]} == {"id", "source", "type", "subject"}
    cli.refused("import", tmp_path / "nothing.ndjson", "--usage", problem="import.unreadable")


def test_without_a_connection_or_usage_it_is_said_what_is_missing(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    file.write_text("{}")
    assert "--connection" in cli("import", file, code=2).said
