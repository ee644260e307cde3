"""Who buys: customers and their addresses. Personal data stands here and nowhere else among the canonical objects."""

from __future__ import annotations

import msgspec

from revline.core.ids import SourceObject


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A postal address. country: ISO 3166-1 alpha-2 or ""."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""


class Customer(msgspec.Struct, frozen=True, kw_only=True, tag="customer"):
    """Who buys. Owner: CRM or, without one, billing. Personal data: name, email, address.

    outside_id: the source's id. currency: the default invoicing currency or "". tax_ids: (type, value) as the source has
    them. parent: outside id of the parent account or "". deleted: the source removed it; it stays here. links: the same party
    in other systems, as the source names them.
    """

    outside_id: str
    name: str
    email: str = ""
    address: Address = Address()
    currency: str = ""
    tax_exempt: bool = False
    tax_ids: tuple[tuple[str, str], ...] = ()
    parent: str = ""
    deleted: bool = False
    links: tuple[SourceObject, ...] = ()
