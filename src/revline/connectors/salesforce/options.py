"""What a connection's settings say about its org: currency, custom fields, the object that holds contract lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from revline.connectors.sdk.source import LinkRule

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}\Z", re.ASCII)
LINE_ROLES: Final = ("product", "quantity", "unitPrice", "total", "start", "end", "description")
LINE_FIELDS: Final = {
    "product": "Product__c",
    "quantity": "Quantity__c",
    "unitPrice": "Unit_Price__c",
    "total": "Total__c",
    "start": "Start_Date__c",
    "end": "End_Date__c",
    "description": "Name",
}


class ContractLines(msgspec.Struct, frozen=True, kw_only=True):
    """The object that holds a contract's lines, since the standard has none. fields: role -> field, roles as in LINE_ROLES."""

    object_name: str
    relationship: str
    parent_field: str
    fields: Mapping[str, str]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a Salesforce connection that translation and reading share.

    currency: ISO 4217 code of an org that has one currency only (its records name none). family_field: field of Product2 that
    holds the product family. name_field: field of Account that holds the legal name. order_statuses, contract_statuses: the
    org's own status -> ours. links: fields that hold the ids of objects elsewhere.
    """

    currency: str = ""
    family_field: str = "Family"
    name_field: str = "Name"
    email_field: str = "PersonEmail"
    order_statuses: Mapping[str, str] = {}
    contract_statuses: Mapping[str, str] = {}
    contract_lines: ContractLines | None = None
    links: tuple[LinkRule, ...] = ()

    def link_fields(self, object_name: str) -> tuple[str, ...]:
        """Link fields an object may have. A rule `Order.Field__c` is the order's only, `Field__c` of whatever has it."""
        named = (rule.field.rpartition(".") for rule in self.links)
        return tuple(dict.fromkeys(field for owner, _, field in named if owner in {"", object_name}))


def options_of(*, settings: Mapping[str, str], links: tuple[LinkRule, ...] = ()) -> Options:
    """The options in a connection's settings. ValueError names the setting that can't be.

    Settings, all optional: currency, productFamilyField, legalNameField, emailField, orderStatuses and contractStatuses (such as
    "Fulfilled=activated, Withdrawn=canceled"), contractLineObject, contractLineRelationship, contractLineParent,
    contractLineFields (such as "quantity=Qty__c, total=Amount__c").
    """
    lines = None
    name = settings.get("contractLineObject", "")
    if name:
        given = pairs_of(text=settings.get("contractLineFields", ""), setting="contractLineFields")
        unknown = sorted(set(given) - set(LINE_ROLES))
        if unknown:
            raise ValueError(f"contractLineFields: {unknown[0]!r} is none of {', '.join(LINE_ROLES)}")
        lines = ContractLines(
            object_name=_name(settings, "contractLineObject", name),
            relationship=_name(settings, "contractLineRelationship", name.removesuffix("__c") + "s__r"),
            parent_field=_name(settings, "contractLineParent", "Contract__c"),
            fields={role: _checked("contractLineFields", field) for role, field in (LINE_FIELDS | given).items()},
        )
    return Options(
        currency=settings.get("currency", ""),
        family_field=_name(settings, "productFamilyField", "Family"),
        name_field=_name(settings, "legalNameField", "Name"),
        email_field=_name(settings, "emailField", "PersonEmail"),
        order_statuses=pairs_of(text=settings.get("orderStatuses", ""), setting="orderStatuses"),
        contract_statuses=pairs_of(text=settings.get("contractStatuses", ""), setting="contractStatuses"),
        contract_lines=lines,
        links=links,
    )


def pairs_of(*, text: str, setting: str) -> dict[str, str]:
    """The pairs of a setting such as "a=b, c=d"."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise ValueError(f"{setting}: is not pairs such as a=b, c=d")
        found[key] = value
    return found


def _name(settings: Mapping[str, str], setting: str, default: str) -> str:
    return _checked(setting, settings.get(setting, default))


def _checked(setting: str, name: str) -> str:
    # The name becomes part of a query, so nothing but a name may stand there.
    if not _NAME.match(name):
        raise ValueError(f"{setting}: {name[:60]!r} is not the name of a field or object")
    return name
