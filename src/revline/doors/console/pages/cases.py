"""Cases: what can't go on, by cause and one by one, and what a person does about it: try one or all again, or decide that
nothing is to be done."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection

from revline.core.hashing import canonical_bytes
from revline.core.problem import Problem, ProblemError, problem
from revline.delivery import acts
from revline.delivery import queries as deliveries
from revline.delivery.queries import Delivery
from revline.delivery.values import SUBJECT_KIND as DOCUMENT
from revline.doors import bulk
from revline.doors.case_view import CaseView, case_view
from revline.doors.console.shown import pretty, shown_attempts
from revline.doors.console.values import (
    Answer,
    Code,
    Column,
    Count,
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
from revline.doors.waiting_view import wait_said
from revline.platform.access.roles import Permission
from revline.platform.cases import queries
from revline.platform.cases import service as case_service
from revline.platform.cases.queries import Case, CauseSummary

CAUSES_MAX: Final = 1_000
CASE_COLUMNS: Final = (
    Column(key="what", title="What stands still", wide=True),
    Column(key="reference", title="Reference", kind="code"),
    Column(key="entity", title="Entity"),
    Column(key="day", title="Accounting day", kind="moment"),
    Column(key="amount", title="Amount", kind="money"),
    Column(key="behind", title="Waits behind it", kind="count"),
    Column(key="state", title="State", kind="state"),
    Column(key="opened", title="Since", kind="moment"),
)
STATES: Final = (("open", "Open"), ("resolved", "Resolved"), ("waived", "Waived"))


def causes(visit: Visit) -> Answer:
    """Open causes, those with the most cases first."""
    with visit.read() as connection:
        found = queries.causes(connection, tenant_id=visit.tenant_id, limit=CAUSES_MAX)
    columns = (
        Column(key="cause", title="Cause", wide=True),
        Column(key="where", title="Where"),
        Column(key="about", title="Key or field", kind="code"),
        Column(key="cases", title="Cases", kind="count"),
        Column(key="at_risk", title="Money at risk", kind="money"),
        Column(key="oldest", title="Oldest", kind="moment"),
    )
    return ListPage(
        title="Cases",
        lead="What can't go on, by cause. Mend the cause, then try again everything it holds.",
        columns=columns,
        rows=tuple(row for one in found for row in _cause_rows(visit, one)),
        empty=Empty(
            title="Nothing stands still",
            detail="Every fact was derived and every document goes its way.",
            good=True,
        ),
        export="causes",
        same_as=SameAs(command=f"revline cases list --tenant {visit.tenant_id}", call="GET /v1/causes"),
    )


def _cause_rows(visit: Visit, one: CauseSummary) -> tuple[Row, ...]:
    """A row for each currency at risk, so that amounts stay amounts in an export."""
    href = visit.url("cause", cause=one.cause_id)
    risks = one.at_risk or (None,)
    return tuple(
        Row(
            cells=(
                Text(text=one.title, hint=one.remedy),
                Text(text=one.connection or "–"),
                Code(text=one.field),
                Count(number=one.cases, href=href),
                Money(amount=None if risk is None else risk.amount, currency="" if risk is None else risk.currency),
                Moment(at=one.oldest, ago=True),
            ),
            href=href,
        )
        for risk in risks
    )


def cause(visit: Visit) -> Answer:
    """The cases of one cause, with the button that tries them all again."""
    identity = visit.parameters["cause"]
    state = visit.filter("state", among=tuple(word for word, _ in STATES), default="open")
    with visit.read() as connection:
        summary = _summary(connection, visit.tenant_id, identity)
        found = queries.cases(
            connection,
            tenant_id=visit.tenant_id,
            cause_id=identity,
            state=state,
            after=visit.after_text(),
            limit=visit.limit + 1,
        )
        subjects = [one.subject_id for one in found if one.subject_kind == DOCUMENT]
        documents = deliveries.deliveries_by_id(connection, tenant_id=visit.tenant_id, document_ids=subjects)
        if summary is None and not found:
            ever = queries.cases(connection, tenant_id=visit.tenant_id, cause_id=identity, state="", limit=1)
            if not ever:
                raise ProblemError(problem("console.not_found", "there is no such cause"))
    return ListPage(
        title=summary.title if summary else "Cause",
        lead=summary.remedy if summary else "No open case of this cause is left.",
        columns=CASE_COLUMNS,
        rows=tuple(_case_row(visit, one, documents.get(one.subject_id)) for one in found),
        empty=Empty(title="No open case of this cause", detail="Everything it held went on.", good=True),
        filters=(Filter(name="state", label="State", value=visit.filter("state"), choices=STATES),),
        export="cases",
        same_as=SameAs(
            command=f"revline cases retry {identity} --tenant {visit.tenant_id}",
            call=f"POST /v1/causes/{identity}/retry",
        ),
        template="cause.html",
        values={"summary": summary, "identity": identity},
        trail=(("Cases", visit.url("cases")),),
    )


def _summary(connection: Connection, tenant_id: str, identity: str) -> CauseSummary | None:
    return next(iter(queries.causes(connection, tenant_id=tenant_id, cause_id=identity)), None)


def _case_row(visit: Visit, one: Case, document: Delivery | None) -> Row:
    named = one.subject_kind if document is None else document.kind
    return Row(
        cells=(
            Text(text=named.replace("_", " ").capitalize(), hint=one.detail),
            Code(text=one.subject_id if document is None else document.external_reference),
            Text(text="" if document is None else document.entity),
            Moment(at=None if document is None else document.accounting_date),
            Money(amount=one.amount, currency=one.currency),
            Count(number=one.behind, href=visit.url("case_behind", case=one.case_id) if one.behind else ""),
            State(word=one.state if one.state != "open" else one.case_class),
            Moment(at=one.opened_at, ago=True),
        ),
        place=(one.case_id,),
        href=visit.url("case", case=one.case_id),
        key=one.case_id,
    )


def case(visit: Visit) -> Answer:
    """One case: why, what was sent and answered, by which rule, what it rests on, and what can be done."""
    view = _view(visit)
    values: dict[str, Any] = {
        "view": view,
        "open": view.case.state == "open",
        "attempts": [] if view.document is None else shown_attempts(view.document.attempts),
        "facts": [
            {
                "fact": fact,
                "mend": visit.url("correction", kind="fact", subject=fact.fact_id),
                "trace": visit.url("trace", id=fact.fact_id),
            }
            for fact in view.facts
        ],
        "kept": [
            {"one": one, "mend": visit.url("correction", kind=one.subject_kind, subject=one.subject_id)}
            for one in view.correctable
            if one.subject_kind == "input"
        ],
        "wait_said": wait_said,
        "alike": [(one, visit.url("case", case=one.case_id)) for one in view.alike],
        "content": "" if view.document is None else pretty(canonical_bytes(view.document.document.content)),
        "same": SameAs(
            command=f"revline cases show {view.case.case_id} --tenant {visit.tenant_id}",
            call=f"GET /v1/cases/{view.case.case_id}",
        ),
    }
    trail = (
        ("Cases", visit.url("cases")),
        (view.title, visit.url("cause", cause=view.case.cause_id)),
    )
    return View(template="case.html", title="Case", values=values, trail=trail)


def _view(visit: Visit) -> CaseView:
    with visit.read() as connection:
        found = case_view(connection, tenant_id=visit.tenant_id, case_id=visit.parameters["case"])
    if found is None:
        raise ProblemError(problem("console.not_found", "there is no such case"))
    return found


def retry_cause(visit: Visit) -> Answer:
    """Try every open case of a cause again; many, by an act whose page says how far it is."""
    identity = visit.parameters["cause"]
    answer = bulk.retry_cause(
        visit.services, tenant_id=visit.tenant_id, cause_id=identity, actor=visit.actor, reason=visit.reason()
    )
    if isinstance(answer, Problem):
        return answer
    if isinstance(answer, bulk.Tried):
        return Redirect(to=visit.url("act", act=answer.act_id), said=f"{answer.asked} records are tried again.")
    said = f"{answer.started} of {answer.asked} records set going. Their cases close as they go on."
    return Redirect(to=visit.url("cause", cause=identity), said=said)


def retry_case(visit: Visit) -> Answer:
    """Try one case again."""
    answer = case_service.retry(
        visit.services.database,
        handlers=visit.services.retry_handlers,
        tenant_id=visit.tenant_id,
        actor=visit.actor,
        reason=visit.reason(),
        case_id=visit.parameters["case"],
    )
    if isinstance(answer, Problem):
        return answer
    said = "It was set going. The case closes when it goes on." if answer.started else "It is not in a state for that."
    return Redirect(
        to=visit.url("case", case=visit.parameters["case"]), said=said, tone="good" if answer.started else "warn"
    )


def waive_case(visit: Visit) -> Answer:
    """Decide that nothing is to be done; of a document, that it needs no effect or has it already."""
    view, reason = _view(visit), visit.reason()
    shared: dict[str, Any] = {
        "tenant_id": visit.tenant_id,
        "actor": visit.actor,
        "reason": reason,
        "recorded_at": visit.now,
    }
    refused: Problem | None
    if view.case.subject_kind == DOCUMENT:
        refused = acts.waive(visit.services.database, document_id=view.case.subject_id, **shared)
    else:
        told = visit.services.told_of_cases
        done = case_service.waive(visit.services.database, case_id=view.case.case_id, told=told, **shared)
        refused = done if isinstance(done, Problem) else None
    return refused or Redirect(
        to=visit.url("case", case=view.case.case_id), said="Waived. It opens again when what it says changes."
    )


PAGES: Final = (
    Page(path="/cases", name="cases", title="Cases", answer=causes, icon="circle-alert", group=Group.WORK, key="c"),
    Page(path="/causes/{cause:str}", name="cause", title="Cause", answer=cause),
    Page(
        path="/causes/{cause:str}/retry",
        name="retry_cause",
        title="Try again",
        answer=retry_cause,
        permission=Permission.RESOLVE,
        method="POST",
    ),
    Page(path="/cases/{case:str}", name="case", title="Case", answer=case),
    Page(
        path="/cases/{case:str}/retry",
        name="retry_case",
        title="Try again",
        answer=retry_case,
        permission=Permission.RESOLVE,
        method="POST",
    ),
    Page(
        path="/cases/{case:str}/waive",
        name="waive_case",
        title="Waive",
        answer=waive_case,
        permission=Permission.WAIVE,
        method="POST",
    ),
)
