"""Corrections: mend a copy of what a source sent, see what would change, take it; a second person decides what is large."""

from __future__ import annotations

import difflib
from typing import Any, Final

import msgspec

from revline.core.hashing import plain
from revline.core.problem import Problem, ProblemError, problem
from revline.derive.preview import RootPreview
from revline.doors.console.shown import masked
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
from revline.intake.correcting import Correction, Original, corrections, original_of
from revline.platform.access.roles import Permission

STATES: Final = (("proposed", "Proposed"), ("applied", "Applied"), ("refused", "Refused"))
KINDS: Final = ("fact", "input")
LINES_COMPARED_MAX: Final = 5_000
"""A comparison of many alike lines takes the square of their number."""


def corrections_list(visit: Visit) -> Answer:
    """Corrections, the newest first."""
    state = visit.filter("state", among=tuple(word for word, _ in STATES))
    with visit.read() as connection:
        found = corrections(connection, tenant_id=visit.tenant_id, state=state)
    columns = (
        Column(key="reason", title="Why", wide=True),
        Column(key="state", title="State", kind="state"),
        Column(key="amount", title="Worth", kind="money"),
        Column(key="subject", title="Corrects", kind="code"),
        Column(key="author", title="By"),
        Column(key="decided", title="Decided by"),
        Column(key="at", title="Proposed", kind="moment"),
    )
    return ListPage(
        title="Corrections",
        lead="Copies that people mended. The originals stay as they came.",
        columns=columns,
        rows=tuple(_row(visit, one) for one in found),
        empty=Empty(
            title="No correction yet",
            detail="A case offers to mend a copy of what it rests on; mending the mapping is better where that is the cause.",
            icon="replace",
        ),
        filters=(Filter(name="state", label="State", value=state, choices=STATES),),
        export="corrections",
        same_as=SameAs(command=f"revline corrections list --tenant {visit.tenant_id}", call="POST /v1/corrections"),
    )


def _row(visit: Visit, one: Correction) -> Row:
    return Row(
        cells=(
            Text(text=one.reason),
            State(word=one.state),
            Money(amount=one.amount if one.currency else None, currency=one.currency),
            Code(text=one.subject_id, hint=one.subject_kind),
            Text(text=one.author),
            Text(text=one.decided_by),
            Moment(at=one.proposed_at, ago=True),
        ),
        href=visit.url("proposal", correction=one.correction_id),
    )


def correction(visit: Visit) -> Answer:
    """The editor: the original as text, to be changed."""
    original = _original(visit)
    return _editor(visit, original, text=_text(original.body), checked=None)


def check(visit: Visit) -> Answer:
    """What the changed copy would say, beside the original; nothing is written."""
    original, text = _original(visit), visit.field("body")
    drafted = visit.services.corrections.draft(
        tenant_id=visit.tenant_id,
        subject_kind=original.subject_kind,
        subject_id=original.subject_id,
        body=text.encode(),
    )
    return _editor(visit, original, text=text, checked=drafted)


def _editor(visit: Visit, original: Original, *, text: str, checked: Any) -> Answer:
    before, problem_found, facts = _text(original.body), None, []
    previews: tuple[RootPreview, ...] | Problem = ()
    second = False
    if isinstance(checked, Problem):
        problem_found = checked
    elif checked is not None:
        facts = [
            {"source": one.source, "event_type": one.event_type, "snapshot": _snapshot(one.snapshot)}
            for one in checked.facts
        ]
        second = checked.second_person
        previews = visit.services.answers.questions.journal(tenant_id=visit.tenant_id, given=checked.facts)
    values: dict[str, Any] = {
        "original": original,
        "text": text,
        "changes": _changes(before, text),
        "checked": checked is not None and problem_found is None,
        "found": problem_found,
        "previews": () if isinstance(previews, Problem) else previews,
        "unseen": previews if isinstance(previews, Problem) else None,
        "facts": facts,
        "second_person": second,
        "value": None if problem_found or checked is None else checked.value,
        "before": None if original.fact is None else _snapshot(original.fact.translated.snapshot),
        "same": SameAs(
            command=f"revline corrections propose {original.subject_id} FILE --reason WHY --tenant {visit.tenant_id}",
            call="POST /v1/corrections",
        ),
    }
    return View(
        template="correction.html",
        title="Mend a copy",
        values=values,
        status=422 if problem_found else 200,
        trail=(("Corrections", visit.url("corrections")),),
    )


def propose(visit: Visit) -> Answer:
    """Take the changed copy."""
    original = _original(visit)
    made = visit.services.corrections.propose(
        tenant_id=visit.tenant_id,
        subject_kind=original.subject_kind,
        subject_id=original.subject_id,
        body=visit.field("body").encode(),
        actor=visit.actor,
        reason=visit.reason(),
    )
    if isinstance(made, Problem):
        return _editor(visit, original, text=visit.field("body"), checked=made)
    waits = made.state == "proposed"
    said = "Proposed. Somebody other than you must apply it." if waits else "Taken. The books follow in a moment."
    to = visit.url("proposal", correction=made.correction_id)
    return Redirect(to=to, said=said, tone="warn" if waits else "good")


