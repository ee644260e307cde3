"""Messages to endpoints of others: what was told to whom, what came of it, and telling it again under the same message id."""

from __future__ import annotations

from typing import Final

from revline.core.documents import DocumentState
from revline.core.problem import Problem
from revline.doors.console.states import look
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
    Page,
    Redirect,
    Row,
    SameAs,
    State,
    Text,
    Visit,
)
from revline.platform.access.roles import Permission

CHOSEN_MAX: Final = 100
COLUMNS: Final = (
    Column(key="message", title="Message", kind="code"),
    Column(key="type", title="Type"),
    Column(key="about", title="About", wide=True),
    Column(key="endpoint", title="Endpoint"),
    Column(key="state", title="State", kind="state"),
    Column(key="attempts", title="Attempts", kind="count"),
    Column(key="due", title="Next try", kind="moment"),
    Column(key="changed", title="Since", kind="moment"),
)


def webhooks(visit: Visit) -> Answer:
    """Every message, oldest first."""
    state = visit.filter("state", among=tuple(DocumentState))
    found = visit.services.outbound.page(
        tenant_id=visit.tenant_id, state=state, after=visit.after_numbers(), limit=visit.limit + 1
    )
    rows = tuple(
        Row(
            cells=(
                Code(text=one.message_id),
                Text(text=one.type, tag=True),
                Text(text=" · ".join(value for _, value in sorted(one.about.items()) if value)),
                Text(text=one.endpoint),
                State(word=one.state, hint=one.problem_detail),
                Count(number=one.attempts),
                Moment(at=one.due_at),
                Moment(at=one.changed_at),
            ),
            place=place,
            href=visit.url("delivery", document=one.id),
            key=one.id,
        )
        for one, place in found
    )
    return ListPage(
        title="Webhooks",
        lead="What endpoints were told of what became of their objects. A replay has the same message id, byte for byte.",
        columns=COLUMNS,
        rows=rows,
        filters=(
            Filter(
                name="state",
                label="State",
                value=state,
                choices=tuple((one.value, look(one.value).word) for one in DocumentState),
            ),
        ),
        empty=Empty(
            title="Nobody is told anything yet",
            detail="A WebhookSubscription of the configuration names an endpoint and the types it hears of.",
            icon="webhook",
        ),
        export="webhooks",
        same_as=SameAs(call="GET /v1/webhook-deliveries" + (f"?state={state}" if state else "")),
        template="webhooks.html",
    )


def replay(visit: Visit) -> Answer:
    """Tell the chosen messages again."""
    chosen, reason = visit.fields("message")[:CHOSEN_MAX], visit.reason()
    refused: list[Problem] = []
    for one in chosen:
        answer = visit.services.outbound.replay(
            tenant_id=visit.tenant_id, delivery_id=one[:60].replace("\0", ""), actor=visit.actor, reason=reason
        )
        if isinstance(answer, Problem):
            refused.append(answer)
    if refused:
        said = f"{len(chosen) - len(refused)} of {len(chosen)} are told again; {refused[0].detail}."
        return Redirect(to=visit.url("webhooks"), said=said, tone="warn")
    return Redirect(to=visit.url("webhooks"), said=f"{len(chosen)} told again.")


PAGES: Final = (
    Page(
        path="/webhooks", name="webhooks", title="Webhooks", answer=webhooks, icon="webhook", group=Group.WORK, key="w"
    ),
    Page(
        path="/webhooks/replay",
        name="replay_webhooks",
        title="",
        answer=replay,
        method="POST",
        permission=Permission.OPERATE,
    ),
)
