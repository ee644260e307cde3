"""A call over the network to a far side that misbehaves: what left, what did not, how often, and what is let in."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx2
import pytest

from revline.connectors.sdk import network, wire
from revline.connectors.sdk.http import HttpCaller
from revline.connectors.sdk.wire import HttpAnswer
from revline.core.farside import NotSent, Uncertain
from revline.core.sending import MAY_SEND
from tests.unit.sdk.rough_far_side import Behave, RoughFarSide, answer, header, raw, reset, silent

Story = Callable[[RoughFarSide], Awaitable[None]]
SHORT = timedelta(milliseconds=80)


def live(story: Story, behave: Behave | None = None) -> None:
    async def whole() -> None:
        async with RoughFarSide(behave) as far:
            await story(far)

    asyncio.run(whole())


async def post(caller: HttpCaller, *, method: str = "POST", path: str = "/journals", content: bytes = b"{}") -> object:
    return await caller.send(method=method, path=path, content=content)


def test_nobody_listens_so_nothing_was_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        async def call() -> object:
            caller = HttpCaller(base_url=url, transport=None, headers={}, secrets=(), call_timeout=timedelta(seconds=5))
            try:
                return await post(caller)
            finally:
                await caller.close()

        outcome = asyncio.run(call())
    assert isinstance(outcome, NotSent)
    assert (outcome.problem.code, outcome.problem.detail[:23]) == ("erp.unreachable", "ConnectionRefusedError:")


def test_a_connection_that_does_not_come_about_in_time_was_not_sent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"

        async def call() -> object:
            caller = HttpCaller(
                base_url=url,
                transport=None,
                headers={},
                secrets=(),
                call_timeout=timedelta(seconds=5),
                connect_timeout=SHORT,
            )
            # What the kernel takes without anybody accepting is used up first.
            held = [socket.create_connection(full.getsockname())]
            try:
                return await post(caller)
            finally:
                held[0].close()
                await caller.close()

        outcome = asyncio.run(call())
    assert isinstance(outcome, NotSent)
    assert outcome.problem.code == "erp.unreachable"


def test_who_waits_too_long_for_a_slot_was_not_sent() -> None:
    async def story(far: RoughFarSide) -> None:
        caller = far.caller(slots=1, connect_timeout=timedelta(seconds=1))
        busy = asyncio.create_task(post(caller))
        while not far.heard:
            await asyncio.sleep(0.001)
        outcome = await post(caller)
        assert isinstance(outcome, NotSent)
        assert outcome.problem.code == "erp.busy"
        busy.cancel()
        await caller.close()

    live(story, silent())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "GET"])
@pytest.mark.parametrize("behave", [reset(), raw(b"", close=True)], ids=["reset", "closed"])
def test_a_request_whose_connection_breaks_is_uncertain_and_was_sent_once(method: str, behave: Behave) -> None:
    async def story(far: RoughFarSide) -> None:
        caller = far.caller()
        content = b"" if method in {"GET", "DELETE"} else b"{}"
        assert isinstance(await post(caller, method=method, content=content), Uncertain)
        await asyncio.sleep(0.01)
        assert len(far.heard) == 1
        await caller.close()

    live(story, behave)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
def test_a_kept_connection_that_breaks_after_the_request_left_is_uncertain_and_was_sent_once(method: str) -> None:
    async def story(far: RoughFarSide) -> None:
        caller = far.caller(slots=1)
        assert isinstance(await post(caller), HttpAnswer)
        far.behave = reset()
        assert isinstance(await post(caller, method=method, content=b""), Uncertain)
        await asyncio.sleep(0.01)
        assert (len(far.heard), far.connections) == (2, 1)
        far.behave = answer(b"{}")
        assert isinstance(await post(caller), HttpAnswer)
        assert far.connections == 2
        await caller.close()

    live(story)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_kept_connection_that_ended_unheard_is_not_used_again(method: str) -> None:
    """The far side ends it while this loop is busy with something else."""
    ended: list[socket.socket] = []

    def far_side(listening: socket.socket) -> None:
        for number in range(2):
            one, _ = listening.accept()
            one.recv(65_536)
            one.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + str(number).encode())
            ended.append(one)

    async def story(listening: socket.socket) -> list[object]:
        caller = HttpCaller(
            base_url=f"http://127.0.0.1:{listening.getsockname()[1]}",
            transport=None,
            headers={},
            secrets=(),
            call_timeout=timedelta(seconds=5),
        )
        serving = asyncio.create_task(asyncio.to_thread(far_side, listening))
        first = await post(caller)
        ended[0].close()  # and no turn of the loop until the next call
        second = await post(caller, method=method, content=b"" if method == "GET" else b"{}")
        await serving
        await caller.close()
        return [found.body for found in (first, second) if isinstance(found, HttpAnswer)]

    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert asyncio.run(story(listening)) == [b"0", b"1"]


@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_what_is_no_longer_ours_leaves_not_a_byte(method: str, *, kept: bool) -> None:
    async def story(far: RoughFarSide) -> None:
        caller = far.caller(slots=1)
        if kept:
            await post(caller)
        before = len(far.heard)
        MAY_SEND.set(lambda: False)
        outcome = await post(caller, method=method, content=b"" if method == "DELETE" else b"{}")
        assert isinstance(outcome, NotSent)
        assert (outcome.problem.code, outcome.problem.detail) == ("erp.busy", "the lease ended before the request left")
        await asyncio.sleep(0.01)
        assert (len(far.heard), far.connections) == (before, 1)
        MAY_SEND.set(lambda: True)
        assert isinstance(await post(caller), HttpAnswer)
        await caller.close()

    live(story)


def test_whether_it_may_leave_is_asked_once_the_connection_stands() -> None:
    async def story(far: RoughFarSide) -> None:
        caller, asked = far.caller(), []
        MAY_SEND.set(lambda: asked.append(far.connections) is None)
        assert isinstance(await post(caller, content=b"x" * 1_000_000), HttpAnswer)
        assert isinstance(await caller.send(method="GET", path="/journals"), HttpAnswer)
        assert len(asked) == 1
        await caller.close()

    live(story)


def test_a_call_has_an_end_whoever_drips() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.005)

    async def story(far: RoughFarSide) -> None:
        caller = far.caller(call_timeout=timedelta(seconds=1), slots=1)
        outcome = await post(caller)
        assert isinstance(outcome, Uncertain)
        assert "TimeoutError" in outcome.evidence
        far.behave = answer(b"{}")
        assert isinstance(await post(caller), HttpAnswer)
        await caller.close()

    live(story, drip)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive!",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfive",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nfive",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-encoding: gzip\r\n\r\nfive",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"h%d: v\r\n" % number for number in range(10_000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nh: " + b"v" * 1_000_000 + b"\r\n\r\n",
    ],
)
def test_an_answer_that_can_not_be_read_is_uncertain(said: bytes) -> None:
    async def story(far: RoughFarSide) -> None:
        caller = far.caller()
        assert isinstance(await post(caller), Uncertain)
        await caller.close()

    live(story, raw(said, close=True))


def packed(body: bytes, *encodings: str) -> Behave:
    return answer(body, headers="".join(f"content-encoding: {encoding}\r\n" for encoding in encodings))


@pytest.mark.parametrize(
    ("behave", "body"),
    [
        (packed(gzip.compress(b"found" * 9), "gzip"), b"found" * 9),
        (packed(zlib.compress(b"found"), "deflate"), b"found"),
        (raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nfou\r\n2\r\nnd\r\n0\r\n\r\n"), b"found"),
        (raw(b"HTTP/1.0 200 OK\r\n\r\nfound", close=True), b"found"),
        (raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfound"), b"found"),
        (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), b""),
        (answer(b"y" * 3_000_000), b"y" * 3_000_000),
    ],
)
def test_a_whole_answer_is_read_whole(behave: Behave, body: bytes) -> None:
    async def story(far: RoughFarSide) -> None:
        caller = far.caller()
        outcome = await post(caller)
        assert isinstance(outcome, HttpAnswer)
        assert outcome.body == body
        await caller.close()

    live(story, behave)


def test_no_more_is_read_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ANSWER_BYTES_MAX", 1_000)

    async def story(far: RoughFarSide) -> None:
        caller = far.caller()
        for size in (1_000, 1_001, 1_000_000):
            far.behave = answer(b"x" * size)
            outcome = await post(caller)
            assert isinstance(outcome, HttpAnswer if size <= 1_000 else Uncertain)
        assert isinstance(outcome, Uncertain)
        assert "over 1000 bytes" in outcome.evidence
        await caller.close()

    live(story)


def test_a_little_that_unpacks_to_very_much_is_given_up_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred million bytes in a hundred thousand: what is held of them stays near the limit."""
    monkeypatch.setattr(wire, "ANSWER_BYTES_MAX", 1_000_000)
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()

    async def story(far: RoughFarSide) -> None:
        caller = far.caller(call_timeout=timedelta(seconds=60))
        tracemalloc.start()
        outcome = await post(caller)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert isinstance(outcome, Uncertain)
        assert "over 1000000 bytes" in outcome.evidence
        assert most < 10_000_000
        await caller.close()

    live(story, packed(bomb, "gzip"))


