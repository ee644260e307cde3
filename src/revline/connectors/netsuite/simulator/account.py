"""The simulated NetSuite account as one object: calls in, answers out, effects kept. Knows HTTP's words but no socket.

A shell (`server`, or `transport` inside one process) calls `arrive`, waits as told, `process`, makes the effects durable, waits
as told and sends the answer or drops it. The clock is passed in: token expiry, jobs and look-up lag follow it.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from revline.connectors.netsuite.simulator import control, rest
from revline.connectors.netsuite.simulator.books import Books
from revline.connectors.netsuite.simulator.calls import (
    TOKEN_PATH,
    Answer,
    Arrival,
    Call,
    json_answer,
    operation_of,
    refusal_answer,
    throttled_answer,
)
from revline.connectors.netsuite.simulator.faults import Fault, FaultRule, Faults
from revline.connectors.netsuite.simulator.jobs import Jobs
from revline.connectors.netsuite.simulator.suiteql import Tables
from revline.connectors.netsuite.simulator.tokens import Tokens
from revline.connectors.netsuite.simulator.values import Refusal
from revline.connectors.sdk.effects import Effect, EffectsFile, read_effects
from revline.core.clock import Clock
from revline.core.exact_json import parse_object
from revline.core.problem import Problem

BODY_BYTES_MAX = 16_000_000


class SimulatedAccount:
    """A NetSuite account. folder: where its file is, None to keep nothing. control_token: for its control calls."""

    def __init__(self, *, clock: Clock, control_token: str, folder: Path | None = None) -> None:
        self.clock = clock
        self.books = Books()
        self.tables = Tables(books=self.books)
        self.jobs = Jobs()
        self.tokens = Tokens()
        self.faults = Faults()
        self.calls: dict[str, int] = {}
        self.in_flight = 0
        self.in_flight_max = 0
        self._control_token = control_token
        self._received = 0
        self._sequence = 0
        if folder is not None:
            for effect in read_effects(folder=folder):
                self._replay(effect)
        self.file = EffectsFile(folder=folder) if folder is not None else None

    def arrive(self, *, call: Call) -> Arrival:
        """Take a call in. `leave` must follow, whatever happens in between."""
        self._received += 1
        operation = operation_of(call)
        counted = operation.partition(".")[0] not in {"control", "token"}
        self.in_flight += 1
        faults: dict[Fault, FaultRule] = {}
        if not operation.startswith("control."):
            self.calls[operation] = self.calls.get(operation, 0) + 1
            self.in_flight_max = max(self.in_flight_max, self.in_flight)
            faults = self.faults.striking(operation=operation)
        return Arrival(
            call=call,
            order=self._received,
            operation=operation,
            crowded=counted and self.in_flight > self.books.lists.settings.concurrency_limit,
            faults=faults,
            wait_before=timedelta(seconds=faults[Fault.SLOW].seconds if Fault.SLOW in faults else 0),
            wait_after=timedelta(seconds=faults[Fault.SLOW_ANSWER].seconds if Fault.SLOW_ANSWER in faults else 0),
        )

    def leave(self, *, arrival: Arrival, client_gone: bool) -> None:
        """The call is answered, dropped or its caller is gone."""
        self.in_flight -= 1
        if client_gone:
            self._write(type_="client_gone", order=arrival.order)

    def process(self, *, arrival: Arrival) -> Answer:
        """Do what the call asks and say what to answer."""
        early = self._before(arrival)
        if early is not None:
            return early
        answer = self._dispatch(arrival)
        faults = arrival.faults
        if Fault.ANSWER_LOST in faults:
            return msgspec.structs.replace(answer, lost=True)
        if Fault.UNREADABLE in faults:
            page = b"<html><body>Welcome</body></html>"
            return Answer(status=200, body=page, headers=(("content-type", "text/html"),))
        if Fault.FAIL_AFTER in faults:
            return refusal_answer(unexpected())
        return answer

    def keep(self, *, order: int, action: str, kind: str, record_id: str, reference: str, data: Any) -> None:
        """Keep what was committed in the file, and the tables in step."""
        self.tables.touch(number=record_id)
        made = self.books.transactions.get(record_id)
        for touched in made.applied if made else ():
            self.tables.touch(number=touched)
        encoded = msgspec.Raw(_ENCODER.encode(data))
        self._write(
            order=order, action=action, kind=kind, record_id=record_id, external_reference=reference, data=encoded
        )

    def touch_all(self) -> None:
        """Every table is read again from the books."""
        self.tables.touch(number="")
        for number in self.books.transactions:
            self.tables.touch(number=number)

    def _write(self, *, order: int, type_: str = "effect", **values: Any) -> None:
        if type_ == "effect":
            self._sequence += 1
        if self.file is not None:
            effect = Effect(
                type=type_,
                sequence=self._sequence,
                received_order=order,
                request_id=f"call-{order}",
                in_flight=self.in_flight,
                at=self.clock.now(),
                **values,
            )
            self.file.append(effect)

    def _replay(self, effect: Effect) -> None:
        self._received = max(self._received, effect.received_order)
        if effect.type != "effect":
            return
        self._sequence = effect.sequence
        data = bytes(effect.data)
        if effect.action in {"setup", "period", "edit", "certificate"}:
            control.act(account=self, verb=effect.action, data=data, at=effect.at)
            return
        body = parse_object(data)
        assert not isinstance(body, Problem)
        match effect.action:
            case "create":
                self.books.create(record=effect.kind, body=body, at=effect.at, strict=False)
            case "patch":
                self.books.patch(record=effect.kind, number=effect.record_id, body=body, at=effect.at)
            case "transform":
                source = body.pop("$source")
                self.books.transform(source=source, body=body, at=effect.at)
            case _:
                raise ValueError(f"the file has an action {effect.action!r} that this version does not know")
        self.touch_all()
        self.tables.touch(number=effect.record_id)

    def _before(self, arrival: Arrival) -> Answer | None:
        """The answer of a call that never reaches its effect."""
        faults, call, now = arrival.faults, arrival.call, self.clock.now()
        if Fault.OUTAGE in faults:
            return Answer(status=503, lost=True)
        if arrival.operation.startswith("control."):
            if hmac.compare_digest(call.token.encode(), self._control_token.encode()):
                return None
            return refusal_answer(Refusal("Invalid login attempt.", code="INVALID_LOGIN", status=401))
        if arrival.crowded or Fault.THROTTLE in faults:
            return throttled_answer()
        if call.path == TOKEN_PATH:
            return json_answer({"error": "invalid_grant"}, status=400) if Fault.TOKEN in faults else None
        if Fault.TOKEN in faults or not self.tokens.valid(token=call.token, now=now):
            detail = "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI."
            return refusal_answer(Refusal(detail, code="INVALID_LOGIN", status=401))
        if Fault.FAIL_BEFORE in faults:
            return refusal_answer(unexpected())
        if len(call.body) > BODY_BYTES_MAX:
            return refusal_answer(Refusal("The request is too large.", code="INVALID_REQUEST", status=413))
        return None

    def _dispatch(self, arrival: Arrival) -> Answer:
        call = arrival.call
        settings = self.books.lists.settings
        rest.run_jobs(account=self)
        try:
            if arrival.operation.startswith("control."):
                return control.answer(account=self, arrival=arrival)
            if call.path == TOKEN_PATH:
                status, body = self.tokens.issue(
                    form=call.body,
                    token_url=call.base_url + TOKEN_PATH,
                    now=self.clock.now(),
                    life=timedelta(seconds=settings.token_seconds),
                    scope_form=settings.scope_form,
                )
                return json_answer(body, status=status)
            return rest.answer(account=self, arrival=arrival)
        except Refusal as refusal:
            return refusal_answer(refusal)


def unexpected() -> Refusal:
    """The error of a call that failed inside; whether it had an effect can't be told."""
    detail = "An unexpected error occurred. Error ID: 0123456789abcdef"
    return Refusal(detail, code="UNEXPECTED_ERROR", status=500)


_ENCODER = msgspec.json.Encoder(decimal_format="number")
