"""The port of a source: how a connector proves who sent an input and turns it into facts. Pure; no wire, no database, no clock.

A source connector is found by its entry point in the group `revline.sources`; intake calls it, derive reads what it made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from revline.core.facts import Incomplete, TranslatedFact
from revline.core.farside import Gotcha
from revline.core.problem import Mender, Problem, Retryable, define


class LinkRule(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the source that holds the id of an object elsewhere: of `kind` on `connection`."""

    field: str
    connection: str
    kind: str


class SourceContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a translation may depend on besides the input: the connection it came by and the legal entity that owns it.

    time_zone: IANA name of where the entity keeps its books. sandbox: the connection is to the source's test side. links: fields
    that name objects of other systems (Connection.links in the configuration). settings: the connection's plain values, sorted.
    """

    connection: str
    entity: str
    time_zone: str
    sandbox: bool
    links: tuple[LinkRule, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()


class SourceManifest(msgspec.Struct, frozen=True, kw_only=True):
    """A source as data, shown in docs and console.

    objects: what can be imported as API objects. event_families: beginnings of the event types that are translated.
    signature: how a push is proved, in words. digest_over: what the content digest covers. newest_rule: how the newest snapshot
    is chosen. simulated_time: on its test side clocks can be set ahead, so what happens in a time to come is no error there.
    """

    connector: str
    version: str
    title: str
    api_version: str
    objects: tuple[str, ...]
    event_families: tuple[str, ...]
    signature: str
    digest_over: str
    newest_rule: str
    gotchas: tuple[Gotcha, ...] = ()
    simulated_time: bool = False


class SourceConnector(Protocol):
    """What intake asks of a source. Every method is pure; what can't be done is a `Problem`, nothing raises."""

    @property
    def name(self) -> str:
        """The connector's code, such as stripe."""
        ...

    @property
    def version(self) -> str:
        """The translator's version, kept on every fact it makes."""
        ...

    @property
    def manifest(self) -> SourceManifest:
        """What this source can do."""
        ...

    def verify(
        self, *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime
    ) -> Problem | None:
        """None when the push is proved by one of the secrets at `now`; else the one problem `webhook.signature_invalid`."""
        ...

    def translate(self, *, body: bytes, context: SourceContext) -> tuple[TranslatedFact | Incomplete, ...] | Problem:
        """The facts of one pushed message. A problem means: keep the raw bytes, answer well, make a case."""
        ...

    def translate_object(self, *, body: bytes, context: SourceContext) -> tuple[TranslatedFact, ...] | Problem:
        """The facts of one object as the source's own API returns it (one JSON object), for imports and re-reads."""
        ...


class SourcePage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a listing or of a change stream.

    bodies: each one object (listing) or one message (changes), as JSON bytes exactly as `translate_object` or `translate` takes
    them. next_cursor: where to go on, the same as before when nothing came. more: whether a further page is there now. total: how
    many objects the source says there are, None when it does not say; control totals compare it with what was taken in.
    """

    bodies: tuple[bytes, ...]
    next_cursor: str
    more: bool
    total: int | None = None


class ReaderManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What can be read of a source. listed: API object kinds in the order a backfill takes them. changes: whether it has a change
    stream. page_max: objects a page. slots, bucket_per_second: what the source allows Revline to ask of it. since: a listing may
    begin with the cursor "since:" and an RFC 3339 moment: objects made or changed at that moment or later."""

    listed: tuple[str, ...]
    changes: bool
    page_max: int
    slots: int = 2
    bucket_per_second: str = "10"
    since: bool = False


class SourceBusy(Problem, frozen=True, kw_only=True):
    """The problem source.busy of a source that wants fewer calls: none of its account's for `retry_after`."""

    retry_after: timedelta


def asks_for_less(*, detail: str, wait: timedelta) -> SourceBusy:
    """The source was asked too often, and says, or is known to want, no call for so long."""
    return SourceBusy(code="source.busy", detail=detail, retry_after=wait)


class SourceReader(Protocol):
    """The way out to a source, to list and read what was not pushed. Async; never raises for what the far side does.

    Problems: source.unreachable, source.busy (retryable; `SourceBusy` when it wants fewer calls), source.credentials_refused,
    source.refused; of changes_page also source.cursor_expired: the source has forgotten the cursor, so Revline lists every kind
    again and follows from "".
    """

    @property
    def manifest(self) -> ReaderManifest:
        """What can be read."""
        ...

    async def list_page(self, *, object_kind: str, cursor: str, limit: int) -> SourcePage | Problem:
        """Objects of a kind after a cursor ("" from the start), oldest change first where the source can."""
        ...

    async def changes_page(self, *, cursor: str, limit: int) -> SourcePage | Problem:
        """Messages of the change stream after a cursor; "" begins where the source still has any."""
        ...

    async def read(self, *, object_kind: str, outside_id: str) -> bytes | Problem | None:
        """One object whole, every line of it; None when the source has it no more."""
        ...

    async def close(self) -> None:
        """Let go of the transport."""
        ...


define(
    code="source.unreachable",
    title="The source can't be reached",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.OPERATOR,
    remedy="Revline tries again. If it stays, check the connection's address and the source's health.",
)
define(
    code="source.busy",
    title="The source is busy",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Nothing to do: Revline tries again.",
)
define(
    code="source.credentials_refused",
    title="The source refused the credentials",
    status=502,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Renew the connection's secret, then retry the cause.",
)
define(
    code="source.refused",
    title="The source refused to be read",
    status=502,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Read what the source said; give the key the right to read this kind of object, then retry the cause.",
)
define(
    code="source.cursor_expired",
    title="The source no longer knows where its changes were read to",
    status=410,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Nothing to do: Revline lists every kind again and follows the changes from where the source still has them.",
)