@pytest.mark.parametrize("encodings", [("gzip, gzip",), ("gzip", "gzip"), ("identity, deflate",)])
def test_what_is_packed_more_than_once_is_not_unpacked(encodings: tuple[str, ...]) -> None:
    async def story(far: RoughFarSide) -> None:
        caller = far.caller()
        outcome = await post(caller)
        assert isinstance(outcome, Uncertain)
        assert "packed more than once" in outcome.evidence
        await caller.close()

    live(story, packed(gzip.compress(gzip.compress(b"found")), *encodings))


def test_no_redirect_is_followed_no_cookie_kept_and_no_environment_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", "/nowhere")

    async def story(far: RoughFarSide) -> None:
        caller = far.caller()
        far.behave = answer(
            b"", status="302 Found", headers=f"location: {far.url}/there\r\nset-cookie: a=b; Path=/\r\n"
        )
        found = await post(caller)
        assert isinstance(found, HttpAnswer)
        assert (found.status, found.headers["location"]) == (302, f"{far.url}/there")
        await post(caller)
        assert len(far.heard) == 2
        assert header(far.heard[1], "cookie") is None
        assert header(far.heard[1], "authorization") is None
        await caller.close()

    live(story)


def test_headers_go_as_given_and_come_in_lower_case_once_each() -> None:
    said = "X-One: 1\r\nX-Many: a\r\nx-many: b\r\nX-Latin: caf\xe9\r\n"

    async def story(far: RoughFarSide) -> None:
        far.behave = answer(b"", headers=said)
        caller = far.caller(headers={"Authorization": "Bearer abc", "accept": "text/plain"})
        found = await caller.send(
            method="POST", path="/journals", content=b"{}", headers={"ACCEPT": "x/y", "x-request-id": "r-1"}
        )
        assert isinstance(found, HttpAnswer)
        assert (found.headers["x-one"], found.headers["x-many"]) == ("1", "a, b")
        assert found.headers["x-latin"].encode() == "caf\N{REPLACEMENT CHARACTER}".encode()
        heard = far.heard[0]
        names = ("authorization", "accept", "x-request-id", "user-agent", "host", "content-length", "content-type")
        host = far.url.removeprefix("http://")
        expected = ["Bearer abc", "x/y", "r-1", "revline", host, "2", None]
        assert [header(heard, name) for name in names] == expected
        assert header(heard, "accept-encoding") == "gzip, deflate"
        await caller.close()

    live(story)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/journals", {"x": "a\r\nx-evil: 1"}),
        ("POST", "/journals", {"x": "a\nb"}),
        ("POST", "/journals", {"x": "a\x00b"}),
        ("POST", "/journals", {"x": " padded"}),
        ("POST", "/journals", {"x": "\N{SNOWMAN}"}),
        ("POST", "/journals", {"x: y\r\nz": "a"}),
        ("POST", "/journals", {"": "a"}),
        ("POST", "/jour\r\nnals", {}),
        ("POST", "/journals HTTP/1.1\r\nx-evil: 1", {}),
        ("POST", "ftp://127.0.0.1/journals", {}),
        ("POST", "http://ada:lovelace@127.0.0.1/journals", {}),
        ("POST", "http://127.0.0.1:port/", {}),
        ("PO ST", "/journals", {}),
        ("POST\r\n", "/journals", {}),
    ],
)
def test_what_is_no_request_is_not_sent(method: str, path: str, headers: dict[str, str]) -> None:
    async def story(far: RoughFarSide) -> None:
        caller = far.caller()
        outcome = await caller.send(method=method, path=path, content=b"{}", headers=headers)
        assert isinstance(outcome, NotSent)
        assert outcome.problem.detail.startswith("not a request")
        assert far.connections == 0
        await caller.close()

    live(story)


