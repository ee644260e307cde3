"""POST /v1/events: CloudEvents in structured JSON, one or a batch, or one in binary mode; each with its own verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.params import FromQuery, HeaderParameter

from revline.connectors.direct.cloudevents import BATCH_CONTENT_TYPE, BINARY_MARK, CONTENT_TYPE, structured_form
from revline.core.exact_json import parse
from revline.core.problem import Mender, Problem, ProblemError, Retryable, define, problem
from revline.doors.api.description import EventsOperation
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.keys import checked_key
from revline.doors.api.ports import ApiPorts, Threads
from revline.doors.api.problems import correlation_of, problem_body
from revline.intake.service import RequestKey
from revline.intake.values import Channel, Form, Input, Outcome, Verdict
from revline.platform.access.roles import Permission, Principal

DIRECT: Final = "direct"

define(
    code="events.content_type",
    title="Not CloudEvents by its content type",
    status=415,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy=f"Send {CONTENT_TYPE} or {BATCH_CONTENT_TYPE} in UTF-8.",
)
define(
    code="events.batch_invalid",
    title="Not a batch of events",
    status=400,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Send a JSON array of CloudEvents, or one object with the content type of a single event.",
)


class EventAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event. index: its place in the request. problem: why it was not accepted, as RFC 9457 members."""

    index: int
    id: str
    source: str
    outcome: Outcome
    fact_ids: tuple[str, ...]
    problem: dict[str, Any] | None = None


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Verdicts in the order of the events, and how many there are of each outcome."""

    counts: dict[str, int]
    events: tuple[EventAnswer, ...]


class EventsRoute:
    """The route with what it needs."""

    def __init__(self, *, ports: ApiPorts, threads: Threads) -> None:
        self._ports = ports
        self._threads = threads

    async def answer(self, request: Request[Any, Any, Any], connection: str, key: str | None) -> EventsAnswer:
        """Reads, splits and accepts. Raises ProblemError for what concerns the request as a whole."""
        principal = principal_of(request)
        content_type = request.headers.get("content-type", "")
        body = await request.body()
        if BINARY_MARK in request.headers and _is_plain_json(content_type):
            batch, body = False, self._structured(request, content_type, body)
        else:
            batch = _is_batch(content_type)
        events, raws = self._split(body, batch=batch)
        work = partial(
            self._accept,
            principal,
            connection,
            "" if key is None else checked_key(key, of="events"),
            body,
            events,
            raws,
        )
        verdicts = await self._threads.run(work)
        return self._answer(request, events, verdicts, batch=batch)

    def _structured(self, request: Request[Any, Any, Any], content_type: str, body: bytes) -> bytes:
        """An event in binary mode, whose data must be JSON by itself before it is put into an envelope."""
        limits = self._ports.limits
        value = parse(body, bytes_max=limits.body_bytes_max, depth_max=limits.json_depth_max)
        if isinstance(value, Problem):
            raise ProblemError(value)
        headers = [(name.lower(), text) for name, text in request.headers.multi_items()]
        made = structured_form(headers=headers, content_type=content_type, body=body)
        if isinstance(made, Problem):
            raise ProblemError(made)
        return made

    def _split(self, body: bytes, *, batch: bool) -> tuple[list[Any], list[bytes]]:
        limits = self._ports.limits
        value = parse(body, bytes_max=limits.body_bytes_max, depth_max=limits.json_depth_max)
        if isinstance(value, Problem):
            raise ProblemError(value)
        if not batch:
            return [value], [body]
        if not isinstance(value, list):
            raise ProblemError(problem("events.batch_invalid", "the body is no JSON array"))
        if len(value) > limits.events_per_request_max:
            detail = f"{len(value)} events; at most {limits.events_per_request_max} in one request"
            raise ProblemError(problem("intake.too_many", detail))
        return value, [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]

    def _accept(
        self, principal: Principal, connection: str, key: str, body: bytes, events: list[Any], raws: list[bytes]
    ) -> tuple[Verdict, ...]:
        held_back = self._ports.held_back(principal.tenant_id)
        if held_back is not None:
            raise ProblemError(held_back)
        channel = self._channel(principal.tenant_id, connection)
        now = self._ports.clock.now()
        usage = self._ports.usage_types(principal.tenant_id)
        foreign = [_foreign_tenant(event, principal.tenant_id) or _is_usage(event, usage) for event in events]
        inputs = [
            Input(body=raw, content_type=CONTENT_TYPE, received_at=now)
            for raw, refused in zip(raws, foreign, strict=True)
            if refused is None
        ]
        request = {"connection": channel.connection, "body": hashlib.sha256(body).hexdigest()}
        verdicts = iter(
            self._ports.intake.accept(
                channel=channel,
                inputs=inputs,
                actor=principal.actor,
                reason="sent to /v1/events",
                form=Form.MESSAGE,
                request_key=RequestKey(key=key, request=request) if key else None,
            )
        )
        return tuple(
            Verdict(outcome=Outcome.INVALID, problem=refused) if refused else next(verdicts) for refused in foreign
        )

    def _channel(self, tenant_id: str, connection: str) -> Channel:
        if not connection:
            names = self._ports.channels.names(tenant_id=tenant_id, connector=DIRECT)
            if len(names) != 1:
                detail = f"the tenant has {len(names)} direct connections; name one with ?connection="
                raise ProblemError(problem("connection.unknown", detail, field="connection"))
            connection = names[0]
        channel = self._ports.channels.channel(tenant_id=tenant_id, connection=connection)
        if isinstance(channel, Problem):
            raise ProblemError(channel)
        if channel.connector != DIRECT:
            detail = (
                f"the connection {connection[:60]!r} takes no events here; its source pushes webhooks or is imported"
            )
            raise ProblemError(problem("connection.unknown", detail, field="connection"))
        return channel

    def _answer(
        self, request: Request[Any, Any, Any], events: list[Any], verdicts: tuple[Verdict, ...], *, batch: bool
    ) -> EventsAnswer:
        if not batch and verdicts[0].problem is not None:
            raise ProblemError(verdicts[0].problem)
        counts: dict[str, int] = {}
        for verdict in verdicts:
            counts[verdict.outcome.value] = counts.get(verdict.outcome.value, 0) + 1
        correlation_id = correlation_of(request.scope)
        base = self._ports.problem_base
        return EventsAnswer(
            counts=counts,
            events=tuple(
                EventAnswer(
                    index=index,
                    id=_text(event, "id"),
                    source=_text(event, "source"),
                    outcome=verdict.outcome,
                    fact_ids=verdict.fact_ids,
                    problem=problem_body(verdict.problem, base=base, correlation_id=correlation_id)
                    if verdict.problem
                    else None,
                )
                for index, (event, verdict) in enumerate(zip(events, verdicts, strict=True))
            ),
        )


def events_handler(route: EventsRoute) -> Any:
    """The handler of POST /v1/events."""

    @post(
        "/events",
        status_code=200,
        opt={PERMISSION: Permission.SEND_EVENTS},
        operation_id="sendEvents",
        operation_class=EventsOperation,
        summary="Send business events",
        description=(
            f"CloudEvents 1.0 in structured JSON: one as `{CONTENT_TYPE}` or up to 500 as `{BATCH_CONTENT_TYPE}`; or one "
            "in binary mode, its data as `application/json` and its attributes in `ce-` headers. A batch "
            "answers 200 with a verdict for each event: accepted, duplicate, conflict or invalid; a single event that is "
            "refused answers with its problem. Usage events are refused: they go to POST /v1/usage."
        ),
        tags=["intake"],
    )
    async def send_events(
        request: Request[Any, Any, Any],
        connection: FromQuery[str] = "",
        idempotency_key: Annotated[str | None, HeaderParameter(name="Idempotency-Key")] = None,
    ) -> Response[EventsAnswer]:
        return Response(await route.answer(request, connection, idempotency_key))

    return send_events


def _is_plain_json(content_type: str) -> bool:
    kind = content_type.lower().partition(";")[0].strip()
    return kind == "application/json" or (kind.endswith("+json") and kind not in {CONTENT_TYPE, BATCH_CONTENT_TYPE})


def _is_batch(content_type: str) -> bool:
    kind, _, parameters = content_type.lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"') if parameters.strip() else "utf-8"
    if kind.strip() not in {CONTENT_TYPE, BATCH_CONTENT_TYPE} or charset != "utf-8":
        raise ProblemError(problem("events.content_type", f"the content type is {content_type[:80]!r}"))
    return kind.strip() == BATCH_CONTENT_TYPE


def _foreign_tenant(event: Any, tenant_id: str) -> Problem | None:
    """An event may name its tenant; whether another one exists is nobody's business."""
    named = event.get("tenant", tenant_id) if isinstance(event, dict) else tenant_id
    if named == tenant_id:
        return None
    return problem("tenant.unknown", f"{str(named)[:60]!r} is not a tenant of this key", field="/tenant")


def _is_usage(event: Any, types: Collection[str]) -> Problem | None:
    """A business event is one fact each; usage comes by the million and goes to a log of its own."""
    named = event.get("type") if isinstance(event, dict) else None
    if not isinstance(named, str) or named not in types:
        return None
    return problem(
        "events.usage_elsewhere", f"{named} is a type of usage event; it goes to POST /v1/usage", field="/type"
    )


def _text(event: Any, name: str) -> str:
    value = event.get(name) if isinstance(event, dict) else None
    return value[:200] if isinstance(value, str) else ""
