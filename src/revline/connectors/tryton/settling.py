"""Voids invoices and sets payments against them in Tryton.

Neither leaves a record with a reference of its own, so a note on the invoice claims the intent before it is carried out: what is
found done with our note on it is ours, what is found done without it is somebody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from revline.connectors.tryton.client import FailureKind, TrytonClient, TrytonFailure
from revline.connectors.tryton.creating import gate_of
from revline.connectors.tryton.manifest import APPLY, INVOICE, MOVE, SETTLEMENT
from revline.connectors.tryton.outcomes import before_write, differs, missing, of_write
from revline.connectors.tryton.posting import last_numbered, same_rate
from revline.connectors.tryton.reading import Company, TrytonReader, holding
from revline.connectors.tryton.records import Values, plain
from revline.connectors.tryton.translate import body_of
from revline.core.farside import ErpRecord, Outcome, Posted, PreparedStep, Rejected, Uncertain
from revline.core.problem import ProblemError, problem

NOTE: Final = "ir.note"
LINE: Final = "account.move.line"
_INVOICE_FIELDS: Final = (
    "number", "state", "move", "cancel_move", "invoice_date", "currency.code", "account", "lines_to_pay", "payment_lines",
    "reconciliation_lines", "amount_to_pay",
)  # fmt: skip


def note_text(*, reference: str) -> str:
    """The text of the note that claims an intent on an invoice."""
    return f"Revline {reference}"


class Settler:
    """Voids and applies. One document at a time: each is several calls."""

    def __init__(self, client: TrytonClient, reader: TrytonReader) -> None:
        self._client = client
        self._reader = reader

    async def settle(self, steps: Sequence[PreparedStep]) -> list[Outcome]:
        """One outcome for each step, in order."""
        return [await self._one(body_of(step=step)) for step in steps]

    async def _one(self, body: Values) -> Outcome:
        try:
            company = await self._reader.company(body["company"])
            invoice = await self._invoice(company, body["invoice"])
            if invoice is None:
                return missing(INVOICE, body["invoice"])
            claimed = await self._claimed(company, body)
        except TrytonFailure as failure:
            return before_write(failure)
        except ProblemError as error:
            return Rejected(problem=error.problem)
        try:
            if body["step"] == APPLY:
                return await self._apply(company, body, invoice, claimed=claimed)
            return await self._void(company, body, invoice, claimed=claimed)
        except TrytonFailure as failure:
            # Nothing that was done can be told from what was not: the note says which of the two a later look finds.
            return before_write(failure) if failure.kind is FailureKind.UNREACHABLE else of_write(failure, what="it")

    # -- applications

    async def _apply(self, company: Company, body: Values, invoice: Values, *, claimed: bool) -> Outcome:
        lines = await self._payment_lines(company, body, invoice)
        settled = {*(invoice["payment_lines"] or ()), *(invoice["reconciliation_lines"] or ())}
        done = next((line for line in lines if line["id"] in settled), None)
        if done is None:
            if invoice["state"] != "posted":
                return differs(f"the invoice is {invoice['state']} in Tryton", "state")
            done = next((line for line in lines if _fits(line, body, company)), None)
            if done is None:
                detail = f"no open receivable line of {plain(body['amount'])} {body['currency']} in the payment's move"
                return Rejected(problem=problem("tryton.payment_not_whole", detail, field="amount"))
            if not claimed:
                await self._claim(company, body)
            values = {"payment_lines": [["add", [done["id"]]]]}
            await self._call(company, f"model.{INVOICE}.write", [body["invoice"]], values)
        elif not claimed:
            return differs("somebody else has set this payment against the invoice in Tryton", "payment_lines")
        await self._reconcile(company, body["invoice"])
        return Posted(record=settlement_record(body=body, line=done["id"]), entries=())

    async def _payment_lines(self, company: Company, body: Values, invoice: Values) -> list[Values]:
        kind, number = body["payment"]
        domain: list[Any] = [["move", "=", number], ["account", "=", invoice["account"]]]
        if kind != MOVE:
            domain[0] = ["move.origin.id", "=", number, kind]
        fields = [
            "debit",
            "credit",
            "second_currency.code",
            "amount_second_currency",
            "reconciliation",
            "invoice_payment",
        ]
        return await self._reader.rows(LINE, domain, fields, company=company.number)

    async def _reconcile(self, company: Company, number: int) -> None:
        """Marks the invoice paid when nothing is left and no exchange difference would be booked on the way."""
        invoice = await self._invoice(company, number)
        if invoice is None or invoice["state"] != "posted" or invoice["amount_to_pay"]:
            return
        await self._reconcile_lines(company, [*await self._owed(company, invoice), *invoice["payment_lines"]])

    async def _owed(self, company: Company, invoice: Values) -> list[int]:
        """The receivable lines of all that was booked for the invoice."""
        moves = (await self._reader.origin_moves(company, [invoice["id"]]))[invoice["id"]]
        return [line["id"] for move in moves for line in move.lines if line["account"] == invoice["account"]]

    async def _reconcile_lines(self, company: Company, numbers: list[int]) -> None:
        fields = ["debit", "credit", "reconciliation"]
        rows = await self._reader.rows(LINE, [["id", "in", numbers]], fields, company=company.number)
        open_rows = [row for row in rows if not row["reconciliation"]]
        if open_rows and not sum((row["debit"] - row["credit"] for row in open_rows), Decimal(0)):
            numbers = [row["id"] for row in open_rows]
            await self._wizard(company, "account.move.reconcile_lines", LINE, numbers, form=None, state="")

    # -- voids

    async def _void(self, company: Company, body: Values, invoice: Values, *, claimed: bool) -> Outcome:
        reversals = await self._reversals(company, body)
        if invoice["state"] == "cancelled":
            if not claimed or not invoice["cancel_move"]:
                return differs("somebody else has cancelled the invoice in Tryton", "state")
            return await self._voided(company, body, invoice["cancel_move"])
        if reversals:
            return await self._finish_reversal(company, body, invoice, reversals[0])
        if invoice["state"] != "posted":
            return differs(f"the invoice is {invoice['state']} in Tryton", "state")
        gate = await gate_of(self._reader, company)
        closed = gate.problem_of(day=body["day"], journal=body["journal"])
        if closed is not None:
            return Rejected(problem=closed)
        if not claimed:
            await self._claim(company, body)
        if not await self._refundable(company, body, invoice):
            number = await self._make_reversal(company, body)
            return await self._finish_reversal(company, body, invoice, {"id": number, "state": "draft"})
        return await self._refund(company, body, invoice)

    async def _refundable(self, company: Company, body: Values, invoice: Values) -> bool:
        """Whether a credit note of the day can be numbered, and undoes all that was booked, at the invoice's own rate."""
        if len((await self._reader.origin_moves(company, [body["invoice"]]))[body["invoice"]]) > 1:
            return False
        last = await last_numbered(self._reader, company, kind="credit_note", day=body["day"])
        if last is not None and last > body["day"]:
            return False
        return await same_rate(
            self._reader, company, invoice["currency."]["code"], invoice["invoice_date"], body["day"]
        )

    async def _refund(self, company: Company, body: Values, invoice: Values) -> Outcome:
        form = {"invoice_date": body["day"], "with_refund": True, "with_refund_allowed": True}
        failed: TrytonFailure | None = None
        try:
            await self._wizard(company, "account.invoice.credit", INVOICE, [body["invoice"]], form=form, state="credit")
        except TrytonFailure as failure:
            if failure.kind in {FailureKind.UNCERTAIN, FailureKind.BUSY}:
                return Uncertain(evidence=failure.message)
            failed = failure
        now = await self._invoice(company, body["invoice"])
        if now is not None and now["state"] == "cancelled" and now["cancel_move"]:
            return await self._voided(company, body, now["cancel_move"])
        if now is not None and now["state"] == "posted" and failed is not None and failed.kind is FailureKind.REFUSED:
            # A credit note with lines of both signs takes its number from the invoices' sequence, which may have gone past the
            # day. Tryton rolled the attempt back, so the dated reversal is the first effect.
            number = await self._make_reversal(company, body)
            return await self._finish_reversal(company, body, invoice, {"id": number, "state": "draft"})
        return of_write(failed, what="a void") if failed else Uncertain(evidence="the void shows no effect")

    async def _make_reversal(self, company: Company, body: Values) -> int:
        """A draft with the sides of all that was booked for the invoice exchanged."""
        moves = (await self._reader.origin_moves(company, [body["invoice"]]))[body["invoice"]]
        rows = [row for move in moves if move.state == "posted" for row in move.lines]
        lines = [
            {
                "account": row["account"],
                "debit": row["credit"],
                "credit": row["debit"],
                "party": row["party"],
                "second_currency": row["second_currency"],
                "amount_second_currency": None
                if row["amount_second_currency"] is None
                else -row["amount_second_currency"],
            }
            for row in rows
        ]
        journals = await self._reader.numbers(company, [("journal", body["journal"])])
        period = holding(await self._reader.periods(company), body["day"])
        values = {
            "company": company.number,
            "journal": journals["journal", body["journal"]],
            "period": period.number if period else None,
            "date": body["day"],
            "description": body["reference"],
            "lines": [["create", lines]],
        }
        made: list[int] = await self._call(company, f"model.{MOVE}.create", [values])
        return made[0]

    async def _finish_reversal(self, company: Company, body: Values, invoice: Values, move: Values) -> Outcome:
        if move["state"] == "draft":
            await self._call(company, f"model.{MOVE}.post", [move["id"]])
        domain = [["move", "=", move["id"]], ["account", "=", invoice["account"]]]
        rows = await self._reader.rows(LINE, domain, ["id"], company=company.number)
        await self._reconcile_lines(company, [*await self._owed(company, invoice), *(row["id"] for row in rows)])
        return await self._voided(company, body, move["id"])

    async def _reversals(self, company: Company, body: Values) -> list[Values]:
        domain = [["company", "=", company.number], ["description", "=", body["reference"]]]
        return await self._reader.rows(MOVE, domain, ["state"], company=company.number)

    async def _voided(self, company: Company, body: Values, move: int) -> Outcome:
        record = await void_record(
            self._reader, company, move=move, invoice=body["invoice"], reference=body["reference"]
        )
        if record is None:
            return missing(MOVE, move)
        entries = await self._reader.entries(company, [move])
        return Posted(record=record, entries=entries[move])

    # -- shared

    async def _invoice(self, company: Company, number: int) -> Values | None:
        rows = await self._reader.rows(INVOICE, [["id", "=", number]], _INVOICE_FIELDS, company=company.number)
        return rows[0] if rows else None

    async def _claimed(self, company: Company, body: Values) -> bool:
        domain = [
            ["resource", "=", f"{INVOICE},{body['invoice']}"],
            ["message", "=", note_text(reference=body["reference"])],
        ]
        return bool(await self._reader.rows(NOTE, domain, ["id"], company=company.number))

    async def _claim(self, company: Company, body: Values) -> None:
        note = {"resource": f"{INVOICE},{body['invoice']}", "message": note_text(reference=body["reference"])}
        await self._call(company, f"model.{NOTE}.create", [note])

    async def _call(self, company: Company, method: str, *parameters: Any) -> Any:
        return await self._client.call(method, *parameters, context={"company": company.number})

    async def _wizard(
        self, company: Company, name: str, model: str, numbers: list[int], *, form: Values | None, state: str
    ) -> None:
        """Runs a wizard: its first state, then `state` with the form when there is one."""
        context = {
            "company": company.number,
            "active_model": model,
            "active_id": numbers[0],
            "active_ids": numbers,
        }
        session, first, _ = await self._client.call(f"wizard.{name}.create", context=context)
        execute = f"wizard.{name}.execute"
        await self._client.call(execute, session, {}, first, context=context)
        if form is not None:
            await self._client.call(execute, session, {first: form}, state, context=context)
        try:
            await self._client.call(f"wizard.{name}.delete", session, context=context)
        except TrytonFailure:
            # Only the session's scratch data is left, which Tryton clears by itself.
            return


