"""Settings of a Revline process: read once from the environment and, if named, a TOML file; frozen afterwards.

A setting is `REVLINE_<NAME>` in the environment or `<name>` in the file that `REVLINE_SETTINGS` names; the environment
wins. Every limit that bites is here, with its default. This module must not know what the settings are used for.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem
from revline.core.secret import Secret

PREFIX: Final = "REVLINE_"
FILE_VARIABLE: Final = "REVLINE_SETTINGS"
SECRET_PREFIX: Final = "REVLINE_SECRET_"  # noqa: S105 - the name of variables, not a secret
SETTINGS_FILE_BYTES_MAX: Final = 256 * 1024
KIBIBYTE: Final = 1024
GRANT: Final = re.compile(r"[^=,@]{1,200}=(administrator|operator|finance|auditor)@(\*|[a-z][a-z0-9-]{0,38})")
OPTION: Final = re.compile(r"[a-z][a-z0-9_.]{1,60}=[^,]{0,1000}")

define(
    code="settings.invalid",
    title="A setting can't be used",
    status=500,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Correct the named variables or the settings file and start again.",
)


def masked_dsn(dsn: str) -> str:
    """A DSN without its password, fit to be shown."""
    if "://" not in dsn:
        return "***"
    try:
        parts = urlsplit(dsn)
        host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "***"
    user = f"{parts.username}:***@" if parts.password else (f"{parts.username}@" if parts.username else "")
    query = "&".join(key for key, _ in parse_qsl(parts.query))
    return f"{parts.scheme}://{user}{host}{parts.path}" + (f"?{query}" if query else "")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One process's settings.

    dsn: the database as role revline_app; control_dsn: as revline_control; owner_dsn: as revline_owner, for migrations.
    Empty DSNs mean the embedded server in `data_folder`. cursor_key: signs page cursors; empty: the app derives one.
    problem_base: where the error catalogue is published; problem type URIs start with it.
    production: refuses the embedded server and allows a host that is not loopback.
    lease_seconds: how long a worker's claims hold without a renewal, so how long the work of a dead one stands still.
    overdue_hours: how long others may wait for a document before it is a case of its own.
    keep_lanes_days, keep_acts_days, keep_rereads_days: how long what may go is kept (`app.keeping`). long_transaction_minutes: from
    when on a transaction is told of.
    tenant_backlog_max, cell_backlog_max: roots to derive and documents to deliver, of a tenant and of all, beyond which intake is
    held back; due_age_max_hours: and how long the oldest may be due. 0 for no limit.
    key_encryption_key: secret:// reference of what data keys are wrapped under, "" for one in the data folder;
    key_encryption_keys_older: earlier ones, with commas between.
    usage_shards: over how many shards usage is spread, a power of two up to 64. usage_in_serve: whether `serve` takes those that
    nobody owns. usage_body_bytes_max, usage_events_per_request_max, usage_under_way_bytes_max, usage_requests_per_second,
    usage_requests_burst: what bites at POST /v1/usage. usage_rate_seconds: how far apart charges are computed at least while usage
    comes in. usage_query_megabytes: memory of one question to usage. usage_seal_rows, usage_seal_minutes, usage_tail_megabytes:
    when usage is written to files. usage_bucket,
    usage_bucket_prefix, usage_bucket_endpoint: the S3 bucket they lie in, "" for the data folder; usage_cache_megabytes: of it on
    this machine. kafka_brokers, kafka_options: where streams of usage are.
    public_url: where people reach the console; https:// makes its cookies secure. oidc_issuer, oidc_client_id, oidc_client_secret:
    the identity provider, "" for none. oidc_groups_claim, oidc_grants: the claim that names groups, and what each gives, as
    group=role@tenant with commas between.
    """

    dsn: Secret = Secret("")
    control_dsn: Secret = Secret("")
    owner_dsn: Secret = Secret("")
    cursor_key: Secret = Secret("")
    production: bool = False
    data_folder: Path = Path(".revline")
    host: str = "127.0.0.1"
    port: int = 8080
    pool_size: int = 8
    log_level: str = "info"
    problem_base: str = "urn:revline:problem:"
    body_bytes_max: int = 1024 * KIBIBYTE
    json_depth_max: int = 64
    events_per_request_max: int = 500
    import_line_bytes_max: int = 1024 * KIBIBYTE
    import_batch: int = 200
    page_max: int = 1000
    requests_per_second: int = 500
    requests_burst: int = 2_000
    future_tolerance_hours: int = 24
    drain_seconds: int = 20
    lease_seconds: int = 15
    tenant_backlog_max: int = 1_000_000
    cell_backlog_max: int = 10_000_000
    due_age_max_hours: int = 48
    overdue_hours: int = 4
    keep_lanes_days: int = 30
    keep_acts_days: int = 90
    keep_rereads_days: int = 30
    long_transaction_minutes: int = 5
    key_encryption_key: str = ""
    key_encryption_keys_older: str = ""
    usage_shards: int = 1
    usage_in_serve: bool = True
    usage_body_bytes_max: int = 8 * 1024 * KIBIBYTE
    usage_events_per_request_max: int = 10_000
    usage_under_way_bytes_max: int = 256 * 1024 * KIBIBYTE
    usage_requests_per_second: int = 20_000
    usage_requests_burst: int = 40_000
    usage_rate_seconds: int = 900
    usage_query_megabytes: int = 4_096
    usage_seal_rows: int = 250_000
    usage_seal_minutes: int = 60
    usage_tail_megabytes: int = 384
    usage_bucket: str = ""
    usage_bucket_prefix: str = ""
    usage_bucket_endpoint: str = ""
    usage_cache_megabytes: int = 4_096
    kafka_brokers: str = ""
    kafka_options: Secret = Secret("")
    public_url: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: Secret = Secret("")
    oidc_groups_claim: str = ""
    oidc_grants: str = ""
    unrecognised: tuple[str, ...] = ()

    def shown(self) -> dict[str, str]:
        """The settings fit for a person's eyes: secrets masked, DSNs without passwords."""
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name != "unrecognised"}
        return {
            name: masked_dsn(value.reveal()) if name.endswith("dsn") and value else str(value)
            for name, value in values.items()
        }


