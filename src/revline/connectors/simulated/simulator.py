"""The simulated ERP as one object: calls in, answers out, effects kept. Knows HTTP's words but no socket.

A shell (`server`, or `transport` inside one process) calls `arrive`, waits as told, `process`, makes the effects durable, waits
as told and sends the answer or drops it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from revline.connectors.sdk.effects import Effect, EffectsFile, read_effects
from revline.connectors.simulated import control, queries, wire
from revline.connectors.simulated.calls import Answer, Arrival, Call, fault_seconds, operation_of, refusal
from revline.connectors.simulated.faults import Fault, FaultRule, Faults
from revline.connectors.simulated.jobs import MADE_BY, Jobs
from revline.connectors.simulated.records import Ledger, Mode, Refused, Stored
from revline.connectors.simulated.setup import SetupBody
from revline.connectors.simulated.wire import BODY_TYPES, ErrorBody, ItemAnswer, Kind
from revline.core.clock import Clock


class Simulator:
    """The ERP. folder: where its file is, None to keep nothing. token, control_token: for its API and for its control."""

    def __init__(self, *, mode: Mode, clock: Clock, token: str, control_token: str, folder: Path | None = None) -> None:
        self.clock = clock
        self.ledger = Ledger(mode=mode)
        self.faults = Faults()
        self.jobs = Jobs()
        self._as_of: datetime | None = None
        self.calls: dict[str, int] = {}
        self.in_flight = 0
        self.in_flight_max = 0
        self.control_token = control_token
        self._tokens = {"control": control_token, "v1": token}
        self._received = 0
        self._sequence = 0
        if folder is not None:
            for effect in read_effects(folder=folder):
                self._replay(effect)
        self.file = EffectsFile(folder=folder) if folder is not None else None

    def arrive(self, *, call: Call) -> Arrival:
        """Take a call in. `leave` must follow, whatever happens in between."""
        self._received += 1
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        operation = operation_of(call)
        faults: Mapping[Fault, FaultRule] = {}
        if operation.partition(".")[0] != "control":
            self.calls[operation] = self.calls.get(operation, 0) + 1
            faults = self.faults.striking(operation=operation)
        return Arrival(
            call=call,
            order=self._received,
            request_id=call.request_id[:100] or f"call-{self._received}",
            operation=operation,
            faults=faults,
            wait_before=fault_seconds(faults.get(Fault.SLOW)),
            wait_after=fault_seconds(faults.get(Fault.SLOW_ANSWER)),
        )

    def _now(self) -> datetime:
        """When what is being done counts as done: a job's own time, however late it was looked at."""
        return self._as_of or self.clock.now()

    def _dispatch_as_of(self, arrival: Arrival, moment: datetime) -> Answer:
        self._as_of = moment
        try:
            return self._dispatch(arrival)
        finally:
            self._as_of = None

    def leave(self, *, arrival: Arrival, client_gone: bool) -> None:
        """The call is answered, dropped or its caller is gone."""
        self.in_flight -= 1
        if client_gone:
            self._write(arrival=arrival, type_="client_gone")

    def carry_out_jobs(self) -> None:
        """Make what jobs are due to make by now; a call does so first, and so must whoever looks at the ledger without one."""
        self.jobs.carry_out(now=self.clock.now(), run=self._dispatch_as_of)

    def process(self, *, arrival: Arrival) -> Answer:
        """Do what the call asks and say what to answer."""
        self.carry_out_jobs()
        early = self._before(arrival)
        if early is not None:
            return early
        faults = arrival.faults
        if Fault.JOB in faults and arrival.operation.partition(".")[2] in MADE_BY:
            answer = self.jobs.take(arrival=arrival, now=self.clock.now())
        else:
            answer = self._dispatch(arrival)
        if Fault.ANSWER_LOST in faults:
            return msgspec.structs.replace(answer, lost=True)
        if Fault.UNREADABLE in faults:
            return Answer(
                status=200, body=b"<html><body>Welcome</body></html>", headers=(("content-type", "text/html"),)
            )
        if Fault.FAIL_AFTER in faults:
            return refusal(500, "internal", "something went wrong")
        return answer

    def commit(
        self,
        *,
        arrival: Arrival,
        action: str,
        data: bytes,
        stored: Stored | None = None,
        kind: str = "",
        name: str = "",
    ) -> None:
        """Keep what was done in the file."""
        record = stored.record if stored else None
        self._write(
            arrival=arrival,
            action=action,
            kind=record.kind.value if record else kind,
            record_id=record.id if record else name,
            external_reference=record.external_reference if record else "",
            data=msgspec.Raw(data),
        )

    def _write(self, *, arrival: Arrival, type_: str = "effect", **values: Any) -> None:
        if type_ == "effect":
            self._sequence += 1
        if self.file is not None:
            effect = Effect(
                type=type_,
                sequence=self._sequence,
                received_order=arrival.order,
                request_id=arrival.request_id,
                in_flight=self.in_flight,
                at=self._now(),
                **values,
            )
            self.file.append(effect)

    def _replay(self, effect: Effect) -> None:
        self._received = max(self._received, effect.received_order)
        if effect.type != "effect":
            return
        self._sequence = effect.sequence
        match effect.action:
            case "create":
                kind = Kind(effect.kind)
                self.ledger.create(kind=kind, body=wire.decode(effect.data, BODY_TYPES[kind]), at=effect.at)
            case "post":
                self.ledger.post(kind=Kind(effect.kind), record_id=effect.record_id, at=effect.at)
            case "setup":
                self.ledger.set_up(body=wire.decode(effect.data, SetupBody))
            case "period":
                control.set_period(ledger=self.ledger, body=wire.decode(effect.data, control.PeriodChange))
            case "edit":
                control.edit(ledger=self.ledger, body=wire.decode(effect.data, control.RecordEdit), at=effect.at)
            case _:
                raise ValueError(f"the file has an action {effect.action!r} that this version does not know")

    def _before(self, arrival: Arrival) -> Answer | None:
        """The answer of a call that never reaches its effect."""
        wanted = self._tokens.get(arrival.operation.partition(".")[0], self._tokens["v1"])
        faults = arrival.faults
        if Fault.OUTAGE in faults:
            return Answer(status=503, lost=True)
        if Fault.TOKEN in faults or not hmac.compare_digest(arrival.call.token.encode(), wanted.encode()):
            return refusal(401, "unauthorized", "the token is unknown or has expired")
        if Fault.THROTTLE in faults:
            wait = ("retry-after", str(max(1, round(fault_seconds(faults[Fault.THROTTLE]).total_seconds()))))
            return msgspec.structs.replace(refusal(429, "throttled", "too many calls"), headers=(wait,))
        if Fault.BUSY in faults:
            return refusal(503, "busy", "nothing was done; call again later")
        if Fault.FAIL_BEFORE in faults:
            return refusal(500, "internal", "something went wrong")
        if len(arrival.call.body) > wire.BODY_BYTES_MAX:
            return refusal(413, "too_large", f"a body has at most {wire.BODY_BYTES_MAX} bytes")
        return None

    def _dispatch(self, arrival: Arrival) -> Answer:
        collection, _, verb = arrival.operation.partition(".")
        try:
            if collection == "control":
                return control.answer(simulator=self, arrival=arrival, verb=verb)
            if collection == "jobs":
                return self.jobs.answer(job=arrival.call.path.strip("/").split("/")[2])
            if verb in {"create", "batch", "post", "post-batch"}:
                return self._documents(arrival=arrival, kind=Kind(collection), verb=verb)
            return queries.answer(simulator=self, arrival=arrival, verb=verb)
        except Refused as refused:
            return refusal(
                404 if refused.missing else 422, refused.error.code, refused.error.message, refused.error.field
            )
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as failure:
            return refusal(400, "malformed", str(failure)[:300])

    def _documents(self, *, arrival: Arrival, kind: Kind, verb: str) -> Answer:
        if verb == "create":
            item = self._one(arrival=arrival, kind=kind, act=lambda: self._create(arrival, kind, arrival.call.body))
            return Answer(status=item.status, body=wire.encode(item))
        if verb == "post":
            record_id = arrival.call.path.split("/")[3]
            item = self._one(arrival=arrival, kind=kind, act=lambda: self._post(arrival, kind, record_id))
            return Answer(status=item.status, body=wire.encode(item))
        documents: list[msgspec.Raw] = wire.decode(arrival.call.body, list[msgspec.Raw])
        if not 1 <= len(documents) <= wire.BATCH_MAX:
            return refusal(400, "malformed", f"a batch has 1 to {wire.BATCH_MAX} documents")
        results = [
            self._batch_item(arrival=arrival, kind=kind, verb=verb, place=place, document=bytes(document))
            for place, document in enumerate(documents)
        ]
        if short := arrival.faults.get(Fault.SHORT_ANSWER):
            results = results[: short.keep]
        return Answer(status=200, body=wire.encode(wire.BatchAnswer(results=tuple(results))))

    def _batch_item(self, *, arrival: Arrival, kind: Kind, verb: str, place: int, document: bytes) -> ItemAnswer:
        partial = arrival.faults.get(Fault.PARTIAL)
        if partial is not None and place >= partial.keep:
            return ItemAnswer(status=503, error=ErrorBody(code="busy", message="nothing was done; call again later"))
        lock = arrival.faults.get(Fault.PERIOD_LOCK)

        def act() -> Stored:
            if lock is not None and place == lock.keep:
                control.lock_period_of(simulator=self, arrival=arrival, document=document)
            if verb == "batch":
                return self._create(arrival, kind, document)
            return self._post(arrival, kind, wire.decode(document, wire.PostBody).id)

        return self._one(arrival=arrival, kind=kind, act=act)

    def _create(self, arrival: Arrival, kind: Kind, document: bytes) -> Stored:
        body = wire.decode(document, BODY_TYPES[kind])
        replayed = self.ledger.replayed(kind=kind, body=body)
        if replayed is not None:
            return replayed
        stored = self.ledger.create(kind=kind, body=body, at=self._now())
        self.commit(arrival=arrival, action="create", data=document, stored=stored)
        return stored

    def _post(self, arrival: Arrival, kind: Kind, record_id: str) -> Stored:
        was_draft = self.ledger.get(kind=kind, record_id=record_id).record.state == "draft"
        stored = self.ledger.post(kind=kind, record_id=record_id, at=self._now())
        if was_draft:
            self.commit(arrival=arrival, action="post", data=b"null", stored=stored)
        return stored

    def _one(self, *, arrival: Arrival, kind: Kind, act: Callable[[], Stored]) -> ItemAnswer:
        try:
            stored = act()
        except Refused as refused:
            existing = refused.existing
            if existing is None:
                return ItemAnswer(status=404 if refused.missing else 422, error=refused.error)
            return ItemAnswer(status=409, error=refused.error, record=self.shown(existing), entries=existing.entries)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as failure:
            return ItemAnswer(status=400, error=ErrorBody(code="malformed", message=str(failure)[:300]))
        status = (
            201
            if arrival.operation.endswith(("create", "batch")) and not arrival.operation.endswith("post-batch")
            else 200
        )
        return ItemAnswer(status=status, record=self.shown(stored), entries=stored.entries)

    def shown(self, stored: Stored) -> wire.RecordBody:
        """The record as a caller sees it: without its reference where that can't be searched."""
        if self.ledger.mode is Mode.NEITHER:
            return msgspec.structs.replace(stored.record, external_reference="")
        return stored.record
