"""Messages as Standard Webhooks 1.0 has them, judged by its own library; answers as the specification reads them."""

from __future__ import annotations

import asyncio
import gzip
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx2
import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from revline.connectors.webhook.connector import WebhookConnector, build
from revline.connectors.webhook.guarding import GuardedTransport, is_public
from revline.connectors.webhook.signing import key_of
from revline.core.documents import Document, DocumentKind, FeedbackContent, Rank
from revline.core.farside import (
    EntityMapping,
    NotSent,
    Outcome,
    Posted,
    PrepareContext,
    PreparedStep,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.ids import SourceObject, external_reference
from revline.core.problem import Problem
from revline.platform.tenancy.kinds import Connection

OLD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"data":{"id":"é"},"timestamp":"2026-11-21T12:00:00.000000Z","type":"document.posted"}'
URL = "https://hooks.example/in/path?tenant=a"
CONTEXT = PrepareContext(mapping=EntityMapping(company="", accounts={}), functional_currency="", records={})


class NowClock:
    """The present, because the independent verifier compares with it."""

    def now(self) -> datetime:
        return datetime.now(tz=UTC)


def message(body: str = BODY) -> Document:
    identity = "abcdefghijklmnopqrstuvwxyz"
    return Document(
        document_id=identity,
        kind=DocumentKind.FEEDBACK,
        connection="hooks",
        entity="",
        book="",
        external_reference=external_reference(document=identity),
        event_id="",
        journal_id="",
        lane_key="lane",
        rank=Rank.FEEDBACK,
        predecessors=(),
        currency="",
        amount=Decimal(0),
        accounting_date=None,
        content=FeedbackContent(
            target=SourceObject(connection="stripe", kind="invoice", outside_id="in_1"),
            message_type="document.posted",
            data=body,
        ),
    )


async def public(host: str, port: int) -> Sequence[str]:
    return ("203.0.114.7",)


def connector(
    answer: Callable[[httpx2.Request], httpx2.Response],
    *,
    secrets: dict[str, str] | None = None,
    url: str = URL,
    **settings: str,
) -> WebhookConnector:
    return build(
        connection=Connection(connector="webhook", settings={"url": url, **settings}),
        secrets=secrets or {"signing": NEW},
        transport=httpx2.MockTransport(answer),
        clock=NowClock(),
        random=random.Random(1),
        resolving=public,
    )


def send(one: WebhookConnector) -> Outcome:
    step = one.prepare(document=message(), step="send", context=CONTEXT)
    assert isinstance(step, PreparedStep), step
    (outcome,) = asyncio.run(one.submit(steps=[step]))
    return outcome


def status(code: int, **headers: str) -> Callable[[httpx2.Request], httpx2.Response]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx2.Response(code, headers=given, text="said the endpoint")


def test_the_independent_library_verifies_a_message() -> None:
    got: list[httpx2.Request] = []
    outcome = send(connector(lambda request: got.append(request) or httpx2.Response(204)))
    assert isinstance(outcome, Posted)
    (request,) = got
    verified = Webhook(NEW).verify(request.content, dict(request.headers))
    assert verified["type"] == "document.posted"
    assert request.content == BODY.encode()
    assert str(request.url) == URL
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"].startswith("msg_")
    assert outcome.record.number == request.headers["webhook-id"]