class _RefusedError(ValueError):
    def __init__(self, detail: str, instead: str) -> None:
        super().__init__(detail)
        self.detail, self.instead = detail, instead


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 12 or not low <= int(text) <= high:
            raise _RefusedError(f"is not a whole number from {low} to {high}", f"a whole number from {low} to {high}")
        return int(text)

    return read


def _shards(text: str) -> int:
    if text not in {str(2**power) for power in range(7)}:
        raise _RefusedError("is no power of two from 1 to 64", "1, 2, 4, 8, 16, 32 or 64")
    return int(text)


def _truth(text: str) -> bool:
    if text not in {"true", "false"}:
        raise _RefusedError("is neither true nor false", "true or false")
    return text == "true"


def _level(text: str) -> str:
    if text not in {"debug", "info", "warning", "error"}:
        raise _RefusedError("is not a log level", "debug, info, warning or error")
    return text


def _dsn(text: str) -> Secret:
    if not text:
        return Secret(text)
    try:
        make_url(text)
    except (ArgumentError, ValueError):
        readable = False
    else:
        readable = text.startswith(("postgresql://", "postgresql+psycopg://"))
    if not readable:
        raise _RefusedError("is not a PostgreSQL address", "postgresql://user:password@host:5432/database")
    return Secret(text)


def _key(text: str) -> Secret:
    if text and len(text.encode()) < 32:
        raise _RefusedError(
            "is shorter than 32 bytes", "at least 32 random bytes, for example from `openssl rand -hex 32`"
        )
    return Secret(text)


