"""Tells Salesforce what became of its records: fields of one record, written again with equal values whenever in doubt.

Revline's far-side port for documents of kind feedback. The same values again change nothing, so a call that was not answered may
simply be repeated; the lane of the target keeps the order. Judges outcomes; keeps no state but its connections.
"""

from __future__ import annotations

import random as random_module
import re
from collections.abc import Mapping
from typing import Any, Final

import httpx2
import msgspec

from revline.connectors.salesforce.client import LIMIT_EXCEEDED, RETRY_AFTER, Failure, SalesforceClient
from revline.connectors.salesforce.identifiers import is_record_id, long_form
from revline.connectors.salesforce.manifest import ERRORS, WRITE, farside_manifest
from revline.connectors.salesforce.objects import shapes_of
from revline.connectors.salesforce.options import Options
from revline.connectors.salesforce.reader import client_of
from revline.connectors.sdk.http import masked
from revline.connectors.sdk.telling import TellingFields
from revline.core.clock import Clock
from revline.core.documents import Document
from revline.core.farside import (
    ErpRecord,
    Health,
    Manifest,
    NotSent,
    Outcome,
    Placed,
    Posted,
    PrepareContext,
    PreparedStep,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.hashing import canonical_bytes
from revline.core.problem import Problem, problem
from revline.platform.tenancy.kinds import Connection

FIELDS_MAX: Final = 100
_OBJECT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}\Z", re.ASCII)
"""An object's API name."""
OBJECTS: Final = {shape.kind: name for name, shape in shapes_of(options=Options()).items()}
"""Canonical kind -> the object that is written."""


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """The exact content of one write."""

    object_name: str
    record_id: str
    fields: dict[str, str | None]


class SalesforceFarSide(TellingFields):
    """core.farside.ErpConnector for Salesforce, kind feedback only."""

    def __init__(self, *, manifest: Manifest, client: SalesforceClient, clock: Clock) -> None:
        super().__init__(manifest=manifest)
        self._client = client
        self._clock = clock

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        del context
        content = self._content(document=document, step=step, wanted=WRITE)
        if isinstance(content, Problem):
            return content
        object_name = OBJECTS.get(content.target.kind)
        if object_name is None or not is_record_id(text=content.target.outside_id):
            detail = f"{content.target.kind[:60]} {content.target.outside_id[:60]!r} is no record of Salesforce"
            return problem("erp.kind_unsupported", detail, field=content.target.kind[:60])
        if not content.fields or len(content.fields) > FIELDS_MAX:
            return problem("erp.rejected", f"1 to {FIELDS_MAX} fields are written at once", field="fields")
        write = Write(
            object_name=object_name,
            record_id=long_form(record_id=content.target.outside_id),
            fields={name: value or None for name, value in content.fields},
        )
        return PreparedStep(
            document_id=document.document_id,
            kind=document.kind,
            step=step,
            operation=f"{WRITE}:{document.document_id}",
            external_reference=document.external_reference,
            body=canonical_bytes(write),
            idempotency_key=document.external_reference,
        )

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        if not _OBJECT.match(record.record_kind) or not is_record_id(text=record.erp_id):
            # Both stand in the path, and a person may have named them.
            detail = f"{record.record_kind[:60]} {record.erp_id[:60]} names no record"
            return problem("erp.record_missing", detail, field=record.record_kind[:60])
        names = [name for name, _ in record.content]
        fields = ",".join(dict.fromkeys(("Id", "SystemModstamp", *names)))
        answer = await self._client.run(
            lambda salesforce: salesforce.restful(
                f"sobjects/{record.record_kind}/{record.erp_id}", params={"fields": fields}
            )
        )
        if isinstance(answer, Failure):
            return _problem_of(answer)
        if not isinstance(answer.value, dict) or answer.value.get("Id") != record.erp_id:
            return problem("erp.unreachable", "Salesforce answered with another record than was asked for")
        shown = tuple((name, _text(answer.value.get(name))) for name in names)
        version = _text(answer.value.get("SystemModstamp"))
        return Posted(record=msgspec.structs.replace(record, content=shown, version=version))

    async def health(self) -> Health:
        answer = await self._client.run(lambda salesforce: salesforce.limits())
        now = self._clock.now()
        if isinstance(answer, Failure):
            found = _problem_of(answer)
            return Health(reachable=answer.unanswered is None, detail=found.detail, checked_at=now)
        daily = answer.value.get("DailyApiRequests", {})
        detail = f"{daily.get('Remaining')} of {daily.get('Max')} calls left today"
        return Health(reachable=True, detail=detail, checked_at=now)

    async def close(self) -> None:
        await self._client.close()

    async def _told(self, step: PreparedStep) -> Outcome:
        write = msgspec.json.decode(step.body, type=Write)
        answer = await self._client.run(
            lambda salesforce: getattr(salesforce, write.object_name).update(write.record_id, write.fields)
        )
        if isinstance(answer, Failure):
            return _outcome_of(answer)
        if answer.value != 204:
            return Uncertain(evidence=f"HTTP {answer.value} to a write")
        record = ErpRecord(
            record_kind=write.object_name,
            erp_id=write.record_id,
            state="posted",
            external_reference=step.external_reference,
            content=tuple(sorted((name, value or "") for name, value in write.fields.items())),
        )
        return Posted(record=record)


def _outcome_of(failure: Failure) -> Outcome:
    if failure.unanswered is not None:
        return failure.unanswered
    found = _problem_of(failure)
    if failure.code == LIMIT_EXCEEDED or failure.status == 429:
        return Throttled(retry_after=RETRY_AFTER)
    if found.code in {"erp.busy", "erp.credentials_refused"}:
        return NotSent(problem=found)
    if failure.status >= 500:
        return Uncertain(evidence=f"HTTP {failure.status} {failure.code}: {failure.message}")
    return Rejected(
        problem=found, evidence=masked(text=f"{failure.status} {failure.code}: {failure.message}", secrets=())
    )


def _problem_of(failure: Failure) -> Problem:
    if failure.unanswered is not None:
        said = failure.unanswered
        return said.problem if isinstance(said, NotSent) else problem("erp.unreachable", said.evidence[:300])
    code = next((rule.problem_code for rule in ERRORS if failure.code.startswith(rule.far_code)), "erp.rejected")
    if failure.status in {429, 503}:
        code = "erp.busy"
    elif failure.status == 401:
        code = "erp.credentials_refused"
    field = ",".join(failure.fields)[:100] or failure.code[:100]
    return problem(code, f"{failure.code or failure.status}: {failure.message}", field=field)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def build(
    *,
    connection: Connection,
    secrets: Mapping[str, str],
    transport: httpx2.AsyncBaseTransport | None,
    clock: Clock,
    random: random_module.Random,
) -> SalesforceFarSide:
    """The far side of one connection (entry point of the group `revline.connectors`). Settings and secrets as the reader's."""
    del random
    client = client_of(connection=connection, secrets=secrets, transport=transport, clock=clock)
    slots = int(connection.settings.get("slots", "2"))
    return SalesforceFarSide(manifest=farside_manifest(slots=slots), client=client, clock=clock)
