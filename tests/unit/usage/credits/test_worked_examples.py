"""Every figure of the page that explains credits: each example is settled here, and its tables must stand on the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from ruamel.yaml import YAML

from revline.core.canonical.credits import Breakage, RollOver, Scope, Span, TopUp
from revline.core.money import Amount
from revline.platform.config.documents import decode_spec
from revline.platform.tenancy.kinds import Connection
from revline.subledger.usage.commitments import Commitment, Mode, NamedCommitment, check_commitment
from revline.subledger.usage.credits.deltas import deltas, posted_after
from revline.subledger.usage.credits.plans import CreditPlan, check_plan
from revline.subledger.usage.credits.values import Entry, Rule, Statement
from tests.unit.usage.credits.stories import february, grant, january, march, refund, settled

DOCS: Final = Path(__file__).resolve().parents[4] / "docs"
PAGE: Final = DOCS / "explanation" / "usage-credits.md"
GUIDE: Final = DOCS / "how-to" / "grant-credits.md"
WORDS: Final = {
    Rule.GRANTED: "granted",
    Rule.DRAWN: "drawn",
    Rule.RETURNED: "returned",
    Rule.EXPIRED: "expired",
    Rule.BREAKAGE: "breakage",
    Rule.TAKEN_BACK: "taken back",
}


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table as the page writes it."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)])


def ledger_of(entries: Sequence[Entry]) -> str:
    rows = [(one.day, one.key.grant_id, WORDS[one.key.rule], f"{one.amount:.2f}", f"{one.cost:.2f}") for one in entries]
    return table(("day", "grant", "rule", "credits", "cost"), rows)


def paid_of(statement: Statement) -> str:
    rows = [
        (
            one.line.charge_id,
            f"{one.line.amount:.2f}",
            ", ".join(f"{draw.grant_id} {draw.amount:.2f}" for draw in one.draws) or "–",
            f"{one.due:.2f}",
        )
        for one in statement.lines
    ]
    return table(("line", "costs", "paid by", "due in money"), rows)


def promised_of(statement: Statement) -> str:
    rows = [
        (one.window.start.date(), one.promised, one.counted, one.shortfall, one.overage, one.charged)
        for one in statement.commitments
    ]
    return table(("from", "promised", "used", "shortfall", "overage", "charged"), rows)


def bought() -> list[str]:
    found = settled(
        "2026-04-01",
        lines=[january("January", "300.00"), february("February", "450.00")],
        grants=[grant("annual", "1000.00", "800.00", until="2026-04-01")],
    )
    return [ledger_of(found.entries), paid_of(found)]


def ordered() -> list[str]:
    grants = [
        grant("bought", "500.00", until="2027-01-01"),
        grant("promotion", "50.00", "0.00", until="2026-03-01", priority=10),
        grant("storage", "40.00", until="2026-06-01", scope=Scope(families=("storage",))),
    ]
    lines = [january("calls", "80.00", product_family="api"), january("disks", "60.00", product_family="storage")]
    return [paid_of(settled("2026-02-01", lines=lines, grants=grants))]


def late() -> list[str]:
    grants = [grant("annual", "1000.00", "800.00")]
    before = settled("2026-02-02", lines=[january("January", "300.00")], grants=grants)
    after = settled("2026-02-09", lines=[january("January", "312.50")], grants=grants)
    posted = posted_after(posted={}, deltas=deltas(entries=before.entries, posted={}))
    rows = [
        (one.place.day, one.place.key.grant_id, WORDS[one.place.key.rule], one.number, one.amount, one.cost)
        for one in deltas(entries=after.entries, posted=posted)
    ]
    return [table(("day", "grant", "rule", "number", "credits", "cost"), rows)]


def rolled() -> list[str]:
    rule = RollOver(extends=Span(months=1), percent=Amount(40))
    found = settled(
        "2026-03-01",
        lines=[january("January", "30.00"), february("February", "10.00")],
        grants=[grant("monthly", "100.00", until="2026-02-01", roll_over=rule)],
    )
    return [ledger_of(found.entries)]


def proportional() -> list[str]:
    terms: dict[str, Any] = {"breakage": Breakage.PROPORTIONAL, "expected_breakage": Amount("0.1")}
    found = settled(
        "2026-04-01",
        lines=[january("January", "450.00"), march("March", "400.00")],
        grants=[grant("annual", "1000.00", until="2026-04-01", **terms)],
    )
    return [ledger_of(found.entries)]


def refunded() -> list[str]:
    found = settled(
        "2026-03-01",
        lines=[january("January", "300.00")],
        grants=[grant("annual", "1000.00", "800.00")],
        refunds=[refund("r", "annual", "600.00", "2026-02-10")],
    )
    return [ledger_of(found.entries)]


def topped_up() -> list[str]:
    rule = TopUp(threshold=Amount("20.00"), amount=Amount("50.00"), cost=Amount("45.00"))
    found = settled(
        "2026-03-01",
        lines=[january("January", "85.00"), february("February", "60.00")],
        grants=[grant("first", "100.00", plan="auto", top_up=rule)],
    )
    second = {one.outside_id: "top-up" for one in found.top_ups[:1]}
    third = {one.outside_id: "top-up 2" for one in found.top_ups[1:]}
    return [named(ledger_of(found.entries), second | third), named(paid_of(found), second | third)]


def named(text: str, names: dict[str, str]) -> str:
    for identity, name in names.items():
        text = text.replace(identity, name)
    return text


def promise(**more: Any) -> NamedCommitment:
    values: dict[str, Any] = {
        "title": "A promise",
        "connection": "billing",
        "customer": "cus_1",
        "currency": "USD",
        "promised": Amount("100.00"),
        "starts_on": date(2026, 1, 1),
        "ends_on": date(2026, 4, 1),
        **more,
    }
    return NamedCommitment(name="promise", spec=Commitment(**values))


USED: Final = [january("January", "60.00"), february("February", "130.00"), march("March", "80.00")]


def windowed() -> list[str]:
    found = settled("2026-04-01", lines=USED, commitments=[promise(overage_factor=Amount("1.2"))])
    return [promised_of(found)]


def cumulative() -> list[str]:
    own = promise(promised=Amount("300.00"), mode=Mode.CUMULATIVE)
    back = promise(promised=Amount("300.00"), mode=Mode.CUMULATIVE, gives_back=True)
    return [promised_of(settled("2026-04-01", lines=USED, commitments=[one])) for one in (own, back)]


EXAMPLES: Final[dict[str, Callable[[], list[str]]]] = {
    "bought": bought,
    "ordered": ordered,
    "late": late,
    "rolled": rolled,
    "proportional": proportional,
    "refunded": refunded,
    "topped_up": topped_up,
    "windowed": windowed,
    "cumulative": cumulative,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_says_what_settling_gives(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for text in EXAMPLES[name]():
        assert text in page, f"the page should say:\n\n{text}\n"


def test_the_documents_of_the_how_to_guide_are_valid() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    found = [YAML(typ="safe").load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert [one["kind"] for one in found] == ["CreditPlan", "Commitment"]
    others = {Connection: {"stripe-us": Connection(connector="stripe", entity="acme-us")}}
    plan = decode_spec(msgspec.json.encode(found[0]["spec"]), CreditPlan)
    assert check_plan("annual", plan, others) == ()
    promise = decode_spec(msgspec.json.encode(found[1]["spec"]), Commitment)
    assert check_commitment("promise", promise, others) == ()
