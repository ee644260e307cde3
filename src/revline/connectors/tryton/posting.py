"""Posts drafts in Tryton: acknowledges the allowed warnings, keeps invoice dates in number order, reads the ledger back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from revline.connectors.tryton.client import FailureKind, TrytonClient, TrytonFailure
from revline.connectors.tryton.creating import WORDS, gate_of
from revline.connectors.tryton.manifest import INVOICE, WARNINGS_ALLOWED
from revline.connectors.tryton.outcomes import (
    RETRY_AFTER,
    ROLLED_BACK,
    before_write,
    differs,
    missing,
    not_tried,
    of_write,
)
from revline.connectors.tryton.reading import FIELDS, Company, TrytonReader
from revline.connectors.tryton.records import Values
from revline.connectors.tryton.residue import ResidueMender
from revline.connectors.tryton.translate import body_of
from revline.core.clock import Clock
from revline.core.farside import Outcome, Placed, Posted, PreparedStep, Rejected, Throttled, Uncertain
from revline.core.problem import ProblemError, problem

WARNINGS_MAX: Final = 100
DRAFTS: Final = frozenset({"draft", "validated"})
_EXTRA: Final = {INVOICE: ("payment_term_date",)}
_LATER: Final = frozenset({FailureKind.BUSY, FailureKind.CONFLICT, FailureKind.THROTTLED})


class Poster:
    """Posts drafts."""

    def __init__(self, client: TrytonClient, reader: TrytonReader, clock: Clock) -> None:
        self._client = client
        self._reader = reader
        self._clock = clock
        self._residues = ResidueMender(client, reader)

    async def post(self, steps: Sequence[PreparedStep]) -> list[Outcome]:
        """One outcome for each step, in order. A record that is posted already is read and answered as posted."""
        bodies = [body_of(step=step) for step in steps]
        model, numbers = bodies[0]["model"], [int(body["id"]) for body in bodies]
        failed: dict[int, Outcome] = {}
        try:
            company = await self._reader.company(bodies[0]["company"])
            rows = await self._rows(company, model, numbers)
            drafts = [row for row in rows.values() if row["state"] in DRAFTS]
            if model == INVOICE:
                failed |= await self._dated(company, drafts)
                await self._acknowledge_due_dates(drafts)
        except TrytonFailure as failure:
            return [before_write(failure)] * len(steps)
        except ProblemError as error:
            return [Rejected(problem=error.problem)] * len(steps)
        sendable = [row["id"] for row in drafts if row["id"] not in failed]
        days = {number: body["day"] for number, body in zip(numbers, bodies, strict=True)}
        if sendable:
            failed |= await self._post(company, model, sendable, days)
        if model == INVOICE:
            failed |= await self._mended(company, [number for number in numbers if number not in failed], bodies)
        return await self._standing(company, model, numbers, failed)

    async def _mended(self, company: Company, numbers: list[int], bodies: list[Values]) -> dict[int, Outcome]:
        """Outcomes of posted invoices whose conversion could not be corrected."""
        days = {int(body["id"]): body["day"] for body in bodies}
        try:
            rows = await self._rows(company, INVOICE, numbers)
            posted = [row for row in rows.values() if row["state"] == "posted"]
            await self._residues.mend(company, posted, days=days, journal=bodies[0]["journal"])
        except TrytonFailure as failure:
            return dict.fromkeys(
                numbers, Uncertain(evidence=f"posted, and correcting its conversion came to {failure}")
            )
        return {}

    async def _rows(self, company: Company, model: str, numbers: list[int]) -> dict[int, Values]:
        fields = (*FIELDS[model], *_EXTRA.get(model, ()))
        rows = await self._reader.rows(model, [["id", "in", numbers]], fields, company=company.number)
        return {row["id"]: row for row in rows}

    async def _post(
        self, company: Company, model: str, numbers: list[int], days: dict[int, date]
    ) -> dict[int, Outcome]:
        """Outcomes of those that were not posted."""
        failure = await self._call_post(company, model, numbers)
        if failure is None:
            return {}
        if failure.kind is FailureKind.UNCERTAIN:
            return dict.fromkeys(numbers, of_write(failure, what=WORDS[model]))
        try:
            rows = await self._rows(company, model, numbers)
        except TrytonFailure:
            return dict.fromkeys(numbers, Uncertain(evidence=f"posting came to {failure}; the state can't be read"))
        left = [number for number in numbers if number in rows and rows[number]["state"] in DRAFTS]
        if failure.kind in _LATER:
            return dict.fromkeys(left, Throttled(retry_after=RETRY_AFTER))
        if len(left) > 1 and failure.kind in ROLLED_BACK:
            return await self._post_singly(company, model, left, days)
        return {number: await self._refused(company, model, days[number], failure) for number in left}

    async def _post_singly(
        self, company: Company, model: str, numbers: list[int], days: dict[int, date]
    ) -> dict[int, Outcome]:
        failed: dict[int, Outcome] = {}
        for position, number in enumerate(numbers):
            found = await self._post(company, model, [number], days)
            failed |= found
            if any(isinstance(outcome, Uncertain) for outcome in found.values()):
                lost = TrytonFailure(FailureKind.UNCERTAIN, "")
                return failed | dict.fromkeys(numbers[position + 1 :], not_tried(lost))
        return failed

    async def _call_post(self, company: Company, model: str, numbers: list[int]) -> TrytonFailure | None:
        """Post in one call, acknowledging allowed warnings as they come, each once."""
        acknowledged: set[str] = set()
        for _ in range(WARNINGS_MAX):
            try:
                await self._client.call(f"model.{model}.post", numbers, context={"company": company.number})
            except TrytonFailure as failure:
                kind = failure.name.partition(".")[2]
                allowed = failure.kind is FailureKind.WARNING and kind in WARNINGS_ALLOWED
                if not allowed or failure.name in acknowledged:
                    return failure
                acknowledged.add(failure.name)
                try:
                    await self._skip(failure.name)
                except TrytonFailure as skip_failure:
                    return TrytonFailure(FailureKind.BUSY, f"the warning could not be acknowledged: {skip_failure}")
                continue
            return None
        return TrytonFailure(FailureKind.REFUSED, f"more than {WARNINGS_MAX} warnings")

    async def _skip(self, name: str) -> None:
        await self._client.call("model.res.user.warning.skip", name, False, context={})  # noqa: FBT003 - the wire's order

    async def _acknowledge_due_dates(self, drafts: list[Values]) -> None:
        """Each past due date would stop the whole batch once: they are acknowledged before, one by one."""
        today = self._clock.now().date()
        for row in drafts:
            due = row["payment_term_date"]
            if due is not None and due < today:
                await self._skip(warning_name(warning="invoice_payment_term", model=INVOICE, number=row["id"]))

    async def _dated(self, company: Company, drafts: list[Values]) -> dict[int, Outcome]:
        """Gives drafts an invoice date that can be numbered; outcomes of those for which none is right."""
        failed: dict[int, Outcome] = {}
        latest: dict[tuple[str, int], date | None] = {}
        for row in sorted(drafts, key=lambda each: (each["invoice_date"] or date.min, each["id"])):
            day: date = row["invoice_date"] or row["accounting_date"]
            key = ("credit_note" if row["total_amount"] < 0 else "invoice", (row["accounting_date"] or day).year)
            if key not in latest:
                latest[key] = await last_numbered(self._reader, company, kind=key[0], day=row["accounting_date"] or day)
            last = latest[key]
            if last is None or last <= day:
                continue
            if not await same_rate(self._reader, company, row["currency."]["code"], day, last):
                detail = f"Tryton numbers by date, the last is {last.isoformat()}, and the rate of {day.isoformat()} is another"
                failed[row["id"]] = Rejected(problem=problem("tryton.rate_differs", detail, field="invoice_date"))
                continue
            await self._client.call(
                f"model.{INVOICE}.write", [row["id"]], {"invoice_date": last}, context={"company": company.number}
            )
        return failed

    async def _refused(self, company: Company, model: str, day: date, failure: TrytonFailure) -> Outcome:
        outcome = of_write(failure, what=WORDS[model])
        if failure.kind is not FailureKind.REFUSED:
            return outcome
        try:
            gate = await gate_of(self._reader, company)
        except TrytonFailure:
            return outcome
        closed = gate.problem_of(day=day, journal="")
        return Rejected(problem=closed, evidence=failure.message) if closed else outcome

    async def _standing(
        self, company: Company, model: str, numbers: list[int], failed: dict[int, Outcome]
    ) -> list[Outcome]:
        """Where each record stands now, with the ledger's lines of those posted."""
        try:
            rows = await self._rows(company, model, numbers)
            records = {
                int(record.erp_id): record
                for record in await self._reader.as_records(company, model, list(rows.values()))
            }
            read = self._reader.invoice_entries if model == INVOICE else self._reader.entries
            entries = await read(company, list(rows))
        except TrytonFailure as failure:
            lost = Uncertain(evidence=f"posted or not: the record can't be read ({failure.kind.value})")
            return [failed.get(number, lost) for number in numbers]
        outcomes: list[Outcome] = []
        for number in numbers:
            record = records.get(number)
            if number in failed:
                outcomes.append(failed[number])
            elif record is None:
                outcomes.append(missing(model, number))
            elif record.state == "cancelled":
                outcomes.append(differs(f"{model} {number} is cancelled in Tryton", "state"))
            elif record.state == "draft":
                outcomes.append(Placed(record=record))
            else:
                outcomes.append(Posted(record=record, entries=entries[number]))
        return outcomes


