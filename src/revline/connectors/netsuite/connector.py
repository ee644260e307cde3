"""The connector to NetSuite: Revline's far-side port over SuiteTalk REST. Keeps no state but a token and currency ids."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import httpx2

from revline.connectors.netsuite.applying import Applier, applied_amounts, noted_application
from revline.connectors.netsuite.assertion import Signer
from revline.connectors.netsuite.batches import Batcher, Pause
from revline.connectors.netsuite.client import NetSuiteClient
from revline.connectors.netsuite.content import differing_fields, envelope_of, expected_content
from revline.connectors.netsuite.creating import Creator
from revline.connectors.netsuite.manifest import (
    APPLICATION,
    APPLY,
    CREATE,
    RECORDS,
    TYPE_CODES,
    Options,
    manifest_of,
    options_of,
)
from revline.connectors.netsuite.marks import amount_in
from revline.connectors.netsuite.reading import Reader
from revline.connectors.netsuite.translate import prepare_step
from revline.connectors.sdk.http import HttpCaller
from revline.core.clock import Clock
from revline.core.differences import FieldDifference, differences_of
from revline.core.documents import Document, DocumentKind
from revline.core.farside import (
    ChangedPage,
    ErpPeriod,
    ErpRecord,
    Health,
    Manifest,
    Outcome,
    Placed,
    Posted,
    PrepareContext,
    PreparedStep,
)
from revline.core.jobs import Poll
from revline.core.money import amount_text
from revline.core.problem import Problem, ProblemError, problem
from revline.platform.tenancy.kinds import Connection

LIST_MAX: Final = 1_000
MOMENT: Final = "%Y-%m-%d %H:%M:%S"
OVERLAP: Final = timedelta(minutes=5)
HOST: Final = "suitetalk.api.netsuite.com"
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)*\Z")


class NetSuiteConnector:
    """core.farside.ErpConnector for NetSuite."""

    def __init__(
        self, *, manifest: Manifest, client: NetSuiteClient, options: Options, clock: Clock, pause: Pause
    ) -> None:
        self._manifest = manifest
        self._client = client
        self._options = options
        self._clock = clock
        self._reader = Reader(client=client, options=options, clock=clock)
        self._creator = Creator(client=client, reader=self._reader, options=options)
        self._applier = Applier(client=client)
        self._batcher = Batcher(client=client, reader=self._reader, creator=self._creator, options=options, pause=pause)

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        capability = self._manifest.capability(document.kind)
        if capability is None or step not in capability.steps:
            detail = f"NetSuite has no step {step} of {document.kind.value}"
            return problem("erp.kind_unsupported", detail, field=document.kind.value)
        return prepare_step(document=document, step=step, context=context, options=self._options)

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        step = prepare_step(document=document, step=_step_of(document.kind), context=context, options=self._options)
        if isinstance(step, Problem):
            return (FieldDifference(field=step.field or step.code, ours=step.detail),)
        envelope, found = envelope_of(step), dict(record.content)
        if "applied" in envelope:
            expected = _applied_as_meant(envelope)
            differing = differences_of(expected=expected, found=found, names=expected)
        else:
            differing = differing_fields(expected=expected_content(envelope=envelope), found=found)
            kind = {"record_kind": envelope["record"]}
            differing += differences_of(expected=kind, found={"record_kind": record.record_kind})
        if record.external_reference:
            names = {"external_reference": document.external_reference}
            differing += differences_of(expected=names, found={"external_reference": record.external_reference})
        return tuple(sorted(differing, key=lambda one: one.field))

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        """Several creates go as asynchronous batches of the manifest's batch_max; voids and applications one by one."""
        if len({step.operation for step in steps}) > 1:
            raise ValueError("steps of one submit share one operation")
        if not steps:
            return []
        if steps[0].step == APPLY:
            return [outcome for step in steps for outcome in await self._applied(step)]
        capability = self._manifest.capability(steps[0].kind)
        size = capability.batch_max if capability else 1
        if steps[0].step != CREATE or size == 1 or len(steps) == 1:
            return await self._creator.singly(steps)
        outcomes: list[Outcome] = []
        for start in range(0, len(steps), size):
            outcomes += await self._batcher.send(steps[start : start + size])
        return outcomes

    async def _applied(self, step: PreparedStep) -> Sequence[Outcome]:
        if "applied" in envelope_of(step):
            return await self._applier.apply([step])
        found = await self._creator.singly([step])
        return [Posted(record=one.record, entries=()) if isinstance(one, Posted) else one for one in found]

    async def poll(self, *, polls: Sequence[Poll]) -> Sequence[Outcome]:
        """What became of accepted steps: Accepted again while their job runs."""
        return await self._batcher.poll(polls)

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        found: dict[str, tuple[ErpRecord, ...]] = dict.fromkeys(references, ())
        # A payment of nothing has no ledger line to be found by its subsidiary; its reference is enough.
        subsidiary = company if self._options.one_world and kind is not DocumentKind.APPLICATION else ""
        record = self._options.item_record if kind is DocumentKind.ITEM else RECORDS[kind]
        try:
            held = await self._reader.by_reference(record=record, references=list(found), subsidiary=subsidiary)
            if kind is DocumentKind.APPLICATION:
                for reference in found:
                    found[reference] += await self._noted(reference)
        except ProblemError as error:
            return error.problem
        for one in held:
            if one.record.external_reference in found:
                found[one.record.external_reference] += (one.record,)
        return found

    async def _noted(self, reference: str) -> tuple[ErpRecord, ...]:
        """Applications by the note in their payment's memo."""
        found = (
            noted_application(
                memo=memo, reference=reference, payment_kind=held.record.record_kind, payment=held.record.erp_id
            )
            for held, memo in await self._reader.noted(note=f"[{reference} ")
        )
        return tuple(record for record in found if record is not None)

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        if record.record_kind == APPLICATION:
            return await self._read_application(record)
        if record.record_kind not in {*TYPE_CODES, "customer", self._options.item_record}:
            return problem("erp.record_missing", f"NetSuite keeps no {record.record_kind}")
        try:
            found = (await self._reader.by_id(record=record.record_kind, ids=[record.erp_id])).get(record.erp_id)
        except ProblemError as error:
            return error.problem
        if found is None or found.record.record_kind != record.record_kind:
            detail = f"{record.record_kind} {record.erp_id} is no longer in NetSuite"
            return problem("erp.record_missing", detail, field=record.record_kind)
        return Posted(record=found.record, entries=found.entries)

    async def _read_application(self, record: ErpRecord) -> Posted | Problem:
        kind, payment, invoice, _ = [*record.erp_id.split("/"), "", "", ""][:4]
        shown = await self._applier.payment(kind=kind, number=payment)
        if isinstance(shown, Problem):
            return shown
        amounts = applied_amounts(shown)
        noted = noted_application(
            memo=str(shown.get("memo") or ""),
            reference=record.external_reference,
            payment_kind=kind,
            payment=payment,
        )
        if noted is None or invoice not in amounts:
            detail = f"{kind} {payment} is no longer applied as {record.external_reference} said"
            return problem("erp.record_missing", detail, field=APPLICATION)
        return Posted(record=record, entries=())

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        """By modification and id; a cursor is "moment|id", so a record's version and id make one for later."""
        if record_kind not in {*TYPE_CODES, "customer", self._options.item_record}:
            return problem("erp.kind_unsupported", f"NetSuite doesn't list {record_kind}", field=record_kind)
        moment, _, after_id = cursor.partition("|")
        size = min(max(limit, 1), LIST_MAX)
        try:
            held = await self._reader.changed(
                record=record_kind,
                subsidiary=company if self._options.one_world else "",
                moment=moment,
                after_id=after_id or "0",
                most=size,
            )
        except ProblemError as error:
            return error.problem
        records = tuple(one.record for one in held[:size])
        more = len(held) >= size
        return ChangedPage(
            records=records,
            next_cursor=f"{records[-1].version}|{records[-1].erp_id}" if more else "",
            resume=_overlapping(records[-1].version) if records else "",
        )

    def cursor_at(self, *, moment: datetime) -> str:
        """NetSuite's moments are of the integration user's time zone, so a day is added on the safe side."""
        return f"{moment - timedelta(days=1):{MOMENT}}|0"

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        try:
            return await self._reader.periods(company=company)
        except ProblemError as error:
            return error.problem

    async def health(self) -> Health:
        now = self._clock.now()
        try:
            found = await self._reader.subsidiaries() if self._options.one_world else await self._reader.currencies()
        except ProblemError as error:
            reachable = error.problem.code not in {"erp.unreachable"}
            return Health(reachable=reachable, detail=error.problem.detail, checked_at=now)
        what = "subsidiaries" if self._options.one_world else "currencies"
        return Health(
            reachable=True, version=self._manifest.version, detail=f"{len(found)} {what} visible", checked_at=now
        )

    async def close(self) -> None:
        await self._client.close()


