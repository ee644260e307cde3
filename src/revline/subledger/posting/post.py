"""One event in one book to one balanced journal entry. Pure: the same input gives the same bytes. Knows no far system."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from revline.core.events import MIRRORS, AccountingEvent, EventKind
from revline.core.ids import journal_id
from revline.core.journal import JOURNAL_LINES_MAX, JournalEntry, JournalLine, imbalance
from revline.core.money import Currency, convert, currency, in_scale, known_currency
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.posting.functions import FUNCTIONS, Part
from revline.subledger.posting.kinds import Each, Maker, Party, Side
from revline.subledger.posting.rules import choose_rule
from revline.subledger.posting.setup import BookSetup, CompiledEntry, CompiledRule, Rate
from revline.subledger.posting.variables import event_variables, part_variables, parts_of

ZERO = Decimal(0)
UNNAMED_TAX = "-"
"""tax_rate of a tax line whose source named no rate, so that it is still told from a net line."""


class _Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A line before its functional amount. signed: in the transaction currency, debit positive."""

    signed: Decimal
    account: str
    part: Part
    entry: int
    dimensions: tuple[tuple[str, str], ...]
    party: bool
    each: Each


def post(
    *, event: AccountingEvent, book: BookSetup, mirrored: JournalEntry | None = None
) -> JournalEntry | Problem | None:
    """The entry an event makes in a book, None when it makes none, or why it can't be made.

    mirrored: the journal of the event that this one mirrors (`events.MIRRORS`) or reverses (`event.reverses`), in the same book;
    the entry is then its exact mirror on this event's own day, whatever rules say now. payment.applied makes no entry; nor does
    an event under the policy none without a rule. An event that moves nothing gives an entry without lines.
    Amounts are converted line by line at the rate of the accounting date and rounded by the book's rule; the total line takes
    what rounding leaves over, so both currencies balance, as in an ERP that sums converted lines.
    """
    if event.kind is EventKind.PAYMENT_APPLIED:
        return None
    if event.reverses or event.kind in MIRRORS:
        if mirrored is None:
            return _original_missing(event, book)
        return mirror(event=event, journal=mirrored)
    variables = event_variables(event)
    rule = choose_rule(event=event, book=book, variables=variables)
    if isinstance(rule, Problem):
        if rule.code == "posting.rule_missing" and book.maker(event.kind) is Maker.NONE:
            return None
        return rule
    entry = apply_rule(event=event, book=book, rule=rule, variables=variables)
    if isinstance(entry, Problem):
        where = f"rule {rule.name} ({rule.file}:{rule.line})"
        return problem(entry.code, f"{where}: {entry.detail}", field=entry.field or rule.name)
    return entry


def mirror(*, event: AccountingEvent, journal: JournalEntry) -> JournalEntry:
    """The exact mirror of a journal: every line with its sides exchanged, at its own rate, on the event's day, linked."""
    lines = tuple(
        msgspec.structs.replace(
            line,
            debit=line.credit,
            credit=line.debit,
            functional_debit=line.functional_credit,
            functional_credit=line.functional_debit,
        )
        for line in journal.lines
    )
    return JournalEntry(
        journal_id=journal_id(event=event.event_id, book=journal.book),
        event_id=event.event_id,
        event_kind=event.kind.value,
        entity=journal.entity,
        book=journal.book,
        accounting_date=event.accounting_date,
        document_date=event.document_date,
        functional_currency=journal.functional_currency,
        rule=journal.rule,
        lines=lines,
        reverses=journal.journal_id,
        memo=memo_of(event),
    )


def apply_rule(
    *, event: AccountingEvent, book: BookSetup, rule: CompiledRule, variables: dict[str, Any] | None = None
) -> JournalEntry | Problem:
    """The entry one given rule makes of an event, balanced or a problem."""
    seen = event_variables(event) if variables is None else variables
    money = currency(event.currency)
    if isinstance(money, Problem):
        return money
    rate = book.rate(currency=event.currency, day=event.accounting_date)
    if isinstance(rate, Problem):
        return rate
    drafts: list[_Draft] = []
    for index, entry in enumerate(rule.entries):
        problems = _draft_entry(drafts, index, entry, event, book, seen, money)
        if problems is not None:
            return problems
    journal = JournalEntry(
        journal_id=journal_id(event=event.event_id, book=book.name),
        event_id=event.event_id,
        event_kind=event.kind.value,
        entity=book.entity,
        book=book.name,
        accounting_date=event.accounting_date,
        document_date=event.document_date,
        functional_currency=book.functional_currency,
        rule=rule.name,
        lines=_lines(drafts, event, book, rate, money),
        memo=memo_of(event),
    )
    return imbalance(journal) or journal


def memo_of(event: AccountingEvent) -> str:
    """One line for people: what happened to what; no personal data."""
    number = getattr(event.payload, "number", "") or event.source.outside_id
    prefix = "Reversal of " if event.reverses else ""
    return f"{prefix}{event.kind.value.replace('.', ' ').replace('_', ' ')}: {number}"[:200]


