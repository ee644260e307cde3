"""What must hold of books, rules, rate tables and period policies before they may be applied. Pure; errors name a path."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from revline.core.canonical import Product
from revline.core.events import MIRRORS, EventKind
from revline.core.hashing import plain
from revline.core.money import currency
from revline.core.problem import FieldError, Problem
from revline.platform.tenancy.kinds import SOURCE_CONNECTORS, Connection, LegalEntity, unknown_reference
from revline.subledger.posting.documents import NATIVE_KINDS
from revline.subledger.posting.expressions import compile_predicate
from revline.subledger.posting.kinds import Book, Maker, MakerPolicy, PeriodPolicy, PostingRule, RateTable
from revline.subledger.posting.setup import account_choices, effective_makers

ACCOUNT_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
SAMPLE_PRODUCT: Final = Product(outside_id="example_1", name="Example")
Specs = Mapping[type, Mapping[str, Any]]


def check_book(name: str, spec: Book, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with a book: references, policies an ERP has no document for, and two makers of one effect."""
    found: list[FieldError] = []
    entities, connections = others.get(LegalEntity, {}), others.get(Connection, {})
    if spec.entity not in entities:
        found.append(unknown_reference(pointer="spec.entity", kind="LegalEntity", value=spec.entity, known=entities))
    if spec.erp:
        found.extend(_erp_errors(spec, connections))
    if not ACCOUNT_PATTERN.match(spec.receivable):
        found.append(account_error("spec.receivable", spec.receivable))
    found.extend(_policy_errors(name, spec, others))
    found.extend(_item_errors(spec))
    found.extend(_shared_ledger_errors(name, spec, others))
    return tuple(found)


