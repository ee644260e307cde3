"""What the simulated ERP tells without changing anything: records, searches, changes, periods, trial balance. Knows no socket."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from revline.connectors.simulated import wire
from revline.connectors.simulated.calls import Answer, Arrival, fault_seconds
from revline.connectors.simulated.faults import Fault
from revline.connectors.simulated.impact import invalid
from revline.connectors.simulated.records import DELETED, Ledger, Mode, Refused
from revline.connectors.simulated.setup import Company
from revline.connectors.simulated.wire import ErrorBody, ItemAnswer, Kind

if TYPE_CHECKING:
    from revline.connectors.simulated.simulator import Simulator


VERSION = "1.0"


def answer(*, simulator: Simulator, arrival: Arrival, verb: str) -> Answer:
    """The answer to one query."""
    parts = arrival.call.path.strip("/").split("/")
    ledger = simulator.ledger
    body: object
    match verb:
        case "search":
            body = _search(simulator=simulator, arrival=arrival, kind=Kind(parts[1]))
        case "changes":
            body = _changes(simulator=simulator, arrival=arrival, kind=Kind(parts[1]))
        case "read":
            stored = ledger.get(kind=Kind(parts[1]), record_id=parts[2])
            body = ItemAnswer(status=200, record=simulator.shown(stored), entries=stored.entries)
        case "periods":
            company = _company(ledger=ledger, code=parts[2])
            body = wire.PeriodsAnswer(periods=tuple(period for _, period in sorted(company.periods.items())))
        case "trial-balance":
            body = trial_balance(ledger=ledger, company=parts[2])
        case "health":
            count = sum(len(records) for records in ledger.records.values())
            body = wire.HealthAnswer(status="up", version=VERSION, mode=ledger.mode.value, records=count)
        case _:
            raise Refused(ErrorBody(code="unknown_path", message="there is no such path or method"), missing=True)
    return Answer(status=200, body=wire.encode(body))


def trial_balance(*, ledger: Ledger, company: str) -> wire.TrialBalanceAnswer:
    """The company's balances by account, currency and period, summed from its ledger lines."""
    found = _company(ledger=ledger, code=company)
    sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
    for records in ledger.records.values():
        for stored in records.values():
            if stored.record.company != company or stored.record.state == DELETED:
                continue
            for entry in stored.entries:
                row = sums[(entry.account, entry.currency, f"{entry.date.year:04d}-{entry.date.month:02d}")]
                row[0] += entry.debit
                row[1] += entry.credit
                row[2 if entry.currency_amount > 0 else 3] += abs(entry.currency_amount)
    rows = tuple(
        wire.BalanceBody(
            company=company,
            account=account,
            currency=currency,
            period=period,
            debit=row[0],
            credit=row[1],
            currency_debit=row[2],
            currency_credit=row[3],
        )
        for (account, currency, period), row in sorted(sums.items())
    )
    return wire.TrialBalanceAnswer(
        company=company,
        functional_currency=found.functional_currency.code,
        debit=sum((row.debit for row in rows), Decimal(0)),
        credit=sum((row.credit for row in rows), Decimal(0)),
        rows=rows,
    )


def _company(*, ledger: Ledger, code: str) -> Company:
    found = ledger.companies.get(code)
    if found is None:
        message = f"there is no company {code[:40]!r}"
        raise Refused(ErrorBody(code="unknown_company", message=message, field=code[:40]), missing=True)
    return found


def _search(*, simulator: Simulator, arrival: Arrival, kind: Kind) -> wire.FoundAnswer:
    if simulator.ledger.mode is Mode.NEITHER:
        raise Refused(ErrorBody(code="search_unavailable", message="external references can't be searched here"))
    references = arrival.call.query.get("external_reference", ())
    if not 1 <= len(references) <= wire.LOOKUP_MAX:
        raise Refused(invalid(f"1 to {wire.LOOKUP_MAX} external references are searched at once", "external_reference"))
    lag = arrival.faults.get(Fault.LOOKUP_LAG)
    found = [
        simulator.shown(stored)
        for reference in dict.fromkeys(references)
        for stored in simulator.ledger.visible(
            kind=kind,
            company=arrival.call.first("company"),
            reference=reference,
            now=simulator.clock.now(),
            lag=fault_seconds(lag),
        )
    ]
    return wire.FoundAnswer(records=tuple(found))


def _changes(*, simulator: Simulator, arrival: Arrival, kind: Kind) -> wire.ChangesAnswer:
    cursor, limit = arrival.call.first("cursor") or "0", arrival.call.first("limit") or "100"
    if not (cursor.isdecimal() and limit.isdecimal() and len(cursor) < 19 and 1 <= int(limit[:6]) <= wire.PAGE_MAX):
        raise Refused(invalid(f"a cursor is a version, a limit 1 to {wire.PAGE_MAX}", "cursor"))
    found, more = simulator.ledger.changes(
        kind=kind, company=arrival.call.first("company"), after=int(cursor), limit=int(limit)
    )
    records = tuple(simulator.shown(stored) for stored in found)
    return wire.ChangesAnswer(records=records, next_cursor=records[-1].version if more else "")
