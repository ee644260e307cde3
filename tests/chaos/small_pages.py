"""`python -m tests.chaos.small_pages worker`: Revline that reads Stripe a few objects a page, so that a month is many."""

from __future__ import annotations

from typing import Final

from revline.app import main
from revline.connectors.stripe import reader

PAGE_OBJECTS: Final = 5


if __name__ == "__main__":
    vars(reader)["PAGE_MAX"] = PAGE_OBJECTS
    main()
