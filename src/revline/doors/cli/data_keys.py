"""`revline keys rotate-data` and `revline keys rewrap`: the keys that a tenant's stored data is sealed under."""

from __future__ import annotations

from collections.abc import Callable

import typer

from revline.core.problem import Problem
from revline.doors.cli.context import JsonOption, ReasonOption, TenantOption, actor, one_tenant, services_of
from revline.doors.cli.output import emit_json, fail, say
from revline.platform.tenancy.stored_data_keys import StoredDataKeys


def add_data_keys(app: typer.Typer) -> None:
    """Adds the commands."""

    @app.command(name="rotate-data")
    def rotate_data(
        context: typer.Context, reason: ReasonOption, tenant: TenantOption = "", as_json: JsonOption = False
    ) -> None:
        """Make a tenant's next data key; what is stored from then on is sealed under it. Older data stays readable."""
        chosen, number = _act(
            context, tenant, as_json, lambda keys, who: keys.rotate(tenant_id=who, actor=actor(), reason=reason)
        )
        if as_json:
            emit_json({"tenant": chosen, "data_key": number})
        else:
            say(f"data key {number} of {chosen} is current; running processes use it within a minute")

    @app.command()
    def rewrap(
        context: typer.Context, reason: ReasonOption, tenant: TenantOption = "", as_json: JsonOption = False
    ) -> None:
        """Wrap a tenant's data keys under the present key-encryption key, so that an older one can go."""
        chosen, count = _act(
            context, tenant, as_json, lambda keys, who: keys.rewrap(tenant_id=who, actor=actor(), reason=reason)
        )
        if as_json:
            emit_json({"tenant": chosen, "rewrapped": count})
        else:
            say(f"{count} keys of {chosen} were wrapped anew")


def _act(
    context: typer.Context, tenant: str, as_json: bool, work: Callable[[StoredDataKeys, str], int | Problem]
) -> tuple[str, int]:
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        keys = services.data_keys()
        if isinstance(keys, Problem):
            fail(keys, as_json=as_json)
        done = work(keys, chosen)
        keys.close()
        if isinstance(done, Problem):
            fail(done, as_json=as_json)
    return chosen, done
