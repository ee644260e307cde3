"""The registry of pages holds together: a name leads to one path, a letter to one page."""

from __future__ import annotations

from collections import Counter

from revline.doors.console.pages.registry import PAGES


def test_a_name_leads_to_one_path() -> None:
    paths = {(page.name, page.full_path) for page in PAGES}
    assert [name for name, count in Counter(name for name, _ in paths).items() if count > 1] == []


def test_a_letter_leads_to_one_page() -> None:
    letters = Counter(page.key for page in PAGES if page.key)
    assert [letter for letter, count in letters.items() if count > 1] == []
