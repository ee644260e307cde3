"""Lists as files and values as pages show them: no formula starts, no amount is changed, no vendored file is another."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import openpyxl
import pytest

from revline.core.documents import DocumentState
from revline.doors.console.assets import STATIC, VENDORED, Assets
from revline.doors.console.exports import as_csv, as_xlsx
from revline.doors.console.pages.contracts import meaning_of
from revline.doors.console.rendering import ago, moment, money, said, short_id, state
from revline.doors.console.states import STATES
from revline.doors.console.values import Code, Column, Count, Moment, Money, Row, State, Text

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COLUMNS = (
    Column(key="name", title="Name"),
    Column(key="amount", title="Amount", kind="money"),
    Column(key="state", title="State", kind="state"),
    Column(key="at", title="When", kind="moment"),
    Column(key="number", title="Number", kind="count"),
)


def row(name: str, amount: str = "12.50", currency: str = "USD") -> Row:
    return Row(
        cells=(
            Text(text=name),
            Money(amount=Decimal(amount), currency=currency),
            State(word="held"),
            Moment(at=NOW),
            Count(number=-3),
        )
    )


@pytest.mark.parametrize(
    "start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x", " =1", "\u00a0=1"]
)
def test_no_text_becomes_a_formula(start: str) -> None:
    lines = list(csv.reader(io.StringIO(as_csv(name="x", columns=COLUMNS, rows=[row(start)]).body.decode("utf-8-sig"))))
    assert lines[0] == ["Name", "Amount", "Amount currency", "State", "When", "Number"]
    assert lines[1][0] == f"'{start}"
    sheet = openpyxl.load_workbook(io.BytesIO(as_xlsx(name="x", columns=COLUMNS, rows=[row(start)]).body)).active
    assert sheet is not None
    assert sheet["A2"].data_type == "s"
    assert str(sheet["A2"].value).startswith("'")


def test_amounts_stay_what_they_are() -> None:
    rows = [row("a", "-0.10"), row("b", "1234567890123456.78"), row("c", "7", "JPY"), row("d", "1.234", "KWD")]
    lines = list(csv.reader(io.StringIO(as_csv(name="x", columns=COLUMNS, rows=rows).body.decode("utf-8-sig"))))
    assert [line[1] for line in lines[1:]] == ["-0.10", "1234567890123456.78", "7", "1.234"]
    sheet = openpyxl.load_workbook(io.BytesIO(as_xlsx(name="x", columns=COLUMNS, rows=rows).body)).active
    assert sheet is not None
    assert [sheet[f"B{number}"].value for number in range(2, 6)] == [-0.1, "1234567890123456.78", 7, 1.234]
    assert sheet["B2"].number_format == "#,##0.00"


def test_an_amount_has_its_currency_and_all_its_digits() -> None:
    assert "1,234.50" in money(Decimal("1234.5000"), "USD")
    assert ">USD<" in money(Decimal("1234.5000"), "USD")
    assert "1,235 " in money(Decimal("1235"), "JPY")
    assert "0.12345" in money(Decimal("0.12345"), "USD")


def test_a_moment_says_utc_on_hover() -> None:
    shown = moment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert 'title="2026-01-02 03:04:05 UTC"' in shown
    assert 'datetime="2026-01-02T03:04:05.000Z"' in shown
    assert moment(date(2026, 1, 2)) == '<time class="moment" datetime="2026-01-02">2026-01-02</time>'


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (timedelta(0), "now"),
        (timedelta(seconds=40), "40 s ago"),
        (timedelta(minutes=5, seconds=59), "5 min ago"),
        (timedelta(hours=30), "1 d ago"),
        (timedelta(hours=-2), "in 2 h"),
    ],
)
def test_a_distance_in_one_unit(gone: timedelta, said: str) -> None:
    assert ago(NOW - gone, NOW) == said


@pytest.mark.parametrize("word", [one.value for one in DocumentState])
def test_every_state_of_a_document_has_icon_word_and_colour(word: str) -> None:
    shown = state(word)
    assert word in STATES
    assert "<svg" in shown
    assert STATES[word].word in shown
    assert f"tone-{STATES[word].tone}" in shown


def test_what_is_escaped_and_what_is_cut() -> None:
    assert "<b>" not in state("<b>")
    assert "…" in short_id("a" * 40)
    assert "…" not in short_id("erp.period_closed.and_more_words")
    assert Code(text="x").text == "x"


def test_vendored_files_are_the_published_ones() -> None:
    for name, wanted in VENDORED.items():
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == wanted, name
    assets = Assets()
    assert assets.url("console.css").startswith("/static/console.")
    style = assets.by_path[assets.url("console.css")].body.decode()
    assert assets.url("vendor/inter-latin-wght-normal.woff2") in style
    assert "http" not in style.replace("http://www.w3.org", "")


def test_a_sentence_of_ours_reads_as_one() -> None:
    assert said("run `revline up` <now>") == "Run <code>revline up</code> &lt;now&gt;"
    assert said("an odd ` stays") == "An odd ` stays"
    assert said("") == ""


def test_what_a_type_says_of_a_field_is_found() -> None:
    text = "A line. amount, net: in the currency; document_date: the day on the paper. tax: what is owed"
    assert meaning_of("net", text) == "in the currency"
    assert meaning_of("document_date", text) == "the day on the paper"
    assert meaning_of("tax", text) == "what is owed"
    assert meaning_of("line", text) == ""


def test_no_separator_of_another_language_splits_a_text() -> None:
    body = as_csv(name="x", columns=COLUMNS, rows=[row("a;=1+1")]).body.decode("utf-8-sig")
    assert '"a;=1+1",' in body