def check_rates(name: str, spec: RateTable, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with a rate table: its currencies, its rates, and a second table of the same pair."""
    found: list[FieldError] = []
    for path, code in (("spec.from", spec.from_currency), ("spec.to", spec.to_currency)):
        if isinstance(currency(code), Problem):
            detail = f"{code!r} is not an ISO 4217 currency code"
            found.append(FieldError(pointer=path, detail=detail, instead="three capital letters, such as EUR"))
    if spec.from_currency == spec.to_currency:
        detail = "a currency needs no rate to itself"
        found.append(FieldError(pointer="spec.to", detail=detail, instead="another currency, or no table"))
    if not spec.rates:
        detail = "the table has no rate"
        found.append(
            FieldError(pointer="spec.rates", detail=detail, instead='- {effectiveFrom: 2026-01-01, rate: "1.08"}')
        )
    for index, rate in enumerate(spec.rates):
        if rate.rate <= 0:
            found.append(
                FieldError(pointer=f"spec.rates[{index}].rate", detail="a rate is above zero", instead='rate: "1.08"')
            )
        if index and rate.effective_from <= spec.rates[index - 1].effective_from:
            detail = "rates stand in order of effectiveFrom, one for each day"
            instead = f"a day after {spec.rates[index - 1].effective_from.isoformat()}"
            found.append(FieldError(pointer=f"spec.rates[{index}].effectiveFrom", detail=detail, instead=instead))
    for other_name, other in sorted(others.get(RateTable, {}).items()):
        same = (other.from_currency, other.to_currency) == (spec.from_currency, spec.to_currency)
        if other_name < name and same:
            detail = f"{other_name} already gives {spec.from_currency} to {spec.to_currency}"
            found.append(
                FieldError(pointer="spec.from", detail=detail, instead="one table for each pair of currencies")
            )
    return tuple(found)


def check_period_policy(name: str, spec: PeriodPolicy, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with a period policy: its book, and a second policy of it."""
    books = others.get(Book, {})
    if spec.book not in books:
        return (unknown_reference(pointer="spec.book", kind="Book", value=spec.book, known=books),)
    for other_name, other in sorted(others.get(PeriodPolicy, {}).items()):
        if other_name < name and other.book == spec.book:
            detail = f"{other_name} is already the period policy of book {spec.book}"
            return (FieldError(pointer="spec.book", detail=detail, instead="one policy for each book"),)
    return ()


def days_overlap(one: PostingRule, other: PostingRule) -> bool:
    """Whether two rules are in force on a common day."""
    latest_start = max(one.effective_from, other.effective_from)
    return latest_start < min(one.effective_to or date.max, other.effective_to or date.max)


def rules_of(*, book: str, event: EventKind, others: Specs) -> tuple[PostingRule, ...]:
    """The rules of an event in a book."""
    return tuple(
        rule
        for _, rule in sorted(others.get(PostingRule, {}).items())
        if rule.event is event and rule.book in {"", book}
    )


def accounts_of(rules: Iterable[PostingRule]) -> frozenset[str]:
    """Every account the rules may feed."""
    return frozenset(account for rule in rules for entry in rule.entries for _, account in account_choices(entry))


def nearest(value: str, known: Iterable[str]) -> str:
    """The known name most like a value, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    return near[0] if near else "one of: " + ", ".join(names[:20])


def account_error(pointer: str, account: str) -> FieldError:
    """The error of an account that is not a neutral key."""
    detail = f"{account!r} is no neutral account key; codes of a chart of accounts stand in the mapping"
    return FieldError(pointer=pointer, detail=detail, instead="small letters, digits and _, such as deferred_revenue")


def _erp_errors(spec: Book, connections: Mapping[str, Connection]) -> list[FieldError]:
    found: list[FieldError] = []
    connection = connections.get(spec.erp)
    if connection is None:
        found.append(unknown_reference(pointer="spec.erp", kind="Connection", value=spec.erp, known=connections))
    elif connection.entity or connection.connector in SOURCE_CONNECTORS:
        detail = f"{spec.erp} is a source ({connection.connector}), not an ERP"
        found.append(FieldError(pointer="spec.erp", detail=detail, instead="a Connection without an entity"))
    if not spec.company:
        detail = "a book with an ERP names its company there"
        found.append(
            FieldError(pointer="spec.erp", detail=detail, instead="company: the far side's code of the company")
        )
    return found


def _policy_errors(name: str, spec: Book, others: Specs) -> list[FieldError]:
    found: list[FieldError] = []
    stated: dict[EventKind, Maker] = {}
    for index, policy in enumerate(spec.policies):
        pointer = f"spec.policies[{index}]"
        first = stated.setdefault(policy.event, policy.maker)
        if first is not policy.maker:
            found.append(_two_makers(pointer, name, policy, first, others))
        elif any(earlier.event is policy.event for earlier in spec.policies[:index]):
            detail = f"{policy.event.value} stands here twice"
            found.append(FieldError(pointer=pointer, detail=detail, instead="it once"))
        found.extend(_impossible_maker(pointer, spec, policy))
    makers = effective_makers(spec)
    if makers[EventKind.INVOICE_VOIDED] is not makers[EventKind.INVOICE_ISSUED]:
        detail = "a void is made by whoever made the invoice"
        instead = f"{{event: invoice.voided, maker: {makers[EventKind.INVOICE_ISSUED].value}}}"
        found.append(FieldError(pointer="spec.policies", detail=detail, instead=instead))
    for mirror, original in MIRRORS.items():
        made, wanted = makers[mirror], makers[original]
        if mirror is not EventKind.INVOICE_VOIDED and (made is Maker.NONE) is not (wanted is Maker.NONE):
            detail = f"{mirror.value} undoes {original.value}, and only one of the two would reach the ERP"
            instead = f"{{event: {mirror.value}, maker: {'none' if wanted is Maker.NONE else 'journal'}}}"
            found.append(FieldError(pointer="spec.policies", detail=detail, instead=instead))
    native = makers[EventKind.PAYMENT_APPLIED] is Maker.NATIVE
    if native and makers[EventKind.PAYMENT_RECEIVED] is Maker.NONE:
        detail = "payments are applied in the ERP, and this book sends none there"
        instead = "{event: payment.applied, maker: none}, or payment.received as journal"
        found.append(FieldError(pointer="spec.policies", detail=detail, instead=instead))
    if native and makers[EventKind.INVOICE_ISSUED] is not Maker.NATIVE:
        detail = "payments are applied to the ERP's own invoices, and this book sends none"
        instead = "{event: payment.applied, maker: none}, or invoice.issued as native"
        found.append(FieldError(pointer="spec.policies", detail=detail, instead=instead))
    native = makers[EventKind.CREDIT_MEMO_ISSUED] is Maker.NATIVE
    if native and makers[EventKind.INVOICE_ISSUED] is not Maker.NATIVE:
        detail = "the ERP's own credit memos credit its own invoices, and this book sends none"
        instead = "{event: credit_memo.issued, maker: journal}, or invoice.issued as native"
        found.append(FieldError(pointer="spec.policies", detail=detail, instead=instead))
    return found


def _item_errors(spec: Book) -> list[FieldError]:
    """What is wrong with a book's items: their maker, their accounts, and conditions tried on an example."""
    items, found = spec.items, list[FieldError]()
    if items.maker is Maker.JOURNAL:
        detail = "a product is no journal; it is a record of the ERP's own, or none"
        found.append(FieldError(pointer="spec.items.maker", detail=detail, instead="maker: native, or none"))
    if items.maker is Maker.NATIVE and not spec.erp:
        detail = "the book has no ERP that could keep products"
        found.append(FieldError(pointer="spec.items.maker", detail=detail, instead="maker: none, or erp: a connection"))
    if items.maker is Maker.NATIVE and not items.accounts:
        detail = "a product's record names the account its sales credit"
        instead = '- {when: product.family == "hardware", account: revenue_product}, and a last one without a condition'
        found.append(FieldError(pointer="spec.items.accounts", detail=detail, instead=instead))
    for index, choice in enumerate(items.accounts):
        pointer = f"spec.items.accounts[{index}]"
        if not ACCOUNT_PATTERN.match(choice.account):
            found.append(account_error(f"{pointer}.account", choice.account))
        if not choice.when and index < len(items.accounts) - 1:
            detail = "an account without a condition is always taken, so those below it never are"
            found.append(FieldError(pointer=pointer, detail=detail, instead="it last, or a when for it"))
        predicate = compile_predicate(choice.when)
        tried = predicate if isinstance(predicate, Problem) else predicate.holds({"product": plain(SAMPLE_PRODUCT)})
        if isinstance(tried, Problem):
            known = ", ".join(f"product.{name}" for name in SAMPLE_PRODUCT.__struct_fields__)
            instead = f"a condition over {known}"
            found.append(FieldError(pointer=f"{pointer}.when", detail=tried.detail, instead=instead))
    return found


def _impossible_maker(pointer: str, spec: Book, policy: MakerPolicy) -> list[FieldError]:
    found: list[FieldError] = []
    event = policy.event.value
    if policy.maker is Maker.NATIVE and policy.event not in NATIVE_KINDS:
        detail = f"no ERP has a document of its own for {event}"
        found.append(FieldError(pointer=f"{pointer}.maker", detail=detail, instead="maker: journal, or none"))
    if policy.maker is Maker.JOURNAL and policy.event is EventKind.PAYMENT_APPLIED:
        detail = "payment.applied makes no ledger entry: the payment credits the receivable whatever it is for"
        found.append(FieldError(pointer=f"{pointer}.maker", detail=detail, instead="maker: native, or none"))
    if policy.maker is not Maker.NONE and not spec.erp:
        detail = f"the book has no ERP that could take {event}"
        found.append(FieldError(pointer=f"{pointer}.maker", detail=detail, instead="maker: none, or erp: a connection"))
    return found


def _two_makers(pointer: str, name: str, policy: MakerPolicy, first: Maker, others: Specs) -> FieldError:
    event = policy.event.value
    accounts = sorted(accounts_of(rules_of(book=name, event=policy.event, others=others)))
    fed = f" would both feed {', '.join(accounts)}" if accounts else " would both book it"
    return FieldError(
        pointer=pointer,
        detail=f"{event} has two makers in book {name}: {first.value} and {policy.maker.value}{fed}",
        instead=f"one of them: {{event: {event}, maker: {first.value}}}",
    )


def _shared_ledger_errors(name: str, spec: Book, others: Specs) -> list[FieldError]:
    """Two books that send to one company of one ERP are one ledger there: an event may feed an account once."""
    if not spec.erp:
        return []
    mine = effective_makers(spec)
    for other_name, other in sorted(others.get(Book, {}).items()):
        if other_name >= name or (other.erp, other.company) != (spec.erp, spec.company) or other.entity != spec.entity:
            continue
        theirs = effective_makers(other)
        for event in EventKind:
            if Maker.NONE in {mine[event], theirs[event]}:
                continue
            original = MIRRORS.get(event, event)
            accounts = accounts_of(rules_of(book=name, event=original, others=others))
            shared = accounts & accounts_of(rules_of(book=other_name, event=original, others=others))
            if shared:
                detail = (
                    f"{event.value} would feed {', '.join(sorted(shared))} of company {spec.company} twice: as "
                    f"{theirs[event].value} of book {other_name} and as {mine[event].value} of book {name}"
                )
                instead = f"{{event: {event.value}, maker: none}} in one of the books, or another company"
                return [FieldError(pointer="spec.company", detail=detail, instead=instead)]
    return []
