"""Logs: one JSON object a line, with fields of an allow-list only: no bodies, secrets, personal data or others' messages.

An event is a constant dotted name (`intake.accepted`), never a sentence with values in it; what varies goes into the
allowed fields. Whatever else a caller, a library or an exception brings is dropped and counted in `dropped`. This module
knows no room.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, Final, TextIO

import structlog

FIELDS: Final = frozenset(
    {
        "act_id", "actor_key", "application", "attempt", "attempts", "batch", "bytes", "case_id", "cause_id", "code", "component",
        "connection", "connector", "correlation_id", "count", "counts", "document_id", "document_kind",
        "duration_milliseconds", "entity", "event", "event_id", "event_kind", "fact_id", "host",
        "journal_id", "kind", "lane_id", "level", "limit", "logger", "method", "outcome", "owner", "pool",
        "port", "position", "process_id", "queue", "reason_code", "retry_after_seconds", "role", "root_id",
        "route", "signal", "state", "status", "tenant_id", "timestamp", "version",
    }
)  # fmt: skip
"""What a log line may hold besides `dropped`, `error_type` and `error_place`: our ids, names, codes, counts and sizes."""

EVENT_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*\Z")
TEXT_VALUE: Final = re.compile(r"[A-Za-z0-9_.:/{} +-]{0,128}\Z")
ALWAYS: Final = ("event", "level", "timestamp")
UNNAMED_EVENT: Final = "log.unnamed"
HIDDEN: Final = "(not shown)"


def _value(value: object) -> object:
    """A number, a truth or a short plain text; anything else is hidden, since it may be a secret or someone's name."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value if TEXT_VALUE.match(value) else HIDDEN
    return HIDDEN


def allow(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: keeps the allow-list, drops the rest, reduces an exception to its type and place."""
    error = fields.pop("exc_info", None)
    kept: dict[str, Any] = {name: _value(value) for name, value in fields.items() if name in FIELDS}
    event = fields.get("event")
    kept["event"] = event if isinstance(event, str) and EVENT_NAME.match(event) else UNNAMED_EVENT
    dropped = sum(1 for name in fields if name not in FIELDS and not name.startswith("_"))
    if dropped:
        kept["dropped"] = dropped
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple) and len(error) == 3:
        error = error[1]
    if isinstance(error, BaseException):
        kept["error_type"] = type(error).__name__
        kept["error_place"] = _place(error)
    return kept


def _place(error: BaseException) -> str:
    """The innermost file and line of the exception; its text stays out, since it may quote what was being read."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


class _LibraryHandler(logging.Handler):
    """Takes what libraries log through the standard module: who and how bad, never their text."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger()
        if record.exc_info and record.exc_info[1] is not None:
            logger.log(record.levelno, "library.logged", logger=record.name, exc_info=record.exc_info[1])
        else:
            logger.log(record.levelno, "library.logged", logger=record.name)


def configure(*, stream: TextIO, level: str = "info", libraries: bool = True) -> None:
    """Send all logs of this process to `stream` as JSON lines from `level` up; once, at start, by app.

    libraries: also those of the standard logging module, from warning up.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            allow,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    if libraries:
        root = logging.getLogger()
        root.handlers[:] = [_LibraryHandler(level=logging.WARNING)]
        root.setLevel(logging.WARNING)


def log() -> structlog.typing.FilteringBoundLogger:
    """The logger of whatever calls it; events are constant dotted names."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


@contextlib.contextmanager
def correlated(*, correlation_id: str) -> Iterator[None]:
    """Every log line inside carries the correlation id."""
    with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
        yield
