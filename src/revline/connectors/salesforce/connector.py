"""The Salesforce source behind the port of sources. Thin: proof and translation are pure modules of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from revline.connectors.salesforce import signature, translate
from revline.connectors.salesforce.manifest import MANIFEST
from revline.connectors.sdk.source import SourceConnector, SourceContext, SourceManifest
from revline.core.facts import Incomplete, TranslatedFact
from revline.core.problem import Problem


class SalesforceSource:
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
        return signature.verify(headers=headers, body=body, secrets=secrets, now=now)

    def translate(self, *, body: bytes, context: SourceContext) -> tuple[TranslatedFact | Incomplete, ...] | Problem:
        return translate.translate(body=body, context=context)

    def translate_object(self, *, body: bytes, context: SourceContext) -> tuple[TranslatedFact, ...] | Problem:
        return translate.translate_object(body=body, context=context)


def build() -> SourceConnector:
    """The entry point of the group `revline.sources`."""
    return SalesforceSource()