def _folder(text: str) -> Path:
    if not text or "\0" in text:
        raise _RefusedError("is not a path", "a folder's path")
    return Path(text).expanduser()


def _host(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise _RefusedError(
            "is not an IP address", "127.0.0.1, or with REVLINE_PRODUCTION=true another address"
        ) from None
    return text


def _base(text: str) -> str:
    if not text.startswith(("https://", "urn:")):
        raise _RefusedError("is not a URI base", "an https:// address that ends in / or a urn: that ends in :")
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    loopback = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if text and (not parts.hostname or parts.query or parts.fragment or not (parts.scheme == "https" or loopback)):
        raise _RefusedError("is not an https:// address", "https://host, or http://127.0.0.1:port for a trial")
    return text


def _word(text: str) -> str:
    if len(text) > 255 or not text.isprintable():
        raise _RefusedError("is not a short text", "at most 255 printable characters")
    return text


def _options(text: str) -> Secret:
    if len(text) > 4_000 or not all(OPTION.fullmatch(one.strip()) for one in text.split(",") if one):
        raise _RefusedError("is not a list of options", "security.protocol=SASL_SSL,sasl.username=revline")
    return Secret(text)


def _grants(text: str) -> str:
    if len(text) > 4_000 or not all(GRANT.fullmatch(one.strip()) for one in text.split(",") if text):
        raise _RefusedError(
            "is not a list of grants", "group=role@tenant, such as revline-finance=finance@* (* is every one)"
        )
    return text


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "dsn": _dsn,
    "control_dsn": _dsn,
    "owner_dsn": _dsn,
    "cursor_key": _key,
    "production": _truth,
    "data_folder": _folder,
    "host": _host,
    "port": _whole(0, 65_535),
    "pool_size": _whole(1, 200),
    "log_level": _level,
    "problem_base": _base,
    "body_bytes_max": _whole(KIBIBYTE, 64 * 1024 * KIBIBYTE),
    "json_depth_max": _whole(8, 256),
    "events_per_request_max": _whole(1, 500),
    "import_line_bytes_max": _whole(KIBIBYTE, 64 * 1024 * KIBIBYTE),
    "import_batch": _whole(1, 500),
    "page_max": _whole(1, 1000),
    "requests_per_second": _whole(1, 100_000),
    "requests_burst": _whole(1, 1_000_000),
    "future_tolerance_hours": _whole(0, 8760),
    "drain_seconds": _whole(1, 600),
    "lease_seconds": _whole(1, 600),
    "tenant_backlog_max": _whole(0, 1_000_000_000),
    "cell_backlog_max": _whole(0, 1_000_000_000),
    "due_age_max_hours": _whole(0, 8760),
    "overdue_hours": _whole(1, 720),
    "keep_lanes_days": _whole(1, 3_650),
    "keep_acts_days": _whole(1, 3_650),
    "keep_rereads_days": _whole(1, 3_650),
    "long_transaction_minutes": _whole(1, 1_440),
    "key_encryption_key": _word,
    "key_encryption_keys_older": _word,
    "usage_shards": _shards,
    "usage_in_serve": _truth,
    "usage_body_bytes_max": _whole(KIBIBYTE, 64 * 1024 * KIBIBYTE),
    "usage_events_per_request_max": _whole(1, 50_000),
    "usage_under_way_bytes_max": _whole(1024 * KIBIBYTE, 16 * 1024 * 1024 * KIBIBYTE),
    "usage_requests_per_second": _whole(1, 1_000_000),
    "usage_requests_burst": _whole(1, 10_000_000),
    "usage_rate_seconds": _whole(1, 86_400),
    "usage_query_megabytes": _whole(256, 1_048_576),
    "usage_seal_rows": _whole(1_000, 10_000_000),
    "usage_seal_minutes": _whole(1, 1_440),
    "usage_tail_megabytes": _whole(16, 65_536),
    "usage_bucket": _word,
    "usage_bucket_prefix": _word,
    "usage_bucket_endpoint": _url,
    "usage_cache_megabytes": _whole(64, 1_048_576),
    "kafka_brokers": _word,
    "kafka_options": _options,
    "public_url": _url,
    "oidc_issuer": _url,
    "oidc_client_id": _word,
    "oidc_client_secret": lambda text: Secret(_word(text)),
    "oidc_groups_claim": _word,
    "oidc_grants": _grants,
}


