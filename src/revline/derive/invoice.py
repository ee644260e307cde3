"""What should exist of an invoice: issued, voided, marked uncollectible, credited, and the payments applied to it. Pure."""

from __future__ import annotations

from decimal import Decimal

from revline.core.canonical import Invoice, InvoicePayment, InvoiceStatus, Payment, PaymentIntent, PaymentStatus
from revline.core.clock import local_date
from revline.core.events import (
    AppliedPayment,
    EventKind,
    IssuedInvoice,
    UncollectibleInvoice,
)
from revline.core.facts import Fact, Name
from revline.core.ids import SourceObject
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.derive import credit_memo
from revline.derive.expectation import (
    Blocked,
    EntityScope,
    Expectation,
    Findings,
    Need,
    RootFacts,
    Supported,
    make_event,
    newest,
    newest_by_source,
)

define(
    code="derive.paid_elsewhere",
    title="Marked as paid outside of the billing system",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Book the money where it arrived, or send it as a payment with its application; then waive the case.",
)
define(
    code="derive.day_missing",
    title="The source does not say on which day this happened",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Send or import the record again with the time it was finalised; no day is ever guessed.",
)


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """The customer, the products on its lines, what its credit memos need, and the payment or intent behind every application."""
    wanted: set[Need] = set(credit_memo.needs(facts))
    for fact in facts:
        match fact.translated.snapshot:
            case Invoice(customer=customer, lines=lines) if customer:
                wanted.add(_outside("customer", customer))
                wanted |= {_outside("product", line.product) for line in lines if line.product}
            case InvoicePayment(status="paid", payment=payment) if payment:
                wanted.add(_outside("payment", payment))
            case InvoicePayment(status="paid", payment_intent=intent) if intent:
                wanted |= {_by_intent("payment", intent), _by_intent("payment_intent", intent)}
    return tuple(sorted(wanted))


def expect(known: RootFacts, scope: EntityScope) -> Expectation:
    """The events of one invoice root from all its facts, whatever order they came in."""
    invoices = [fact for fact in known.facts if isinstance(fact.translated.snapshot, Invoice)]
    findings = Findings()
    customer, issued = None, None
    void: list[Supported] = []
    if invoices:
        current = newest(invoices)
        invoice = _invoice(current)
        customer = SourceObject(connection=known.root.connection, kind="customer", outside_id=invoice.customer)
        need = _outside("customer", invoice.customer)
        if not known.found.get(need):
            findings.awaited.add(need)
        if scope.native_items:
            findings.awaited |= {one for one in _products(invoice) if not known.found.get(one)}
        if not invoice.total:
            findings.rules[current.fact_id] = "an invoice over nothing books nothing"
        elif invoice.status is InvoiceStatus.DRAFT:
            findings.rules[current.fact_id] = "a draft invoice books nothing"
        elif invoice.finalized_at is None:
            why = problem("derive.day_missing", f"invoice {invoice.number} is {invoice.status}", field="finalized_at")
            findings.blocked.append(
                Blocked(problem=why, fact=current, amount=abs(invoice.total), currency=invoice.currency)
            )
        else:
            findings.events += _invoice_events(known, scope, current, invoices, customer)
            _paid_elsewhere(known, current, findings)
            void = _voided(known, scope, current, customer)
        issued = invoice if invoice.finalized_at is not None else None
    credit_memo.find_credit_memos(known, scope, issued, findings)
    # Last of what was demanded: the ERP can't void an invoice that a memo still credits.
    findings.events += void
    _applications(known, scope, customer, findings)
    return findings.expectation(known.facts)


def _applications(
    known: RootFacts,
    scope: EntityScope,
    customer: SourceObject | None,
    findings: Findings,
) -> None:
    for fact in newest_by_source(known.facts, InvoicePayment):
        applied = fact.translated.snapshot
        assert isinstance(applied, InvoicePayment)
        if applied.status != "paid" or not applied.amount:
            findings.rules[fact.fact_id] = "only a paid application applies"
            continue
        if not applied.payment and not applied.payment_intent:
            findings.blocked.append(
                Blocked(problem=_elsewhere(applied.amount), fact=fact, amount=applied.amount, currency=applied.currency)
            )
            continue
        if customer is None:
            findings.awaited.add(_outside("invoice", known.root.outside_id))
            findings.rules[fact.fact_id] = "awaits the invoice it is applied to"
            continue
        payment, missing = _payment_of(applied, known)
        if payment is None:
            findings.awaited |= missing
            findings.rules[fact.fact_id] = "awaits the payment it names"
            continue
        payload = AppliedPayment(invoice=known.root, payment=payment, amount=applied.amount)
        when = applied.paid_at or fact.translated.occurred_at
        event = make_event(known, scope, EventKind.PAYMENT_APPLIED, fact, when, applied.currency, customer, payload)
        findings.events.append(Supported(event=event, facts=(fact,)))


