"""Configuration kinds of tenancy: Tenant, LegalEntity, Connection, and what must hold of them. Pure; knows no folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from revline.core.money import currency
from revline.core.problem import FieldError, Problem

SOURCE_CONNECTORS: Final = frozenset({"stripe", "direct", "salesforce"})
"""Connectors that bring facts: a connection of one belongs to exactly one legal entity."""

CRM_CONNECTORS: Final = frozenset({"salesforce"})
"""Connectors to systems that sell and bill nobody: the ERP is not told of their customers and products."""

SECRET_REFERENCE: Final = re.compile(
    r"secret://(env/[A-Za-z_][A-Za-z0-9_]*|file/[A-Za-z0-9_.\-]+(/[A-Za-z0-9_.\-]+)*)\Z"
)
SECRET_IN_CLEAR: Final = re.compile(r"^(sk_|rk_|whsec_|pk_live_|Bearer |-----BEGIN )|://[^/@\s]+:[^/@\s]+@")
SECRET_SETTING: Final = re.compile(r"password|passwd|secret|token|api_?key|private_?key", re.IGNORECASE)

Specs = Mapping[type, Mapping[str, Any]]
"""Every spec of one tenant by type and name."""


class Tenant(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The isolation boundary: a business unit, brand or customer organisation."""

    title: str


class LegalEntity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A company with books of its own.

    functional_currency: ISO 4217 code its books are kept in. time_zone: IANA zone in which its days begin. dimensions: default
    value of each dimension on every line of its journals.
    """

    title: str
    functional_currency: str
    time_zone: str
    dimensions: dict[str, str] = {}


class Connection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A configured far system.

    connector: which code speaks to it (stripe, direct, tryton, simulated). entity: the one legal entity a source belongs to, ""
    for an ERP. sandbox: it holds no real money. secrets: name -> secret://env/NAME or secret://file/PATH. settings: plain
    values of the connector. pool: capacity pool that owns the limit, "" for one of its own. links: field of the source ->
    connection/kind of the object elsewhere whose id it holds, such as salesforce_order: crm/order.
    """

    connector: str
    entity: str = ""
    sandbox: bool = False
    secrets: dict[str, str] = {}
    settings: dict[str, str] = {}
    pool: str = ""
    links: dict[str, str] = {}


def tells_masters(spec: Connection) -> bool:
    """Whether the ERP is told of the connection's customers and products. A CRM's are linked to
    those of the billing system and not told twice; the connection's setting masterRecords (true or false) decides otherwise."""
    default = "false" if spec.connector in CRM_CONNECTORS else "true"
    return spec.settings.get("masterRecords", default) == "true"


def check_tenant(name: str, spec: Tenant, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with a tenant."""
    del name, others
    if not spec.title.strip():
        return (FieldError(pointer="spec.title", detail="the title is empty", instead="title: The company's name"),)
    return ()


def check_entity(name: str, spec: LegalEntity, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with a legal entity: its currency and its time zone must exist."""
    del name, others
    found: list[FieldError] = []
    if isinstance(currency(spec.functional_currency), Problem):
        found.append(
            FieldError(
                pointer="spec.functionalCurrency",
                detail=f"{spec.functional_currency!r} is not an ISO 4217 currency code",
                instead="functionalCurrency: USD (three capital letters of an active currency)",
            )
        )
    if not _is_time_zone(spec.time_zone):
        found.append(
            FieldError(
                pointer="spec.timeZone",
                detail=f"{spec.time_zone!r} is not an IANA time zone",
                instead="timeZone: Europe/Berlin (a name of the IANA time zone database)",
            )
        )
    return tuple(found)


def check_connection(name: str, spec: Connection, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with a connection: its entity, its secrets, and one source account of two entities."""
    entities = others.get(LegalEntity, {})
    found: list[FieldError] = []
    if spec.entity and spec.entity not in entities:
        found.append(unknown_reference(pointer="spec.entity", kind="LegalEntity", value=spec.entity, known=entities))
    if spec.connector in SOURCE_CONNECTORS and not spec.entity:
        found.append(
            FieldError(
                pointer="spec.connector",
                detail=f"a {spec.connector} connection belongs to one legal entity and names none",
                instead="entity: the name of a LegalEntity",
            )
        )
    found.extend(_secret_errors(spec))
    found.extend(_link_errors(spec, others.get(Connection, {})))
    found.extend(_shared_account_errors(name, spec, others))
    return tuple(found)


def _link_errors(spec: Connection, connections: Mapping[str, Connection]) -> list[FieldError]:
    found = []
    for field, target in spec.links.items():
        connection, _, kind = target.partition("/")
        if not kind or connection not in connections:
            known = ", ".join(sorted(connections)[:10])
            found.append(
                FieldError(
                    pointer=f"spec.links.{field}",
                    detail=f"{target!r} names no object of a connection",
                    instead=f"{field}: connection/kind, such as crm/order; connections: {known}",
                )
            )
    return found


def unknown_reference(*, pointer: str, kind: str, value: str, known: Mapping[str, Any]) -> FieldError:
    """The error of a name that no document has, with the names there are."""
    names = ", ".join(sorted(known)[:10]) or f"none; add a document of kind {kind}"
    return FieldError(pointer=pointer, detail=f"there is no {kind} named {value!r}", instead=f"one of: {names}")


def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return "/" in name or name == "UTC"


def _secret_errors(spec: Connection) -> list[FieldError]:
    found = [
        FieldError(
            pointer=f"spec.secrets.{key}",
            detail=f"the secret {key} stands here in clear, or its reference is malformed",
            instead=f"{key}: secret://env/NAME or secret://file/PATH; if it was a real secret, renew it",
        )
        for key, value in spec.secrets.items()
        if not SECRET_REFERENCE.match(value) or ".." in value
    ]
    return [*found, *secret_settings(spec.settings)]


def secret_settings(settings: Mapping[str, str]) -> list[FieldError]:
    """Settings that look like secrets in clear, by their name or their value."""
    return [
        FieldError(
            pointer=f"spec.settings.{key}",
            detail=f"the setting {key} looks like a secret",
            instead=f"among the connection's secrets, {key}: secret://env/NAME",
        )
        for key, value in settings.items()
        if value and (SECRET_SETTING.search(key) or SECRET_IN_CLEAR.search(value))
    ]


def _shared_account_errors(name: str, spec: Connection, others: Specs) -> list[FieldError]:
    if spec.connector not in SOURCE_CONNECTORS:
        return []
    for other_name, other in sorted(others.get(Connection, {}).items()):
        if other_name >= name or other.connector != spec.connector or other.entity == spec.entity:
            continue
        account = spec.settings.get("account", "")
        shared = sorted(key for key, value in spec.secrets.items() if value in other.secrets.values())
        if (account and account == other.settings.get("account", "")) or shared:
            pointer = f"spec.secrets.{shared[0]}" if shared else "spec.settings.account"
            detail = (
                f"connections {other_name} (entity {other.entity}) and {name} (entity {spec.entity}) are the same "
                f"{spec.connector} account; an account belongs to one legal entity"
            )
            instead = "one connection, with the entity whose bank account the payouts go to"
            return [FieldError(pointer=pointer, detail=detail, instead=instead)]
    return []
