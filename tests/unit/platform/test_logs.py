"""Logs hold an allow-list of fields; planted secrets and names are not found in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from revline.platform import logs

CANARIES = ("sk_live_canary", "ada.lovelace@canary.example", "Ada Canary", "hunter2-canary")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    found = io.StringIO()
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    logs.configure(stream=found, level="info")
    yield found
    structlog.reset_defaults()
    root.handlers[:], _ = before
    root.setLevel(before[1])


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_allowed_fields_are_written_with_the_correlation_id(stream: io.StringIO) -> None:
    with logs.correlated(correlation_id="c-1"):
        logs.log().info("intake.accepted", tenant_id="alpha", count=3)
    (line,) = lines(stream)
    assert {name: line[name] for name in ("event", "level", "tenant_id", "count", "correlation_id")} == {
        "event": "intake.accepted",
        "level": "info",
        "tenant_id": "alpha",
        "count": 3,
        "correlation_id": "c-1",
    }


def test_planted_secrets_and_names_are_not_in_the_log(stream: io.StringIO) -> None:
    key, email, name, password = CANARIES
    logs.log().info("intake.accepted", body=key, customer=name, headers={"Authorization": key})
    logs.log().info(f"accepted {name}", code=email, detail=password)
    logs.log().info(
        "intake.accepted", outcome={"nested": key}, connection=f"{name} <{email}>", version=b"x" + key.encode()
    )
    try:
        raise ValueError(f"bad password {password}")
    except ValueError:
        logs.log().exception("intake.failed")
    logging.getLogger("library").warning("connecting as %s with %s", email, password)
    logging.getLogger("library").error(password, exc_info=ValueError(key))
    written = stream.getvalue()
    assert len(lines(stream)) == 6
    for canary in (*CANARIES, "canary", "hunter2"):
        assert canary not in written
    assert lines(stream)[0]["dropped"] == 3
    assert lines(stream)[1]["event"] == "log.unnamed"
    assert lines(stream)[3]["error_type"] == "ValueError"
    assert lines(stream)[4]["logger"] == "library"


def test_lower_levels_stay_out(stream: io.StringIO) -> None:
    logs.log().debug("intake.detail")
    logging.getLogger("library").info("chatter")
    assert lines(stream) == []
