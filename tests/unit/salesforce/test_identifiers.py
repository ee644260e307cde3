"""The two spellings of a record id."""

from __future__ import annotations

import pytest

from revline.connectors.salesforce.identifiers import is_record_id, long_form, short_form


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("001000000000001", "001000000000001AAA"),
        ("0Q0000000000001", "0Q0000000000001CAA"),
        ("001A0000006Vm9r", "001A0000006Vm9rIAC"),
        ("ABCDEABCDEABCDE", "ABCDEABCDEABCDE555"),
    ],
)
def test_the_last_three_characters_say_which_are_capitals(short: str, long: str) -> None:
    assert long_form(record_id=short) == long
    assert long_form(record_id=long) == long
    assert short_form(record_id=long) == short
    assert is_record_id(text=short)
    assert is_record_id(text=long)


@pytest.mark.parametrize(
    "text", ["", "006*", "001000000000001AAB", "00100000000000", "00100000000000'", "001000000000001AAAA"]
)
def test_what_is_no_id_is_told(text: str) -> None:
    assert not is_record_id(text=text)