def _overlapping(version: str) -> str:
    """A cursor a little before the last change: seconds are NetSuite's grain, and queries lag behind commits."""
    try:
        moment = datetime.strptime(version, MOMENT)  # noqa: DTZ007 - as NetSuite shows it
    except ValueError:
        return ""
    return f"{moment - OVERLAP:{MOMENT}}|0"


def _applied_as_meant(envelope: Mapping[str, Any]) -> dict[str, str]:
    applied = envelope["applied"]
    meant = {name: str(applied[name]) for name in ("payment", "invoice")}
    return meant | {"amount": amount_text(amount_in(applied["amount"]))}


def _step_of(kind: DocumentKind) -> str:
    return {DocumentKind.INVOICE_VOID: "void", DocumentKind.APPLICATION: APPLY}.get(kind, CREATE)


def base_url_of(*, settings: Mapping[str, str]) -> str:
    """The account's address: setting baseUrl, or made from the setting account (1234567_SB1 -> 1234567-sb1). ValueError."""
    if base_url := settings.get("baseUrl", ""):
        return base_url
    account = settings["account"]
    if not _ACCOUNT.match(account):
        raise ValueError(f"the setting account is an account id such as 1234567 or 1234567_SB1, not {account!r}")
    return f"https://{account.lower().replace('_', '-')}.{HOST}"