def _fits(line: Values, body: Values, company: Company) -> bool:
    """An open line of exactly the applied amount in its currency."""
    if line["reconciliation"] or line["invoice_payment"]:
        return False
    if body["currency"] == company.currency:
        return not line.get("second_currency.") and bool(line["credit"] == body["amount"])
    code = (line.get("second_currency.") or {}).get("code")
    return code == body["currency"] and bool(line["amount_second_currency"] == -body["amount"])


def settlement_record(*, body: Values, line: int) -> ErpRecord:
    """A payment line on an invoice."""
    return ErpRecord(
        record_kind=SETTLEMENT,
        erp_id=f"{body['invoice']}/{line}",
        state="posted",
        external_reference=body["reference"],
        currency=body["currency"],
        amount=body["amount"],
        content=(
            ("amount", plain(body["amount"])),
            ("invoice", str(body["invoice"])),
            ("payment", str(body["payment"][1])),
        ),
    )


async def void_record(
    reader: TrytonReader, company: Company, *, move: int, invoice: int, reference: str
) -> ErpRecord | None:
    """The move that undid an invoice, under the void's reference."""
    rows = await reader.rows(MOVE, [["id", "=", move]], ("number", "state", "date"), company=company.number)
    if not rows:
        return None
    row = rows[0]
    return ErpRecord(
        record_kind=MOVE,
        erp_id=str(move),
        number=row["number"] or "",
        state=row["state"],
        external_reference=reference,
        currency=company.currency,
        accounting_date=row["date"],
        content=(("date", row["date"].isoformat()), ("invoice", str(invoice))),
    )
