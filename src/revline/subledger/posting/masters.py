"""Master records: the customers and products that documents name, as records of their own in an ERP. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from revline.core.canonical import Customer, Product
from revline.core.documents import CustomerContent, Document, DocumentKind, ItemContent, Rank
from revline.core.hashing import plain
from revline.core.ids import SourceObject, document_id, external_reference, root_id
from revline.core.problem import Problem, problem
from revline.subledger.posting.setup import ItemSetup

ZERO: Final = Decimal(0)


def customer_document(
    *, tenant: str, entity: str, connection: str, customer: Customer, source: SourceObject
) -> Document:
    """The master record of a customer in an ERP. Its id depends on the customer and the connection alone."""
    subject = root_id(tenant=tenant, source=source)
    identity = document_id(subject=subject, document_kind=DocumentKind.CUSTOMER, connection=connection)
    return Document(
        document_id=identity,
        kind=DocumentKind.CUSTOMER,
        connection=connection,
        entity=entity,
        book="",
        external_reference=external_reference(document=identity),
        event_id="",
        journal_id="",
        lane_key=identity,
        rank=Rank.MASTER,
        predecessors=(),
        currency=customer.currency,
        amount=ZERO,
        accounting_date=None,
        content=CustomerContent(
            name=customer.name,
            email=customer.email,
            address=customer.address,
            currency=customer.currency,
            tax_ids=customer.tax_ids,
            outside_id=customer.outside_id,
        ),
    )


def customer_document_id(*, tenant: str, customer: SourceObject, connection: str) -> str:
    """The id of the customer's master document on a connection."""
    subject = root_id(tenant=tenant, source=customer)
    return document_id(subject=subject, document_kind=DocumentKind.CUSTOMER, connection=connection)


def item_document(
    *, tenant: str, entity: str, connection: str, items: ItemSetup, product: Product, source: SourceObject
) -> Document | Problem:
    """The master record of a product in an ERP. Its id depends on the product and the connection alone.

    `posting.account_missing` when no condition of the book's items chooses an account, `posting.expression_failed` when one can't
    be evaluated.
    """
    account = _account_of(items, product)
    if isinstance(account, Problem):
        return account
    identity = item_document_id(tenant=tenant, product=source, connection=connection)
    return Document(
        document_id=identity,
        kind=DocumentKind.ITEM,
        connection=connection,
        entity=entity,
        book="",
        external_reference=external_reference(document=identity),
        event_id="",
        journal_id="",
        lane_key=identity,
        rank=Rank.MASTER,
        predecessors=(),
        currency="",
        amount=ZERO,
        accounting_date=None,
        content=ItemContent(
            name=product.name,
            code=product.code,
            family=product.family,
            account=account,
            outside_id=product.outside_id,
        ),
    )


def item_document_id(*, tenant: str, product: SourceObject, connection: str) -> str:
    """The id of the product's master document on a connection."""
    subject = root_id(tenant=tenant, source=product)
    return document_id(subject=subject, document_kind=DocumentKind.ITEM, connection=connection)


def _account_of(items: ItemSetup, product: Product) -> str | Problem:
    seen = {"product": plain(product)}
    for predicate, account in items.accounts:
        holds = predicate.holds(seen)
        if isinstance(holds, Problem):
            return holds
        if holds:
            return account
    return problem("posting.account_missing", f"no condition chose an account of product {product.outside_id}")
