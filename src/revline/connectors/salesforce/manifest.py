"""What Salesforce can do as a source and as a place to write back to, and what surprises in it, as data for docs and console."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Final

from revline.connectors.salesforce.translate import READERS
from revline.connectors.sdk.source import SourceManifest
from revline.core.documents import DocumentKind
from revline.core.farside import ErrorRule, Gotcha, Idempotency, KindCapability, Manifest

NAME: Final = "salesforce"
VERSION: Final = "1"
API_VERSION: Final = "62.0"
WRITE: Final = "write"

GOTCHAS: Final = (
    Gotcha(
        title="A change event holds changed fields only",
        detail="Every record it names is read again before it counts; gaps and overflows are read the same way.",
        verified="documented (change event message structure); shown by the contract tests",
    ),
    Gotcha(
        title="Modification times count whole seconds",
        detail=(
            "Two states of one second could not be told apart, so a record is read only once its second is over by "
            "Salesforce's own clock (setting settleSeconds)."
        ),
        verified="SystemModstamp has .000 in every documented example; from memory for every edition",
    ),
    Gotcha(
        title="A line may change without its order",
        detail=(
            "The newest modification time of a record and its lines decides; lines are listed by their own time too, "
            "and lines in the recycle bin count for it."
        ),
        verified="from memory; the simulator behaves so and the property test of interleavings holds",
    ),
    Gotcha(
        title="End dates are the last day",
        detail="An order's, a line's and a contract's EndDate is inclusive; here the day after it is the end.",
        verified="documented for contracts (start plus term less a day); from memory for orders and lines",
    ),
    Gotcha(
        title="Standard contracts have no lines",
        detail="Name the object that holds them (contractLineObject), or let the order's lines speak.",
        verified="object reference: ContractLineItem belongs to ServiceContract",
    ),
    Gotcha(
        title="Large numbers come with an exponent",
        detail="15000000 is written 1.5E7; it is read exactly, never as a float.",
        verified="from memory; tested",
    ),
    Gotcha(
        title="One id, two spellings",
        detail="15 characters differ by case, 18 do not. Both find a record; links count in the long form.",
        verified="documented (record ids); tested on the check characters",
    ),
    Gotcha(
        title="The client library speaks https only and reads netrc",
        detail=(
            "simple-salesforce builds every address with https and *.salesforce.com; its session gets an adapter that "
            "maps them to a simulator's address, and trust_env is off, or a netrc would replace the token."
        ),
        verified="source of simple-salesforce 1.12.10",
    ),
    Gotcha(
        title="The client library writes the assertion's exp as a text",
        detail="RFC 7519 wants a number; Salesforce takes both.",
        verified="source of simple-salesforce 1.12.10; that Salesforce takes it is from its wide use",
    ),
    Gotcha(
        title="Change events are kept for 72 hours",
        detail="After a longer stop the replay id is refused; every kind is listed again and the stream begins anew.",
        verified="documented (event message durability); the words of the refusal are from memory",
    ),
    Gotcha(
        title="Quotes, currencies and person accounts are options of an org",
        detail="What an org lacks is left out after its description was read; setting currency names the only one.",
        verified="object reference; shown by the contract tests",
    ),
)

MANIFEST: Final = SourceManifest(
    connector=NAME,
    version=VERSION,
    title="Salesforce: accounts, catalogue, opportunities, quotes, orders and contracts",
    api_version=API_VERSION,
    objects=tuple(sorted(READERS)),
    event_families=("change data capture: /data/ChangeEvents",),
    signature=(
        "none: change events are pulled. A relay of yours may push them, signed as Standard Webhooks says with the secret "
        "webhookSigningSecret; without that secret every push is refused"
    ),
    digest_over="the whole record with its modification time; the header and changed fields of a change event",
    newest_rule=(
        "the newest SystemModstamp of the record and its lines (deleted ones too), then the record's own, then deleted"
    ),
    gotchas=GOTCHAS,
)

ERRORS: Final = (
    ErrorRule(far_code="REQUEST_LIMIT_EXCEEDED", pattern="", problem_code="erp.busy"),
    ErrorRule(far_code="UNABLE_TO_LOCK_ROW", pattern="", problem_code="erp.busy"),
    ErrorRule(far_code="SERVER_UNAVAILABLE", pattern="", problem_code="erp.busy"),
    ErrorRule(far_code="NOT_FOUND", pattern="", problem_code="erp.record_missing"),
    ErrorRule(far_code="ENTITY_IS_DELETED", pattern="", problem_code="erp.record_missing"),
    ErrorRule(far_code="INVALID_CROSS_REFERENCE_KEY", pattern="", problem_code="erp.record_missing"),
    ErrorRule(far_code="INVALID_SESSION_ID", pattern="", problem_code="erp.credentials_refused"),
    ErrorRule(far_code="INVALID_LOGIN", pattern="", problem_code="erp.credentials_refused"),
    ErrorRule(far_code="INSUFFICIENT_ACCESS", pattern="", problem_code="erp.credentials_refused"),
)
"""First match wins by the beginning of the code; any other is erp.rejected."""


def farside_manifest(*, slots: int = 2) -> Manifest:
    """Salesforce as a place that is told what became of its records."""
    return Manifest(
        connector=NAME,
        version=VERSION,
        title="Salesforce: fields written back",
        kinds=(
            KindCapability(
                kind=DocumentKind.FEEDBACK,
                steps=(WRITE,),
                idempotency=Idempotency.KEY,
                reads_entries=False,
                searchable=False,
            ),
        ),
        effect_bound=timedelta(seconds=130),
        lookup_lag=timedelta(0),
        slots=slots,
        bucket_per_second=Decimal(10),
        bucket_burst=20,
        call_timeout=timedelta(seconds=130),
        errors=ERRORS,
        gotchas=GOTCHAS,
    )
