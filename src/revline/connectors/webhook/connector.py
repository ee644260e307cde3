"""An endpoint as a far side: one message a call, signed when it is sent. Judges answers; keeps no state but its connections."""

from __future__ import annotations

import random as randomness
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import httpx2

from revline.connectors.sdk.http import HttpCaller, retry_after
from revline.connectors.sdk.telling import ToldFarSide
from revline.connectors.sdk.wire import HttpAnswer
from revline.connectors.webhook.guarding import GuardedTransport, Resolve, is_public, resolve
from revline.connectors.webhook.manifest import SEND, manifest_of
from revline.connectors.webhook.signing import headers_of, key_of
from revline.core.clock import Clock
from revline.core.differences import FieldDifference
from revline.core.documents import Document, FeedbackContent
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
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.feedback.replaying import message_id
from revline.feedback.values import ENDPOINT_GONE
from revline.platform.tenancy.kinds import Connection

RECORD_KIND: Final = "message"
THROTTLE_DEFAULT: Final = timedelta(seconds=30)
TRY_AGAIN: Final = frozenset({408, 425})
SECRETS_MAX: Final = 5

define(
    code="webhook.refused",
    title="The endpoint refused the message",
    status=502,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Read the endpoint's answer on the attempt, mend the endpoint or its address, then retry the case.",
)
define(
    code="webhook.address_forbidden",
    title="The endpoint is not at a public address",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy='Give an https address in the public Internet, or set allowPrivate: "true" for one in your own network.',
)


class WebhookConnector(ToldFarSide):
    """core.farside.ErpConnector for one endpoint."""

    def __init__(
        self,
        *,
        manifest: Manifest,
        caller: HttpCaller,
        host: str,
        port: int,
        path: str,
        keys: Sequence[bytes],
        clock: Clock,
        resolving: Resolve | None,
    ) -> None:
        """resolving: how the host is looked up before each call, None where any address is allowed."""
        super().__init__(manifest=manifest)
        self._caller, self._clock = caller, clock
        self._host, self._port, self._path = host, port, path
        self._keys, self._resolving = tuple(keys), resolving

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        del context
        content = document.content
        if not isinstance(content, FeedbackContent) or not content.message_type or step != SEND:
            detail = f"an endpoint takes messages, no {document.kind.value}"
            return problem("erp.kind_unsupported", detail, field=document.kind.value)
        return PreparedStep(
            document_id=document.document_id,
            kind=document.kind,
            step=step,
            operation=RECORD_KIND,
            external_reference=document.external_reference,
            body=content.data.encode(),
            idempotency_key=message_id(document.external_reference),
        )

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        del document, record, context
        return ()

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        del record
        return problem("erp.record_missing", "an endpoint can't be asked what it has")

    async def health(self) -> Health:
        """Whether its name leads somewhere it may be sent to; nothing is sent, since every request is a message."""
        refused = await self._refused()
        detail = "not asked" if refused is None else refused.detail
        return Health(reachable=refused is None, detail=detail, checked_at=self._clock.now())

    async def close(self) -> None:
        await self._caller.close()

    async def _refused(self) -> Problem | None:
        if self._resolving is None:
            return None
        try:
            addresses = await self._resolving(self._host, self._port)
        except OSError as failure:
            return problem("erp.unreachable", f"the endpoint's name is not resolved: {type(failure).__name__}")
        if all(is_public(address) for address in addresses):
            return None
        return problem("webhook.address_forbidden", f"{self._host} leads to an address that is not public")

    async def _told(self, step: PreparedStep) -> Outcome:
        refused = await self._refused()
        if refused is not None:
            return NotSent(problem=refused)
        identity = step.idempotency_key
        signed = headers_of(message_id=identity, at=self._clock.now(), body=step.body, keys=self._keys)
        answer = await self._caller.send(
            method="POST",
            path=self._path,
            content=step.body,
            headers={"content-type": "application/json", **signed},
        )
        return answer if isinstance(answer, NotSent | Uncertain) else self._judged(answer, step, identity)

    def _judged(self, answer: HttpAnswer, step: PreparedStep, identity: str) -> Outcome:
        if 200 <= answer.status < 300:
            record = ErpRecord(
                record_kind=RECORD_KIND,
                erp_id=step.document_id,
                number=identity,
                state="posted",
                external_reference=step.external_reference,
            )
            return Posted(record=record)
        evidence = self._caller.mask(answer.evidence)
        if answer.status == 410:
            return Rejected(problem=problem(ENDPOINT_GONE, "the endpoint answered 410"), evidence=evidence)
        if answer.status == 429 or (answer.status >= 500 and "retry-after" in answer.headers):
            wait = retry_after(headers=answer.headers, now=self._clock.now(), default=THROTTLE_DEFAULT)
            return Throttled(retry_after=wait)
        if answer.status >= 500 or answer.status in TRY_AGAIN:
            return Uncertain(evidence=evidence)
        return Rejected(
            problem=problem("webhook.refused", f"the endpoint answered {answer.status}", field=str(answer.status)),
            evidence=evidence,
        )


def build(
    *,
    connection: Connection,
    secrets: Mapping[str, str],
    transport: httpx2.AsyncBaseTransport | None,
    clock: Clock,
    random: randomness.Random,
    resolving: Resolve = resolve,
) -> WebhookConnector:
    """The connector of one endpoint. Setting or secret url; every other secret is a signing secret (whsec_...), all of which
    sign, so that one can be rotated. Setting allowPrivate ("true") admits addresses that are not public; others as `manifest_of`.

    ValueError or KeyError names what the connection lacks.
    """
    del random
    settings = connection.settings
    manifest = manifest_of(settings=settings)
    url = secrets["url"] if "url" in secrets else settings["url"]
    signing = [secrets[name] for name in sorted(secrets) if name != "url"]
    if not 1 <= len(signing) <= SECRETS_MAX:
        raise ValueError(f"1 to {SECRETS_MAX} signing secrets")
    keys = [key_of(secret) for secret in signing]
    private = settings.get("allowPrivate", "") == "true"
    parts = urlsplit(url)
    if not parts.hostname or parts.fragment or parts.username or parts.password:
        raise ValueError("url is https://host[:port]/path, without a user or a fragment")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    caller = HttpCaller(
        base_url=f"{parts.scheme}://{parts.netloc}",
        transport=transport or (None if private else GuardedTransport(slots=manifest.slots, resolving=resolving)),
        headers={"accept": "*/*"},
        secrets=(*signing, path),
        call_timeout=manifest.call_timeout,
        slots=manifest.slots,
    )
    return WebhookConnector(
        manifest=manifest,
        caller=caller,
        host=parts.hostname,
        port=parts.port or (443 if parts.scheme == "https" else 80),
        path=path,
        keys=keys,
        clock=clock,
        resolving=None if private else resolving,
    )
