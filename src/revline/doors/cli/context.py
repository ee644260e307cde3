"""What the commands are given by app, and the options they share."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from revline.core.problem import Mender, Problem, ProblemError, Retryable, define, problem
from revline.doors.cli.output import fail
from revline.doors.services import Services
from revline.platform.store.failures import DatabaseFailure, problem_of
from revline.platform.tenancy.queries import active_tenants

if TYPE_CHECKING:
    from revline.doors.usage.ports import UsageRoom

define(
    code="cli.tenant_unclear",
    title="It is not clear which tenant is meant",
    status=400,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Give --tenant, or set REVLINE_TENANT.",
)


@dataclass(frozen=True, kw_only=True)
class Program:
    """What app gives the command line. Each callable builds what it needs when it is called, so `--help` needs no database.

    services: opens the services, or says why they can't be; usage: also where usage
    events are handed. up: starts the embedded database, migrates it, keeps it until
    a signal (unless told to end at once). worker, serve,
    usage_shard, usage_consume, usage_spread: run until a signal; they return the exit code.
    """

    services: Callable[[], Services | Problem]
    up: Callable[[bool], int]
    worker: Callable[[bool], int]
    serve: Callable[[], int]
    usage_shard: Callable[[Sequence[int], int | None], int]
    usage_consume: Callable[[str, str], int]
    usage_spread: Callable[[str, str, str], int]
    usage: Callable[[], tuple[Services, UsageRoom] | Problem]
    upgrade: Callable[[bool], Problem | str]
    demo: Callable[[Path, bool, bool], int]
    sim: Callable[[int, int, float, bool, bool], int]
    starter: Callable[[Path], tuple[str, ...] | Problem]


REASON_LENGTH_MAX: Final = 500


def a_reason(value: str) -> str:
    """A reason as every door takes one: some words, not too many."""
    if not value.strip() or len(value) > REASON_LENGTH_MAX:
        raise typer.BadParameter(f"say why, in 1 to {REASON_LENGTH_MAX} characters")
    return value


TenantOption = Annotated[
    str, typer.Option("--tenant", envvar="REVLINE_TENANT", help="The tenant; not needed when there is one.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of a table.")]
ReasonOption = Annotated[str, typer.Option("--reason", callback=a_reason, help="Why; kept in the audit chain.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1_000, help="Rows at the most.")]


@contextmanager
def services_of(context: typer.Context, *, as_json: bool = False) -> Iterator[Services]:
    """The services for one command; a problem from anywhere below ends it with its next step."""
    program: Program = context.obj
    made = program.services()
    if isinstance(made, Problem):
        fail(made, as_json=as_json)
    try:
        yield made
    except ProblemError as error:
        fail(error.problem, as_json=as_json)
    except DatabaseFailure as error:
        fail(problem_of(error), as_json=as_json)
    finally:
        made.close()


def one_tenant(services: Services, tenant: str, *, as_json: bool = False) -> str:  # noqa: RET503 - fail() does not return
    """The named tenant, or the only one there is."""
    with services.database.control() as connection:
        known = active_tenants(connection)
    if tenant in known:
        return tenant
    if not tenant and len(known) == 1:
        return known[0]
    names = ", ".join(known[:20]) or "none yet; apply a configuration first"
    said = f"there is no tenant {tenant[:60]!r}" if tenant else "no tenant was named"
    fail(problem("cli.tenant_unclear", f"{said}; tenants: {names}"), as_json=as_json)


def actor() -> str:
    """Who runs the command, for the audit chain."""
    try:
        return f"person:{getpass.getuser()}"
    except (KeyError, OSError):
        return "person:unknown"
