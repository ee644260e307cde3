"""The reference pages say what the code says, and everything that has to be explained is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from revline.core.money import Amount
from revline.core.problem import CATALOGUE
from tools.generate_reference import FOLDER, PAGES, stale
from tools.reference import events, markdown, problems, settings


def test_no_page_is_stale() -> None:
    assert sorted(stale(folder=FOLDER)) == [], "run `python -m tools.generate_reference`"


def test_a_page_that_says_something_else_is_stale_and_so_is_a_missing_one(tmp_path: Path) -> None:
    for name, render in PAGES.items():
        (tmp_path / name).write_text(render(), encoding="utf-8")
    (tmp_path / "errors.md").write_text("something else", encoding="utf-8")
    (tmp_path / "cli.md").unlink()

    assert sorted(stale(folder=tmp_path)) == ["cli.md", "errors.md"]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_the_same_however_often_it_is_made(name: str) -> None:
    assert PAGES[name]() == PAGES[name]()


def test_every_problem_is_on_its_page_with_its_remedy() -> None:
    text = problems.render()

    for entry in CATALOGUE.values():
        assert f"### {entry.code}\n" in text
        assert entry.remedy in text


def test_every_setting_is_explained() -> None:
    assert {field.name for field in settings.fields()} == set(settings.MEANINGS)


def test_every_accounting_event_has_its_payload_on_the_page() -> None:
    text = events.render()

    for kind in events.PAYLOADS:
        assert f"| `{kind.value}` | [" in text
    assert set(events.PAYLOADS) == set(type(next(iter(events.PAYLOADS))))


def test_a_docstring_gives_each_field_its_note() -> None:
    class Parcel(msgspec.Struct, frozen=True, kw_only=True):
        """What is sent. Never empty.

        weight: in grams, e.g. 200. sent_on, sent_by: when and who; "by" is a name. note: anything.
        """

        weight: int
        sent_on: str
        sent_by: str = ""
        price: Amount | None = None

    whole, notes = markdown.split_notes(kind=Parcel)

    assert whole == "What is sent. Never empty."
    assert notes["weight"] == "In grams, e.g. 200."
    assert notes["sent_on"] == notes["sent_by"]
    assert "note" not in notes
    assert "| `price` | amount, or none | none |  |" in markdown.struct_table(kind=Parcel)
