"""What NetSuite holds, read by queries: records with their ledger lines, found by id, reference, note or change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from revline.connectors.netsuite import queries
from revline.connectors.netsuite.client import NetSuiteClient, Row
from revline.connectors.netsuite.content import RECORDS_OF, entries_of, master_record, transaction_record
from revline.connectors.netsuite.manifest import TYPE_CODES, Options
from revline.connectors.netsuite.queries import CHUNK, Query
from revline.core.clock import Clock
from revline.core.farside import ErpEntry, ErpPeriod, ErpRecord, PeriodState
from revline.core.problem import Problem, ProblemError, problem

CODES_KEPT: Final = timedelta(hours=1)
VOID_MEMO: Final = "Void of "


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A record with its ledger lines."""

    record: ErpRecord
    entries: tuple[ErpEntry, ...]


class Reader:
    """Reads one account. Every method raises ProblemError for what NetSuite doesn't tell."""

    def __init__(self, *, client: NetSuiteClient, options: Options, clock: Clock) -> None:
        self._client = client
        self._options = options
        self._clock = clock
        self._currencies: tuple[datetime, Mapping[str, str]] | None = None

    async def currencies(self) -> Mapping[str, str]:
        """Internal id -> ISO 4217 code; kept for an hour."""
        now = self._clock.now()
        if self._currencies is None or now - self._currencies[0] >= CODES_KEPT:
            rows = await self._rows(queries.CURRENCIES)
            self._currencies = (now, {row["id"]: row.get("symbol", "") for row in rows})
        return self._currencies[1]

    async def subsidiaries(self) -> Mapping[str, str]:
        """Internal id -> name."""
        return {row["id"]: row.get("name", "") for row in await self._rows(queries.SUBSIDIARIES)}

    async def by_id(self, *, record: str, ids: Sequence[str]) -> dict[str, Held]:
        """Records of one type by internal id; missing ones are left out."""
        found: dict[str, Held] = {}
        for part in _chunks(ids):
            if record in TYPE_CODES:
                rows = await self._rows(queries.heads_by_id(ids=part))
            else:
                rows = await self._rows(queries.masters_by_id(record=record, ids=part))
            found |= {held.record.erp_id: held for held in await self._held(record, rows)}
        return found

    async def by_reference(self, *, record: str, references: Sequence[str], subsidiary: str = "") -> list[Held]:
        """Records of one type under external ids. subsidiary: "" for any."""
        found: list[Held] = []
        for part in _chunks(references):
            if record in TYPE_CODES:
                query = queries.heads_by_reference(code=TYPE_CODES[record], references=part, subsidiary=subsidiary)
            else:
                query = queries.masters_by_reference(record=record, references=part)
            found += await self._held(record, await self._rows(query))
        return found

    async def noted(self, *, note: str) -> list[tuple[Held, str]]:
        """Payments and credit memos with a note in their memo, and the memo."""
        rows = await self._rows(queries.heads_noted(note=note))
        return [
            (held, row.get("memo", "")) for row in rows for held in await self._held(RECORDS_OF[row["type"]], [row])
        ]

    async def changed(self, *, record: str, subsidiary: str, moment: str, after_id: str, most: int) -> list[Held]:
        """At most `most` records changed since (moment, id), oldest change first."""
        if record in TYPE_CODES:
            query = queries.heads_changed(
                code=TYPE_CODES[record], subsidiary=subsidiary, moment=moment, after_id=after_id
            )
        else:
            query = queries.masters_changed(record=record, moment=moment, after_id=after_id)
        return await self._held(record, await self._rows(query, most=most))

    async def open_amounts(self, *, ids: Sequence[str]) -> dict[str, str]:
        """What is unpaid of invoices, as text, by internal id."""
        found: dict[str, str] = {}
        for part in _chunks(ids):
            rows = await self._rows(queries.heads_by_id(ids=part))
            found |= {row["id"]: row.get("foreignamountunpaid", "0") for row in rows}
        return found

    async def periods(self, *, company: str) -> list[ErpPeriod]:
        """The account's base periods, as they are for every subsidiary."""
        if self._options.one_world and company not in await self.subsidiaries():
            detail = f"NetSuite has no active subsidiary {company[:40]!r}"
            raise ProblemError(problem("netsuite.reference_invalid", detail, field="company"))
        return [
            ErpPeriod(
                company=company,
                name=row.get("periodname", row["id"]),
                start=date.fromisoformat(row["first"]),
                end=date.fromisoformat(row["last"]) + timedelta(days=1),
                state=_period_state(row),
            )
            for row in await self._rows(queries.PERIODS)
        ]

    async def _held(self, record: str, rows: Sequence[Row]) -> list[Held]:
        currencies = await self.currencies()
        if record not in TYPE_CODES:
            kind = record
            return [Held(record=master_record(record=kind, row=row, currencies=currencies), entries=()) for row in rows]
        ids = [row["id"] for row in rows]
        lines = await self._lines(ids)
        paid = [row["id"] for row in rows if row["type"] == TYPE_CODES["invoice"] and _nothing_open(row)]
        voided = await self._voided(paid)
        return [
            Held(
                record=transaction_record(
                    head=row, lines=lines[row["id"]], currencies=currencies, void=row["id"] in voided
                ),
                entries=entries_of(head=row, lines=lines[row["id"]], currencies=currencies),
            )
            for row in rows
        ]

    async def _lines(self, ids: Sequence[str]) -> Mapping[str, list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        for part in _chunks(ids):
            query = queries.lines(ids=part, book=self._options.accounting_book, one_world=self._options.one_world)
            for row in await self._rows(query):
                found[row["transaction"]].append(row)
        return found

    async def _voided(self, ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for part in _chunks(ids):
            rows = await self._rows(queries.credited(ids=part))
            found |= {row["source"] for row in rows if row.get("memo", "").startswith(VOID_MEMO)}
        return found

    async def _rows(self, query: Query, *, most: int = 0) -> list[Row]:
        rows = await self._client.rows(text=query.text, parameters=query.parameters, most=most)
        if isinstance(rows, Problem):
            raise ProblemError(rows)
        return rows


def _nothing_open(row: Row) -> bool:
    unpaid = row.get("foreignamountunpaid", "")
    return bool(unpaid) and not unpaid.strip("0.")


def _period_state(row: Row) -> PeriodState:
    if row.get("closed") == "T":
        return PeriodState.CLOSED
    if "T" in {row.get("alllocked"), row.get("arlocked")}:
        return PeriodState.SOFT_CLOSED
    return PeriodState.OPEN


def _chunks(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[start : start + CHUNK] for start in range(0, len(values), CHUNK)]
