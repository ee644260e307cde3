"""Records as a query returns them, written down for the tests."""

from __future__ import annotations

import json
from typing import Any

STAMP = "2026-09-01T09:00:00.000+0000"
ACCOUNT = "001000000000002AAA"


def record(kind: str, outside_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "attributes": {"type": kind, "url": f"/services/data/v62.0/sobjects/{kind}/{outside_id}"},
        "Id": outside_id,
        "SystemModstamp": STAMP,
        "CreatedDate": STAMP,
        "IsDeleted": False,
        **fields,
    }


def lines(*records: dict[str, Any], done: bool = True) -> dict[str, Any]:
    return {"totalSize": len(records), "done": done, "records": list(records)}


def item(number: int, **fields: Any) -> dict[str, Any]:
    given = {
        "Product2Id": "01t000000000001AAA",
        "PricebookEntryId": "01u000000000001AAA",
        "Quantity": 1.0,
        "UnitPrice": 10.0,
        "TotalPrice": 10.0,
        "Product2": {"attributes": {"type": "Product2"}, "Name": "Platform", "Family": "platform"},
    }
    return record("OrderItem", f"80200000000000{number}AAA", **{**given, **fields})


def order(**fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "OrderNumber": "00000105",
        "AccountId": ACCOUNT,
        "Status": "Draft",
        "StatusCode": "Draft",
        "EffectiveDate": "2026-09-01",
        "CurrencyIsoCode": "USD",
        "OrderItems": None,
    }
    return record("Order", "801000000000001AAA", **{**given, **fields})


def body(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()


def event(entity: str, change: str, *record_ids: str, fields: dict[str, Any] | None = None, **header: Any) -> bytes:
    given = {
        "entityName": entity,
        "recordIds": list(record_ids),
        "changeType": change,
        "changeOrigin": "",
        "transactionKey": "0004fd1c-0a1b",
        "sequenceNumber": 1,
        "commitTimestamp": 1788253200000,
        "changedFields": [],
        **header,
    }
    data = {"schema": "x", "payload": {"ChangeEventHeader": given, **(fields or {})}, "event": {"replayId": 7}}
    return body({"data": data, "channel": "/data/ChangeEvents"})
