"""Reads from Tryton: its companies and codes, periods, records with their ledger lines. Writes nothing; raises TrytonFailure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.connectors.tryton.client import TrytonClient
from revline.connectors.tryton.manifest import INVOICE, MOVE, PARTY
from revline.connectors.tryton.records import Values, erp_entries, invoice_record, move_record, party_record
from revline.core.farside import ErpEntry, ErpPeriod, ErpRecord, PeriodState
from revline.core.problem import Problem, ProblemError, problem

ROWS_MAX: Final = 10_000
LINES_MAX: Final = 100_000

_STAMPS: Final = ("create_date", "write_date")
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    PARTY: ("name", "code", "addresses", *_STAMPS),
    INVOICE: (
        "number", "state", "reference", "description", "currency.code", "total_amount", "accounting_date", "invoice_date",
        "party", "move", "cancel_move", "company", "currency", "account", *_STAMPS,
    ),
    MOVE: ("number", "state", "description", "date", "origin", "company", *_STAMPS),
}  # fmt: skip
REFERENCE_FIELD: Final = {PARTY: "code", INVOICE: "reference", MOVE: "description"}
_MOVE_LINE_FIELDS: Final = [
    "move", "account.code", "debit", "credit", "second_currency.code", "amount_second_currency", "party", "party.code", "date",
    "account", "second_currency",
]  # fmt: skip
_SEARCHABLE: Final = {"account": "account.account", "journal": "account.journal", "currency": "currency.currency"}


class Company(msgspec.Struct, frozen=True, kw_only=True):
    """A company there: its number, and its currency's number and ISO code."""

    number: int
    code: str
    currency: str
    currency_number: int


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A standard period: first and last day, both in it."""

    number: int
    name: str
    first_day: date
    last_day: date
    state: str


class OriginMove(msgspec.Struct, frozen=True, kw_only=True):
    """A move an invoice is the origin of: its own, and what corrects its conversion."""

    number: int
    state: str
    lines: tuple[Values, ...]


class TrytonReader:
    """Reads as one user. Numbers of codes are remembered for the life of the connector: Tryton never gives a code's number away."""

    def __init__(self, client: TrytonClient) -> None:
        self._client = client
        self._companies: dict[str, Company] = {}
        self._numbers: dict[tuple[int, str, str], int] = {}

    async def rows(
        self,
        model: str,
        domain: list[Any],
        fields: Sequence[str],
        *,
        company: int | None = None,
        order: list[Any] | None = None,
        limit: int = ROWS_MAX,
        **context: Any,
    ) -> list[Values]:
        """Rows of a model, at most `limit`. Fields of a related record come under `name.`."""
        found: list[Values] = await self._client.call(
            f"model.{model}.search_read",
            domain,
            0,
            limit,
            order,
            list(fields),
            context=({"company": company} if company else {}) | context,
        )
        return found

    async def company(self, code: str) -> Company:
        """The company whose party has the code. ProblemError `tryton.code_unknown` when the user sees none."""
        known = self._companies.get(code)
        if known is not None:
            return known
        fields = ["currency", "currency.code"]
        found = await self.rows("company.company", [["party.code", "=", code]], fields, limit=2)
        if len(found) != 1:
            raise ProblemError(
                problem("tryton.code_unknown", f"no company has the party code {code!r}", field=f"company:{code}")
            )
        row = found[0]
        company = Company(
            number=row["id"], code=code, currency=row["currency."]["code"], currency_number=row["currency"]
        )
        self._companies[code] = company
        return company

    async def numbers(self, company: Company, codes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Tryton's numbers of codes in a company; those it doesn't have are left out."""
        wanted = set(codes)
        for kind in sorted({kind for kind, _ in wanted} - {"company"}):
            missing = sorted(
                code for each, code in wanted if each == kind and (company.number, kind, code) not in self._numbers
            )
            if missing:
                await self._find_numbers(company, kind, missing)
        found = {
            (kind, code): number
            for kind, code in wanted
            if (number := self._numbers.get((company.number, kind, code))) is not None
        }
        return found | {(kind, code): company.number for kind, code in wanted if kind == "company"}

    async def _find_numbers(self, company: Company, kind: str, codes: list[str]) -> None:
        domain: list[Any] = [["code", "in", codes]]
        if kind == "account":
            domain += [["company", "=", company.number], ["closed", "!=", True]]
        for row in await self.rows(_SEARCHABLE[kind], domain, ["code"], company=company.number):
            self._numbers[company.number, kind, row["code"]] = row["id"]

    async def periods(self, company: Company) -> list[Period]:
        """The standard periods of a company, first day first."""
        rows = await self.rows(
            "account.period",
            [["company", "=", company.number], ["type", "=", "standard"]],
            ["name", "start_date", "end_date", "state"],
            company=company.number,
            order=[["start_date", "ASC"]],
        )
        return [
            Period(
                number=row["id"],
                name=row["name"],
                first_day=row["start_date"],
                last_day=row["end_date"],
                state=row["state"],
            )
            for row in rows
        ]

    async def closed_journals(self, company: Company) -> set[tuple[int, str]]:
        """(period number, journal code) pairs closed one by one."""
        rows = await self.rows(
            "account.journal.period",
            [["period.company", "=", company.number], ["state", "=", "closed"]],
            ["period", "journal.code"],
            company=company.number,
        )
        return {(row["period"], row["journal."]["code"]) for row in rows}

    async def rate(self, company: Company, *, currency: str, day: date) -> Decimal | None:
        """Units of the company's currency for one unit of another, as Tryton converts on a day; None without a rate."""
        rows = await self.rows(
            "currency.currency",
            [["code", "in", [currency, company.currency]]],
            ["code", "rate"],
            company=company.number,
            date=day,
        )
        rates = {row["code"]: row["rate"] for row in rows}
        own, other = rates.get(company.currency), rates.get(currency)
        return own / other if own and other else None

    async def records(self, company: Company, model: str, domain: list[Any], **options: Any) -> list[ErpRecord]:
        """Records of a model with their lines, in the order of `order`."""
        # A party somebody deactivated still has the code.
        own = [["active", "in", [True, False]]] if model == PARTY else [["company", "=", company.number]]
        if model == INVOICE:
            own.append(["type", "=", "out"])
        domain = [*own, *domain]
        rows = await self.rows(model, domain, FIELDS[model], company=company.number, **options)
        return await self.as_records(company, model, rows)

    async def as_records(self, company: Company, model: str, rows: list[Values]) -> list[ErpRecord]:
        """Rows read with FIELDS as records; asks for their lines."""
        numbers = [row["id"] for row in rows]
        if model == PARTY:
            return [party_record(row=row) for row in rows]
        if model == MOVE:
            lines = await self.move_lines(company, numbers)
            return [move_record(row=row, lines=lines[row["id"]], currency=company.currency) for row in rows]
        lines = await self._parts(company, "account.invoice.line", numbers, [["type", "=", "line"]])
        taxes = await self._parts(company, "account.invoice.tax", numbers, [])
        unfinished = await self._unfinished(company, rows)
        return [
            invoice_record(row=row, lines=lines[row["id"]], taxes=taxes[row["id"]], unfinished=row["id"] in unfinished)
            for row in rows
        ]

    async def _unfinished(self, company: Company, rows: list[Values]) -> set[int]:
        """Posted foreign-currency invoices whose conversion is still to be corrected."""
        foreign = [row["id"] for row in rows if row["move"] and row["currency."]["code"] != company.currency]
        moves = await self.origin_moves(company, foreign)
        return {number for number in foreign if left_over(moves[number]) or _draft_among(moves[number])}

    async def _parts(
        self, company: Company, model: str, invoices: list[int], domain: list[Any]
    ) -> dict[int, list[Values]]:
        found: dict[int, list[Values]] = defaultdict(list)
        if invoices:
            fields = ["invoice", "account.code", "amount"]
            wanted = [["invoice", "in", invoices], *domain]
            for row in await self.rows(model, wanted, fields, company=company.number, limit=LINES_MAX):
                found[row["invoice"]].append(row)
        return found

    async def move_lines(self, company: Company, moves: Sequence[int]) -> dict[int, list[Values]]:
        """The lines of moves by move."""
        found: dict[int, list[Values]] = defaultdict(list)
        if moves:
            rows = await self.rows(
                "account.move.line",
                [["move", "in", list(moves)]],
                _MOVE_LINE_FIELDS,
                company=company.number,
                limit=LINES_MAX,
            )
            for row in rows:
                found[row["move"]].append(row)
        return found

    async def origin_moves(self, company: Company, invoices: Sequence[int]) -> dict[int, list[OriginMove]]:
        """The moves that have an invoice as their origin, with their lines, by invoice."""
        found: dict[int, list[OriginMove]] = defaultdict(list)
        if invoices:
            names = {f"{INVOICE},{number}": number for number in invoices}
            domain = [["company", "=", company.number], ["origin", "in", list(names)]]
            rows = await self.rows(MOVE, domain, ["origin", "state"], company=company.number, order=[["id", "ASC"]])
            lines = await self.move_lines(company, [row["id"] for row in rows])
            for row in rows:
                move = OriginMove(number=row["id"], state=row["state"], lines=tuple(lines[row["id"]]))
                found[names[row["origin"]]].append(move)
        return found

    async def invoice_entries(self, company: Company, invoices: Sequence[int]) -> dict[int, tuple[ErpEntry, ...]]:
        """The ledger lines of posted invoices by invoice: of every move they are the origin of."""
        moves = await self.origin_moves(company, invoices)
        return {
            number: erp_entries(
                lines=[line for move in moves[number] if move.state == "posted" for line in move.lines],
                currency=company.currency,
            )
            for number in invoices
        }

    async def entries(self, company: Company, moves: Sequence[int]) -> dict[int, tuple[ErpEntry, ...]]:
        """The ledger lines of moves by move."""
        lines = await self.move_lines(company, moves)
        return {move: erp_entries(lines=lines[move], currency=company.currency) for move in moves}


def left_over(moves: Sequence[OriginMove]) -> Decimal:
    """What an invoice's conversion leaves on the exchange account (debit positive): its lines have no second currency."""
    lines = [line for move in moves for line in move.lines if not line["second_currency"]]
    return sum((line["debit"] - line["credit"] for line in lines), Decimal(0))


def _draft_among(moves: Sequence[OriginMove]) -> bool:
    return any(move.state == "draft" for move in moves)


def holding(periods: Sequence[Period], day: date) -> Period | None:
    """The period a day is in."""
    return next((period for period in periods if period.first_day <= day <= period.last_day), None)


def closed_problem(period: Period | None, day: date) -> Problem | None:
    """Why nothing can be booked on a day, None when it can. A day without a period counts as closed: finance opens it."""
    if period is None:
        return problem("erp.period_closed", f"Tryton has no period that holds {day.isoformat()}", field=f"{day:%Y-%m}")
    if period.state != "open":
        return problem("erp.period_closed", f"period {period.name} is {period.state} in Tryton", field=period.name)
    return None


def erp_period(*, company: str, period: Period) -> ErpPeriod:
    """A period in Revline's words: half-open, and closed whether or not Tryton would reopen it."""
    return ErpPeriod(
        company=company,
        name=period.name,
        start=period.first_day,
        end=period.last_day + timedelta(days=1),
        state=PeriodState.OPEN if period.state == "open" else PeriodState.CLOSED,
    )
