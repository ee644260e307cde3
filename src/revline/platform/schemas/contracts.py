"""The published contracts: one entry a canonical object and a kind of accounting event. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from revline.core.canonical import KINDS
from revline.core.events import (
    STATED_KINDS,
    AccountingEvent,
    AppliedPayment,
    CustomerCredit,
    DisputedMoney,
    EventKind,
    IssuedCreditMemo,
    IssuedInvoice,
    MovedMoney,
    RefundedMoney,
    UncollectibleInvoice,
)


class Status(StrEnum):
    """draft: may change in any way. stable: only in ways that break nobody; anything else is a new version."""

    DRAFT = "draft"
    STABLE = "stable"


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """One contract. root: the type it is generated from. payload: for an event, the one payload its kind has.

    owner: the room that answers for it. consumers: who reads it. personal_data: JSON pointers of fields about people.
    """

    name: str
    version: int
    status: Status
    root: type[Any]
    owner: str
    consumers: tuple[str, ...]
    payload: type[Any] | None = None
    personal_data: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Its file, relative to the folder of schemas."""
        return f"{self.name}/v{self.version}.json"

    @property
    def identity(self) -> str:
        """Its `$id`."""
        return f"urn:revline:schema:{self.name}:v{self.version}"


PERSONAL: Final[Mapping[str, tuple[str, ...]]] = {
    "customer": ("/name", "/email", "/address", "/tax_ids"),
    "invoice": ("/memo", "/lines/*/description"),
    "payment": ("/description",),
    "invoice.issued": ("/payload/memo", "/payload/lines/*/description"),
    "invoice.voided": ("/payload/memo", "/payload/lines/*/description"),
}
"""Fields about people, by contract: names and addresses, and free text in which people may be named."""

PAYLOADS: Final[Mapping[EventKind, type[Any]]] = {
    EventKind.INVOICE_ISSUED: IssuedInvoice,
    EventKind.INVOICE_VOIDED: IssuedInvoice,
    EventKind.INVOICE_MARKED_UNCOLLECTIBLE: UncollectibleInvoice,
    EventKind.PAYMENT_RECEIVED: MovedMoney,
    EventKind.PAYMENT_APPLIED: AppliedPayment,
    EventKind.PROCESSOR_FEE_CHARGED: MovedMoney,
    EventKind.REFUND_PAID: RefundedMoney,
    EventKind.REFUND_FAILED: RefundedMoney,
    EventKind.PAYOUT_PAID: MovedMoney,
    EventKind.PAYOUT_FAILED: MovedMoney,
    EventKind.CREDIT_MEMO_ISSUED: IssuedCreditMemo,
    EventKind.CREDIT_MEMO_VOIDED: IssuedCreditMemo,
    EventKind.CUSTOMER_CREDIT_GRANTED: CustomerCredit,
    EventKind.CUSTOMER_CREDIT_APPLIED: CustomerCredit,
    EventKind.DISPUTE_OPENED: DisputedMoney,
    EventKind.DISPUTE_WON: DisputedMoney,
    EventKind.DISPUTE_LOST: DisputedMoney,
    **STATED_KINDS,
}

CONTRACTS: Final[tuple[Contract, ...]] = (
    *(
        Contract(
            name=kind,
            version=1,
            status=Status.DRAFT,
            root=KINDS[kind],
            owner="intake",
            consumers=("derive",),
            personal_data=PERSONAL.get(kind, ()),
        )
        for kind in sorted(KINDS)
    ),
    *(
        Contract(
            name=kind.value,
            version=1,
            status=Status.DRAFT,
            root=AccountingEvent,
            payload=PAYLOADS[kind],
            owner="derive",
            consumers=("subledger.posting",),
            personal_data=PERSONAL.get(kind.value, ()),
        )
        for kind in sorted(EventKind)
    ),
)
"""Every published contract."""
