"""Lists travel as array literals: what PostgreSQL reads back is what was given."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

import pytest

from revline.platform.store.arrays import array_literal


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    SMALL = 3


@pytest.mark.parametrize(
    ("values", "literal"),
    [
        ([], "{}"),
        (["a", "b c"], '{"a","b c"}'),
        (["", "NULL"], '{"","NULL"}'),
        (['say "x"', "back\\slash"], '{"say \\"x\\"","back\\\\slash"}'),
        (["a", None], '{"a",NULL}'),
        ([None, "a"], '{NULL,"a"}'),
        (['","'], '{"\\",\\""}'),
        ([Colour.RED, "b"], '{"red","b"}'),
        ([1, None, -2], "{1,NULL,-2}"),
        ([Size.SMALL], "{3}"),
        ([True, False], "{t,f}"),
        ([Decimal("1.50"), Decimal("1E+2")], "{1.50,1E+2}"),
        ([date(2026, 1, 31)], "{2026-01-31}"),
        ([datetime(2026, 1, 31, 9, tzinfo=UTC)], "{2026-01-31T09:00:00+00:00}"),
        ([b"\x00\xff"], '{"\\\\x00ff"}'),
    ],
)
def test_a_list_is_written_as_postgresql_reads_it(values: list[object], literal: str) -> None:
    assert array_literal(values) == literal


@pytest.mark.parametrize("value", [1.5, ["nested"], {"a": 1}])
def test_what_has_no_exact_literal_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        array_literal([value])