def proposal(visit: Visit) -> Answer:
    """One correction with what it changed, and the decision of a second person."""
    one = _correction(visit)
    with visit.read() as connection:
        original = original_of(
            connection, tenant_id=visit.tenant_id, subject_kind=one.subject_kind, subject_id=one.subject_id
        )
        copy = visit.services.corrections.copy_of(connection, tenant_id=visit.tenant_id, correction=one)
    before = _text(original.body) if original else ""
    # Whole texts are compared, so that what is cut does not look as if it were taken away; each line is masked then.
    changes = [(kind, masked(line)) for kind, line in _changes(before, _text(copy))] if copy else []
    values = {
        "one": one,
        "changes": changes,
        "own": one.author == visit.actor,
        "fact": visit.url("trace", id=one.fact_id) if one.fact_id else "",
        "corrects": visit.url("trace", id=one.subject_id),
        "same": SameAs(
            command=f"revline corrections apply {one.correction_id} --reason WHY --tenant {visit.tenant_id}",
            call=f"POST /v1/corrections/{one.correction_id}/decision",
        ),
    }
    trail = (("Corrections", visit.url("corrections")),)
    return View(template="proposal.html", title="Correction", values=values, trail=trail)


def apply(visit: Visit) -> Answer:
    """As the second person: apply it."""
    return _decided(visit, apply_it=True)


def refuse(visit: Visit) -> Answer:
    """As the second person: refuse it."""
    return _decided(visit, apply_it=False)


def _decided(visit: Visit, *, apply_it: bool) -> Answer:
    made = visit.services.corrections.decide(
        tenant_id=visit.tenant_id,
        correction_id=visit.parameters["correction"],
        apply=apply_it,
        actor=visit.actor,
        reason=visit.reason(),
    )
    if isinstance(made, Problem):
        return made
    to = visit.url("proposal", correction=made.correction_id)
    return Redirect(to=to, said="Applied." if apply_it else "Refused.")


def _original(visit: Visit) -> Original:
    kind = visit.parameters["kind"]
    with visit.read() as connection:
        found = (
            original_of(
                connection, tenant_id=visit.tenant_id, subject_kind=kind, subject_id=visit.parameters["subject"]
            )
            if kind in KINDS
            else None
        )
    if found is None:
        raise ProblemError(
            problem("console.not_found", "there is nothing to mend by this id, or its bytes were erased")
        )
    return found


def _correction(visit: Visit) -> Correction:
    with visit.read() as connection:
        found = corrections(connection, tenant_id=visit.tenant_id, correction_id=visit.parameters["correction"])
    if not found:
        raise ProblemError(problem("console.not_found", "there is no such correction"))
    return found[0]


def _text(body: bytes) -> str:
    """A body laid out, whole: what is masked or cut could not be sent back."""
    try:
        return msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")


def _snapshot(snapshot: msgspec.Struct) -> str:
    return masked(msgspec.json.format(msgspec.json.encode(plain(snapshot)), indent=2).decode())


def _changes(before: str, after: str) -> list[tuple[str, str]]:
    """Lines of a unified difference: (kind, text), kind of add, drop, place or same."""
    kinds = {"+": "add", "-": "drop", "@": "place"}
    old, new = before.splitlines()[:LINES_COMPARED_MAX], after.splitlines()[:LINES_COMPARED_MAX]
    lines = list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]
    return [(kinds.get(line[:1], "same"), line) for line in lines]


def _page(path: str, name: str, title: str, answer: Any, method: Any = "GET") -> Page:
    permission = Permission.RESOLVE if method == "POST" else Permission.READ
    return Page(path=path, name=name, title=title, answer=answer, method=method, permission=permission)


PAGES: Final = (
    Page(
        path="/corrections",
        name="corrections",
        title="Corrections",
        answer=corrections_list,
        icon="replace",
        group=Group.WORK,
        key="m",
    ),
    # What is to be sent back can't be masked, so it is for those who may send it.
    Page(
        path="/mend/{kind:str}/{subject:str}",
        name="correction",
        title="Mend a copy",
        answer=correction,
        permission=Permission.RESOLVE,
    ),
    _page("/mend/{kind:str}/{subject:str}/check", "check_correction", "Mend a copy", check, "POST"),
    _page("/mend/{kind:str}/{subject:str}/propose", "propose_correction", "Mend a copy", propose, "POST"),
    _page("/corrections/{correction:str}", "proposal", "Correction", proposal),
    _page("/corrections/{correction:str}/apply", "apply_correction", "Apply", apply, "POST"),
    _page("/corrections/{correction:str}/refuse", "refuse_correction", "Refuse", refuse, "POST"),
)
