"""One HTTP call to a far system: which failures are certain, what evidence shows, which addresses are taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from revline.connectors.sdk import wire
from revline.connectors.sdk.http import HttpCaller, checked_base_url, masked, retry_after
from revline.connectors.sdk.wire import HttpAnswer
from revline.core.farside import NotSent, Uncertain
from revline.core.sending import MAY_SEND

NOW = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
SECRET = "s3cr3t-token-value"


def caller(handler: Callable[[httpx2.Request], httpx2.Response], **limits: timedelta) -> HttpCaller:
    return HttpCaller(
        base_url="https://erp.example/api",
        transport=httpx2.MockTransport(handler),
        headers={"authorization": f"Bearer {SECRET}"},
        secrets=(SECRET,),
        call_timeout=limits.get("call_timeout", timedelta(seconds=5)),
    )


def send(handler: Callable[[httpx2.Request], httpx2.Response], **limits: timedelta) -> HttpAnswer | NotSent | Uncertain:
    return asyncio.run(caller(handler, **limits).send(method="POST", path="/v1/journals", content=b"{}"))


def raising(failure: Exception) -> Callable[[httpx2.Request], httpx2.Response]:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise failure

    return handler


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (httpx2.ConnectError("refused"), "erp.unreachable"),
        (httpx2.ConnectTimeout("slow"), "erp.unreachable"),
        (httpx2.LocalProtocolError("bad header"), "erp.unreachable"),
        (httpx2.PoolTimeout("full"), "erp.busy"),
    ],
)
def test_what_failed_before_it_left_was_not_sent(failure: Exception, code: str) -> None:
    outcome = send(raising(failure))
    assert isinstance(outcome, NotSent)
    assert outcome.problem.code == code


@pytest.mark.parametrize(
    "failure",
    [
        httpx2.ReadTimeout("slow"),
        httpx2.WriteTimeout("slow"),
        httpx2.ReadError("reset"),
        httpx2.WriteError("broken pipe"),
        httpx2.CloseError("closed"),
        httpx2.RemoteProtocolError("server disconnected"),
        httpx2.ProxyError("proxy"),
        httpx2.DecodingError("not gzip"),
        OSError("network down"),
    ],
)
def test_what_failed_after_it_left_is_uncertain(failure: Exception) -> None:
    assert isinstance(send(raising(failure)), Uncertain)


@pytest.mark.parametrize("ours", [True, False])
def test_a_body_leaves_only_while_it_may_still_be_sent(ours: bool) -> None:
    got: list[bytes] = []

    async def far_side(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 2\r\n" in head.lower()
        got.append(await reader.read(2))
        writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    async def call() -> HttpAnswer | NotSent | Uncertain:
        asked: list[bool] = []
        MAY_SEND.set(lambda: asked.append(True) is None and ours)
        server = await asyncio.start_server(far_side, "127.0.0.1", 0)
        async with server:
            found = HttpCaller(
                base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
                transport=None,
                headers={},
                secrets=(),
                call_timeout=timedelta(seconds=5),
            )
            outcome = await found.send(method="POST", path="/journals", content=b"{}")
            await found.close()
            assert asked == [True]
            return outcome

    outcome = asyncio.run(call())
    assert isinstance(outcome, HttpAnswer if ours else NotSent)
    assert b"".join(got) == (b"{}" if ours else b"")


def test_an_answer_of_any_status_is_an_answer_and_a_redirect_is_not_followed() -> None:
    seen: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return httpx2.Response(302, headers={"Location": "https://elsewhere.example/"}, content=b"moved")

    outcome = send(handler)
    assert isinstance(outcome, HttpAnswer)
    assert (outcome.status, outcome.body, outcome.headers["location"]) == (302, b"moved", "https://elsewhere.example/")
    assert seen == ["https://erp.example/api/v1/journals"]


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ANSWER_BYTES_MAX", 1_000)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 400

    outcome = send(lambda request: httpx2.Response(200, content=endless()))
    assert isinstance(outcome, Uncertain)
    assert "over 1000 bytes" in outcome.evidence


def test_an_answer_that_drips_is_given_up_after_the_time_of_the_whole_call() -> None:
    async def dripping() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.005)
            yield b"x"

    outcome = send(lambda request: httpx2.Response(200, content=dripping()), call_timeout=timedelta(milliseconds=50))
    assert isinstance(outcome, Uncertain)


def test_evidence_shows_no_secret() -> None:
    outcome = send(raising(httpx2.ReadError(f"reset while sending {SECRET}")))
    assert isinstance(outcome, Uncertain)
    assert SECRET not in outcome.evidence
    assert "***" in outcome.evidence


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"access_token": "abc.def", "other": "kept"}', '{"access_token": ***, "other": "kept"}'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("password=hunter2&user=ada", "password=***&user=ada"),
        ("api-key: 'xyz' then", "api-key: *** then"),
        ("nothing here", "nothing here"),
    ],
)
def test_what_is_called_a_secret_is_masked_though_nobody_named_it(text: str, shown: str) -> None:
    assert masked(text=text, secrets=()) == shown


def test_evidence_has_a_limit() -> None:
    assert len(masked(text="a" * 100_000, secrets=())) == wire.EVIDENCE_MAX


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", timedelta(seconds=7)),
        ("0", timedelta(0)),
        ("Sat, 31 Jan 2026 09:00:30 GMT", timedelta(seconds=30)),
        ("Sat, 31 Jan 2026 08:00:00 GMT", timedelta(0)),
        ("999999", timedelta(hours=1)),
        ("99999999999999999999", timedelta(seconds=2)),
        ("soon", timedelta(seconds=2)),
        ("-5", timedelta(seconds=2)),
        ("", timedelta(seconds=2)),
    ],
)
def test_how_long_to_wait_is_what_the_far_side_says_within_bounds(header: str, wait: timedelta) -> None:
    headers = {"retry-after": header} if header else {}
    assert retry_after(headers=headers, now=NOW, default=timedelta(seconds=2)) == wait


@pytest.mark.parametrize(
    "url", ["https://erp.example", "http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:80"]
)
def test_encrypted_addresses_and_loopback_are_taken(url: str) -> None:
    assert checked_base_url(url=url + "/") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://erp.example",
        "ftp://erp.example",
        "erp.example",
        "https://u:p@erp.example",
        "https://erp.example/?a=1",
        "",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        checked_base_url(url=url)
