"""One tenant's posting configuration, compiled: books with their rules, predicates and rates. Pure; knows no event's content."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import msgspec

from revline.core.events import MIRRORS, EventKind
from revline.core.money import Rounding
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.config.documents import Configuration
from revline.platform.tenancy.kinds import LegalEntity
from revline.subledger.posting.expressions import Predicate, compile_predicate
from revline.subledger.posting.kinds import Book, Items, Maker, PostingRule, RateTable, RuleEntry


class CompiledEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with its conditions compiled. accounts: (condition, account), first that holds."""

    spec: RuleEntry
    when: Predicate
    accounts: tuple[tuple[Predicate, str], ...]


class CompiledRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with its conditions compiled, and where it stands."""

    name: str
    file: str
    line: int
    spec: PostingRule
    when: Predicate
    entries: tuple[CompiledEntry, ...]


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """Units of the functional currency for one unit of the other, and who published it."""

    rate: Decimal
    source: str


IDENTITY = Rate(rate=Decimal(1), source="identity")


class ItemSetup(msgspec.Struct, frozen=True, kw_only=True):
    """How a book's products become records. accounts: (condition over `product`, account), first that holds."""

    accounts: tuple[tuple[Predicate, str], ...]


class BookSetup(msgspec.Struct, frozen=True, kw_only=True):
    """Everything posting needs of one book.

    makers: the effective maker of every event kind. rules: by event kind, in order of names. rates: (from, to) -> tables'
    (effective_from, rate), oldest first. dimensions: the entity's defaults. items: None when products make no
    records. version: of the configuration it was compiled from.
    """

    name: str
    entity: str
    erp: str
    company: str
    functional_currency: str
    time_zone: str
    rounding: Rounding
    receivable: str
    dimensions: Mapping[str, str]
    required_dimensions: Mapping[str, tuple[str, ...]]
    makers: Mapping[EventKind, Maker]
    rules: Mapping[EventKind, tuple[CompiledRule, ...]]
    rates: Mapping[tuple[str, str], tuple[tuple[date, Rate], ...]]
    version: int = 0
    items: ItemSetup | None = None

    def maker(self, kind: EventKind) -> Maker:
        """Who makes the entries of this kind of event here."""
        return self.makers[kind]

    def rate(self, *, currency: str, day: date) -> Rate | Problem:
        """The newest rate not after a day; `identity` for the book's own currency; else `posting.rate_missing`."""
        if currency == self.functional_currency:
            return IDENTITY
        dated = self.rates.get((currency, self.functional_currency), ())
        found = [rate for start, rate in dated if start <= day]
        if not found:
            pair = f"{currency}/{self.functional_currency}"
            return problem("posting.rate_missing", f"no rate table gives {pair} on {day.isoformat()}", field=pair)
        return found[-1]


