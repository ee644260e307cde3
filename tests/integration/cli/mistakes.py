"""Mistakes people make in a configuration folder: what was written, what it became, and a word the answer must hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec


class Mistake(msgspec.Struct, frozen=True):
    """In a file, `good` became `bad`; the error about that line must hold `word`."""

    file: str
    good: str
    bad: str
    word: str


MISTAKES: Final = (
    Mistake("10-tenant.yaml", "functionalCurrency: USD", "functionalCurrency: USDX", "USD"),
    Mistake("10-tenant.yaml", "timeZone: America/New_York", "timeZone: America/New_Yrok", "time zone"),
    Mistake("20-connections.yaml", "entity: acme-us", "entity: acme-uk", "acme-us"),
    Mistake("20-connections.yaml", "secret://env/REVLINE_SECRET_SIMULATED", "sk_live_in_plain_text", "secret://"),
    Mistake("20-connections.yaml", "connector: stripe", "conector: stripe", "connector"),
    Mistake("30-book.yaml", "erp: erp", "erp: netsuite", "erp"),
    Mistake("30-book.yaml", "rounding: half_up ", "rounding: upwards ", "half_up"),
    Mistake("30-book.yaml", "invoice.issued, maker: native", "invoice.issued, maker: manual", "native"),
    Mistake("30-book.yaml", 'rate: "1.08"', "rate: 1.08", '"1.08"'),
    Mistake("30-book.yaml", "onClosed: hold", "onClosed: ignore", "hold"),
    Mistake("40-mapping.yaml", "entity: acme-us", "entity: acme-ux", "acme-us"),
    Mistake("40-mapping.yaml", 'bank: "1000"', 'processor_clearing: "1000"', "it once"),
    Mistake("50-rules-invoices.yaml", 'family == "hardware"', 'family = "hardware"', "CEL"),
    Mistake("50-rules-invoices.yaml", "amount: invoice_total", "amount: invoice_totl", "invoice_total"),
    Mistake("51-rules-money.yaml", "event: payout.paid", "event: payout.payed", "payout.paid"),
    Mistake("51-rules-money.yaml", "kind: PostingRule", "kind: PostingRules", "PostingRule"),
    Mistake("51-rules-money.yaml", "apiVersion: revline/v1", "apiVersion: v1", "revline/v1"),
    Mistake("30-book.yaml", "spec:\n  entity: acme-us", "spec:\n\tentity: acme-us", "indentation"),
)

BATCHES: Final = (*(MISTAKES[:-1][start::6] for start in range(6)), MISTAKES[-1:])
"""No two of a batch stand in one document, where the first would keep the second from being looked at."""


def make(folder: Path, mistakes: Iterable[Mistake]) -> dict[str, str]:
    """Put mistakes into a good folder; "file:line" -> the word the answer about that line must hold."""
    wanted = {}
    for one in mistakes:
        path = folder / one.file
        text = path.read_text(encoding="utf-8")
        assert one.good in text, f"{one.file} no longer says {one.good}"
        changed = text.replace(one.good, one.bad, 1)
        path.write_text(changed, encoding="utf-8")
        differs = next(place for place, (old, new) in enumerate(zip(text, changed, strict=False)) if old != new)
        wanted[f"{one.file}:{changed[:differs].count(chr(10)) + 1}"] = one.word
    return wanted