QUERIES = [
    (),
    (("q", "name = 'Ada & Co' + 50%"), ("limit", "1000")),
    (("expand[]", "data.lines"), ("a b", "c/d?e#f"), ("é", "ü\r\n\N{SNOWMAN}")),
    (("empty", ""),),
]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("base", ["", "/api", "/a%20b/"])
@pytest.mark.parametrize(
    "path",
    [
        "/journals",
        "/v1/record/~x/JE-1.2_3",
        "/services/rest/record/v1/customer/eid:AB CD",
        "/a//b/../c/./d",
        "/é/ü?x=ö&y=a b%20c",
        "/50%/100%25;v=1,2(3)!*'$@&=+",
        "journals",
        "/journals?",
        '/[brackets]{braces}|bar^caret`tick"quote<less>',
    ],
)
def test_addresses_are_written_as_httpx_writes_them(base: str, path: str, query: tuple[tuple[str, str], ...]) -> None:
    async def story(far: RoughFarSide) -> None:
        caller = far.caller(path=base)
        await caller.send(method="GET", path=path, query=query)
        client = httpx2.AsyncClient(base_url=(far.url + base).rstrip("/"))
        expected = client.build_request("GET", path, params=httpx2.QueryParams(list(query)) if query else None)
        target = far.heard[0].split(b" ", 2)[1]
        assert target == (expected.url.raw_path.removesuffix(b"?"))
        await caller.close()

    live(story)


