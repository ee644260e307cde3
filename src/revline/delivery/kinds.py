"""Configuration kind of delivery: Mapping, how neutral keys are called in one far system. Pure; knows no connector's wire."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from typing import Any

import msgspec

from revline.core.farside import EntityMapping
from revline.core.problem import FieldError
from revline.platform.tenancy.kinds import Connection, LegalEntity, secret_settings, unknown_reference


class Mapping(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one far system calls the neutral keys of one legal entity.

    connection: the ERP connection. company: the far side's company. accounts, taxes, products: neutral key -> far code.
    dimensions: dimension -> value -> far code. settings: plain values the connector documents (journals, payment terms). A key
    that is not here makes a document wait as a case that names it; it is never guessed.
    """

    connection: str
    entity: str
    company: str
    accounts: dict[str, str]
    taxes: dict[str, str] = {}
    products: dict[str, str] = {}
    dimensions: dict[str, dict[str, str]] = {}
    settings: dict[str, str] = {}

    def for_entity(self) -> EntityMapping:
        """The same as connectors take it."""
        return EntityMapping(
            company=self.company,
            accounts=self.accounts,
            taxes=self.taxes,
            products=self.products,
            dimensions=self.dimensions,
            settings=self.settings,
        )


def check_mapping(name: str, spec: Mapping, others: MappingType[type, MappingType[str, Any]]) -> tuple[FieldError, ...]:
    """What is wrong with a mapping: its references, empty codes, and a second mapping of the same place."""
    connections, entities = others.get(Connection, {}), others.get(LegalEntity, {})
    found: list[FieldError] = []
    if spec.connection not in connections:
        found.append(
            unknown_reference(pointer="spec.connection", kind="Connection", value=spec.connection, known=connections)
        )
    if spec.entity not in entities:
        found.append(unknown_reference(pointer="spec.entity", kind="LegalEntity", value=spec.entity, known=entities))
    for table in ("accounts", "taxes", "products"):
        found.extend(
            FieldError(
                pointer=f"spec.{table}.{key}",
                detail=f"the code of {key} is empty",
                instead="the far side's code, or leave the key out: what needs it then waits as a case",
            )
            for key, code in getattr(spec, table).items()
            if not code.strip()
        )
    found.extend(secret_settings(spec.settings))
    for other_name, other in sorted(others.get(Mapping, {}).items()):
        if other_name < name and (other.connection, other.entity) == (spec.connection, spec.entity):
            found.append(
                FieldError(
                    pointer="spec.connection",
                    detail=f"{other_name} already maps entity {spec.entity} in {spec.connection}",
                    instead="one mapping per connection and entity; put these keys there",
                )
            )
            break
    return tuple(found)