def test_while_a_secret_is_rotated_both_verify_and_no_third_does() -> None:
    got: list[httpx2.Request] = []
    send(connector(lambda request: got.append(request) or httpx2.Response(200), secrets={"a": OLD, "b": NEW}))
    for secret in (OLD, NEW):
        Webhook(secret).verify(got[0].content, dict(got[0].headers))
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(got[0].content, dict(got[0].headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(got[0].content + b" ", dict(got[0].headers))


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_every_2xx_is_done(code: int) -> None:
    assert isinstance(send(connector(status(code))), Posted)


@pytest.mark.parametrize(
    ("code", "problem_code"),
    [
        (301, "webhook.refused"),
        (307, "webhook.refused"),
        (400, "webhook.refused"),
        (401, "webhook.refused"),
        (404, "webhook.refused"),
        (410, "webhook.endpoint_gone"),
    ],
)
def test_a_refusal_becomes_a_case(code: int, problem_code: str) -> None:
    outcome = send(connector(status(code, location="https://elsewhere.example/")))
    assert isinstance(outcome, Rejected)
    assert outcome.problem.code == problem_code
    assert "said the endpoint" in outcome.evidence


@pytest.mark.parametrize(("code", "seconds"), [(429, 17), (503, 17)])
def test_retry_after_is_kept(code: int, seconds: int) -> None:
    assert send(connector(status(code, retry_after=str(seconds)))) == Throttled(retry_after=timedelta(seconds=seconds))


@pytest.mark.parametrize("code", [500, 502, 503, 504, 408])
def test_a_failing_endpoint_is_tried_again(code: int) -> None:
    assert isinstance(send(connector(status(code))), Uncertain)


def test_a_redirect_is_not_followed() -> None:
    got: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        got.append(request)
        return httpx2.Response(308, headers={"location": "https://elsewhere.example/"})

    send(connector(answer))
    assert len(got) == 1


def test_an_answer_packed_more_than_once_is_not_unpacked() -> None:
    packed = gzip.compress(gzip.compress(b"0" * 50_000_000))

    class Packed(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield packed

    headers = {"content-encoding": "gzip, gzip"}
    tracemalloc.start()
    outcome = send(connector(lambda request: httpx2.Response(500, headers=headers, stream=Packed())))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(outcome, Uncertain)
    assert "packed more than once" in outcome.evidence
    assert peak < 20_000_000


def test_a_lost_answer_is_uncertain_and_shows_neither_secret_nor_path() -> None:
    def lost(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout(f"no answer from {request.url} with {NEW}")

    outcome = send(connector(lost))
    assert isinstance(outcome, Uncertain)
    assert NEW not in outcome.evidence
    assert "/in/path" not in outcome.evidence


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104 - an address to refuse
        "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "not an address", "fec0::1", "192.0.0.8", "192.88.99.1", "64:ff9b:1::7f00:1", "3fff::1", "5f00::1",
        "::127.0.0.1", "::ffff:0:7f00:1", "fe80::1%eth0", "2001:0:7f00:1::1", "fd00:ec2::254", "198.18.0.1", "240.0.0.1",
    ],
)  # fmt: skip
def test_no_message_goes_to_an_address_inside(address: str) -> None:
    assert not is_public(address)

    async def inside(host: str, port: int) -> Sequence[str]:
        return (address,)

    one = build(
        connection=Connection(connector="webhook", settings={"url": URL}),
        secrets={"signing": NEW},
        transport=httpx2.MockTransport(status(200)),
        clock=NowClock(),
        random=random.Random(1),
        resolving=inside,
    )
    outcome = send(one)
    assert isinstance(outcome, NotSent)
    assert outcome.problem.code == "webhook.address_forbidden"


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_an_address_outside_is_taken(address: str) -> None:
    assert is_public(address)


def test_a_name_with_one_address_inside_is_refused_whole() -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return ("8.8.8.8", "127.0.0.1")

    one = build(
        connection=Connection(connector="webhook", settings={"url": URL}),
        secrets={"signing": NEW},
        transport=httpx2.MockTransport(status(200)),
        clock=NowClock(),
        random=random.Random(1),
        resolving=both,
    )
    outcome = send(one)
    assert isinstance(outcome, NotSent)


def test_a_name_that_changes_its_answer_between_check_and_call_gains_nothing() -> None:
    """The check sees a public address, the call's own look-up a private one: the wall of the transport stands by itself."""

    async def run() -> tuple[Outcome, int]:
        server, calls = await listening(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        port = server.sockets[0].getsockname()[1]
        answers = [("8.8.8.8",), ("127.0.0.1",)]

        async def rebinding(host: str, asked: int) -> Sequence[str]:
            return answers.pop(0)

        one = build(
            connection=Connection(connector="webhook", settings={"url": f"http://localhost:{port}/"}),
            secrets={"signing": NEW},
            transport=GuardedTransport(slots=1, resolving=rebinding),
            clock=NowClock(),
            random=random.Random(1),
            resolving=rebinding,
        )
        step = one.prepare(document=message(), step="send", context=CONTEXT)
        assert isinstance(step, PreparedStep)
        (outcome,) = await one.submit(steps=[step])
        await one.close()
        server.close()
        return outcome, len(calls)

    outcome, calls = asyncio.run(run())
    assert isinstance(outcome, NotSent)
    assert calls == 0


def test_an_endpoint_in_ones_own_network_is_reached_when_the_setting_allows_it() -> None:
    async def run() -> tuple[Outcome, bytes]:
        server, calls = await listening(b"HTTP/1.1 204 No Content\r\n\r\n")
        port = server.sockets[0].getsockname()[1]
        one = build(
            connection=Connection(
                connector="webhook", settings={"url": f"http://127.0.0.1:{port}/hook", "allowPrivate": "true"}
            ),
            secrets={"signing": NEW},
            transport=None,
            clock=NowClock(),
            random=random.Random(1),
        )
        step = one.prepare(document=message(), step="send", context=CONTEXT)
        assert isinstance(step, PreparedStep)
        (outcome,) = await one.submit(steps=[step])
        await one.close()
        server.close()
        return outcome, calls[0]

    outcome, request = asyncio.run(run())
    assert isinstance(outcome, Posted)
    head, _, body = request.partition(b"\r\n\r\n")
    headers = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:])
    Webhook(NEW).verify(body, {name.lower(): value for name, value in headers.items()})


def test_a_write_back_is_not_for_endpoints() -> None:
    one = connector(status(200))
    content = FeedbackContent(target=SourceObject(connection="a", kind="b", outside_id="c"), fields=(("x", "1"),))
    found = one.prepare(document=msgspec.structs.replace(message(), content=content), step="send", context=CONTEXT)
    assert isinstance(found, Problem)
    assert found.code == "erp.kind_unsupported"


@pytest.mark.parametrize("secret", ["", "nothing", "whsec_", "whsec_!!!", "whsec_QUJD", "whsec_" + "A" * 200])
def test_a_malformed_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="signing secret") as refused:
        key_of(secret)
    assert not secret or secret[6:] == "" or secret not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("http://hooks.example/", {}),
        ("https://user:password@hooks.example/", {}),
        ("https:///path", {}),
        (URL, {"timeoutSeconds": "0"}),
        (URL, {"slots": "1000"}),
    ],
)
def test_a_connection_that_can_not_be_is_refused(url: str, settings: dict[str, str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each names another thing
        connector(status(200), url=url, **settings)


async def listening(answer: bytes) -> tuple[asyncio.Server, list[bytes]]:
    """A server on a free port of the loopback that keeps what it got."""
    calls: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        calls.append(head + await reader.readexactly(length))
        writer.write(answer)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0), calls
