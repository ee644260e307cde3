"""Makes records in Tryton: parties, draft invoices, draft moves; several in one call, each with an answer of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from revline.connectors.tryton.client import FailureKind, TrytonClient, TrytonFailure
from revline.connectors.tryton.manifest import INVOICE, MOVE, PARTY
from revline.connectors.tryton.outcomes import ROLLED_BACK, before_write, not_tried, of_write
from revline.connectors.tryton.reading import (
    REFERENCE_FIELD,
    Company,
    Period,
    TrytonReader,
    closed_problem,
    holding,
)
from revline.connectors.tryton.records import Values
from revline.connectors.tryton.translate import body_of, codes_in, with_numbers
from revline.core.farside import ErpRecord, Outcome, Placed, Posted, PreparedStep, Rejected, Uncertain
from revline.core.problem import Problem, ProblemError, problem

RATE_TOLERANCE: Final = Decimal("0.000000001")
WORDS: Final = {PARTY: "a party", INVOICE: "an invoice", MOVE: "a move"}


class _Ready(msgspec.Struct, frozen=True, kw_only=True):
    place: int
    reference: str
    body: Values
    values: Values


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What a company takes now: its periods, and journals closed one by one."""

    periods: tuple[Period, ...]
    closed_journals: frozenset[tuple[int, str]]

    def problem_of(self, *, day: date, journal: str) -> Problem | None:
        """Why nothing can be booked on the day in the journal, None when it can."""
        period = holding(self.periods, day)
        found = closed_problem(period, day)
        if found is None and period is not None and (period.number, journal) in self.closed_journals:
            detail = f"journal {journal} is closed in period {period.name} in Tryton"
            return problem("erp.period_closed", detail, field=period.name)
        return found


async def gate_of(reader: TrytonReader, company: Company) -> Gate:
    """Read the gate. Asked before each call: a period may be closed at any time."""
    periods = await reader.periods(company)
    return Gate(periods=tuple(periods), closed_journals=frozenset(await reader.closed_journals(company)))


