"""Which rule books an event in a book: by the event's accounting date among the rules of one configuration version. Pure."""

from __future__ import annotations

from typing import Any

from revline.core.events import AccountingEvent
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.posting.setup import BookSetup, CompiledRule
from revline.subledger.posting.variables import event_variables


def choose_rule(
    *, event: AccountingEvent, book: BookSetup, variables: dict[str, Any] | None = None
) -> CompiledRule | Problem:
    """The one rule whose days hold the event's accounting date and whose condition holds.

    `posting.rule_missing` when there is none, `posting.rule_ambiguous` when there are several, `posting.expression_failed` when
    a condition can't be evaluated.
    """
    seen = event_variables(event) if variables is None else variables
    matching: list[CompiledRule] = []
    for rule in book.rules.get(event.kind, ()):
        if not in_force(rule, event):
            continue
        holds = rule.when.holds(seen)
        if isinstance(holds, Problem):
            return problem(holds.code, f"rule {rule.name} ({rule.file}:{rule.line}): {holds.detail}", field=rule.name)
        if holds:
            matching.append(rule)
    if not matching:
        detail = f"no rule of book {book.name} books {event.kind} on {event.accounting_date.isoformat()}"
        return problem("posting.rule_missing", detail, field=f"{book.name}:{event.kind}")
    if len(matching) > 1:
        names = ", ".join(f"{rule.name} ({rule.file}:{rule.line})" for rule in matching)
        return problem("posting.rule_ambiguous", f"several rules book {event.kind}: {names}", field=matching[0].name)
    return matching[0]


def in_force(rule: CompiledRule, event: AccountingEvent) -> bool:
    """Whether the event's accounting date is in the rule's half-open days."""
    start, end = rule.spec.effective_from, rule.spec.effective_to
    return start <= event.accounting_date and (end is None or event.accounting_date < end)


define(
    code="posting.rule_missing",
    title="No posting rule for this event",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Add a PostingRule for the event, book and day named, or state the policy none for it; then retry the cause.",
)
define(
    code="posting.rule_ambiguous",
    title="Several posting rules match this event",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Give the rules named conditions or days that exclude each other, then retry the cause.",
)
