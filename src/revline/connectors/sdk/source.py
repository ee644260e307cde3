"""The port of a source: how a connector proves who sent an input and turns it into facts. Pure; no wire, no database, no clock.

A source connector is found by its entry point in the group `revline.sources`; intake calls it, derive reads what it made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from revline.core.facts import TranslatedFact
from revline.core.farside import Gotcha
from revline.core.problem import Problem


class SourceContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a translation may depend on besides the input: the connection it came by and the legal entity that owns it.

    time_zone: IANA name of where the entity keeps its books. sandbox: the connection is to the source's test side.
    """

    connection: str
    entity: str
    time_zone: str
    sandbox: bool


class SourceManifest(msgspec.Struct, frozen=True, kw_only=True):
    """A source as data, shown in docs and console.

    objects: what can be imported as API objects. event_families: beginnings of the event types that are translated.
    signature: how a push is proved, in words. digest_over: what the content digest covers. newest_rule: how the newest snapshot
    is chosen.
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

    def translate(self, *, body: bytes, context: SourceContext) -> tuple[TranslatedFact, ...] | Problem:
        """The facts of one pushed message. A problem means: keep the raw bytes, answer well, make a case."""
        ...

    def translate_object(self, *, body: bytes, context: SourceContext) -> tuple[TranslatedFact, ...] | Problem:
        """The facts of one object as the source's own API returns it (one JSON object), for imports and re-reads."""
        ...
