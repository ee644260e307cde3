"""Page of connectors: their manifests, and what surprises in each system with how it is known."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import msgspec

from revline.connectors.direct.connector import MANIFEST as DIRECT
from revline.connectors.netsuite import connector as netsuite
from revline.connectors.netsuite import manifest as netsuite_manifest
from revline.connectors.salesforce import farside as salesforce
from revline.connectors.salesforce import manifest as salesforce_manifest
from revline.connectors.sdk.source import SourceManifest
from revline.connectors.simulated import connector as simulated
from revline.connectors.simulated import manifest as simulated_manifest
from revline.connectors.stripe.manifest import MANIFEST as STRIPE
from revline.connectors.tryton import connector as tryton
from revline.connectors.tryton import manifest as tryton_manifest
from revline.connectors.webhook import connector as webhook
from revline.connectors.webhook import manifest as webhook_manifest
from revline.core.farside import Gotcha, Idempotency, Manifest
from tools.reference import markdown

LEAD: Final = """A connector's manifest is data; delivery and intake go by it. Sources bring facts, ERPs take documents.

"Idempotency" says what keeps a second send of one document from a second effect. The effect bound is how long after a request
was given up it may still take effect: an uncertain document waits that long before it is looked up."""
REFERRED: Final = re.compile(
    r"^The (connector|manifest) of (one|a) connection\. ?|[,;] (the other settings|others) as `manifest_of` says"
)
IDEMPOTENCY: Final = {
    Idempotency.KEY: "the far side replays by key",
    Idempotency.UNIQUE_REFERENCE: "it refuses a second record with the same reference",
    Idempotency.LOOKUP: "look-up before sending again; the reference is not unique there",
    Idempotency.NEITHER: "a person decides",
}


def render() -> str:
    """The page."""
    erps = (
        (
            netsuite_manifest.manifest_of(settings={}),
            netsuite.build,
            netsuite_manifest.manifest_of,
            netsuite_manifest.options_of,
            netsuite_manifest.errors_of,
        ),
        (tryton_manifest.manifest_of(settings={}), tryton.build, tryton_manifest.manifest_of),
        (simulated_manifest.manifest_of(settings={}), simulated.build, simulated_manifest.manifest_of),
        (msgspec.structs.replace(salesforce_manifest.farside_manifest(), gotchas=()), salesforce.build),
        (webhook_manifest.manifest_of(settings={}), webhook.build, webhook_manifest.manifest_of),
    )
    parts = [_source(STRIPE), _source(salesforce_manifest.MANIFEST), _source(DIRECT)]
    parts += [_erp(manifest, *documented) for manifest, *documented in erps]
    return markdown.page(title="Connectors", lead=LEAD, parts=parts)


def _source(manifest: SourceManifest) -> str:
    rows = [
        ("Code in a Connection", markdown.code(manifest.connector)),
        ("Translator version", manifest.version),
        ("API version", manifest.api_version),
        ("Objects that can be imported", ", ".join(map(markdown.code, manifest.objects))),
        ("Events that are translated", ", ".join(map(markdown.code, manifest.event_families))),
        ("How a push is proved", manifest.signature),
        ("What the content digest covers", manifest.digest_over),
        ("Which snapshot is newest", manifest.newest_rule),
    ]
    return _with_gotchas([f"## {manifest.title}", markdown.table(columns=("", "Source"), rows=rows)], manifest.gotchas)


def _erp(manifest: Manifest, *documented: object) -> str:
    rows = [
        ("Code in a Connection", markdown.code(manifest.connector)),
        ("Version", manifest.version),
        ("Effect bound", _seconds(manifest.effect_bound)),
        ("Look-up sees a commit within", _seconds(manifest.lookup_lag)),
        ("Calls at once", manifest.slots),
        ("Calls a second", f"{manifest.bucket_per_second}, bursts of {manifest.bucket_burst}"),
        ("A call is given up after", _seconds(manifest.call_timeout)),
        ("Warnings acknowledged", ", ".join(map(markdown.code, manifest.warnings_allowed)) or "none"),
    ]
    kinds = [
        (
            markdown.code(kind.kind.value),
            " → ".join(kind.steps),
            IDEMPOTENCY[kind.idempotency],
            kind.batch_max,
            "yes" if kind.reads_entries else "no",
        )
        for kind in manifest.kinds
    ]
    errors = [
        (
            markdown.code(rule.far_code),
            rule.pattern or "any",
            f"[{rule.problem_code}](errors.md#{rule.problem_code.replace('.', '')})",
        )
        for rule in manifest.errors
    ]
    configured = [text for each in documented for text in markdown.paragraphs(each) if "etting" in text]
    return _with_gotchas(
        [
            f"## {manifest.title}",
            " ".join(REFERRED.sub("", text) for text in configured),
            markdown.table(columns=("", "ERP; defaults of a connection without settings of its own"), rows=rows),
            markdown.table(columns=("Document", "Steps", "Idempotency", "Batch", "Ledger lines read back"), rows=kinds),
            markdown.table(columns=("The ERP's error", "Text", "Problem"), rows=errors),
        ],
        manifest.gotchas,
    )


def _with_gotchas(parts: list[str], gotchas: tuple[Gotcha, ...]) -> str:
    rows = [(f"**{each.title}.** {each.detail}", each.verified) for each in gotchas]
    found = markdown.table(columns=("What surprises", "How it is known"), rows=rows)
    return "\n\n".join(part for part in (*parts, found) if part)


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():g} s"