class Creator:
    """Makes records."""

    def __init__(self, client: TrytonClient, reader: TrytonReader) -> None:
        self._client = client
        self._reader = reader

    async def create(self, steps: Sequence[PreparedStep]) -> list[Outcome]:
        """One outcome for each step, in order."""
        bodies = [body_of(step=step) for step in steps]
        try:
            company = await self._reader.company(bodies[0]["company"])
            found = await self._prepared(company, steps, bodies)
        except TrytonFailure as failure:
            return [before_write(failure)] * len(steps)
        except ProblemError as error:
            return [Rejected(problem=error.problem)] * len(steps)
        outcomes: dict[int, Outcome] = {
            place: Rejected(problem=each) for place, each in enumerate(found) if isinstance(each, Problem)
        }
        ready = [each for each in found if isinstance(each, _Ready)]
        if ready:
            outcomes |= await self._make(company, bodies[0]["model"], ready)
        return [outcomes[place] for place in range(len(steps))]

    async def _prepared(
        self, company: Company, steps: Sequence[PreparedStep], bodies: list[Values]
    ) -> list[_Ready | Problem]:
        codes = set().union(*(codes_in(node=body["values"]) for body in bodies))
        numbers = await self._reader.numbers(company, codes)
        gate = await gate_of(self._reader, company) if bodies[0]["model"] != PARTY else None
        found: list[_Ready | Problem] = []
        for place, (step, body) in enumerate(zip(steps, bodies, strict=True)):
            unknown = sorted(codes_in(node=body["values"]) - numbers.keys())
            if unknown:
                kind, code = unknown[0]
                detail = f"Tryton has no {kind} {code!r} in company {company.code}"
                found.append(problem("tryton.code_unknown", detail, field=f"{kind}:{code}"))
                continue
            refused = gate.problem_of(day=body["day"], journal=body["journal"]) if gate else None
            refused = refused or await self._conversion_problem(company, body)
            if refused is not None:
                found.append(refused)
                continue
            values = with_numbers(node=body["values"], numbers=numbers)
            if body["model"] == MOVE and gate is not None:
                period = holding(gate.periods, body["day"])
                values["period"] = period.number if period else None
            found.append(_Ready(place=place, reference=step.external_reference, body=body, values=values))
        return found

    async def _conversion_problem(self, company: Company, body: Values) -> Problem | None:
        """A foreign-currency invoice is converted by Tryton: at the rate the journal used, or not at all."""
        conversion = body.get("conversion")
        if conversion is None or conversion["from"] == company.currency:
            return None
        day = body["values"]["invoice_date"]
        rate = await self._reader.rate(company, currency=conversion["from"], day=day)
        if rate is not None and abs(rate - conversion["rate"]) <= RATE_TOLERANCE:
            return None
        shown = "no rate" if rate is None else format(rate.normalize(), "f")[:20]
        pair = f"{conversion['from']}/{company.currency}"
        detail = f"Tryton has {shown} for {pair} on {day.isoformat()}; the journal used {conversion['rate']}"
        return problem("tryton.rate_differs", detail, field=f"{pair} {day.isoformat()}")

    async def _make(self, company: Company, model: str, ready: list[_Ready]) -> dict[int, Outcome]:
        context = {"company": company.number}
        try:
            numbers = await self._client.call(f"model.{model}.create", [each.values for each in ready], context=context)
        except TrytonFailure as failure:
            if len(ready) > 1 and failure.kind in ROLLED_BACK:
                return await self._make_singly(company, model, ready)
            return {each.place: await self._refused(company, model, each, failure) for each in ready}
        if not isinstance(numbers, list) or len(numbers) != len(ready):
            return {each.place: Uncertain(evidence=f"{len(ready)} records were asked for, {numbers}") for each in ready}
        return await self._made(company, model, ready, numbers)

    async def _make_singly(self, company: Company, model: str, ready: list[_Ready]) -> dict[int, Outcome]:
        """One bad document must take no good one with it."""
        outcomes: dict[int, Outcome] = {}
        for position, each in enumerate(ready):
            try:
                numbers = await self._client.call(
                    f"model.{model}.create", [each.values], context={"company": company.number}
                )
            except TrytonFailure as failure:
                outcomes[each.place] = await self._refused(company, model, each, failure)
                if failure.kind in ROLLED_BACK:
                    continue
                outcomes |= {left.place: not_tried(failure) for left in ready[position + 1 :]}
                return outcomes
            outcomes |= await self._made(company, model, [each], numbers)
        return outcomes

    async def _made(self, company: Company, model: str, ready: list[_Ready], numbers: list[int]) -> dict[int, Outcome]:
        records: dict[str, ErpRecord] = {}
        try:
            found = await self._reader.records(company, model, [["id", "in", numbers]])
            records = {record.erp_id: record for record in found}
        except TrytonFailure:
            # They are made; what could not be read is read again by the next step.
            records = {}
        outcomes: dict[int, Outcome] = {}
        for each, number in zip(ready, numbers, strict=True):
            bare = ErpRecord(record_kind=model, erp_id=str(number), state="draft", external_reference=each.reference)
            record = records.get(str(number))
            if model != PARTY:
                outcomes[each.place] = Placed(record=record or bare)
            elif record is None:
                outcomes[each.place] = Uncertain(evidence=f"party {number} was made and can't be read")
            else:
                outcomes[each.place] = Posted(record=record, entries=())
        return outcomes

    async def _refused(self, company: Company, model: str, each: _Ready, failure: TrytonFailure) -> Outcome:
        """What a refusal means, by looking at what Tryton holds and not at its words."""
        outcome = of_write(failure, what=WORDS[model])
        if failure.kind is not FailureKind.REFUSED:
            return outcome
        try:
            if model == PARTY:
                domain = [[REFERENCE_FIELD[PARTY], "=", each.reference]]
                found = await self._reader.records(company, PARTY, domain)
                return Posted(record=found[0], entries=()) if found else outcome
            gate = await gate_of(self._reader, company)
        except TrytonFailure:
            return outcome
        closed = gate.problem_of(day=each.body["day"], journal=each.body["journal"])
        return Rejected(problem=closed, evidence=failure.message) if closed else outcome
