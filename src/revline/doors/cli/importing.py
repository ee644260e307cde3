"""`revline import`: a file of events, provider events or provider objects into one connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.cli.context import JsonOption, ReasonOption, TenantOption, actor, one_tenant, services_of
from revline.doors.cli.importing_usage import FormatOption, UsageFile, import_usage
from revline.doors.cli.output import EXIT_FAILED, emit_json, emit_rows, fail, say
from revline.doors.usage.files import Given
from revline.intake.csv_files import PLURALS, Table, lines_of, table_of
from revline.intake.imports import Importer, ImportProgress, ImportState, ImportSummary, Line
from revline.intake.values import WhenUnreadable
from revline.platform.work.pressure import Pressure

HEADER_BYTES_MAX: Final = 64 * 1024
WAIT_MINUTES_MAX: Final = 7 * 24 * 60
LOOK_SECONDS: Final = 2.0
"""Between two looks at whether an import may go on."""

WaitOption = Annotated[
    int,
    typer.Option(
        "--wait",
        min=0,
        max=WAIT_MINUTES_MAX,
        help="Minutes to wait, before it begins and between batches, while too much waits to be worked through.",
    ),
]

define(
    code="import.unreadable",
    title="The file can't be read",
    status=400,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Name a readable file of one JSON document a line.",
)
define(
    code="import.rejects_unwritable",
    title="Refused lines can't be written down",
    status=400,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Name a file that can be written with --rejects, another than the one to import.",
)


def add_import(app: typer.Typer) -> None:
    """`revline import`."""

    @app.command(name="import")
    def import_file(
        context: typer.Context,
        file: Annotated[Path, typer.Argument(help="NDJSON (CloudEvents, a provider's events or API objects) or CSV.")],
        connection_name: Annotated[
            str, typer.Option("--connection", help="The source connection they belong to.")
        ] = "",
        usage: Annotated[bool, typer.Option("--usage", help="Usage events, as NDJSON, CSV or Parquet.")] = False,
        usage_format: FormatOption = None,
        usage_type: Annotated[str, typer.Option("--type", help="Type of every usage event in the file.")] = "",
        usage_source: Annotated[str, typer.Option("--source", help="Source of every usage event in the file.")] = "",
        from_line: Annotated[
            int, typer.Option("--from-line", min=1, help="Line or row of a usage file to go on from.")
        ] = 1,
        tenant: TenantOption = "",
        kind: Annotated[
            str,
            typer.Option(
                "--kind", help="What a CSV file holds: customers, products, invoices ... Its name says it too."
            ),
        ] = "",
        delimiter: Annotated[str, typer.Option("--delimiter", help="Of a CSV file; found out when not given.")] = "",
        rejects: Annotated[
            Path | None, typer.Option("--rejects", help="Where refused lines go; FILE.rejects by default.")
        ] = None,
        keep: Annotated[bool, typer.Option("--keep", help="Keep what can't be translated, with a case.")] = False,
        wait: WaitOption = 0,
        reason: ReasonOption = "imported from a file",
        as_json: JsonOption = False,
    ) -> None:
        """Take a file in; a line that came before is a duplicate, so an import that broke off is simply run again."""
        refused = rejects or file.with_name(file.name + ".rejects")
        if usage:
            given = Given(source=usage_source, type=usage_type)
            wanted = UsageFile(
                path=file, rejects=refused, format=usage_format, given=given, delimiter=delimiter, from_line=from_line
            )
            import_usage(context, wanted, tenant=tenant, as_json=as_json)
            return
        if not connection_name:
            raise typer.BadParameter("name the --connection, or give --usage for usage events")
        wanted_facts = _FactFile(
            path=file, rejects=refused, connection=connection_name, kind=kind, delimiter=delimiter, keep=keep
        )
        _import_facts(context, wanted_facts, tenant=tenant, wait=wait, reason=reason, as_json=as_json)


@dataclass(frozen=True, kw_only=True)
class _FactFile:
    """A file of facts for one connection, and how it is to be read."""

    path: Path
    rejects: Path
    connection: str
    kind: str
    delimiter: str
    keep: bool


def _import_facts(
    context: typer.Context, file: _FactFile, *, tenant: str, wait: int, reason: str, as_json: bool
) -> None:
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        channel = services.channels.channel(tenant_id=chosen, connection=file.connection)
        if isinstance(channel, Problem):
            fail(channel, as_json=as_json)
        table = _table(file.path, file.kind, file.delimiter, channel.connector)
        if isinstance(table, Problem):
            fail(table, as_json=as_json)
        importer = Importer(
            intake=services.intake,
            clock=services.clock,
            channel=channel,
            actor=actor(),
            reason=reason,
            batch=services.settings.import_batch,
            line_bytes_max=services.settings.import_line_bytes_max,
            when_unreadable=WhenUnreadable.KEEP if file.keep else WhenUnreadable.REFUSE,
            read=partial(_rows, table=table) if table is not None else None,
        )
        gate = Gate(pressure=services.pressure, tenant_id=chosen, wait=timedelta(minutes=wait))
        summary = gate.refused() or _run(importer, file.path, file.rejects, gate)
    if isinstance(summary, Problem):
        fail(summary, as_json=as_json)
    _end(summary, file.rejects, gate, as_json=as_json)


def _end(summary: ImportSummary, refused: Path, gate: Gate, *, as_json: bool) -> None:
    _say(summary, refused, as_json=as_json)
    if summary.state is ImportState.STOPPED:
        said = f"stopped after {summary.lines} lines, which are taken in; run the same again for the others: {gate.why}"
        fail(problem("intake.held_back", said, field=gate.why), as_json=as_json)
    if summary.rejected:
        raise typer.Exit(EXIT_FAILED)


def _say(summary: ImportSummary, refused: Path, *, as_json: bool) -> None:
    if not summary.rejected:
        refused.unlink(missing_ok=True)
    if as_json:
        emit_json(summary)
    else:
        rows = [{"outcome": name, "lines": count} for name, count in sorted(summary.counts.items())]
        emit_rows(rows, columns=["outcome", "lines"], as_json=False, empty="The file is empty.")
        rows = [{"problem": code, "lines": count} for code, count in sorted(summary.codes.items())]
        if rows:
            emit_rows(rows, columns=["problem", "lines"], as_json=False, empty="")
            say(f"refused lines with their reasons: {refused}")


def _table(file: Path, kind: str, delimiter: str, connector: str) -> Table | Problem | None:
    """How a CSV file is laid out; None when the file is none (by its name, unless a kind is given)."""
    if not kind and file.suffix.lower() != ".csv":
        return None
    wanted = PLURALS.get(kind or file.stem.lower(), "")
    if not wanted:
        detail = f"it is not said what {file.name} holds; one of {', '.join(PLURALS)}"
        return problem("import.csv_invalid", detail, field="kind")
    if connector != "direct":
        detail = f"CSV goes to a connection of connector direct, not {connector}; give a file of API objects for that"
        return problem("import.csv_invalid", detail, field="connection")
    try:
        with file.open("rb") as stream:
            return table_of(header=stream.readline(HEADER_BYTES_MAX), kind=wanted, delimiter=delimiter)
    except OSError as error:
        return problem("import.unreadable", f"{file}: {error.strerror}", field=str(file))


def _rows(stream: BinaryIO, *, table: Table) -> Iterator[Line]:
    stream.readline(HEADER_BYTES_MAX)
    return lines_of(stream=stream, table=table)


class Gate:
    """Holds an import back while too much of its tenant waits to be worked through. wait: for how long in all it may stand still.

    why: the limit it was last held back for. seconds, sleep: a monotonic clock, and how to pass time on it.
    """

    def __init__(
        self,
        *,
        pressure: Pressure,
        tenant_id: str,
        wait: timedelta,
        seconds: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pressure, self._tenant_id, self._left = pressure, tenant_id, wait.total_seconds()
        self._seconds, self._sleep = seconds, sleep
        self.why = ""

    def refused(self) -> Problem | None:
        """The problem `intake.held_back` once the patience is used up; None when it may go on."""
        told = False
        while self._left > 0 and (limit := self._pressure.held(self._tenant_id)):
            if not told:
                say(f"held back by {limit} until what was taken in is worked through; waiting")
                told = True
            began = self._seconds()
            self._sleep(LOOK_SECONDS)
            self._left -= max(LOOK_SECONDS, self._seconds() - began)
        found = self._pressure.refused(self._tenant_id)
        if found is not None:
            self.why = found.field
        return found


def _run(importer: Importer, file: Path, refused: Path, gate: Gate) -> ImportSummary | Problem:
    """Opens the file to read before the one for refused lines, so that a wrong name empties neither."""
    try:
        stream = file.open("rb")
    except OSError as error:
        return problem("import.unreadable", f"{file}: {error.strerror}", field=str(file))
    with stream:
        if refused.exists() and refused.samefile(file):
            return problem("import.rejects_unwritable", f"{refused} is the file to import", field=str(refused))
        try:
            rejected = refused.open("wb")
        except OSError as error:
            return problem("import.rejects_unwritable", f"{refused}: {error.strerror}", field=str(refused))
        size = file.stat().st_size
        with rejected, _bar(size) as tell:
            held = lambda: stream.tell() < size and gate.refused() is not None  # noqa: E731 - asked between batches
            return importer.run(stream=stream, rejects=rejected, progress=tell, stop=held)


class _bar:  # noqa: N801 - used as a function that gives a context
    """A progress bar on stderr when a person is watching; silent otherwise."""

    def __init__(self, size: int) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("importing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._size = size

    def __enter__(self) -> _bar:
        self._progress.start()
        self._task = self._progress.add_task("importing", total=self._size)
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, progress: ImportProgress) -> None:
        self._progress.update(self._task, completed=progress.bytes_read)
