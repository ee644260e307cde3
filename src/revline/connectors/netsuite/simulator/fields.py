"""Which properties each record type of the simulated account takes; another one is refused where the caller asks for that."""

from __future__ import annotations

from typing import Any, Final

from revline.connectors.netsuite.simulator.values import invalid_content, items_of

_COMMON: Final = frozenset(
    [
        "externalId",
        "tranDate",
        "tranId",
        "currency",
        "exchangeRate",
        "memo",
        "subsidiary",
        "department",
        "class",
        "location",
        "postingPeriod",
    ]
)
_APPLY: Final = frozenset(["doc", "apply", "amount", "line"])
_ITEM_LINE: Final = frozenset(
    [
        "item",
        "quantity",
        "rate",
        "amount",
        "description",
        "taxCode",
        "department",
        "class",
        "location",
        "price",
        "revRecStartDate",
        "revRecEndDate",
    ]
)
FIELDS: Final[dict[str, frozenset[str]]] = {
    "customer": frozenset(
        [
            "externalId",
            "companyName",
            "entityId",
            "isPerson",
            "firstName",
            "lastName",
            "email",
            "subsidiary",
            "currency",
            "addressBook",
            "comments",
        ]
    ),
    "serviceSaleItem": frozenset(
        ["externalId", "itemId", "displayName", "incomeAccount", "subsidiary", "includeChildren", "taxSchedule"]
    ),
    "invoice": _COMMON | frozenset(["entity", "account", "dueDate", "otherRefNum", "terms", "item"]),
    "creditMemo": _COMMON | frozenset(["entity", "account", "otherRefNum", "item", "apply", "autoApply"]),
    "customerPayment": _COMMON
    | frozenset(["customer", "account", "arAcct", "payment", "apply", "credit", "autoApply", "undepFunds"]),
    "customerRefund": _COMMON | frozenset(["customer", "account", "arAcct", "apply", "total"]),
    "deposit": _COMMON | frozenset(["account", "other"]),
    "journalEntry": _COMMON | frozenset(["line", "approved"]),
}
SUBLISTS: Final[dict[str, dict[str, frozenset[str]]]] = {
    "invoice": {"item": _ITEM_LINE},
    "creditMemo": {"item": _ITEM_LINE, "apply": _APPLY},
    "customerPayment": {"apply": _APPLY, "credit": _APPLY},
    "customerRefund": {"apply": _APPLY},
    "deposit": {"other": frozenset(["account", "amount", "entity", "memo", "department", "class", "location"])},
    "journalEntry": {
        "line": frozenset(
            ["account", "debit", "credit", "memo", "entity", "department", "class", "location", "eliminate"]
        )
    },
}


def check_names(*, record: str, body: dict[str, Any]) -> None:
    """Refusal INVALID_CONTENT for a property this record type doesn't have."""
    for name in body:
        if name not in FIELDS[record]:
            raise invalid_content(f"Unknown property '{name}' for record '{record}'.", name)
    for sublist, known in SUBLISTS.get(record, {}).items():
        for place, line in enumerate(items_of(body, sublist)):
            for name in line:
                if name not in known:
                    path = f"{sublist}.items[{place}].{name}"
                    raise invalid_content(f"Unknown property '{name}' in sublist '{sublist}'.", path)
