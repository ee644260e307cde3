"""Sets payments and credit memos against invoices, by changing the list they carry.

The change has no record of its own: the document's reference is noted at the end of the payment's memo in the same request, and
that note is what a look-up finds. The amount of a pair is absolute in NetSuite, so it is read before it is written.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from revline.connectors.netsuite.client import NetSuiteClient
from revline.connectors.netsuite.content import envelope_of
from revline.connectors.netsuite.creating import STRICT, not_asked
from revline.connectors.netsuite.errors import error_of, problem_of
from revline.connectors.netsuite.manifest import APPLICATION
from revline.connectors.netsuite.marks import amount_in, encoded
from revline.connectors.netsuite.outcomes import CERTAIN_REFUSALS, INSIDE
from revline.connectors.sdk.wire import HttpAnswer
from revline.core.farside import ErpRecord, Outcome, Posted, PreparedStep, Rejected, Uncertain
from revline.core.money import amount_text
from revline.core.problem import Problem, problem

MEMO_MAX: Final = 999
LOCKS_MAX: Final = 10_000
_NOTE: Final = re.compile(r"\[([A-Z2-7]{16}) ([0-9]{1,18}) ([0-9]+(?:\.[0-9]+)?)\]")


def note_of(*, reference: str, invoice: str, amount: Decimal) -> str:
    """What the memo of a payment holds for one application."""
    return f"[{reference} {invoice} {amount_text(amount)}]"


def noted_application(*, memo: str, reference: str, payment_kind: str, payment: str) -> ErpRecord | None:
    """The application that a payment's memo notes under a reference."""
    for found in _NOTE.finditer(memo):
        if found.group(1) == reference:
            return application_record(
                reference=reference,
                payment_kind=payment_kind,
                payment=payment,
                invoice=found.group(2),
                amount=Decimal(found.group(3)),
            )
    return None


def application_record(*, reference: str, payment_kind: str, payment: str, invoice: str, amount: Decimal) -> ErpRecord:
    """An application, which NetSuite knows as a line of its payment."""
    return ErpRecord(
        record_kind=APPLICATION,
        erp_id=f"{payment_kind}/{payment}/{invoice}/{reference}",
        state="posted",
        external_reference=reference,
        amount=amount,
        content=(("amount", amount_text(amount)), ("invoice", invoice), ("payment", payment)),
    )


class Applier:
    """Applies. Two applications of one payment in this process go one after the other."""

    def __init__(self, *, client: NetSuiteClient) -> None:
        self._client = client
        self._locks: dict[str, asyncio.Lock] = {}

    async def apply(self, steps: Sequence[PreparedStep]) -> list[Outcome]:
        """One outcome for each step, in order."""
        return [await self._one(step) for step in steps]

    async def _one(self, step: PreparedStep) -> Outcome:
        envelope = envelope_of(step)
        payment = envelope["applied"]["payment"]
        if len(self._locks) > LOCKS_MAX:
            self._locks = {}
        async with self._locks.setdefault(payment, asyncio.Lock()):
            return await self._change(step, envelope["record"], envelope["applied"])

    async def _change(self, step: PreparedStep, kind: str, applied: dict[str, Any]) -> Outcome:
        payment, invoice, amount = applied["payment"], applied["invoice"], amount_in(applied["amount"])
        shown = await self.payment(kind=kind, number=payment)
        if isinstance(shown, Problem):
            return Rejected(problem=shown) if shown.code == "erp.record_missing" else not_asked(shown)
        record = application_record(
            reference=step.external_reference, payment_kind=kind, payment=payment, invoice=invoice, amount=amount
        )
        memo = str(shown.get("memo") or "")
        note = note_of(reference=step.external_reference, invoice=invoice, amount=amount)
        noted = noted_application(memo=memo, reference=step.external_reference, payment_kind=kind, payment=payment)
        if noted is not None:
            return _as_meant(noted, record)
        changed = f"{memo} {note}".strip()
        if len(changed) > MEMO_MAX:
            detail = f"the memo of {kind} {payment} has no room for another application's reference"
            return Rejected(problem=problem("erp.rejected", detail, field="memo"))
        line = {
            "doc": {"id": invoice},
            "apply": True,
            "amount": amount + applied_amounts(shown).get(invoice, Decimal(0)),
        }
        answer = await self._client.call(
            method="PATCH",
            path=f"/record/v1/{kind}/{quote(payment, safe='')}",
            content=encoded({"memo": changed, "apply": {"items": [line]}}),
            headers=STRICT,
        )
        if not isinstance(answer, HttpAnswer):
            return answer
        if answer.status in {200, 204}:
            return Posted(record=record, entries=())
        return self._refused(answer)

    async def payment(self, *, kind: str, number: str) -> dict[str, Any] | Problem:
        """A payment or credit memo with its list."""
        path = f"/record/v1/{kind}/{quote(number, safe='')}"
        return await self._client.object(path=path, query=(("expandSubResources", "true"),))

    def _refused(self, answer: HttpAnswer) -> Outcome:
        evidence = self._client.mask(answer.evidence)
        error = error_of(body=answer.body)
        if error is None or answer.status not in CERTAIN_REFUSALS or error.code in INSIDE:
            return Uncertain(evidence=evidence)
        return Rejected(
            problem=problem_of(error=self._client.shown(error), rules=self._client.errors), evidence=evidence
        )


def _as_meant(noted: ErpRecord, meant: ErpRecord) -> Outcome:
    """What was applied under the reference before: ours when it is the same invoice and amount."""
    if (noted.erp_id, noted.amount) == (meant.erp_id, meant.amount):
        return Posted(record=noted, entries=())
    detail = f"{noted.erp_id} was applied under {noted.external_reference} with {noted.amount}"
    return Rejected(problem=problem("erp.record_differs", detail, field="applied"))


def applied_amounts(shown: dict[str, Any]) -> dict[str, Decimal]:
    """Invoice id -> amount, as a payment shows them."""
    sublist = shown.get("apply")
    items = sublist.get("items") if isinstance(sublist, dict) else None
    found: dict[str, Decimal] = {}
    for item in items if isinstance(items, list) else ():
        doc = item.get("doc") if isinstance(item, dict) else None
        amount = item.get("amount") if isinstance(item, dict) else None
        if isinstance(doc, dict) and item.get("apply") is True and isinstance(amount, int | Decimal):
            found[str(doc.get("id", ""))] = Decimal(amount)
    return found
