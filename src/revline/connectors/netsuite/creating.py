"""Makes records in NetSuite: one by its own call, several as an asynchronous batch; each with an answer of its own."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import msgspec

from revline.connectors.netsuite.client import THROTTLE_DEFAULT, NetSuiteClient
from revline.connectors.netsuite.content import differing_fields, envelope_of, expected_content
from revline.connectors.netsuite.manifest import VOID, Options
from revline.connectors.netsuite.marks import amount_in, currencies_in, encoded, rendered
from revline.connectors.netsuite.outcomes import Made, Taken, Verdict, verdict
from revline.connectors.netsuite.reading import Held, Reader
from revline.connectors.sdk.wire import HttpAnswer
from revline.core.differences import differences_text
from revline.core.farside import ErpRecord, NotSent, Outcome, Posted, PreparedStep, Rejected, Throttled, Uncertain
from revline.core.problem import Problem, ProblemError, problem

STRICT: Final = {"x-netsuite-propertynamevalidation": "error"}
"""A property NetSuite doesn't know is refused, never dropped."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A step with its body as NetSuite takes it."""

    place: int
    step: PreparedStep
    record: str
    body: dict[str, Any]


class Creator:
    """Makes records."""

    def __init__(self, *, client: NetSuiteClient, reader: Reader, options: Options) -> None:
        self._client = client
        self._reader = reader
        self._options = options

    async def ready(self, steps: Sequence[PreparedStep]) -> list[Ready | Problem]:
        """Bodies with currencies by id and credit memos applied as far as their invoice is open. ProblemError."""
        envelopes = [envelope_of(step) for step in steps]
        ids = {code: number for number, code in (await self._reader.currencies()).items()}
        invoices = sorted({envelope["applyUpTo"]["doc"] for envelope in envelopes if "applyUpTo" in envelope})
        unpaid = await self._reader.open_amounts(ids=invoices)
        found: list[Ready | Problem] = []
        for place, (step, envelope) in enumerate(zip(steps, envelopes, strict=True)):
            unknown = sorted(code for code in currencies_in(envelope["values"]) if code not in ids)
            if unknown:
                detail = f"NetSuite has no currency {unknown[0]}"
                found.append(problem("netsuite.reference_invalid", detail, field=f"currency:{unknown[0]}"))
                continue
            body = rendered(envelope["values"], currencies=ids)
            if "applyUpTo" in envelope:
                body |= _applied(envelope["applyUpTo"], unpaid)
            found.append(Ready(place=place, step=step, record=envelope["record"], body=body))
        return found

    async def singly(self, steps: Sequence[PreparedStep]) -> list[Outcome]:
        """One call a document. Once NetSuite can't be asked, the rest is not tried."""
        try:
            bodies = await self.ready(steps)
        except ProblemError as error:
            return [not_asked(error.problem)] * len(steps)
        outcomes: list[Outcome] = []
        for body in bodies:
            if outcomes and isinstance(outcomes[-1], Throttled | NotSent):
                outcomes.append(outcomes[-1])
            elif isinstance(body, Problem):
                outcomes.append(Rejected(problem=body))
            else:
                outcomes.append(await self.one(body))
        return outcomes

    async def one(self, ready: Ready) -> Outcome:
        """One document by its own synchronous call."""
        path = f"/record/v1/{ready.record}"
        if ready.step.step == VOID:
            source = quote(envelope_of(ready.step)["source"], safe="")
            path = f"/record/v1/invoice/{source}/!transform/creditMemo"
        answer = await self._client.call(method="POST", path=path, content=encoded(ready.body), headers=STRICT)
        if not isinstance(answer, HttpAnswer):
            return answer
        found = verdict(answer=answer, rules=self._client.errors, mask=self._client.mask)
        return (await self.settled([(ready, found)]))[0]

    async def settled(self, verdicts: Sequence[tuple[Ready, Verdict]]) -> list[Outcome]:
        """Outcomes of records of one type: what was made is read back with its ledger lines, what was there is compared."""
        record = verdicts[0][0].record if verdicts else ""
        made = [each.number for _, each in verdicts if isinstance(each, Made)]
        taken = [ready.step.external_reference for ready, each in verdicts if isinstance(each, Taken)]
        by_id: dict[str, Held] = {}
        by_reference: dict[str, list[Held]] = {}
        failure: Problem | None = None
        try:
            by_id = await self._reader.by_id(record=record, ids=made) if made else {}
            for held in await self._reader.by_reference(record=record, references=taken) if taken else ():
                by_reference.setdefault(held.record.external_reference, []).append(held)
        except ProblemError as error:
            failure = error.problem
        outcomes: list[Outcome] = []
        for ready, each in verdicts:
            match each:
                case Made():
                    outcomes.append(self._made(ready, each, by_id.get(each.number)))
                case Taken():
                    found = by_reference.get(ready.step.external_reference, [])
                    outcomes.append(self.existing(ready.step, found, evidence=each.evidence, failure=failure))
                case _:
                    outcomes.append(each)
        return outcomes

    def _made(self, ready: Ready, made: Made, held: Held | None) -> Outcome:
        """Made for certain; when it can't be read yet, nobody has seen its ledger lines."""
        if held is None:
            reference = ready.step.external_reference
            record = ErpRecord(
                record_kind=ready.record, erp_id=made.number, state="posted", external_reference=reference
            )
            return Posted(record=record, entries=None)
        if held.record.external_reference != ready.step.external_reference:
            return Uncertain(
                evidence=f"asked for {ready.step.external_reference}, answered with {ready.record} {made.number}"
            )
        return Posted(record=held.record, entries=held.entries)

    def existing(
        self, step: PreparedStep, found: Sequence[Held], *, evidence: str, failure: Problem | None = None
    ) -> Outcome:
        """A record that has the reference already: ours when it is what we meant."""
        if len(found) != 1:
            why = f"; {failure.detail}" if failure else f"; look-up finds {len(found)}"
            return Uncertain(evidence=f"the reference {step.external_reference} is taken{why}: {evidence}"[:2_000])
        held = found[0]
        content = dict(held.record.content)
        differing = differing_fields(expected=expected_content(envelope=envelope_of(step)), found=content)
        if not differing:
            return Posted(record=held.record, entries=held.entries)
        named = f"{held.record.record_kind} {held.record.erp_id} under {step.external_reference}"
        said = self._client.mask(differences_text(differing))
        field = ",".join(one.field for one in differing)[:200]
        return Rejected(problem=problem("erp.record_differs", f"{named}: {said}", field=field), evidence=said)


def not_asked(why: Problem) -> Throttled | NotSent:
    """A document that was not sent, since NetSuite could not be asked what it needs first."""
    return Throttled(retry_after=THROTTLE_DEFAULT) if why.code == "erp.busy" else NotSent(problem=why)


def _applied(wanted: dict[str, Any], unpaid: dict[str, str]) -> dict[str, Any]:
    """The list of what a credit memo is set against: its invoice, as far as that is open."""
    amount = min(amount_in(wanted["amount"]), Decimal(unpaid.get(wanted["doc"], "0")))
    if amount <= 0:
        return {"autoApply": False}
    return {"autoApply": False, "apply": {"items": [{"doc": {"id": wanted["doc"]}, "apply": True, "amount": amount}]}}
