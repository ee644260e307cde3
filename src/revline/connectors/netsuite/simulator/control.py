"""The simulated account's control: set-up, certificates, faults, periods, edits by hand and counters.

It has a token of its own, which no customer of an ERP would have.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from revline.connectors.netsuite.simulator.calls import Answer, Arrival, json_answer
from revline.connectors.netsuite.simulator.faults import FaultRule, FaultState
from revline.connectors.netsuite.simulator.setup import PeriodChange, RecordEdit, SetupBody
from revline.connectors.netsuite.simulator.suiteql import trial_balance
from revline.connectors.netsuite.simulator.tokens import Certificate
from revline.connectors.netsuite.simulator.values import Refusal
from revline.core.money import amount_text, decode_hook

if TYPE_CHECKING:
    from revline.connectors.netsuite.simulator.account import SimulatedAccount

_BODIES: dict[str, type[Any]] = {
    "setup": SetupBody,
    "certificate": Certificate,
    "period": PeriodChange,
    "edit": RecordEdit,
    "faults": FaultRule,
}


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Calls by operation since the start, how many are unanswered now (this one aside), the most there ever were, faults."""

    calls: dict[str, int]
    in_flight: int
    in_flight_max: int
    records: dict[str, int]
    tokens: int
    faults: tuple[FaultState, ...]


def answer(*, account: SimulatedAccount, arrival: Arrival) -> Answer:
    """The answer to one control call."""
    verb, call = arrival.operation.partition(".")[2], arrival.call
    try:
        if call.method == "POST" and verb in {"setup", "certificate", "period", "edit"}:
            act(account=account, verb=verb, data=call.body, at=account.clock.now())
            account.keep(
                order=arrival.order, action=verb, kind=verb, record_id="", reference="", data=msgspec.Raw(call.body)
            )
            return json_answer({"done": True})
        if call.method == "POST" and verb == "faults":
            return json_answer({"rule_id": account.faults.add(rule=_decoded(verb, call.body))})
    except (msgspec.MsgspecError, ValueError) as failure:
        raise Refusal(str(failure)[:300], code="INVALID_CONTENT") from None
    match (call.method, verb):
        case ("POST", "lift"):
            account.faults.lift(rule_id=str(msgspec.json.decode(call.body or b"{}").get("rule_id", "")))
            return json_answer({"done": True})
        case ("POST", "revoke"):
            account.tokens.revoke_all()
            return json_answer({"done": True})
        case ("GET", "counters"):
            return json_answer(counters(account=account))
        case ("GET", "trial-balance"):
            subsidiary = call.query.get("subsidiary", ("1",))[0]
            rows = trial_balance(books=account.books, subsidiary=subsidiary)
            return json_answer(
                [
                    {"account": key[0], "currency": key[1], "period": key[2], "net": amount_text(amount)}
                    for key, amount in sorted(rows.items())
                ]
            )
    raise Refusal("There is no such control.", code="INVALID_REQUEST", status=404)


def act(*, account: SimulatedAccount, verb: str, data: bytes, at: datetime) -> None:
    """One act of an administrator or of a person in the user interface."""
    body = _decoded(verb, data)
    match body:
        case SetupBody():
            account.books.set_up(body=body, at=at)
        case Certificate():
            account.tokens.certificates[body.id] = body
        case PeriodChange():
            account.books.lists.set_period(change=body)
        case RecordEdit():
            account.books.edit(change=body, at=at)
            account.tables.touch(number=body.id)
    account.touch_all()


def counters(*, account: SimulatedAccount) -> Counters:
    """What was counted."""
    records: dict[str, int] = {}
    for each in account.books.transactions.values():
        records[each.type] = records.get(each.type, 0) + 1
    for master in account.books.masters.values():
        records[master.type] = records.get(master.type, 0) + 1
    return Counters(
        calls=dict(account.calls),
        in_flight=max(account.in_flight - 1, 0),
        in_flight_max=account.in_flight_max,
        records=records,
        tokens=account.tokens.issued,
        faults=account.faults.states(),
    )


def _decoded(verb: str, data: bytes) -> Any:
    return msgspec.json.decode(data, type=_BODIES[verb], dec_hook=decode_hook)
