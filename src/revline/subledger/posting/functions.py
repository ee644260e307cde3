"""The closed list of named functions that rules take amounts from. Exact Decimal, pure; knows no account and no rule.

Every function says which event kinds it is for and how often it is asked: once for the event, for each invoice line, or for
each tax amount of each line. All amounts are in the event's currency, signed as the source has them, never rounded here.
"""

from __future__ import annotations

from typing import Final

from revline.core.events import EventKind
from revline.subledger.posting.amounts import AmountFunction, Part
from revline.subledger.posting.kinds import Each
from revline.subledger.posting.source_amounts import SOURCE_AMOUNTS
from revline.subledger.posting.stated_amounts import STATED_AMOUNTS

FUNCTIONS: Final[dict[str, AmountFunction]] = {each.name: each for each in (*SOURCE_AMOUNTS, *STATED_AMOUNTS)}


def functions_for(*, event: EventKind, each: Each) -> tuple[str, ...]:
    """Names of the functions that may stand in an entry of this kind."""
    return tuple(sorted(name for name, found in FUNCTIONS.items() if event in found.events and each is found.each))


__all__ = ["FUNCTIONS", "AmountFunction", "Part", "functions_for"]
