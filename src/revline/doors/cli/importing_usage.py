"""`revline import --usage`: a file of usage events into the usage log, through the process that owns it or else by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from revline.core.problem import Problem, problem
from revline.doors.cli.context import Program, one_tenant
from revline.doors.cli.output import EXIT_FAILED, emit_json, emit_rows, fail, say
from revline.doors.services import Services
from revline.doors.usage.files import SUFFIXES, Fields, FileFormat, Given, csv_rows, ndjson, parquet_rows
from revline.doors.usage.importing import UsageImported, UsageImporter
from revline.doors.usage.ports import UsageRoom
from revline.intake.imports import Line

FormatOption = Annotated[
    FileFormat | None, typer.Option("--format", help="How a usage file is written; its name says it too.")
]


@dataclass(frozen=True, kw_only=True)
class UsageFile:
    """A file to import, and how it is to be read. format: None for what its name says."""

    path: Path
    rejects: Path
    format: FileFormat | None
    given: Given
    delimiter: str
    from_line: int


def import_usage(context: typer.Context, file: UsageFile, *, tenant: str, as_json: bool) -> None:
    """Imports and says what became of it; ends with 1 when something was refused."""
    program: Program = context.obj
    made = program.usage()
    if isinstance(made, Problem):
        fail(made, as_json=as_json)
    services, room = made
    try:
        summary = _run(services, room, file, one_tenant(services, tenant, as_json=as_json))
    finally:
        room.close()
        services.close()
    if isinstance(summary, Problem):
        fail(summary, as_json=as_json)
    _end(summary, file, as_json=as_json)


def _run(services: Services, room: UsageRoom, file: UsageFile, tenant_id: str) -> UsageImported | Problem:
    try:
        with file.path.open("rb") as stream:
            if file.rejects.exists() and file.rejects.samefile(file.path):
                return problem("import.rejects_unwritable", f"{file.rejects} is the file to import")
            lines = _lines(stream, file, partial(room.fields_of, tenant_id), services.settings.import_line_bytes_max)
            if isinstance(lines, Problem):
                return lines
            with file.rejects.open("wb") as rejects:
                importer = UsageImporter(sink=room.sink, tenant_id=tenant_id, rejects=rejects)
                return importer.run(line for line in lines if line.number >= file.from_line)
    except OSError as error:
        return problem("import.unreadable", f"{error.filename or file.path}: {error.strerror}", field=str(file.path))


def _lines(stream: BinaryIO, file: UsageFile, fields: Fields, line_bytes_max: int) -> Iterator[Line] | Problem:
    match file.format or SUFFIXES.get(file.path.suffix.lower(), FileFormat.NDJSON):
        case FileFormat.CSV:
            return csv_rows(stream, fields=fields, given=file.given, delimiter=file.delimiter)
        case FileFormat.PARQUET:
            return parquet_rows(file.path, given=file.given)
        case FileFormat.NDJSON:
            return ndjson(stream, line_bytes_max=line_bytes_max)


def _end(summary: UsageImported, file: UsageFile, *, as_json: bool) -> None:
    if not summary.rejected:
        file.rejects.unlink(missing_ok=True)
    if as_json:
        emit_json(summary)
    else:
        rows = [{"verdict": name, "events": count} for name, count in sorted(summary.counts.items())]
        emit_rows(rows, columns=["verdict", "events"], as_json=False, empty="The file is empty.")
        codes = [{"problem": code, "events": count} for code, count in sorted(summary.codes.items())]
        if codes:
            emit_rows(codes, columns=["problem", "events"], as_json=False, empty="")
            say(f"refused events with their reasons: {file.rejects}")
    if summary.stopped is not None:
        why = f"{summary.stopped.detail}; go on with --from-line {summary.through + 1}"
        fail(problem("usage.import_stopped", why, field=summary.stopped.code), as_json=as_json)
    if summary.rejected:
        raise typer.Exit(EXIT_FAILED)
