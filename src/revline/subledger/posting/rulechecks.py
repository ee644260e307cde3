"""What must hold of one posting rule: its days, accounts, functions and conditions, and its own tests. Pure."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Final

from revline.core.events import MIRRORS, AccountingEvent, EventKind
from revline.core.journal import JournalEntry
from revline.core.money import Rounding, amount_text, currency
from revline.core.problem import FieldError, Problem, problem
from revline.platform.tenancy.kinds import LegalEntity, unknown_reference
from revline.subledger.posting.checks import ACCOUNT_PATTERN, Specs, account_error, days_overlap, nearest
from revline.subledger.posting.expressions import compile_predicate
from revline.subledger.posting.functions import FUNCTIONS, functions_for
from revline.subledger.posting.kinds import Book, Each, Maker, PostingRule, RuleEntry, RuleTest, TestLine
from revline.subledger.posting.post import apply_rule
from revline.subledger.posting.samples import sample_event
from revline.subledger.posting.setup import BookSetup, CompiledRule, compile_rule
from revline.subledger.posting.variables import event_variables, part_variables, parts_of

SAMPLE_DAY: Final = date(2026, 1, 1)
EVERYTHING: Final = RuleTest(
    name="everything",
    amount=Decimal("90.00"),
    earned=Decimal("31.00"),
    lines=(
        TestLine(amount=Decimal("100.00"), tax=Decimal("20.00"), discount=Decimal("5.00")),
        TestLine(amount=Decimal("-30.00"), tax=Decimal("-6.00"), product_family="credit"),
    ),
    expect=(),
)


def check_rule(name: str, spec: PostingRule, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with a posting rule; its own tests are run once nothing else is."""
    found: list[FieldError] = []
    books = others.get(Book, {})
    if spec.book and spec.book not in books:
        found.append(unknown_reference(pointer="spec.book", kind="Book", value=spec.book, known=books))
    if spec.event in MIRRORS or spec.event is EventKind.PAYMENT_APPLIED:
        why = f"it is the mirror of {MIRRORS[spec.event].value}" if spec.event in MIRRORS else "it makes no entry"
        detail = f"{spec.event.value} takes no rule: {why}"
        return (*found, FieldError(pointer="spec.event", detail=detail, instead="no rule for it"))
    if spec.effective_to is not None and spec.effective_to <= spec.effective_from:
        detail = "effectiveTo is the first day the rule is no longer in force"
        found.append(FieldError(pointer="spec.effectiveTo", detail=detail, instead="a day after effectiveFrom"))
    found.extend(_overlap_errors(name, spec, others))
    found.extend(_condition_errors("spec.when", spec.when, spec.event, Each.EVENT))
    if not spec.entries:
        detail = "a rule has at least one debit and one credit entry"
        found.append(
            FieldError(pointer="spec.entries", detail=detail, instead="- {account: ..., side: debit, amount: ...}")
        )
    for index, entry in enumerate(spec.entries):
        found.extend(_entry_errors(f"spec.entries[{index}]", entry, spec.event))
    if not found:
        found.extend(_test_errors(name, spec, others))
    return tuple(found)


def _overlap_errors(name: str, spec: PostingRule, others: Specs) -> list[FieldError]:
    for other_name, other in sorted(others.get(PostingRule, {}).items()):
        if other_name >= name or other.event is not spec.event or not days_overlap(spec, other):
            continue
        same_book = spec.book == other.book or not spec.book or not other.book
        if same_book and (not spec.when or not other.when or spec.when == other.when):
            start = max(spec.effective_from, other.effective_from)
            detail = f"{name} and {other_name} both book {spec.event.value} from {start.isoformat()}"
            instead = f"effectiveTo: {start.isoformat()} on the older one, or conditions that exclude each other"
            return [FieldError(pointer="spec.effectiveFrom", detail=detail, instead=instead)]
    return []


def _entry_errors(pointer: str, entry: RuleEntry, event: EventKind) -> list[FieldError]:
    found = _account_errors(pointer, entry)
    function = FUNCTIONS.get(entry.amount)
    if function is None:
        detail = f"there is no amount {entry.amount!r}"
        known = functions_for(event=event, each=entry.each) or tuple(FUNCTIONS)
        found.append(FieldError(pointer=f"{pointer}.amount", detail=detail, instead=nearest(entry.amount, known)))
    elif event not in function.events or function.each is not entry.each:
        suited = functions_for(event=event, each=entry.each)
        detail = f"{entry.amount} is an amount of {', '.join(sorted(function.events))}, each: {function.each.value}"
        instead = f"one of: {', '.join(suited)}" if suited else f"each: {function.each.value}"
        found.append(FieldError(pointer=f"{pointer}.amount", detail=detail, instead=instead))
    found.extend(_condition_errors(f"{pointer}.when", entry.when, event, entry.each))
    for index, choice in enumerate(entry.accounts):
        found.extend(_condition_errors(f"{pointer}.accounts[{index}].when", choice.when, event, entry.each))
    return found


