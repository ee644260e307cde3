"""The simulated account's records, queries and jobs over its REST addresses. Knows no faults but those of batches."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from revline.connectors.netsuite.simulator.calls import REST, Answer, Arrival, json_answer, refusal_answer
from revline.connectors.netsuite.simulator.faults import Fault
from revline.connectors.netsuite.simulator.jobs import Job, Task
from revline.connectors.netsuite.simulator.setup import PeriodChange
from revline.connectors.netsuite.simulator.suiteql import PAGE_MAX
from revline.connectors.netsuite.simulator.values import Refusal, Transaction, invalid_content
from revline.core.exact_json import parse_object
from revline.core.problem import Problem

if TYPE_CHECKING:
    from revline.connectors.netsuite.simulator.account import SimulatedAccount

BATCH_MAX: Final = 100
DEPTH_MAX: Final = 12


def answer(*, account: SimulatedAccount, arrival: Arrival) -> Answer:
    """The answer to one call of the API. Refusal when it is refused."""
    record, _, verb = arrival.operation.partition(".")
    match verb:
        case "create":
            return _create(account, arrival, record)
        case "batch":
            return _batch(account, arrival, record)
        case "patch":
            return _patch(account, arrival, record)
        case "transform":
            return _transform(account, arrival)
        case "read":
            return _job(account, arrival) if record == "job" else _read(account, arrival, record)
        case "query":
            return _query(account, arrival)
    raise Refusal("The requested address does not exist.", code="INVALID_REQUEST", status=404)


def run_jobs(*, account: SimulatedAccount) -> None:
    """Let the jobs work whose time has come."""
    account.jobs.run_due(now=account.clock.now(), run=lambda job: _run(account, job))


def _body(arrival: Arrival) -> dict[str, Any]:
    body = parse_object(arrival.call.body or b"{}", bytes_max=len(arrival.call.body) + 2, depth_max=DEPTH_MAX)
    if isinstance(body, Problem):
        raise invalid_content(f"Invalid content in the request body: {body.detail}", "")
    return body


def _strict(arrival: Arrival) -> bool:
    return arrival.call.headers.get("x-netsuite-propertynamevalidation", "warning").lower() == "error"


def _number(account: SimulatedAccount, record: str, text: str) -> str:
    """An internal id, from `17` or `eid:REFERENCE`."""
    name = unquote(text)
    if not name.startswith("eid:"):
        return name
    found = account.books.find(record=record, external_id=name[4:])
    if not found:
        raise Refusal("The record instance does not exist.", code="NONEXISTENT_ID", status=404)
    return found


def _made(account: SimulatedAccount, record: str, body: dict[str, Any], *, order: int, strict: bool) -> str:
    number = account.books.create(record=record, body=body, at=account.clock.now(), strict=strict)
    account.keep(
        order=order, action="create", kind=record, record_id=number, reference=body.get("externalId", ""), data=body
    )
    for name in ("apply", "credit"):
        for line in (body.get(name) or {}).get("items", ()):
            account.tables.touch(number=str((line.get("doc") or {}).get("id", "")))
    return number


def _create(account: SimulatedAccount, arrival: Arrival, record: str) -> Answer:
    body, strict = _body(arrival), _strict(arrival)
    if "respond-async" in arrival.call.headers.get("prefer", ""):
        return _started(account, arrival, record, [body])
    number = _made(account, record, body, order=arrival.order, strict=strict)
    location = f"{arrival.call.base_url}{REST}/record/v1/{record}/{number}"
    return Answer(status=account.books.lists.settings.create_status, headers=(("location", location),))


def _batch(account: SimulatedAccount, arrival: Arrival, record: str) -> Answer:
    members = _body(arrival).get("items")
    if not isinstance(members, list) or not 1 <= len(members) <= BATCH_MAX:
        raise invalid_content(f"A collection has 1 to {BATCH_MAX} items.", "items")
    if "respond-async" not in arrival.call.headers.get("prefer", ""):
        raise Refusal("Batch operations are asynchronous.", code="INVALID_REQUEST")
    return _started(account, arrival, record, members)


def _started(account: SimulatedAccount, arrival: Arrival, record: str, members: list[Any]) -> Answer:
    key = arrival.call.headers.get("x-netsuite-idempotency-key", "")
    if key and (first := account.jobs.known(key=key)):
        refusal = Refusal("A request with this idempotency key was sent before.", code="IDEMPOTENCY_ERROR")
        answer = refusal_answer(refusal, headers=(("location", f"{REST}/async/v1/job/{first.id}"),))
        return Answer(status=400, headers=answer.headers, body=answer.body.replace(b'"Bad Request"', b'"Conflict"'))
    job = account.jobs.start(
        record=record,
        bodies=_struck(account, arrival, members),
        key=key,
        now=account.clock.now(),
        seconds=account.books.lists.settings.job_seconds,
        hangs=Fault.JOB_HANGS in arrival.faults,
        silent=Fault.JOB_SILENT in arrival.faults,
    )
    run_jobs(account=account)
    headers = (("preference-applied", "respond-async"), ("location", f"{REST}/async/v1/job/{job.id}"))
    return Answer(status=202, headers=headers)


def _struck(account: SimulatedAccount, arrival: Arrival, members: list[Any]) -> list[Any]:
    """The batch with what is to go wrong in it: None fails by itself, a PeriodChange is done as its turn comes."""
    del account
    bodies = list(members)
    if partial := arrival.faults.get(Fault.PARTIAL):
        bodies = [body if place < partial.keep else None for place, body in enumerate(bodies)]
    if lock := arrival.faults.get(Fault.PERIOD_LOCK):
        month = str((members[min(lock.keep, len(members) - 1)] or {}).get("tranDate", ""))[:7]
        bodies.insert(lock.keep, PeriodChange(period=month, state="closed"))
    return bodies


def _run(account: SimulatedAccount, job: Job) -> list[Task]:
    tasks = []
    for body in job.bodies:
        if isinstance(body, PeriodChange):
            account.books.lists.set_period(change=body)
            account.keep(order=0, action="period", kind="period", record_id="", reference="", data=body)
            continue
        tasks.append(_task(account, job.record, body))
    return tasks


def _task(account: SimulatedAccount, record: str, body: Any) -> Task:
    try:
        if not isinstance(body, dict):
            raise Refusal("An unexpected error occurred. Error ID: batch", code="UNEXPECTED_ERROR", status=500)
        number = _made(account, record, body, order=0, strict=True)
    except Refusal as refusal:
        refused = refusal_answer(refusal)
        return Task(status=refused.status, body=refused.body)
    status = account.books.lists.settings.job_result_status
    return Task(status=status, location=f"{REST}/record/v1/{record}/{number}")


def _patch(account: SimulatedAccount, arrival: Arrival, record: str) -> Answer:
    body = _body(arrival)
    number = _number(account, record, arrival.call.path.rpartition("/")[2])
    account.books.patch(record=record, number=number, body=body, at=account.clock.now())
    account.keep(order=arrival.order, action="patch", kind=record, record_id=number, reference="", data=body)
    return Answer(status=204)


def _transform(account: SimulatedAccount, arrival: Arrival) -> Answer:
    body = _body(arrival)
    source = _number(account, "invoice", arrival.call.path.split("/")[-3])
    number = account.books.transform(source=source, body=body, at=account.clock.now())
    reference = body.get("externalId", "")
    kept = body | {"$source": source}
    account.keep(
        order=arrival.order, action="transform", kind="creditMemo", record_id=number, reference=reference, data=kept
    )
    location = f"{arrival.call.base_url}{REST}/record/v1/creditMemo/{number}"
    return Answer(status=account.books.lists.settings.create_status, headers=(("location", location),))


def _read(account: SimulatedAccount, arrival: Arrival, record: str) -> Answer:
    number = _number(account, record, arrival.call.path.rpartition("/")[2])
    found = account.books.transaction(number=number, record=record)
    return json_answer(_shown(account, found))


def _shown(account: SimulatedAccount, found: Transaction) -> dict[str, Any]:
    """A record with its lists, as far as anything reads it."""
    currency = account.books.lists.currency_of(symbol=found.currency)
    applied = [
        {"doc": {"id": number}, "apply": True, "amount": amount, "line": 0}
        for number, amount in found.applied.items()
        if amount
    ]
    return {
        "links": [],
        "id": found.id,
        "externalId": found.external_id,
        "tranId": found.number,
        "tranDate": found.day.isoformat(),
        "memo": found.memo,
        "currency": {"id": currency.id, "refName": currency.symbol},
        "exchangeRate": found.rate,
        "total": found.total,
        "unapplied": found.open,
        "apply": {"links": [], "items": applied, "totalResults": len(applied), "count": len(applied), "hasMore": False},
    }


def _query(account: SimulatedAccount, arrival: Arrival) -> Answer:
    call, body = arrival.call, _body(arrival)
    if call.headers.get("prefer", "").lower() != "transient":
        raise Refusal("The request must contain the header Prefer: transient.", code="INVALID_HEADER")
    limit, offset = call.number("limit", PAGE_MAX), call.number("offset", 0)
    if not 1 <= limit <= PAGE_MAX or offset % limit:
        raise Refusal("The offset must be divisible by the limit, of at most 1000.", code="INVALID_PARAMETER")
    text, parameters = body.get("q"), body.get("params", [])
    if not isinstance(text, str) or not isinstance(parameters, list):
        raise invalid_content("A query is a text q with a list params.", "q")
    lag = arrival.faults.get(Fault.LOOKUP_LAG)
    rows, total = account.tables.page(
        text=text,
        parameters=parameters,
        limit=limit,
        offset=offset,
        now=account.clock.now(),
        lag=timedelta(seconds=lag.seconds if lag else 0),
    )
    if Fault.PAGE_LOST in arrival.faults:
        rows = []
    omitted = account.books.lists.settings.omit_null_columns
    page: list[dict[str, Any]] = [
        {"links": [], **{name: value for name, value in row.items() if value is not None or not omitted}}
        for row in rows
    ]
    more = offset + len(page) < total and Fault.PAGE_LOST not in arrival.faults
    return json_answer(
        {"links": [], "count": len(page), "hasMore": more, "items": page, "offset": offset, "totalResults": total}
    )


def _job(account: SimulatedAccount, arrival: Arrival) -> Answer:
    parts = arrival.call.path.removeprefix(f"{REST}/async/v1/job/").split("/")
    job = account.jobs.jobs.get(parts[0])
    if job is None or Fault.JOB_FORGOTTEN in arrival.faults:
        raise Refusal("The job does not exist.", code="NONEXISTENT_ID", status=404)
    done = job.completed()
    progress = "succeeded" if done else "pending"
    if len(parts) == 1:
        link = {"links": [{"rel": "self", "href": f"{REST}/async/v1/job/{job.id}/task/"}]}
        return json_answer({"completed": done, "id": job.id, "progress": progress, "task": link})
    place = int(parts[2]) - 1 if len(parts) > 2 and parts[2].isdecimal() and len(parts[2]) < 4 else -1
    if not done or not 0 <= place < len(job.tasks):
        raise Refusal("The task does not exist.", code="NONEXISTENT_ID", status=404)
    task = job.tasks[place]
    if parts[3:] == ["result"]:
        return Answer(
            status=task.status, body=task.body, headers=(("location", task.location),) if task.location else ()
        )
    state = "succeeded" if task.status < 400 else "failed"
    return json_answer({"completed": True, "id": parts[2], "progress": state})
