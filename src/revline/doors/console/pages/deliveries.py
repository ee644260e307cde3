"""Deliveries: every document on its way or in a far system, what it waits for, what was sent and answered, what is there now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from revline.core.documents import DocumentState
from revline.core.hashing import canonical_bytes
from revline.core.problem import Problem, ProblemError, problem
from revline.delivery import queries
from revline.delivery.naming import NamedRecord
from revline.delivery.needs import RECORDLESS
from revline.delivery.permitted import Act, refusal
from revline.delivery.queries import Delivery, Shown
from revline.doors import document_acts
from revline.doors.console.configured import connections_of
from revline.doors.console.shown import pretty, shown_attempts
from revline.doors.console.states import look
from revline.doors.console.values import (
    Answer,
    Code,
    Column,
    Empty,
    Filter,
    Group,
    ListPage,
    Moment,
    Money,
    Page,
    Redirect,
    Row,
    SameAs,
    State,
    Text,
    View,
    Visit,
)
from revline.doors.document_acts import NAMING_TAKES, TAKES, Proposed, Wanted, act_on_document
from revline.doors.waiting_view import Hop, first_hops, wait_said, waiting_view
from revline.platform.cases import queries as cases
from revline.subledger.posting import queries as posting

STATES: Final = tuple((state.value, look(state.value).word) for state in DocumentState)


def deliveries(visit: Visit) -> Answer:
    """Documents by id, in one state or for one connection where chosen."""
    state = visit.filter("state", among=tuple(word for word, _ in STATES))
    far = visit.filter("connection")
    with visit.read() as connection:
        found = queries.deliveries(
            connection,
            tenant_id=visit.tenant_id,
            state=state,
            far_connection=far,
            after=visit.after_text(),
            limit=visit.limit + 1,
        )
        ids = [one.document_id for one in found]
        waits = first_hops(connection, tenant_id=visit.tenant_id, documents=found)
        numbers = queries.numbers_of(connection, tenant_id=visit.tenant_id, document_ids=ids)
    columns = (
        Column(key="document", title="Document"),
        Column(key="state", title="State", kind="state"),
        Column(key="waits", title="Waits for or stands on", wide=True),
        Column(key="connection", title="Goes to"),
        Column(key="number", title="Number there"),
        Column(key="reference", title="Reference", kind="code"),
        Column(key="amount", title="Amount", kind="money"),
        Column(key="day", title="Accounting day", kind="moment"),
        Column(key="changed", title="Changed", kind="moment"),
    )
    known = tuple((name, name) for name, _, _ in connections_of(visit))
    return ListPage(
        title="Deliveries",
        lead="Every document, where it stands and what it waits for.",
        columns=columns,
        rows=tuple(_row(visit, one, waits.get(one.document_id), numbers.get(one.document_id, "")) for one in found),
        empty=Empty(
            title="No document yet",
            detail="Documents are written when facts are derived under posting rules.",
            icon="send",
        ),
        filters=(
            Filter(name="state", label="State", value=state, choices=STATES),
            Filter(name="connection", label="Goes to", value=far, choices=known),
        ),
        export="deliveries",
        same_as=SameAs(
            command=f"revline deliveries list --tenant {visit.tenant_id}" + (f" --state {state}" if state else ""),
            call="GET /v1/deliveries" + (f"?state={state}" if state else ""),
        ),
        template="deliveries.html",
        values={"act_on_all": visit.url("new_act", of_state=state, of_connection=far)},
    )


def _row(visit: Visit, one: Delivery, waits: tuple[Hop, int] | None, number: str) -> Row:
    return Row(
        cells=(
            Text(text=one.kind.replace("_", " ").capitalize(), hint=one.entity),
            State(
                word=_word(one, waits),
                hint=f"step {one.step}" if one.step else "",
            ),
            _standing(visit, one, waits),
            Text(text=one.connection),
            Text(text=number),
            Code(text=one.external_reference),
            Money(amount=one.amount, currency=one.currency) if one.currency else Money(amount=None, currency=""),
            Moment(at=one.accounting_date),
            Moment(at=one.changed_at, ago=True),
        ),
        place=(one.document_id,),
        href=visit.url("delivery", document=one.document_id),
        key=one.document_id,
    )


def _word(one: Delivery, waits: tuple[Hop, int] | None) -> str:
    return "waiting" if waits else "set_aside" if one.set_aside_at else one.state


def _standing(visit: Visit, one: Delivery, waits: tuple[Hop, int] | None) -> Text:
    if waits:
        hop, others = waits
        said = f"{hop.relation} {hop.title}" + (f" and {others} more" if others else "")
        return Text(text=said, href=visit.url("delivery", document=hop.document_id) if hop.kind else "")
    return Text(text=one.problem_detail, hint=one.problem_code) if one.problem_code else Text(text="")


def delivery(visit: Visit) -> Answer:
    """One document with everything that became of it."""
    shown = _shown(visit)
    tenant_id, document_id = visit.tenant_id, shown.delivery.document_id
    with visit.read() as connection:
        journal = (
            posting.find_journal(connection, tenant_id=tenant_id, journal_id=shown.delivery.journal_id)
            if shown.delivery.journal_id
            else None
        )
        waiting = waiting_view(connection, tenant_id=tenant_id, document_id=document_id)
        opened = cases.cases(connection, tenant_id=tenant_id, subject_kind="document", subject_id=document_id, limit=10)
    values: dict[str, Any] = {
        "shown": shown,
        "one": shown.delivery,
        "open_to": _open_to(shown.delivery),
        "journal": journal,
        "waiting": waiting,
        "wait_said": wait_said,
        "nameable": shown.delivery.state in RECORDLESS and not shown.records,
        "cases": opened,
        "attempts": shown_attempts(shown.attempts),
        "content": pretty(canonical_bytes(shown.document.content)),
        "same": SameAs(
            command=f"revline deliveries show {document_id} --tenant {tenant_id}",
            call=f"POST /v1/deliveries/{document_id}/resend",
        ),
    }
    title = f"{shown.delivery.kind.replace('_', ' ').capitalize()} {shown.delivery.external_reference}"
    return View(
        template="delivery.html",
        title=title,
        values=values,
        trail=(("Deliveries", visit.url("deliveries")),),
    )


def _open_to(one: Delivery) -> frozenset[str]:
    state, aside = DocumentState(one.state), one.set_aside_at is not None
    return frozenset(act.value for act in Act if refusal(act=act, state=state, set_aside=aside) is None)


def _shown(visit: Visit) -> Shown:
    with visit.read() as connection:
        found = queries.show(connection, tenant_id=visit.tenant_id, document_id=visit.parameters["document"])
    if found is None:
        raise ProblemError(problem("console.not_found", "there is no such document"))
    return found


def _act(act: Act, said: str) -> Callable[[Visit], Answer]:
    def answer(visit: Visit) -> Answer:
        document_id = visit.parameters["document"]
        wanted = Wanted(
            act=act,
            document_id=document_id,
            actor=visit.actor,
            reason=visit.reason(),
            known_absent=visit.field("known_absent") == "yes",
            at_end=visit.field("at_end") == "yes",
        )
        done = act_on_document(visit.services, tenant_id=visit.tenant_id, wanted=wanted)
        return _told(visit, done, said)

    return answer


ACTS: Final = (
    (Act.RESEND, "Send again", "It goes again; it is {state} now."),
    (Act.REPROCESS, "Derive again", "Its root is derived again at its next turn."),
    (Act.SKIP, "Set aside", "Set aside; its lane goes on, its case stays open."),
    (Act.REPLAY, "Put back", "Back on its lane; it is {state} now."),
    (Act.WAIVE, "Waive", "Waived; what waited for it goes on."),
)


def name_record(visit: Visit) -> Answer:
    """Say which of the far system's records the document is."""
    document_id = visit.parameters["document"]
    record = NamedRecord(
        erp_id=visit.field("erp_id"),
        record_kind=visit.field("record_kind"),
        number=visit.field("number"),
        unread=visit.field("unread") == "yes",
        despite_difference=visit.field("despite_difference") == "yes",
    )
    done = document_acts.name_record(
        visit.services,
        tenant_id=visit.tenant_id,
        document_id=document_id,
        record=record,
        actor=visit.actor,
        reason=visit.reason(),
    )
    return _told(visit, done, "It is {erp_id} there; what needs it goes on.")


def _told(visit: Visit, done: Mapping[str, Any] | Proposed | Problem, said: str) -> Answer:
    if isinstance(done, Problem):
        return done
    if isinstance(done, Proposed):
        said = "It is worth more than one person decides alone: a second person must start it."
        return Redirect(to=visit.url("act", act=done.act_id), said=said)
    return Redirect(to=visit.url("delivery", document=visit.parameters["document"]), said=said.format(**done))


PAGES: Final = (
    Page(
        path="/deliveries",
        name="deliveries",
        title="Deliveries",
        answer=deliveries,
        icon="send",
        group=Group.WORK,
        key="d",
    ),
    Page(path="/deliveries/{document:str}", name="delivery", title="Document", answer=delivery),
    *(
        Page(
            path=f"/deliveries/{{document:str}}/{act}",
            name=f"{act}_delivery",
            title=title,
            answer=_act(act, said),
            permission=TAKES[act],
            method="POST",
        )
        for act, title, said in ACTS
    ),
    Page(
        path="/deliveries/{document:str}/record",
        name="name_record",
        title="Name its record",
        answer=name_record,
        permission=NAMING_TAKES,
        method="POST",
    ),
)
