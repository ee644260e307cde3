"""The simulated ERP in its own process, over real loopback connections: durability, restarts, many clients, dropped answers."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest

from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_documents import World
from revline.connectors.sdk.effects import FILE_NAME
from revline.connectors.simulated.connector import SimulatedConnector, build
from revline.connectors.simulated.faults import Fault, FaultRule
from revline.connectors.simulated.launcher import SimulatedErp
from revline.connectors.simulated.records import Mode
from revline.core.farside import EntityMapping, NotSent, Outcome, Posted, PrepareContext, PreparedStep, Uncertain
from revline.platform.tenancy.kinds import Connection
from tests.contract.simulated.world import CODES, DAY, StandingClock, companies

WORLD = World(nonce="server", currency="USD", day=DAY, mapping=EntityMapping(company="US01", accounts=CODES))
CONTEXT = PrepareContext(mapping=WORLD.mapping, functional_currency="USD", records={})


@pytest.fixture
def erp(tmp_path: Path) -> Iterator[SimulatedErp]:
    with SimulatedErp(folder=tmp_path / "erp") as erp:
        erp.set_up(body=companies())
        yield erp


def connect(erp: SimulatedErp, **settings: str) -> SimulatedConnector:
    connection = Connection(connector="simulated", settings={"baseUrl": erp.base_url, **settings})
    return build(
        connection=connection,
        secrets={"token": erp.token},
        transport=None,
        clock=StandingClock(),
        random=random.Random(3),
    )


def prepared(connector: SimulatedConnector, names: list[str]) -> list[PreparedStep]:
    steps = [
        connector.prepare(document=make.journal(world=WORLD, name=name), step="create", context=CONTEXT)
        for name in names
    ]
    assert all(isinstance(step, PreparedStep) for step in steps)
    return [step for step in steps if isinstance(step, PreparedStep)]


def send(erp: SimulatedErp, *names: str, **settings: str) -> list[Outcome]:
    async def run() -> list[Outcome]:
        connector = connect(erp, **settings)
        try:
            return list(await connector.submit(steps=prepared(connector, list(names))))
        finally:
            await connector.close()

    return asyncio.run(run())


def creates(erp: SimulatedErp) -> list[str]:
    return [effect.external_reference for effect in erp.effects() if effect.action == "create"]


def test_every_effect_is_in_the_file_with_its_reference_and_order(erp: SimulatedErp) -> None:
    outcomes = send(erp, "one", "two")
    assert all(isinstance(outcome, Posted) for outcome in outcomes)
    lines = [effect for effect in erp.effects() if effect.action == "create"]
    wanted = [make.journal(world=WORLD, name=name).external_reference for name in ("one", "two")]
    assert [line.external_reference for line in lines] == wanted
    assert [line.record_id for line in lines] == ["JE-000001", "JE-000002"]
    assert lines[0].received_order == lines[1].received_order
    assert lines[0].sequence + 1 == lines[1].sequence
    assert lines[0].request_id.startswith(wanted[0])
    assert lines[0].in_flight == 1


def test_it_restarts_from_its_file_after_a_kill_with_the_same_books(erp: SimulatedErp) -> None:
    erp.set_period(company="US01", period="2026-02", state="closed")
    send(erp, "one", "two", "three")
    before = erp.trial_balance(company="US01")
    erp.kill()
    with (erp.folder / FILE_NAME).open("ab") as file:
        file.write(b'{"type":"effect","sequence":99,"torn')
    port = erp.port
    erp.start()
    assert erp.port == port
    assert erp.trial_balance(company="US01") == before
    again = send(erp, "one", "four")
    assert all(isinstance(outcome, Posted) for outcome in again)
    assert len(creates(erp)) == len(set(creates(erp))) == 4
    assert [effect.sequence for effect in erp.effects() if effect.type == "effect"] == list(range(1, 7))


def test_one_folder_is_served_once(erp: SimulatedErp) -> None:
    second = SimulatedErp(folder=erp.folder)
    ready = erp.folder / "ready.json"
    kept = ready.read_bytes()
    with pytest.raises(RuntimeError, match="ended at once"):
        second.start()
    ready.write_bytes(kept)


def test_a_lost_answer_is_a_dropped_connection_after_the_effect(erp: SimulatedErp) -> None:
    erp.add_fault(rule=FaultRule(fault=Fault.ANSWER_LOST, operation="journals.*"))
    assert isinstance(send(erp, "one")[0], Uncertain)
    assert len(creates(erp)) == 1
    assert isinstance(send(erp, "one")[0], Posted)
    assert len(creates(erp)) == 1


def test_a_call_given_up_by_its_caller_is_told_in_the_file(erp: SimulatedErp) -> None:
    erp.add_fault(rule=FaultRule(fault=Fault.SLOW, operation="journals.*", seconds="0.5"))
    assert isinstance(send(erp, "one", callTimeoutSeconds="0.2")[0], Uncertain)
    erp.counters()
    deadline = time.monotonic() + 20
    while erp.effects()[-1].type != "client_gone" and time.monotonic() < deadline:
        erp.counters()
    kinds = [effect.type for effect in erp.effects()][-2:]
    assert kinds == ["effect", "client_gone"]
    assert erp.effects()[-1].request_id == erp.effects()[-2].request_id
    assert erp.counters().in_flight == 0


def test_an_erp_that_is_not_there_was_not_sent_to(erp: SimulatedErp) -> None:
    erp.stop()
    outcome = send(erp, "one")[0]
    assert isinstance(outcome, NotSent)
    assert outcome.problem.code == "erp.unreachable"


def test_eight_clients_at_once_keep_the_books_balanced_and_every_reference_once(erp: SimulatedErp) -> None:
    names = [f"entry-{number}" for number in range(60)]
    erp.add_fault(rule=FaultRule(fault=Fault.ANSWER_LOST, operation="journals.*", count=None, percent=10, seed=5))
    erp.add_fault(rule=FaultRule(fault=Fault.BUSY, operation="journals.*", count=None, percent=20, seed=6))

    async def client(number: int) -> None:
        connector = connect(erp, batchMax="7")
        order = list(names)
        random.Random(number).shuffle(order)
        open_steps = prepared(connector, order)
        for _ in range(200):
            outcomes = await connector.submit(steps=open_steps)
            open_steps = [
                step for step, outcome in zip(open_steps, outcomes, strict=True) if not isinstance(outcome, Posted)
            ]
            if not open_steps:
                break
        assert not open_steps
        await connector.close()

    async def run() -> None:
        await asyncio.gather(*(client(number) for number in range(8)))

    asyncio.run(run())
    assert len(creates(erp)) == len(set(creates(erp))) == 60
    balance = erp.trial_balance(company="US01")
    assert balance.debit == balance.credit == Decimal("6000.00")
    assert sum(state.fired for state in erp.counters().faults) > 10


def test_without_a_unique_reference_the_file_shows_the_second_record(tmp_path: Path) -> None:
    with SimulatedErp(folder=tmp_path / "erp", mode=Mode.LOOKUP) as erp:
        erp.set_up(body=companies())
        for _ in range(2):
            send(erp, "one", idempotency="lookup")
        assert len(creates(erp)) == 2
        assert len(set(creates(erp))) == 1


def test_control_and_api_have_tokens_of_their_own(erp: SimulatedErp) -> None:
    assert erp.ready is not None
    control = erp.ready.control_token
    for path, token in (("/control/counters", erp.token), ("/v1/health", "wrong"), ("/v1/health", control)):
        answer = httpx2.get(erp.base_url + path, headers={"authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.status_code == 401
    assert (erp.folder / "tokens.json").stat().st_mode & 0o077 == 0
    assert (erp.folder / "ready.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /v1/health HTTP/1.0\r\n\r\n",
        b"POST /v1/journals HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /v1/journals HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/journals HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_a_request_is_refused_and_the_erp_goes_on(erp: SimulatedErp, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", erp.port), timeout=10) as connection:
        connection.sendall(sent)
        answer = connection.recv(4096)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert erp.counters().in_flight == 0


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/journals", b"{", 400, "malformed"),
        ("/v1/journals", b'{"company": 5}', 400, "malformed"),
        ("/v1/journals", b'{"company":"US01","date":"2026-01-15","lines":[],"typo":1}', 400, "malformed"),
        ("/v1/journals/batch", b"[]", 400, "malformed"),
        ("/v1/journals", b"\xff", 400, "malformed"),
        (
            "/v1/deposits",
            b'{"company":"US01","date":"2026-01-15","currency":"USD","amount":1.5,"from_account":"1000","to_account":"1200"}',
            400,
            "malformed",
        ),
        (
            "/v1/deposits",
            b'{"company":"US01","date":"2026-01-15","currency":"XXX","amount":"1.5","from_account":"1000","to_account":"1200"}',
            422,
            "unknown_currency",
        ),
        ("/v1/journals/batch", b"[" * 200_000, 400, "malformed"),
        ("/v1/journals/JE-9/post", b"", 404, "not_found"),
        ("/v1/nothing", b"{}", 404, "unknown_path"),
    ],
)
def test_a_body_that_is_no_document_says_why(erp: SimulatedErp, path: str, body: bytes, status: int, code: str) -> None:
    headers = {"authorization": f"Bearer {erp.token}"}
    answer = httpx2.post(erp.base_url + path, content=body, headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