def test_one_after_the_other_uses_one_connection_and_many_use_no_more_than_slots() -> None:
    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.005)
        await answer(b"{}")(reader, writer)

    async def story(far: RoughFarSide) -> None:
        caller = far.caller(slots=3)
        for _ in range(4):
            await post(caller)
        assert far.connections == 1
        outcomes = await asyncio.gather(*(post(caller) for _ in range(20)))
        assert all(isinstance(outcome, HttpAnswer) for outcome in outcomes)
        assert far.connections == 3
        await post(caller)
        assert (far.connections, far.open) == (3, 3)
        await caller.close()

    live(story, slowly)


def test_a_call_that_is_cancelled_gives_its_slot_back_and_leaves_no_connection() -> None:
    async def story(far: RoughFarSide) -> None:
        caller = far.caller(slots=1)
        for _ in range(3):
            given_up = asyncio.create_task(post(caller))
            while far.connections == len(far.heard) == 0 or far.open == 0:
                await asyncio.sleep(0.001)
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            assert given_up.cancelled()
            while far.open:
                await asyncio.sleep(0.001)
        far.behave = answer(b"{}")
        assert isinstance(await post(caller), HttpAnswer)
        await caller.close()

    live(story, silent())


def test_a_connection_that_nobody_uses_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "KEPT_SECONDS", 0.03)

    async def story(far: RoughFarSide) -> None:
        caller = far.caller()
        await post(caller)
        assert far.open == 1
        async with asyncio.timeout(5):
            while far.open:
                await asyncio.sleep(0.005)
        assert isinstance(await post(caller), HttpAnswer)
        assert far.connections == 2
        await caller.close()

    live(story)


def test_closing_closes_every_connection_and_sends_nothing_any_more() -> None:
    async def story(far: RoughFarSide) -> None:
        caller = far.caller(slots=3)
        await asyncio.gather(*(post(caller) for _ in range(3)))
        far.behave = silent()
        under_way = asyncio.create_task(post(caller))
        while len(far.heard) < 4:
            await asyncio.sleep(0.001)
        await caller.close()
        await caller.close()
        assert isinstance(await under_way, Uncertain)
        async with asyncio.timeout(5):
            while far.open:
                await asyncio.sleep(0.001)
        assert isinstance(await post(caller), NotSent)
        assert len(far.heard) == 4

    live(story)


def test_a_caller_made_outside_a_loop_lives_on_the_one_it_is_used_in() -> None:
    async def call(caller: HttpCaller, far: RoughFarSide) -> object:
        try:
            return await post(caller)
        finally:
            await caller.close()

    def one_life() -> object:
        far = RoughFarSide()
        with asyncio.Runner() as runner:
            runner.run(far.__aenter__())
            caller = far.caller()
            try:
                return runner.run(call(caller, far))
            finally:
                runner.run(far.__aexit__())

    assert all(isinstance(one_life(), HttpAnswer) for _ in range(2))


def test_the_authorities_are_read_once_and_a_certificate_of_nobody_is_refused() -> None:
    assert network._trust() is network._trust()
    assert network._trust().check_hostname


def test_it_works_on_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def story() -> None:
        async with RoughFarSide() as far:
            caller = far.caller(slots=2)
            outcomes = await asyncio.gather(*(post(caller) for _ in range(8)))
            assert all(isinstance(outcome, HttpAnswer) for outcome in outcomes)
            far.behave = reset()
            assert isinstance(await post(caller, method="PUT"), Uncertain)
            MAY_SEND.set(lambda: False)
            assert isinstance(await post(caller), NotSent)
            await caller.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