def _account_errors(pointer: str, entry: RuleEntry) -> list[FieldError]:
    if bool(entry.account) == bool(entry.accounts):
        detail = "an entry has either one account or a list of accounts to choose from"
        return [FieldError(pointer=pointer, detail=detail, instead="account: deferred_revenue")]
    found = [] if not entry.account else _key_errors(f"{pointer}.account", entry.account)
    for index, choice in enumerate(entry.accounts):
        found.extend(_key_errors(f"{pointer}.accounts[{index}].account", choice.account))
        last = index == len(entry.accounts) - 1
        if not choice.when and not last:
            detail = "an account without a condition is always taken, so those below it never are"
            found.append(
                FieldError(pointer=f"{pointer}.accounts[{index}]", detail=detail, instead="it last, or a when for it")
            )
    return found


def _key_errors(pointer: str, account: str) -> list[FieldError]:
    return [] if ACCOUNT_PATTERN.match(account) else [account_error(pointer, account)]


def _condition_errors(pointer: str, source: str, event: EventKind, each: Each) -> list[FieldError]:
    """Compile a condition and try it on an example, so that a misspelt field is found before the first event."""
    predicate = compile_predicate(source)
    if isinstance(predicate, Problem):
        return [FieldError(pointer=pointer, detail=predicate.detail, instead=predicate.entry.remedy)]
    sample = sample_event(kind=event, currency="USD", day=SAMPLE_DAY)
    assert not isinstance(sample, Problem)
    base = event_variables(sample)
    for part in parts_of(event=sample, each=each):
        seen = part_variables(base=base, part=part)
        result = predicate.holds(seen)
        if isinstance(result, Problem) and "dimensions" not in source:
            instead = f"names it can use: {', '.join(_names(seen))}"
            return [FieldError(pointer=pointer, detail=result.detail, instead=instead)]
    return []


def _names(variables: dict[str, Any]) -> list[str]:
    return sorted(f"{name}.{key}" for name, fields in variables.items() for key in fields)


def _test_errors(name: str, spec: PostingRule, others: Specs) -> list[FieldError]:
    rule = compile_rule(name=name, file="", line=0, spec=spec)
    if isinstance(rule, Problem):
        return []
    found = _balance_errors(rule, spec)
    for index, test in enumerate(spec.tests):
        code = test.currency or _currency_of(spec, others)
        event = sample_event(kind=spec.event, currency=code, day=spec.effective_from, test=test)
        journal = event if isinstance(event, Problem) else _tried(rule, event, code)
        if isinstance(journal, Problem):
            instead = journal.entry.remedy if journal.code != "journal.unbalanced" else "a rule that balances"
            detail = f"{test.name}: {journal.detail}"
            found.append(FieldError(pointer=f"spec.tests[{index}]", detail=detail, instead=instead))
            continue
        booked = sorted((line.account, line.debit, line.credit) for line in journal.lines)
        if booked != _expected(test):
            lines = "; ".join(
                f"{account} {'debit' if debit else 'credit'} {amount_text(debit or credit)}"
                for account, debit, credit in booked
            )
            detail = f"{test.name}: the rule books {lines or 'nothing'}"
            found.append(
                FieldError(pointer=f"spec.tests[{index}]", detail=detail, instead="that in expect, or another rule")
            )
    return found


def _tried(rule: CompiledRule, event: AccountingEvent, code: str) -> JournalEntry | Problem:
    """What a rule's test books: the rule must take the event before it books it."""
    holds = rule.when.holds(event_variables(event))
    if isinstance(holds, Problem):
        return holds
    if not holds:
        return problem("posting.rule_missing", "the rule's own condition does not take the event of this test")
    return apply_rule(event=event, book=_test_book(code), rule=rule)


def _balance_errors(rule: CompiledRule, spec: PostingRule) -> list[FieldError]:
    """A rule for every event of its kind must balance for one with everything: two lines, one of them a credit, tax, a discount."""
    if spec.when:
        return []
    event = sample_event(kind=spec.event, currency="USD", day=spec.effective_from, test=EVERYTHING)
    assert not isinstance(event, Problem)
    journal = apply_rule(event=event, book=_test_book("USD"), rule=rule)
    if not isinstance(journal, Problem) or journal.code != "journal.unbalanced":
        return []
    detail = f"the entries do not balance for an event with several lines, tax and a discount: {journal.detail}"
    return [
        FieldError(pointer="spec.entries", detail=detail, instead="debits and credits that are equal for every event")
    ]


def _expected(test: RuleTest) -> list[tuple[str, Decimal, Decimal]]:
    zero = Decimal(0)
    return sorted((line.account, line.debit or zero, line.credit or zero) for line in test.expect)


def _currency_of(spec: PostingRule, others: Specs) -> str:
    books: dict[str, Book] = dict(others.get(Book, {}))
    entities: dict[str, LegalEntity] = dict(others.get(LegalEntity, {}))
    for name, book in sorted(books.items()):
        entity = entities.get(book.entity) if spec.book in {"", name} else None
        if entity is not None and not isinstance(currency(entity.functional_currency), Problem):
            return entity.functional_currency
    return "USD"


def _test_book(code: str) -> BookSetup:
    return BookSetup(
        name="test",
        entity="example",
        erp="",
        company="",
        functional_currency=code,
        time_zone="UTC",
        rounding=Rounding.HALF_UP,
        receivable="accounts_receivable",
        dimensions={},
        required_dimensions={},
        makers=dict.fromkeys(EventKind, Maker.NONE),
        rules={},
        rates={},
    )
