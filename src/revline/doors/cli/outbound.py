"""`revline webhooks list | replay | test`: messages to endpoints of others."""

from __future__ import annotations

from typing import Annotated

import typer

from revline.core.documents import DocumentState
from revline.core.hashing import plain
from revline.core.problem import Problem
from revline.doors.cli.context import (
    JsonOption,
    LimitOption,
    ReasonOption,
    TenantOption,
    actor,
    one_tenant,
    services_of,
)
from revline.doors.cli.output import emit_json, emit_rows, fail, say


def add_outbound(app: typer.Typer) -> typer.Typer:
    """Add the commands on outbound messages to the `webhooks` commands."""

    @app.command(name="list")
    def list_messages(
        context: typer.Context,
        tenant: TenantOption = "",
        state: Annotated[DocumentState | None, typer.Option("--state", help="Only messages in this state.")] = None,
        after: Annotated[str, typer.Option("--after", help="Go on after this place, as the last line shows it.")] = "",
        limit: LimitOption = 50,
        as_json: JsonOption = False,
    ) -> None:
        """Messages to endpoints, oldest first."""
        position, _, ordinal = after.partition(".")
        if after and not (position.isdecimal() and ordinal.isdecimal()):
            raise typer.BadParameter("a place is POSITION.ORDINAL", param_hint="--after")
        with services_of(context, as_json=as_json) as services:
            found = services.outbound.page(
                tenant_id=one_tenant(services, tenant, as_json=as_json),
                state=state.value if state else "",
                after=(int(position), int(ordinal)) if after else (0, 0),
                limit=limit,
            )
        rows = [{**plain(one), "place": f"{at[0]}.{at[1]}"} for one, at in found]
        columns = ["id", "type", "endpoint", "state", "attempts", "message_id", "problem_detail", "place"]
        emit_rows(rows, columns=columns, as_json=as_json, empty="No messages: configure a WebhookSubscription.")

    @app.command()
    def replay(
        context: typer.Context,
        delivery_id: Annotated[str, typer.Argument(help="The id of a message, as the list shows it.")],
        tenant: TenantOption = "",
        reason: ReasonOption = "replayed by hand",
        as_json: JsonOption = False,
    ) -> None:
        """Send a message again under its own webhook-id."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            found = services.outbound.replay(tenant_id=chosen, delivery_id=delivery_id, actor=actor(), reason=reason)
        if isinstance(found, Problem):
            fail(found, as_json=as_json)
        emit_json(found) if as_json else say(f"message {found.message_id} is on its way again as {found.id}")

    @app.command()
    def test(
        context: typer.Context,
        subscription: Annotated[str, typer.Argument(help="The name of a WebhookSubscription.")],
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Send a test message to a subscription's endpoint."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            found = services.outbound.test(tenant_id=chosen, subscription=subscription, actor=actor())
        if isinstance(found, Problem):
            fail(found, as_json=as_json)
        emit_json(found) if as_json else say(f"test message {found.message_id} is on its way; the worker sends it")

    return app