def load(*, environment: Mapping[str, str], file: Path | None = None) -> Settings | Problem:
    """The settings of `environment` over those of `file` (default: what REVLINE_SETTINGS names), or `settings.invalid`.

    Problems name the variable and what to write; a value is never repeated, since it may be a secret.
    """
    named = environment.get(FILE_VARIABLE, "")
    path = file or (Path(named) if named else None)
    errors: list[FieldError] = []
    given: dict[str, tuple[str, str]] = {}
    if path is not None:
        _read_file(path=path, given=given, errors=errors)
    unrecognised = []
    for variable, text in environment.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE or variable.startswith(SECRET_PREFIX):
            continue
        if name in _READERS and variable == PREFIX + name.upper():
            given[name] = (variable, text)
        else:
            unrecognised.append(variable)
    values: dict[str, Any] = {}
    for name, (pointer, text) in given.items():
        try:
            values[name] = _READERS[name](text)
        except _RefusedError as refused:
            errors.append(FieldError(pointer=pointer, detail=refused.detail, instead=refused.instead))
    if not errors:
        settings = Settings(**values, unrecognised=tuple(sorted(unrecognised)))
        errors = _across(settings)
        if not errors:
            return settings
    wrong = ", ".join(error.pointer for error in errors)
    return problem("settings.invalid", f"can't use {wrong}", field=errors[0].pointer, errors=tuple(errors))


def _read_file(*, path: Path, given: dict[str, tuple[str, str]], errors: list[FieldError]) -> None:
    try:
        with path.open("rb") as stream:
            data = stream.read(SETTINGS_FILE_BYTES_MAX + 1)
        if len(data) > SETTINGS_FILE_BYTES_MAX:
            raise ValueError("the file is too large")
        table = tomllib.loads(data.decode())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not TOML in UTF-8 of at most 256 KiB"
        errors.append(FieldError(pointer=str(path), detail=f"can't be read: {reason}", instead="a TOML file"))
        return
    for name, value in table.items():
        pointer = f"{path}:{name}"
        if name not in _READERS:
            known = ", ".join(sorted(_READERS))
            errors.append(FieldError(pointer=pointer, detail="is no setting", instead=f"one of {known}"))
        elif isinstance(value, bool):
            given[name] = (pointer, "true" if value else "false")
        elif isinstance(value, (str, int)):
            given[name] = (pointer, str(value))
        else:
            errors.append(FieldError(pointer=pointer, detail="is no plain value", instead="a text, number or truth"))


def _across(settings: Settings) -> list[FieldError]:
    errors = []
    if not settings.production and not ipaddress.ip_address(settings.host).is_loopback:
        errors.append(
            FieldError(
                pointer="REVLINE_HOST",
                detail="is not a loopback address",
                instead="127.0.0.1, or set REVLINE_PRODUCTION=true behind a proxy that speaks TLS",
            )
        )
    if settings.production and not settings.dsn:
        errors.append(
            FieldError(
                pointer="REVLINE_DSN",
                detail="is missing, and the embedded server is not for production",
                instead="postgresql://revline_app:password@host:5432/revline",
            )
        )
    if settings.oidc_issuer and not (settings.oidc_client_id and settings.public_url):
        errors.append(
            FieldError(
                pointer="REVLINE_OIDC_ISSUER",
                detail="needs REVLINE_OIDC_CLIENT_ID and REVLINE_PUBLIC_URL beside it",
                instead="the id the provider gave, and the address it may send people back to",
            )
        )
    return errors