def _paid_elsewhere(known: RootFacts, current: Fact, findings: Findings) -> None:
    """The part of an invoice the source was told is paid and did not collect, less what paid applications tell of one by one."""
    invoice = _invoice(current)
    told = sum(
        (
            applied.amount
            for fact in newest_by_source(known.facts, InvoicePayment)
            if isinstance(applied := fact.translated.snapshot, InvoicePayment)
            and applied.status == "paid"
            and not applied.payment
            and not applied.payment_intent
        ),
        Decimal(0),
    )
    amount = (invoice.amount_paid_elsewhere or Decimal(0)) - told
    if amount > 0:
        findings.blocked.append(
            Blocked(problem=_elsewhere(amount), fact=current, amount=amount, currency=invoice.currency)
        )


def _elsewhere(amount: Decimal) -> Problem:
    """A case and no event: the source has a person's word, no money, no day at a bank and no id of the transfer; and the bank
    statement of the ERP, or whoever took the money, books it too."""
    return problem(
        "derive.paid_elsewhere", f"{amount} was marked as paid outside of the source", field="paid_elsewhere"
    )


def _products(invoice: Invoice) -> set[Need]:
    return {_outside("product", line.product) for line in invoice.lines if line.product}


def _invoice_events(
    known: RootFacts, scope: EntityScope, current: Fact, invoices: list[Fact], customer: SourceObject
) -> list[Supported]:
    invoice = _invoice(current)
    assert invoice.finalized_at is not None
    payload = _issued(invoice, scope)
    issued = make_event(
        known, scope, EventKind.INVOICE_ISSUED, current, invoice.finalized_at, invoice.currency, customer, payload
    )
    events = [Supported(event=issued, facts=(current,))]
    given_up = [fact for fact in invoices if _invoice(fact).status is InvoiceStatus.UNCOLLECTIBLE]
    # A void takes back the whole demand, so nothing of it was lost: a write-off beside it would credit the customer twice.
    if given_up and invoice.status is not InvoiceStatus.VOID:
        fact = newest(given_up)
        snapshot = _invoice(fact)
        if snapshot.amount_remaining:
            lost = UncollectibleInvoice(number=snapshot.number, amount=snapshot.amount_remaining)
            when = snapshot.marked_uncollectible_at or fact.translated.occurred_at
            kind = EventKind.INVOICE_MARKED_UNCOLLECTIBLE
            event = make_event(known, scope, kind, fact, when, snapshot.currency, customer, lost)
            events.append(Supported(event=event, facts=(fact,)))
    return events


def _voided(known: RootFacts, scope: EntityScope, current: Fact, customer: SourceObject) -> list[Supported]:
    invoice = _invoice(current)
    if invoice.status is not InvoiceStatus.VOID:
        return []
    when = invoice.voided_at or current.translated.occurred_at
    kind, payload = EventKind.INVOICE_VOIDED, _issued(invoice, scope)
    event = make_event(known, scope, kind, current, when, invoice.currency, customer, payload)
    return [Supported(event=event, facts=(current,))]


def _issued(invoice: Invoice, scope: EntityScope) -> IssuedInvoice:
    due = None if invoice.due_at is None else local_date(moment=invoice.due_at, time_zone=scope.time_zone)
    return IssuedInvoice(
        number=invoice.number,
        subtotal=invoice.subtotal,
        discount_total=invoice.discount_total,
        tax_total=invoice.tax_total,
        total=invoice.total,
        lines=invoice.lines,
        due_date=due,
        billing_reason=invoice.billing_reason,
        purchase_order=invoice.purchase_order,
        memo=invoice.memo,
    )


def _payment_of(applied: InvoicePayment, known: RootFacts) -> tuple[SourceObject | None, set[Need]]:
    """The payment an application names, directly or by its intent; else what is awaited."""
    if applied.payment:
        need = _outside("payment", applied.payment)
        if not known.found.get(need):
            return None, {need}
        return SourceObject(connection=known.root.connection, kind="payment", outside_id=applied.payment), set()
    need = _by_intent("payment", applied.payment_intent)
    candidates = []
    for fact in known.found.get(need, ()):
        snapshot = fact.translated.snapshot
        if isinstance(snapshot, Payment) and snapshot.status is PaymentStatus.SUCCEEDED:
            candidates.append((snapshot.created_at, snapshot.outside_id))
    if candidates:
        return SourceObject(connection=known.root.connection, kind="payment", outside_id=min(candidates)[1]), set()
    named = {
        snapshot.payment
        for fact in known.found.get(_by_intent("payment_intent", applied.payment_intent), ())
        if isinstance(snapshot := fact.translated.snapshot, PaymentIntent)
        and snapshot.status == "succeeded"
        and snapshot.payment
    }
    if len(named) == 1:
        return SourceObject(connection=known.root.connection, kind="payment", outside_id=named.pop()), set()
    return None, {need}


def _outside(object_kind: str, outside_id: str) -> Need:
    return Need(object_kind=object_kind, name=Name(kind="outside_id", value=outside_id))


def _by_intent(object_kind: str, intent: str) -> Need:
    kind = "payment_intent" if object_kind == "payment" else "outside_id"
    return Need(object_kind=object_kind, name=Name(kind=kind, value=intent))


def _invoice(fact: Fact) -> Invoice:
    assert isinstance(fact.translated.snapshot, Invoice)
    return fact.translated.snapshot
