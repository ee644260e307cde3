"""`revline users`: people who may log in to the console, and their roles. The first administrator is made here."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.cli.context import JsonOption, ReasonOption, actor, one_tenant, services_of
from revline.doors.cli.output import emit_json, emit_rows, fail, say
from revline.doors.services import Services
from revline.platform.access.people import Person
from revline.platform.access.roles import PERSON_ROLES, Role
from revline.platform.access.tables import EVERY_TENANT

PASSWORD_BYTES_MAX: Final = 1_000
EmailArgument = Annotated[str, typer.Argument(help="The person's e-mail.")]
RoleOption = Annotated[Role, typer.Option("--role", help="administrator, operator, finance or auditor.")]
PlaceOption = Annotated[
    str, typer.Option("--tenant", envvar="REVLINE_TENANT", help="The tenant; `*` for every one, also later ones.")
]
StdinOption = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")]

define(
    code="cli.password_missing",
    title="No password was given",
    status=400,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Answer the prompt, or give the password on stdin with --password-stdin; it is never an argument.",
)


def user_commands() -> typer.Typer:
    """The `users` commands."""
    app = typer.Typer(no_args_is_help=True, help="People who may log in to the console, and their roles.")

    @app.command()
    def add(
        context: typer.Context,
        email: EmailArgument,
        name: Annotated[str, typer.Option("--name", help="How pages call them.")],
        role: RoleOption = Role.AUDITOR,
        tenant: PlaceOption = "",
        password_stdin: StdinOption = False,
        no_password: Annotated[
            bool, typer.Option("--no-password", help="They come in through the identity provider only.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Add a person with a first role. The password comes from a prompt or stdin."""
        with services_of(context, as_json=as_json) as services:
            place = _place(services, tenant, as_json=as_json)
            _fit(role, as_json=as_json)
            password = "" if no_password else _password(from_stdin=password_stdin, as_json=as_json)
            made = services.people.add(email=email, name=name, password=password, actor=actor())
            if isinstance(made, Problem):
                fail(made, as_json=as_json)
            refused = services.people.grant(person_id=made.person_id, tenant_id=place, role=role, actor=actor())
            if refused is not None:
                fail(refused, as_json=as_json)
        if as_json:
            emit_json({"person_id": made.person_id, "email": made.email, "role": role, "tenant": place})
        else:
            say(f"{made.name} <{made.email}> may log in as {role.value} of {_named(place)}")

    @app.command(name="list")
    def list_people(context: typer.Context, as_json: JsonOption = False) -> None:
        """Everybody, with their roles."""
        with services_of(context, as_json=as_json) as services:
            found = services.people.people()
        rows = [
            {
                "email": one.email,
                "name": one.name,
                "roles": ", ".join(
                    f"{role}@{place}" for place, roles in sorted(one.grants.items()) for role in sorted(roles)
                ),
                "comes_in_by": " and ".join(
                    way for way, there in (("provider", one.by_provider), ("password", one.has_password)) if there
                ),
                "disabled_at": one.disabled_at,
                "seen_at": one.seen_at,
            }
            for one in found
        ]
        columns = ["email", "name", "roles", "comes_in_by", "disabled_at", "seen_at"]
        empty = "Nobody yet: revline users add EMAIL --name NAME --role administrator --tenant '*'."
        emit_rows(rows, columns=columns, as_json=as_json, empty=empty)

    _add_grants(app)
    _add_ending(app)
    return app


def _add_grants(app: typer.Typer) -> None:
    @app.command()
    def grant(
        context: typer.Context,
        email: EmailArgument,
        role: RoleOption,
        reason: ReasonOption,
        tenant: PlaceOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Give a person a role in a tenant."""
        with services_of(context, as_json=as_json) as services:
            place = _place(services, tenant, as_json=as_json)
            person = _person(services, email, as_json=as_json)
            refused = services.people.grant(
                person_id=person.person_id, tenant_id=place, role=role, actor=actor(), reason=reason
            )
            if refused is not None:
                fail(refused, as_json=as_json)
        said = {"email": person.email, "role": role, "tenant": place, "granted": True}
        emit_json(said) if as_json else say(f"{person.name} is {role.value} of {_named(place)}")

    @app.command()
    def revoke(
        context: typer.Context,
        email: EmailArgument,
        role: RoleOption,
        reason: ReasonOption,
        tenant: PlaceOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Take a role, at once."""
        with services_of(context, as_json=as_json) as services:
            place = _place(services, tenant, as_json=as_json)
            person = _person(services, email, as_json=as_json)
            taken = services.people.revoke(
                person_id=person.person_id, tenant_id=place, role=role, actor=actor(), reason=reason
            )
        said = {"email": person.email, "role": role, "tenant": place, "revoked": taken}
        emit_json(said) if as_json else say(
            f"{person.name} is no longer {role.value} of {_named(place)}" if taken else "they did not have this role"
        )


def _add_ending(app: typer.Typer) -> None:
    @app.command()
    def disable(
        context: typer.Context,
        email: EmailArgument,
        reason: ReasonOption,
        enable: Annotated[bool, typer.Option("--enable", help="Let them in again.")] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Let a person in no longer; every session of theirs ends at once."""
        with services_of(context, as_json=as_json) as services:
            person = _person(services, email, as_json=as_json)
            services.people.disable(person_id=person.person_id, actor=actor(), reason=reason, disabled=not enable)
        word = "enabled" if enable else "disabled"
        emit_json({"email": person.email, word: True}) if as_json else say(f"{person.name} is {word}")

    @app.command(name="reset-password")
    def reset_password(
        context: typer.Context,
        email: EmailArgument,
        password_stdin: StdinOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Set a new password from a prompt or stdin; every session of theirs ends."""
        with services_of(context, as_json=as_json) as services:
            person = _person(services, email, as_json=as_json)
            password = _password(from_stdin=password_stdin, as_json=as_json)
            refused = services.people.set_password(person_id=person.person_id, password=password, actor=actor())
            if refused is not None:
                fail(refused, as_json=as_json)
        emit_json({"email": person.email, "reset": True}) if as_json else say(f"{person.name} has a new password")


def _place(services: Services, tenant: str, *, as_json: bool) -> str:
    return EVERY_TENANT if tenant == EVERY_TENANT else one_tenant(services, tenant, as_json=as_json)


def _named(place: str) -> str:
    return "every tenant" if place == EVERY_TENANT else place


def _fit(role: Role, *, as_json: bool) -> None:
    if role not in PERSON_ROLES:
        fail(problem("access.role_unfit", f"{role.value} is a role of keys, not of people"), as_json=as_json)


def _person(services: Services, email: str, *, as_json: bool) -> Person:  # noqa: RET503 - fail() does not return
    found = services.people.find(email=email)
    if found is not None:
        return found
    fail(problem("person.unknown", f"nobody has the e-mail {email[:100]!r}"), as_json=as_json)


def _password(*, from_stdin: bool, as_json: bool) -> str:
    """A password nobody sees: from stdin, or asked for twice."""
    if from_stdin:
        text = sys.stdin.readline(PASSWORD_BYTES_MAX).rstrip("\r\n")
    elif sys.stdin.isatty():
        text = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    else:
        text = ""
    if not text:
        fail(problem("cli.password_missing", "no password came"), as_json=as_json)
    return text