def build(
    *,
    connection: Connection,
    secrets: Mapping[str, str],
    transport: httpx2.AsyncBaseTransport | None,
    clock: Clock,
    random: random.Random,
    pause: Pause = asyncio.sleep,
) -> NetSuiteConnector:
    """The connector of one connection.

    Settings account (or baseUrl), clientId, certificateId, optionally algorithm (PS256, ES256 and others) and scopeForm (array,
    comma); secret privateKey, in PEM; others as `manifest_of` says.

    pause: how to wait for a job, in seconds. ValueError or KeyError names what the connection lacks.
    """
    del random
    settings = connection.settings
    manifest, key = manifest_of(settings=settings), secrets["privateKey"]
    signer = Signer(
        client_id=settings["clientId"],
        certificate_id=settings["certificateId"],
        private_key=key,
        algorithm=settings.get("algorithm", "PS256"),
        scope_form=settings.get("scopeForm", "array"),
    )
    base_url = base_url_of(settings=settings)
    caller = HttpCaller(
        base_url=base_url,
        transport=transport,
        headers={},
        secrets=(key, *key.splitlines()),
        call_timeout=manifest.call_timeout,
        slots=manifest.slots,
    )
    client = NetSuiteClient(base_url=base_url, caller=caller, signer=signer, clock=clock, errors=manifest.errors)
    return NetSuiteConnector(
        manifest=manifest, client=client, options=options_of(settings=settings), clock=clock, pause=pause
    )
