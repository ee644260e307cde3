"""Page of settings: every REVLINE_ variable with its default and what may stand there."""

from __future__ import annotations

from typing import Final

import msgspec

from revline.platform import settings
from tools.reference import markdown

MEANINGS: Final = {
    "dsn": "The database as role revline_app. Empty: the embedded server in the data folder.",
    "control_dsn": "The database as role revline_control, which sees control tables only.",
    "owner_dsn": "The database as role revline_owner, for `revline db upgrade`.",
    "cursor_key": "Signs page cursors; at least 32 bytes, the same for every server process. Empty: one kept in the data folder.",
    "production": "Refuses the embedded server, and allows a host that is not loopback.",
    "data_folder": "The embedded server, the cursor key, and the folder `secrets` of secret://file/ references.",
    "host": "Address the API listens on; loopback unless REVLINE_PRODUCTION is true.",
    "port": "Port of the API; 0 takes a free one and prints it.",
    "pool_size": "Database connections of a process.",
    "log_level": "The least level that is logged.",
    "problem_base": "Where the problem catalogue is published; problem type URIs begin with it.",
    "body_bytes_max": "Bytes of a request body at the most.",
    "json_depth_max": "Depth of JSON at the most.",
    "events_per_request_max": "Events of one batch at the most.",
    "import_line_bytes_max": "Bytes of one line of an imported file at the most.",
    "import_batch": "Lines of a file taken in one unit of work.",
    "page_max": "Rows of a page at the most.",
    "requests_per_second": "Requests of one key that come back each second, counted by each server process for itself.",
    "requests_burst": "Requests of one key at once; beyond that the answer is 429 with `Retry-After`.",
    "future_tolerance_hours": "How far ahead of our clock a source's time may be.",
    "drain_seconds": "How long a server that was told to stop waits for requests under way.",
    "lease_seconds": "How long a worker's claims hold without a renewal, so how long the work of a dead one stands still.",
    "overdue_hours": "How long others may wait for a document before people are told of that document.",
    "keep_lanes_days": "How long a lane with nothing left to do is kept, with its finished items. It comes back when it is needed.",
    "keep_acts_days": "How long the records of an act on many are kept after it ended; who did it and how many stays.",
    "keep_rereads_days": "How long it is kept that an object was to be read again, once it was read.",
    "long_transaction_minutes": "From how many minutes on a transaction that holds back cleaning is told of.",
    "tenant_backlog_max": "Roots to derive and documents to deliver of a tenant beyond which its intake is held back; 0: no limit.",
    "cell_backlog_max": "The same over all tenants: beyond it everybody's intake is held back; 0: no limit.",
    "due_age_max_hours": "How long the oldest of a tenant's due work may wait before its intake is held back; 0: no limit.",
    "key_encryption_key": "What data keys are wrapped under: a `secret://` reference of 32 bytes as base64 or hexadecimal. "
    "Empty: a key kept in the data folder, which production refuses.",
    "key_encryption_keys_older": "Earlier ones that keys may still be wrapped under, with commas between (`revline keys rewrap`).",
    "usage_shards": "Over how many shards usage is spread. It can't be changed once there is usage.",
    "usage_in_serve": "Whether `serve` takes the usage shards that no other process owns. false: only `usage-shard` does.",
    "usage_body_bytes_max": "Bytes of a request to POST /v1/usage at the most, as sent and once unpacked.",
    "usage_events_per_request_max": "Events of one such request at the most.",
    "usage_under_way_bytes_max": "Bytes of all such requests that wait for their answer; beyond it the answer is 429.",
    "usage_requests_per_second": "Such requests of one key that come back each second, counted by each process for itself.",
    "usage_seal_rows": "Events of a tenant that wait before they are written to a file, at the most.",
    "usage_seal_minutes": "Minutes an event waits before it is written to a file, at the most.",
    "usage_tail_megabytes": "Memory that waiting events take, about; beyond it the tenants with most of them are written.",
    "usage_bucket": "The S3 bucket that files of usage lie in; empty: the data folder. Credentials as boto3 finds them.",
    "usage_bucket_prefix": "What the names of objects in the bucket begin with, such as `revline/`.",
    "usage_bucket_endpoint": "The address of an S3 that is not Amazon's.",
    "usage_cache_megabytes": "Megabytes of files of the bucket that are kept on this machine, about.",
    "usage_requests_burst": "Such requests of one key at once; beyond that the answer is 429 with `Retry-After`.",
    "usage_query_megabytes": "Memory one question to usage may take before it spills to the data folder.",
    "usage_rate_seconds": "Charges are computed at most so often while usage comes in; what is due by time is at once.",
    "kafka_brokers": "Where streams of usage are: `host:port`, with commas between.",
    "kafka_options": "Options of the Kafka client, such as those of TLS and SASL: `name=value`, with commas between.",
    "public_url": "Where people reach the console. With https:// its cookies are secure; a provider sends people back here.",
    "oidc_issuer": "The OpenID Connect provider people may log in with; empty: passwords only.",
    "oidc_client_id": "The id the provider knows this Revline by; its redirect address is `<public url>/login/return`.",
    "oidc_client_secret": "The secret that goes with it; empty for a public client.",
    "oidc_groups_claim": "The claim that names a person's groups; empty: roles are given in Revline alone.",
    "oidc_grants": "What groups give: `group=role@tenant` with commas between, `*` for every tenant.",
}
LEAD: Final = f"""A setting is the environment variable below, or its name in lower case without `{settings.PREFIX}` in the
TOML file that `{settings.FILE_VARIABLE}` names; the environment wins. A process reads its settings once, when it starts.

Variables that begin with `{settings.SECRET_PREFIX}` are secrets that connections name as `secret://env/...`; no other variable of
Revline's can be named so. `REVLINE_TENANT` is the tenant a command means when `--tenant` is not given."""


def render() -> str:
    """The page."""
    rows = [
        (
            markdown.code(settings.PREFIX + field.name.upper()),
            markdown.code(_default(field)) or "empty",
            _allowed(field.name),
            MEANINGS[field.name],
        )
        for field in fields()
    ]
    columns = ("Variable", "Default", "What may stand there", "Meaning")
    return markdown.page(title="Settings", lead=LEAD, parts=[markdown.table(columns=columns, rows=rows)])


def fields() -> list[msgspec.structs.FieldInfo]:
    """Every setting; what was not recognised is none."""
    return [field for field in msgspec.structs.fields(settings.Settings) if field.name != "unrecognised"]


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default
    if isinstance(value, settings.Secret):
        return value.reveal()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _allowed(name: str) -> str:
    """What the reader of a setting says to write when it is given what nothing takes."""
    try:
        settings._READERS[name]("\0")
    except settings._RefusedError as refused:
        return refused.instead
    return "text"
