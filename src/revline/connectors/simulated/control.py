"""The simulated ERP's control: set-up, faults, periods, edits by hand and counters.

It has a token of its own, which no customer of an ERP would have.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from revline.connectors.simulated import wire
from revline.connectors.simulated.calls import Answer, Arrival
from revline.connectors.simulated.faults import FaultRule, FaultState
from revline.connectors.simulated.impact import invalid
from revline.connectors.simulated.records import Ledger, Refused, Stored
from revline.connectors.simulated.setup import SetupBody
from revline.connectors.simulated.wire import ErrorBody, Kind
from revline.core.money import currency
from revline.core.problem import Problem

if TYPE_CHECKING:
    from revline.connectors.simulated.simulator import Simulator


class PeriodChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open or close a period. state: open, soft_closed or closed."""

    company: str
    period: str
    state: str


class RecordEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change somebody makes in the ERP. fields: over those shown; state: "" leaves it, "deleted" removes it."""

    kind: Kind
    id: str
    fields: dict[str, str] = {}
    state: str = ""


class Lift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a fault rule, or with "" all."""

    rule_id: str = ""


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Calls by operation since the start, how many are unanswered now (this one aside), the most there ever were, fault counts."""

    calls: dict[str, int]
    in_flight: int
    in_flight_max: int
    records: dict[str, int]
    faults: tuple[FaultState, ...]


class _DatedDocument(msgspec.Struct, frozen=True, kw_only=True):
    company: str = ""
    date: str = ""


def answer(*, simulator: Simulator, arrival: Arrival, verb: str) -> Answer:
    """The answer to one control call."""
    data, ledger = arrival.call.body, simulator.ledger
    body: object = {"done": True}
    match (arrival.call.method, verb):
        case ("POST", "setup"):
            set_up(ledger=ledger, body=wire.decode(data, SetupBody))
            simulator.commit(arrival=arrival, action="setup", data=data, kind="setup")
        case ("POST", "period"):
            change = wire.decode(data, PeriodChange)
            set_period(ledger=ledger, body=change)
            simulator.commit(arrival=arrival, action="period", data=data, kind="period", name=change.period)
        case ("POST", "edit"):
            stored = edit(ledger=ledger, body=wire.decode(data, RecordEdit), at=simulator.clock.now())
            simulator.commit(arrival=arrival, action="edit", data=data, stored=stored)
            body = wire.ItemAnswer(status=200, record=stored.record, entries=stored.entries)
        case ("POST", "faults"):
            rule = wire.decode(data, FaultRule)
            try:
                body = {"rule_id": simulator.faults.add(rule=rule)}
            except ValueError as failure:
                raise Refused(ErrorBody(code="invalid", message=str(failure), field="rule")) from None
        case ("POST", "lift"):
            simulator.faults.lift(rule_id=wire.decode(data or b"{}", Lift).rule_id)
        case ("GET", "counters"):
            body = Counters(
                calls=dict(simulator.calls),
                in_flight=simulator.in_flight - 1,
                in_flight_max=simulator.in_flight_max,
                records={kind.value: len(records) for kind, records in ledger.records.items()},
                faults=simulator.faults.states(),
            )
        case _:
            raise Refused(ErrorBody(code="unknown_path", message="there is no such path or method"), missing=True)
    return Answer(status=200, body=wire.encode(body))


def set_up(*, ledger: Ledger, body: SetupBody) -> None:
    """Take companies and house rules; all of them or none."""
    for company in body.companies:
        if isinstance(currency(company.functional_currency), Problem):
            raise Refused(invalid(f"{company.functional_currency[:12]!r} is no currency", "functional_currency"))
        if not re.fullmatch(r"[12][0-9]{3}-(0[1-9]|1[0-2])", company.first_period):
            raise Refused(invalid("a period is named YYYY-MM", "first_period"))
    ledger.set_up(body=body)


def set_period(*, ledger: Ledger, body: PeriodChange) -> None:
    """Open or close a period of a company."""
    company = ledger.companies.get(body.company)
    error = company.set_period(name=body.period, state=body.state) if company else invalid("no such company", "company")
    if error is not None:
        raise Refused(error)


def edit(*, ledger: Ledger, body: RecordEdit, at: datetime) -> Stored:
    """Change a record as a person would."""
    return ledger.edit(kind=body.kind, record_id=body.id, fields=body.fields, state=body.state, at=at)


def lock_period_of(*, simulator: Simulator, arrival: Arrival, document: bytes) -> None:
    """Close the period a document is dated in, as its turn comes in a batch."""
    dated = wire.decode(document, _DatedDocument)
    change = PeriodChange(company=dated.company, period=dated.date[:7], state="closed")
    set_period(ledger=simulator.ledger, body=change)
    simulator.commit(arrival=arrival, action="period", data=wire.encode(change), kind="period", name=change.period)
