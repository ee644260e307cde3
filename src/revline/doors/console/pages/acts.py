"""Acts on many records: preview one, start it, watch how far it is, stop it; a second person starts what is worth much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from revline.core.problem import Problem, ProblemError, problem
from revline.doors import bulk
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
from revline.platform.access.roles import Permission
from revline.platform.bulk import queries
from revline.platform.bulk.values import ENDED, BulkAct, BulkItem, BulkState

STATES: Final = tuple((one.value, one.value.capitalize()) for one in BulkState)
OUTCOMES: Final = (("none", "Not yet"), ("done", "Done"), ("refused", "Refused"), ("failed", "Failed"))
LOOKS: Final = {"none": "not_yet", "done": "acted", "refused": "declined", "failed": "failed"}
ITEM_COLUMNS: Final = (
    Column(key="number", title="No.", kind="count"),
    Column(key="record", title="Record"),
    Column(key="id", title="Id", kind="code"),
    Column(key="amount", title="Amount", kind="money"),
    Column(key="outcome", title="Outcome", kind="state"),
    Column(key="why", title="Why not", wide=True),
    Column(key="code", title="Problem", kind="code"),
    Column(key="at", title="When", kind="moment"),
)
FILTERS: Final = ("behind", "cause", "connection", "entity", "kind", "problem", "state")
FILTER_PREFIX: Final = "of_"


def acts(visit: Visit) -> Answer:
    """Acts, the newest first."""
    state = visit.filter("state", among=tuple(word for word, _ in STATES))
    with visit.read() as connection:
        found = queries.acts(
            connection, tenant_id=visit.tenant_id, state=state, before=visit.after_text(), limit=visit.limit + 1
        )
    columns = (
        Column(key="act", title="Act"),
        Column(key="state", title="State", kind="state"),
        Column(key="reason", title="Why", wide=True),
        Column(key="records", title="Records", kind="count"),
        Column(key="done", title="Done", kind="count"),
        Column(key="refused", title="Refused", kind="count"),
        Column(key="failed", title="Failed", kind="count"),
        Column(key="author", title="By"),
        Column(key="at", title="Frozen", kind="moment"),
    )
    return ListPage(
        title="Acts",
        lead="What people did to many records at once. The set is frozen first; workers go through it in small batches.",
        columns=columns,
        rows=tuple(_row(visit, one) for one in found),
        empty=Empty(
            title="No act on many records yet",
            detail="Choose deliveries or a cause, and act on all of them at once.",
            icon="square-check-big",
            action=("Deliveries", visit.url("deliveries")),
        ),
        filters=(Filter(name="state", label="State", value=state, choices=STATES),),
        export="acts",
        same_as=SameAs(command=f"revline acts list --tenant {visit.tenant_id}", call="GET /v1/acts"),
    )


def _row(visit: Visit, one: BulkAct) -> Row:
    href = visit.url("act", act=one.act_id)
    return Row(
        cells=(
            Text(text=bulk.WORDS.get(one.kind, one.kind), hint=_said(one.filter)),
            State(word=one.state),
            Text(text=one.reason),
            Count(number=one.records),
            Count(number=one.done),
            Count(number=one.refused, href=visit.url("act", act=one.act_id, outcome="refused")),
            Count(number=one.failed, href=visit.url("act", act=one.act_id, outcome="failed")),
            Text(text=one.author),
            Moment(at=one.frozen_at, ago=True),
        ),
        place=(one.act_id,),
        href=href,
        key=one.act_id,
    )


def act(visit: Visit) -> Answer:
    """One act: how far it is, what it was refused for, and how to stop it. The bar comes anew until it has ended."""
    found = _found(visit)
    outcome = visit.filter("outcome", among=tuple(word for word, _ in OUTCOMES))
    with visit.read() as connection:
        items = queries.items(
            connection,
            tenant_id=visit.tenant_id,
            act_id=found.act_id,
            outcome=outcome,
            after=int(visit.after[0]) if visit.after else 0,
            limit=visit.limit + 1,
        )
    return ListPage(
        title=f"{bulk.WORDS.get(found.kind, found.kind)}: {found.records} records",
        lead=found.reason,
        columns=ITEM_COLUMNS,
        rows=tuple(_item(visit, one) for one in items),
        empty=Empty(
            title="The records of this act are no longer kept",
            detail="How many there were and who did it stays; what was done is in the records' own histories.",
            icon="history",
        ),
        filters=(Filter(name="outcome", label="Outcome", value=outcome, choices=OUTCOMES),),
        export=f"act-{found.kind}",
        same_as=SameAs(
            command=f"revline acts show {found.act_id} --tenant {visit.tenant_id}", call=f"GET /v1/acts/{found.act_id}"
        ),
        template="bulk_act.html",
        values={
            "act": found,
            "own": found.author == visit.actor,
            "names": {one.actor: one.name for one in visit.services.people.people(tenant_id=visit.tenant_id)},
            "ended": found.state in ENDED,
            "said": _said(found.filter),
            "permission": bulk.permission_of(found.kind).value,
            "here": visit.url("act", act=found.act_id, outcome=outcome),
        },
        trail=(("Acts", visit.url("acts")),),
    )


def _item(visit: Visit, one: BulkItem) -> Row:
    document = one.subject_kind == "document"
    return Row(
        cells=(
            Count(number=one.number),
            Text(text=one.subject_kind.replace("_", " ").capitalize()),
            Code(text=one.subject_id),
            Money(amount=one.amount if one.currency else None, currency=one.currency),
            State(word=LOOKS[one.outcome]),
            Text(text=one.problem_detail),
            Code(text=one.problem_code),
            Moment(at=one.at),
        ),
        place=(one.number,),
        href=visit.url("delivery", document=one.subject_id) if document else visit.url("trace", id=one.subject_id),
        key=str(one.number),
    )


def new_act(visit: Visit) -> Answer:
    """What an act would touch; nothing is written until it is started."""
    kind = visit.filter("kind_of_act", among=bulk.KINDS, default="resend")
    given = {name: value for name in FILTERS if (value := visit.filter(FILTER_PREFIX + name))}
    preview = visit.services.bulk.preview(tenant_id=visit.tenant_id, kind=kind, given=given)
    values: dict[str, Any] = {
        "kind": kind,
        "words": bulk.WORDS,
        "given": given,
        "said": _said(given),
        "preview": None if isinstance(preview, Problem) else preview,
        "problem": preview if isinstance(preview, Problem) else None,
        "permission": bulk.permission_of(kind).value,
        "same": SameAs(
            command=" ".join(
                [f"revline acts start {kind} --tenant {visit.tenant_id}"]
                + [f"--filter {name}={value}" for name, value in given.items()]
            ),
            call="POST /v1/acts",
        ),
    }
    return View(template="bulk_new.html", title="Act on many", values=values, trail=(("Acts", visit.url("acts")),))


def start_act(visit: Visit) -> Answer:
    """Freeze the set and begin, when it is still the one that was shown."""
    kind = visit.field("kind_of_act")
    refused = bulk.forbidden(kind, visit.may)
    if refused is not None:
        return refused
    shown = visit.field("expected")
    made = visit.services.bulk.start(
        tenant_id=visit.tenant_id,
        kind=kind,
        given={name: value for name in FILTERS if (value := visit.field(FILTER_PREFIX + name))},
        actor=visit.actor,
        reason=visit.reason(),
        expected=int(shown) if shown.isascii() and shown.isdigit() and len(shown) < 9 else None,
    )
    if isinstance(made, Problem):
        return made
    said = "A second person must start it." if made.state is BulkState.PROPOSED else "Workers go through it now."
    return Redirect(to=visit.url("act", act=made.act_id), said=said)


def _stop(how: str, said: str) -> Callable[[Visit], Answer]:
    def answer(visit: Visit) -> Answer:
        done = bulk.stop(
            visit.services,
            tenant_id=visit.tenant_id,
            act_id=visit.parameters["act"],
            how=how,
            actor=visit.actor,
            reason=visit.reason(),
            may=visit.may,
        )
        if isinstance(done, Problem):
            return done
        return Redirect(to=visit.url("act", act=done.act_id), said=said.format(done=done.treated, all=done.records))

    return answer


def _found(visit: Visit) -> BulkAct:
    found = bulk.act_of(visit.services, tenant_id=visit.tenant_id, act_id=visit.parameters["act"])
    if isinstance(found, Problem):
        raise ProblemError(problem("console.not_found", "there is no such act"))
    return found


def _said(given: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in given.items()) or "everything it is open to"


STOPS: Final = (
    ("pause", "Pause", "Paused after {done} of {all}."),
    ("resume", "Resume", "Workers go on with it."),
    ("abort", "Abort", "Aborted: {done} of {all} have an outcome, the rest is untouched."),
    ("start", "Start", "Workers go through it now."),
    ("refuse", "Refuse", "Refused; nothing was done."),
)

PAGES: Final = (
    Page(path="/acts", name="acts", title="Acts", answer=acts, icon="square-check-big", group=Group.WORK, key="b"),
    Page(path="/acts/new", name="new_act", title="Act on many", answer=new_act),
    Page(
        path="/acts/start",
        name="freeze_act",
        title="Act on many",
        answer=start_act,
        permission=Permission.RESOLVE,
        method="POST",
    ),
    Page(path="/acts/{act:str}", name="act", title="Act", answer=act),
    *(
        Page(
            path=f"/acts/{{act:str}}/{how}",
            name=f"{how}_act",
            title=title,
            answer=_stop(how, said),
            permission=Permission.RESOLVE,
            method="POST",
        )
        for how, title, said in STOPS
    ),
)
