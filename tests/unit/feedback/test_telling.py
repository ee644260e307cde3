"""What is told of a root, purely: one state over its books, the newest of several, a message for each change."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import pytest

from revline.core.documents import DocumentState
from revline.core.events import AccountingEvent, AppliedPayment, EventKind, IssuedInvoice
from revline.core.ids import SourceObject
from revline.delivery.standings import DocumentStanding, Transition
from revline.feedback.documents import replay_document, write_back_document
from revline.feedback.kinds import Feedback, WebhookSubscription
from revline.feedback.standing import summary
from revline.feedback.telling import due_write_backs, messages, write_backs
from revline.feedback.values import PostingState, RootStanding, Told, WriteBack
from revline.platform.cases.subjects import OpenCase

INVOICE = SourceObject(connection="stripe", kind="invoice", outside_id="in_1")
ORDER = SourceObject(connection="crm", kind="order", outside_id="801")
NOON = datetime(2026, 1, 4, 12, tzinfo=UTC)
ZERO = Decimal(0)
INVOICES = Feedback(
    connection="stripe", source_kind="invoice", fields={"posting_state": "state", "erp_number": "number"}
)
ORDERS = Feedback(connection="crm", source_kind="order", about="invoice", fields={"posting_state": "State__c"})


def issued(identity: str = "event-1", *, reverses: str = "", day: date = date(2026, 1, 4)) -> AccountingEvent:
    payload = IssuedInvoice(
        number="A-1", subtotal=Decimal(10), discount_total=ZERO, tax_total=ZERO, total=Decimal(10), lines=()
    )
    return AccountingEvent(
        event_id=identity,
        kind=EventKind.INVOICE_ISSUED,
        root=INVOICE,
        source=INVOICE,
        entity="us",
        currency="USD",
        occurred_at=NOON,
        document_date=day,
        accounting_date=day,
        customer=None,
        payload=payload,
        reverses=reverses,
    )


def applied() -> AccountingEvent:
    payment = SourceObject(connection="stripe", kind="payment", outside_id="ch_1")
    payload = AppliedPayment(invoice=INVOICE, payment=payment, amount=Decimal(10))
    return msgspec.structs.replace(issued("event-2"), kind=EventKind.PAYMENT_APPLIED, payload=payload)


def document(state: DocumentState, *, event: str = "event-1", connection: str = "erp") -> DocumentStanding:
    return DocumentStanding(
        document_id=f"document-{event}-{connection}",
        event_id=event,
        kind="invoice",
        connection=connection,
        entity="us",
        book="main",
        external_reference="REFERENCE",
        state=state,
        currency="USD",
        amount=Decimal(10),
        accounting_date=date(2026, 1, 4),
        problem_code="",
        problem_field="",
        problem_detail="",
        erp_number="INV-7" if state is DocumentState.POSTED else "",
    )


def standing(*documents: DocumentStanding, root: SourceObject = INVOICE, **more: object) -> RootStanding:
    values = {"events": (((1, 1), issued()),), "documents": documents, **more}
    return RootStanding(tenant_id="alpha", root_id=f"root-{root.outside_id}", root=root, entity="us", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([DocumentState.POSTED, DocumentState.POSTED], PostingState.POSTED),
        ([DocumentState.POSTED, DocumentState.READY], PostingState.PENDING),
        ([DocumentState.POSTED, DocumentState.SENDING], PostingState.PENDING),
        ([DocumentState.POSTED, DocumentState.HELD], PostingState.HELD),
        ([DocumentState.HELD, DocumentState.REJECTED], PostingState.REJECTED),
        ([DocumentState.POSTED, DocumentState.WAIVED], PostingState.POSTED),
        ([DocumentState.POSTED, DocumentState.SUPERSEDED], PostingState.POSTED),
    ],
)
def test_one_state_over_all_books(states: list[DocumentState], told: PostingState) -> None:
    found = summary(standing(*(document(state, connection=f"erp-{place}") for place, state in enumerate(states))))
    assert found is not None
    assert found.state is told


def test_nothing_is_told_of_what_makes_nothing() -> None:
    assert write_backs(standing=standing(events=()), feedbacks={"invoices": INVOICES}) == ()


def test_what_can_not_be_booked_is_rejected_with_its_problem() -> None:
    case = OpenCase(case_id="case", code="posting.rate_missing", subject=("root", "root-in_1"), detail="no rate")
    found = summary(standing(events=(), cases=(case,)))
    assert found is not None
    assert (found.state, found.problem_code, found.problem_detail) == (
        PostingState.REJECTED,
        "posting.rate_missing",
        "no rate",
    )


def test_a_reversed_booking_speaks_no_more() -> None:
    events = (((1, 1), issued()), ((2, 1), issued("undo", reverses="event-1")), ((2, 2), issued("event-3")))
    both = (document(DocumentState.POSTED), document(DocumentState.READY, event="event-3", connection="erp"))
    found = summary(standing(*both, events=events))
    assert found is not None
    assert found.state is PostingState.PENDING
    assert [one.event_id for one in found.documents] == ["event-3"]


@pytest.mark.parametrize("memo", ["credited", "credited and the memo voided", "voided"])
def test_an_invoice_is_told_its_own_number_and_not_its_credit_memos(memo: str) -> None:
    kinds = {
        "credited": [EventKind.CREDIT_MEMO_ISSUED],
        "credited and the memo voided": [EventKind.CREDIT_MEMO_ISSUED, EventKind.CREDIT_MEMO_VOIDED],
        "voided": [EventKind.INVOICE_VOIDED],
    }[memo]
    later = [msgspec.structs.replace(issued(f"event-0{place}"), kind=kind) for place, kind in enumerate(kinds)]
    events = tuple(((1, place), event) for place, event in enumerate([issued(), *later]))
    others = [
        msgspec.structs.replace(document(DocumentState.POSTED, event=event.event_id), erp_number=f"MEMO-{place}")
        for place, event in enumerate(later)
    ]
    found = summary(standing(*others, document(DocumentState.POSTED), events=events))
    assert found is not None
    assert [one.erp_number for one in found.documents] == ["INV-7"]
    assert found.state is (PostingState.VOIDED if memo == "voided" else PostingState.POSTED)


def test_an_order_is_told_of_the_invoice_linked_to_it() -> None:
    linked = standing(document(DocumentState.POSTED), linked=(ORDER,))
    told = {
        one.target: dict(one.fields) for one in write_backs(standing=linked, feedbacks={"a": INVOICES, "b": ORDERS})
    }
    assert told == {INVOICE: {"state": "posted", "number": "INV-7"}, ORDER: {"State__c": "posted"}}


def test_of_two_invoices_of_an_order_the_newest_speaks_whatever_comes_first() -> None:
    later = SourceObject(connection="stripe", kind="invoice", outside_id="in_2")
    first = standing(document(DocumentState.POSTED), linked=(ORDER,))
    second = standing(
        document(DocumentState.READY), root=later, linked=(ORDER,), events=(((3, 1), issued(day=date(2026, 2, 4))),)
    )
    both = [one for each in (first, second) for one in write_backs(standing=each, feedbacks={"b": ORDERS})]
    assert due_write_backs(wanted=both, told={}) == due_write_backs(wanted=both[::-1], told={})
    (newest,) = due_write_backs(wanted=both, told={})
    assert dict(newest.fields) == {"State__c": "pending"}
    before = Told(
        target_id=newest.target_id, about=newest.about, order_key=newest.order_key, content_digest="", ordinal=0,
        through=0, owed=False, document_id="d",
    )  # fmt: skip
    assert due_write_backs(wanted=both[:1], told={newest.target_id: before}) == ()


def test_only_the_states_asked_for_are_told() -> None:
    spec = msgspec.structs.replace(INVOICES, when=(PostingState.POSTED,))
    assert write_backs(standing=standing(document(DocumentState.READY)), feedbacks={"a": spec}) == ()
    assert len(write_backs(standing=standing(document(DocumentState.POSTED)), feedbacks={"a": spec})) == 1


def test_a_message_for_each_change_in_the_order_of_the_log() -> None:
    moves = tuple(
        Transition(
            document_id="document-event-1-erp", from_state="sending", to_state=to, problem_code="", problem_detail="",
            at=NOON, place=(position, 1),
        )
        for position, to in ((4, "rejected"), (6, "ready"), (7, "posted"))
    )  # fmt: skip
    all_of_it = standing(
        document(DocumentState.POSTED), transitions=moves, events=(((1, 1), issued()), ((5, 2), applied()))
    )
    everything = WebhookSubscription(connection="hooks", events=("*",))
    told = messages(standing=all_of_it, name="all", subscription=everything, after=0, through=9)
    assert [one.message_type for one in told] == ["document.rejected", "payment.applied", "document.posted"]
    later = messages(standing=all_of_it, name="all", subscription=everything, after=4, through=5)
    assert [one.message_type for one in later] == ["payment.applied"]
    body = msgspec.json.decode(told[0].body)
    assert set(body) == {"type", "timestamp", "data"}
    assert body["data"]["amount"] == "10"


@pytest.mark.parametrize(
    ("events", "entities", "wanted"),
    [
        (("document.*",), (), True),
        (("document.posted",), (), True),
        (("case.*",), (), False),
        (("*",), ("de",), False),
        (("*",), ("us",), True),
    ],
)
def test_a_subscription_chooses_by_type_and_entity(
    events: tuple[str, ...], entities: tuple[str, ...], wanted: bool
) -> None:
    spec = WebhookSubscription(connection="hooks", events=events, entities=entities)
    assert spec.wants(message_type="document.posted", entity="us") is wanted


def test_identity_follows_from_the_target_and_the_number() -> None:
    one = WriteBack(
        target_id="t", name="n", connection="c", target=INVOICE, about="r", order_key="", fields=(("a", "1"),)
    )
    first, second = write_back_document(one=one, ordinal=0), write_back_document(one=one, ordinal=1)
    assert first == write_back_document(one=one, ordinal=0)
    assert first.document_id != second.document_id
    assert first.lane_key == second.lane_key
    again = replay_document(original=first, number=1)
    assert again.external_reference == first.external_reference
    assert again.document_id != first.document_id