def warning_name(*, warning: str, model: str, number: int) -> str:
    """The name Tryton gives a warning about one record (res.user.warning.format)."""
    digest = hashlib.md5(f"{model},{number}".encode(), usedforsecurity=False).hexdigest()
    return f"{digest}.{warning}"


async def last_numbered(reader: TrytonReader, company: Company, *, kind: str, day: date) -> date | None:
    """The latest invoice date numbered in the sequence of a fiscal year. kind: invoice or credit_note."""
    rows = await reader.rows(
        INVOICE,
        [
            ["company", "=", company.number],
            ["type", "=", "out"],
            ["number", "!=", None],
            ["sequence_type_cache", "=", kind],
            ["move.period.fiscalyear.start_date", "<=", day],
            ["move.period.fiscalyear.end_date", ">=", day],
        ],
        ["invoice_date"],
        company=company.number,
        order=[["invoice_date", "DESC"]],
        limit=1,
    )
    found: date | None = rows[0]["invoice_date"] if rows else None
    return found


async def same_rate(reader: TrytonReader, company: Company, currency: str, one: date, other: date) -> bool:
    """Whether Tryton converts a currency the same on both days."""
    if currency == company.currency or one == other:
        return True
    rates: list[Decimal | None] = [await reader.rate(company, currency=currency, day=day) for day in (one, other)]
    return rates[0] is not None and rates[0] == rates[1]