class PostingSetup(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's books at one configuration version."""

    tenant: str
    version: int
    books: Mapping[str, BookSetup]
    rules: Mapping[str, CompiledRule]

    def books_of(self, entity: str) -> tuple[BookSetup, ...]:
        """The entity's books in order of names."""
        return tuple(book for _, book in sorted(self.books.items()) if book.entity == entity)

    def place_of(self, rule: str) -> tuple[str, int]:
        """File and line of a rule; ("", 0) when this version no longer has it."""
        found = self.rules.get(rule)
        return (found.file, found.line) if found else ("", 0)


def compile_setup(configuration: Configuration) -> PostingSetup | Problem:
    """The books of a configuration, compiled. It was validated before it was applied, so a problem here means it was not."""
    rules: dict[str, CompiledRule] = {}
    for name, document in configuration.all(PostingRule).items():
        compiled = compile_rule(name=name, file=document.file, line=document.line, spec=document.spec)
        if isinstance(compiled, Problem):
            return compiled
        rules[name] = compiled
    rates = _rates(configuration)
    entities = configuration.all(LegalEntity)
    books: dict[str, BookSetup] = {}
    for name, book in configuration.all(Book).items():
        entity = entities.get(book.spec.entity)
        if entity is None:
            return problem("posting.setup_invalid", f"book {name} names entity {book.spec.entity}, which is not there")
        items = compile_items(book.spec.items)
        if isinstance(items, Problem):
            return items
        compiled_book = _book(name, book.spec, entity.spec, rules, rates, configuration.version)
        books[name] = msgspec.structs.replace(compiled_book, items=items)
    return PostingSetup(tenant=configuration.tenant, version=configuration.version, books=books, rules=rules)


def compile_rule(*, name: str, file: str, line: int, spec: PostingRule) -> CompiledRule | Problem:
    """A rule with its conditions compiled, or `posting.expression_invalid`."""
    when = compile_predicate(spec.when)
    if isinstance(when, Problem):
        return when
    entries: list[CompiledEntry] = []
    for entry in spec.entries:
        condition = compile_predicate(entry.when)
        if isinstance(condition, Problem):
            return condition
        accounts: list[tuple[Predicate, str]] = []
        for choice in account_choices(entry):
            predicate = compile_predicate(choice[0])
            if isinstance(predicate, Problem):
                return predicate
            accounts.append((predicate, choice[1]))
        entries.append(CompiledEntry(spec=entry, when=condition, accounts=tuple(accounts)))
    return CompiledRule(name=name, file=file, line=line, spec=spec, when=when, entries=tuple(entries))


def compile_items(items: Items) -> ItemSetup | Problem | None:
    """The conditions of a book's items, None when it makes none, or `posting.expression_invalid`."""
    if items.maker is not Maker.NATIVE:
        return None
    accounts: list[tuple[Predicate, str]] = []
    for choice in items.accounts:
        predicate = compile_predicate(choice.when)
        if isinstance(predicate, Problem):
            return predicate
        accounts.append((predicate, choice.account))
    return ItemSetup(accounts=tuple(accounts))


def account_choices(entry: RuleEntry) -> tuple[tuple[str, str], ...]:
    """(condition, account) of an entry in the order they are tried."""
    return (("", entry.account),) if entry.account else tuple((each.when, each.account) for each in entry.accounts)


def effective_makers(book: Book) -> dict[EventKind, Maker]:
    """The maker of every kind: as stated; a mirror event as the event it mirrors; payment.applied none; others journal."""
    stated = {policy.event: policy.maker for policy in book.policies}
    makers: dict[EventKind, Maker] = {}
    for kind in EventKind:
        default = Maker.NONE if kind is EventKind.PAYMENT_APPLIED or not book.erp else Maker.JOURNAL
        makers[kind] = stated.get(kind, stated.get(MIRRORS.get(kind, kind), default))
    return makers


def _book(
    name: str,
    spec: Book,
    entity: LegalEntity,
    rules: Mapping[str, CompiledRule],
    rates: Mapping[tuple[str, str], tuple[tuple[date, Rate], ...]],
    version: int,
) -> BookSetup:
    by_event: dict[EventKind, tuple[CompiledRule, ...]] = {}
    for rule in rules.values():
        if rule.spec.book in {"", name}:
            by_event[rule.spec.event] = (*by_event.get(rule.spec.event, ()), rule)
    return BookSetup(
        name=name,
        entity=spec.entity,
        erp=spec.erp,
        company=spec.company,
        functional_currency=entity.functional_currency,
        time_zone=entity.time_zone,
        rounding=spec.rounding,
        receivable=spec.receivable,
        dimensions=entity.dimensions,
        required_dimensions=spec.required_dimensions,
        makers=effective_makers(spec),
        rules=by_event,
        rates=rates,
        version=version,
    )


def _rates(configuration: Configuration) -> dict[tuple[str, str], tuple[tuple[date, Rate], ...]]:
    found: dict[tuple[str, str], list[tuple[date, Rate]]] = {}
    for document in configuration.all(RateTable).values():
        table = document.spec
        dated = found.setdefault((table.from_currency, table.to_currency), [])
        dated.extend((each.effective_from, Rate(rate=each.rate, source=table.source)) for each in table.rates)
    return {pair: tuple(sorted(dated, key=lambda each: each[0])) for pair, dated in found.items()}


define(
    code="posting.setup_invalid",
    title="The posting configuration does not hold together",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Run `revline config validate` and correct what it names.",
)
define(
    code="posting.rate_missing",
    title="No exchange rate for this day",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Add a RateTable, or a rate with an earlier effectiveFrom, for the currencies named; then retry the cause.",
)
