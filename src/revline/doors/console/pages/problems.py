"""The catalogue of problems: what each code means, who can mend it and how. The same for every tenant."""

from __future__ import annotations

from typing import Final

from revline.core.problem import CATALOGUE, Mender, ProblemError, Retryable, problem
from revline.doors.console.rendering import MENDERS
from revline.doors.console.values import (
    Answer,
    Code,
    Column,
    Empty,
    Filter,
    ListPage,
    Page,
    Row,
    Text,
    View,
    Visit,
)

RETRIES: Final = {
    Retryable.NO: "no",
    Retryable.YES: "yes, it may pass by itself",
    Retryable.AFTER_FIX: "after somebody mended it",
}


def problems(visit: Visit) -> Answer:
    """Every code."""
    wanted, mender = visit.filter("code"), visit.filter("mender", among=tuple(Mender))
    found = [one for code, one in sorted(CATALOGUE.items()) if wanted in code and (not mender or one.mender == mender)]
    rows = tuple(
        Row(
            cells=(
                Code(text=one.code),
                Text(text=one.title, hint=one.remedy),
                Text(text=MENDERS[one.mender]),
                Text(text=RETRIES[one.retryable]),
            ),
            place=(one.code,),
            href=visit.url("problem", code=one.code),
        )
        for one in found
        if one.code > visit.after_text()
    )
    columns = (
        Column(key="code", title="Code", kind="code"),
        Column(key="title", title="What it means", wide=True),
        Column(key="mender", title="Who can mend it"),
        Column(key="retry", title="Does trying again help"),
    )
    return ListPage(
        title="Problems",
        lead="Every code Revline may answer with or open a case for, and what to do about it.",
        columns=columns,
        rows=rows,
        filters=(
            Filter(name="code", label="Code", value=wanted),
            Filter(
                name="mender", label="Mended by", value=mender, choices=tuple((one, MENDERS[one]) for one in Mender)
            ),
        ),
        empty=Empty(title="No such code"),
        export="problems",
    )


def one_problem(visit: Visit) -> Answer:
    """One code."""
    found = CATALOGUE.get(visit.parameters["code"])
    if found is None:
        raise ProblemError(problem("console.not_found", "no problem has this code"))
    values = {"entry": found, "retry": RETRIES[found.retryable]}
    return View(template="problem_type.html", title=found.title, values=values, trail=(("Problems", "/problems"),))


PAGES: Final = (
    Page(path="/problems", name="problems", title="Problems", answer=problems, of_tenant=False),
    Page(path="/problems/{code:str}", name="problem", title="Problem", answer=one_problem, of_tenant=False),
)
