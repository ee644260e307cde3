"""The wire to Tryton: what each kind of answer means, on answers as a Tryton 8.2 gives them."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from revline.connectors.tryton import client as wire
from revline.connectors.tryton.client import FailureKind, TrytonClient, TrytonFailure

Answer = Callable[[dict[str, Any], httpx2.Request], httpx2.Response]


def answered(value: object, *, headers: dict[str, str] | None = None) -> httpx2.Response:
    body = json.dumps(value, default=wire.encode_value).encode()
    return httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(body))


def refused(status: int) -> httpx2.Response:
    return httpx2.Response(status, stream=httpx2.ByteStream(b"<!doctype html>"))


class Tryton(httpx2.AsyncBaseTransport):
    """Answers log-ins with sessions of its own and every other call by the test's function."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.sessions = 0
        self.seen: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(await request.aread())
        if body["method"] == "common.db.login":
            self.sessions += 1
            return answered({"id": body["id"], "result": [7, f"session-{self.sessions}", None]})
        self.seen.append(body)
        return self.answer(body, request)


def call(answer: Answer | Tryton, *parameters: Any) -> Any:
    async def run() -> Any:
        transport = answer if isinstance(answer, Tryton) else Tryton(answer)
        client = TrytonClient(
            base_url="http://127.0.0.1:1",
            database="books",
            user="revline",
            password="not-to-be-shown",
            call_timeout_seconds=1,
            transport=transport,
        )
        try:
            return await client.call("model.account.move.create", *parameters, context={"company": 1})
        finally:
            await client.close()

    return asyncio.run(run())


def failure_of(answer: Answer) -> TrytonFailure:
    with pytest.raises(TrytonFailure) as caught:
        call(answer)
    return caught.value


def error(*parts: Any) -> Answer:
    return lambda body, _: answered({"id": body["id"], "error": list(parts)})


def test_amounts_and_days_travel_exactly_and_no_float_comes_back() -> None:
    def answer(body: dict[str, Any], _: httpx2.Request) -> httpx2.Response:
        return answered({"id": 1, "result": [*body["params"][0], Decimal("0.10"), 1.5]})

    result = call(answer, [Decimal("12345678901234.55"), date(2026, 2, 28)])
    assert result == [Decimal("12345678901234.55"), date(2026, 2, 28), Decimal("0.10"), Decimal("1.5")]
    assert all(not isinstance(value, float) for value in result)


def test_the_context_goes_last_in_every_call() -> None:
    transport = Tryton(lambda *_: answered({"id": 1, "result": 1}))
    call(transport, [1])
    assert transport.seen[0]["params"] == [[1], {"company": 1}]


def test_a_forgotten_session_is_renewed_once() -> None:
    def answer(body: dict[str, Any], request: httpx2.Request) -> httpx2.Response:
        del body
        if transport.sessions == 1:
            return refused(401)
        return answered({"id": 1, "result": request.headers["authorization"]})

    transport = Tryton(answer)
    assert str(call(transport)).startswith("Session ")
    assert (transport.sessions, len(transport.seen)) == (2, 2)


def test_credentials_refused_twice_are_refused() -> None:
    assert failure_of(lambda *_: refused(401)).kind is FailureKind.CREDENTIALS


@pytest.mark.parametrize("compress", [True, False])
def test_an_answer_labelled_gzip_is_read_whether_or_not_it_is(compress: bool) -> None:
    def answer(body: dict[str, Any], _: httpx2.Request) -> httpx2.Response:
        plain = json.dumps({"id": body["id"], "result": "x" * 2_000}).encode()
        content = gzip.compress(plain) if compress else plain
        return httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx2.ByteStream(content))

    assert call(answer) == "x" * 2_000


def test_an_answer_that_unpacks_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ANSWER_BYTES_MAX", 10_000)
    found = failure_of(lambda *_: httpx2.Response(200, stream=httpx2.ByteStream(gzip.compress(b"0" * 1_000_000))))
    assert found.kind is FailureKind.UNCERTAIN


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        (("UserError", ["To continue, you must reopen the period.", "", None]), FailureKind.REFUSED),
        (("UserError", ["Um fortzufahren, muss die Periode geöffnet werden.", "", None]), FailureKind.REFUSED),
        (("ConcurrencyException", "changed"), FailureKind.CONFLICT),
        (("'no.such'", ""), FailureKind.FAULT),
    ],
)
def test_errors_are_told_apart_by_kind_in_any_language(parts: tuple[Any, ...], kind: FailureKind) -> None:
    assert failure_of(error(*parts)).kind is kind


def test_a_warning_has_the_name_it_is_acknowledged_by() -> None:
    found = failure_of(error("UserWarning", ["0a1b.invoice_payment_term", "a payment date in the past", ""]))
    assert (found.kind, found.name) == (FailureKind.WARNING, "0a1b.invoice_payment_term")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, FailureKind.FORBIDDEN),
        (429, FailureKind.THROTTLED),
        (503, FailureKind.BUSY),
        (500, FailureKind.UNCERTAIN),
        (504, FailureKind.UNCERTAIN),
    ],
)
def test_statuses(status: int, kind: FailureKind) -> None:
    assert failure_of(lambda *_: refused(status)).kind is kind


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"id": 1}', b'{"id":1,"result":{"__class__":"Decimal"}}'])
def test_an_answer_that_can_not_be_read_is_uncertain(body: bytes) -> None:
    answer = failure_of(lambda *_: httpx2.Response(200, stream=httpx2.ByteStream(body)))
    assert answer.kind is FailureKind.UNCERTAIN


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (httpx2.ConnectError("refused"), FailureKind.UNREACHABLE),
        (httpx2.ConnectTimeout("slow"), FailureKind.UNREACHABLE),
        (httpx2.ReadTimeout("slow"), FailureKind.UNCERTAIN),
        (httpx2.ReadError("reset"), FailureKind.UNCERTAIN),
        (httpx2.RemoteProtocolError("gone"), FailureKind.UNCERTAIN),
        (httpx2.WriteError("reset"), FailureKind.UNCERTAIN),
    ],
)
def test_only_what_never_left_is_certain_to_have_no_effect(trouble: Exception, kind: FailureKind) -> None:
    def answer(body: dict[str, Any], request: httpx2.Request) -> httpx2.Response:
        del body, request
        raise trouble

    assert failure_of(answer).kind is kind


def test_no_failure_shows_the_password() -> None:
    found = failure_of(error("UserError", ["no", "", None]))
    assert "not-to-be-shown" not in f"{found} {found.message} {found.name}"
