"""How much one commit of delivery carries. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from revline.delivery.marking import Call
from revline.delivery.settlements import Settlement

TENANTS_PER_COMMIT: Final = 50
DOCUMENTS_PER_COMMIT: Final = 500


def settlement_parts(settlements: Sequence[Settlement]) -> Iterator[Sequence[Settlement]]:
    """In commits of a bounded number of documents and tenants."""
    part: list[Settlement] = []
    tenants: set[str] = set()
    for one in sorted(settlements, key=lambda one: one.head.loaded.lane.key):
        tenant = one.head.loaded.lane.tenant_id
        if part and (len(part) >= DOCUMENTS_PER_COMMIT or len(tenants | {tenant}) > TENANTS_PER_COMMIT):
            yield part
            part, tenants = [], set()
        part.append(one)
        tenants.add(tenant)
    if part:
        yield part


def call_parts(calls: Sequence[Call]) -> Iterator[Sequence[Call]]:
    """Calls in commits of a bounded number of tenants."""
    part: list[Call] = []
    tenants: set[str] = set()
    for call in calls:
        named = {ready.head.loaded.lane.tenant_id for ready in call.members}
        if part and len(tenants | named) > TENANTS_PER_COMMIT:
            yield part
            part, tenants = [], set()
        part.append(call)
        tenants |= named
    if part:
        yield part