def _draft_entry(
    drafts: list[_Draft],
    index: int,
    entry: CompiledEntry,
    event: AccountingEvent,
    book: BookSetup,
    variables: dict[str, Any],
    money: Currency,
) -> Problem | None:
    """Add the drafts of one entry; a problem stops the journal."""
    conditional = bool(entry.when.source) or any(predicate.source for predicate, _ in entry.accounts)
    sign = 1 if entry.spec.side is Side.DEBIT else -1
    for part in parts_of(event=event, each=entry.spec.each):
        seen = part_variables(base=variables, part=part) if conditional else variables
        wanted = entry.when.holds(seen)
        if isinstance(wanted, Problem):
            return wanted
        if not wanted:
            continue
        amount = in_scale(amount=FUNCTIONS[entry.spec.amount].compute(part), currency=money)
        if isinstance(amount, Problem):
            return amount
        if not amount:
            continue
        account = _account(entry, seen)
        if isinstance(account, Problem):
            return account
        dimensions = _dimensions(entry, part, book, account)
        if isinstance(dimensions, Problem):
            return dimensions
        if len(drafts) >= JOURNAL_LINES_MAX:
            return problem("posting.too_many_lines", f"the entry would have more than {JOURNAL_LINES_MAX} lines")
        drafts.append(
            _Draft(
                signed=amount * sign,
                account=account,
                part=part,
                entry=index,
                dimensions=dimensions,
                party=entry.spec.party is Party.CUSTOMER,
                each=entry.spec.each,
            )
        )
    return None


def _account(entry: CompiledEntry, variables: dict[str, Any]) -> str | Problem:
    for predicate, account in entry.accounts:
        holds = predicate.holds(variables)
        if isinstance(holds, Problem):
            return holds
        if holds:
            return account
    tried = ", ".join(account for _, account in entry.accounts)
    return problem("posting.account_missing", f"no condition chose one of the accounts {tried}", field=tried)


def _dimensions(
    entry: CompiledEntry, part: Part, book: BookSetup, account: str
) -> tuple[tuple[str, str], ...] | Problem:
    found = dict(book.dimensions)
    if part.line is not None:
        found.update(part.line.dimensions)
    found.update(entry.spec.dimensions)
    for scope in ("*", account):
        for name in book.required_dimensions.get(scope, ()):
            if not found.get(name):
                return problem("posting.dimension_missing", f"a line on {account} has no {name}", field=name)
    return tuple(sorted((name, value) for name, value in found.items() if value))


def _lines(
    drafts: Sequence[_Draft], event: AccountingEvent, book: BookSetup, rate: Rate, money: Currency
) -> tuple[JournalLine, ...]:
    functional = _functional_amounts(drafts, book, rate)
    zero = in_scale(amount=ZERO, currency=money)
    nothing = ZERO if isinstance(zero, Problem) else zero
    none_functional = ZERO.quantize(known_currency(book.functional_currency).quantum)
    lines: list[JournalLine] = []
    for number, (draft, value) in enumerate(zip(drafts, functional, strict=True), start=1):
        source, tax = draft.part.line, draft.part.tax
        lines.append(
            JournalLine(
                line=number,
                account=draft.account,
                debit=draft.signed if draft.signed > 0 else nothing,
                credit=-draft.signed if draft.signed < 0 else nothing,
                currency=event.currency,
                functional_debit=value if value > 0 else none_functional,
                functional_credit=-value if value < 0 else none_functional,
                rate=rate.rate,
                rate_source=rate.source,
                dimensions=draft.dimensions,
                party=event.customer if draft.party else None,
                source_line=source.outside_id if source else "",
                tax_rate=(tax.rate or UNNAMED_TAX) if tax else "",
                description=source.description if source else "",
                rule_entry=draft.entry,
            )
        )
    return tuple(lines)


def _functional_amounts(drafts: Sequence[_Draft], book: BookSetup, rate: Rate) -> list[Decimal]:
    """Signed functional amounts that sum to zero where the transaction amounts do.

    The total line (party first, then an entry made once for the event, then the greatest amount; the earliest of equals) is
    not converted: it is what the other converted lines come to.
    """
    target = known_currency(book.functional_currency)
    amounts = [
        convert(amount=draft.signed, rate=rate.rate, currency=target, rounding=book.rounding) for draft in drafts
    ]
    if drafts and not sum((draft.signed for draft in drafts), ZERO):
        order = sorted(
            range(len(drafts)),
            key=lambda at: (not drafts[at].party, drafts[at].each is not Each.EVENT, -abs(drafts[at].signed), at),
        )
        total = order[0]
        amounts[total] -= sum(amounts, ZERO)
    return amounts


def _original_missing(event: AccountingEvent, book: BookSetup) -> Problem | None:
    if book.maker(event.kind) is Maker.NONE:
        return None
    original = event.reverses or MIRRORS[event.kind].value
    detail = f"{event.kind} mirrors {original}, which has no journal in book {book.name}"
    return problem("posting.original_missing", detail, field=f"{book.name}:{event.kind}")


define(
    code="posting.original_missing",
    title="The entry to mirror is not there",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Mend what keeps the original event from being booked (see its case), then retry this one.",
)
define(
    code="posting.account_missing",
    title="The rule chose no account",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Give the entry a last account without a condition, or a condition that holds; then retry the cause.",
)
define(
    code="posting.dimension_missing",
    title="A required dimension is missing",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Give the dimension on the entity, on the rule's entry or at the source; then retry the cause.",
)
define(
    code="posting.too_many_lines",
    title="The entry has too many lines",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Book the invoice with an entry for the event instead of one for each line.",
)
