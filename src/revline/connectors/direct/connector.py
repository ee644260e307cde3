"""The direct source behind the port of sources. What it takes is proved by the API key it came with, never by a signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from revline.connectors.direct import translate
from revline.connectors.sdk.source import SourceConnector, SourceContext, SourceManifest
from revline.core.canonical import KINDS
from revline.core.facts import TranslatedFact
from revline.core.problem import Problem, problem

MANIFEST: Final = SourceManifest(
    connector="direct",
    version="1",
    title="Direct: canonical objects as CloudEvents",
    api_version="1",
    objects=tuple(sorted(KINDS)),
    event_families=tuple(f"revline.{kind}.v1" for kind in sorted(KINDS)),
    signature="none: events come with an API key",
    digest_over="type, source, subject, time, sequence and data of an event, as values",
    newest_rule="status rank, then the event's time, then its sequence",
)


class DirectSource:
    """A `SourceConnector` without state."""

    @property
    def name(self) -> str:
        return MANIFEST.connector

    @property
    def version(self) -> str:
        return MANIFEST.version

    @property
    def manifest(self) -> SourceManifest:
        return MANIFEST

    def verify(
        self, *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime
    ) -> Problem | None:
        del headers, body, secrets, now
        return problem("webhook.signature_invalid", "this source has no webhooks")

    def translate(self, *, body: bytes, context: SourceContext) -> tuple[TranslatedFact, ...] | Problem:
        return translate.translate(body=body, context=context)

    def translate_object(self, *, body: bytes, context: SourceContext) -> tuple[TranslatedFact, ...] | Problem:
        return translate.translate_object(body=body, context=context)


def build() -> SourceConnector:
    """The entry point of the group `revline.sources`."""
    return DirectSource()
