"""Every page opens for who may see it, without an error, without a request elsewhere, and can be used by everybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

PATHS = {
    "overview": "/t/birch",
    "connections": "/t/birch/connections",
    "connection-erp": "/t/birch/connections/erp",
    "connection-stripe": "/t/birch/connections/stripe",
    "contracts": "/t/birch/contracts",
    "contract": "/t/birch/contracts/invoice.issued",
    "audit": "/t/birch/audit",
    "people": "/t/birch/people",
    "keys": "/t/birch/keys",
    "permissions": "/t/birch/permissions",
    "profile": "/profile",
    "problems": "/problems",
    "problem": "/problems/mapping.missing",
    "all": "/all",
}


@pytest.mark.parametrize("name", sorted(PATHS))
def test_every_page_opens(name: str, log_in: Callable[[str], Any], picture: Callable[[str], None]) -> None:
    page = log_in("ada@example.com")
    answer = page.goto(PATHS[name])
    assert answer is not None
    assert answer.status == 200, page.inner_text("main")
    picture(name)
