"""What a page is made of, as values: pages, visits, answers, and a list as data. Knows no template, no route and no SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal
from urllib.parse import urlencode

from sqlalchemy import Connection

from revline.core.problem import FieldError, Problem, ProblemError, problem
from revline.doors.services import Services
from revline.platform.access.people import Person
from revline.platform.access.roles import Permission, Role, roles_that_may
from revline.platform.access.sessions import Session

Key = tuple[str | int, ...]
ROWS_A_PAGE: Final = 50
FILTER_LENGTH_MAX: Final = 255
REASON_LENGTH_MAX: Final = 500


class Group(StrEnum):
    """A part of the navigation, in this order."""

    WORK = "Work"
    SETUP = "Setup"
    PROOF = "Proof"
    ACCESS = "Access"


@dataclass(frozen=True, kw_only=True)
class Text:
    """Words. href: where they lead. hint: shown small below or on hover. quiet: of less weight. tag: as a small label."""

    text: str
    href: str = ""
    hint: str = ""
    quiet: bool = False
    tag: bool = False


@dataclass(frozen=True, kw_only=True)
class Code:
    """An id or code: fixed width, cut in the middle on screen where long, whole in exports and on hover."""

    text: str
    href: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Money:
    """An amount with its currency; None: not known."""

    amount: Decimal | None
    currency: str
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A moment (aware) or a day; None: never. ago: shown as its distance from now, too."""

    at: datetime | date | None
    ago: bool = False


@dataclass(frozen=True, kw_only=True)
class State:
    """A word of `states.py`. hint: what it stands on."""

    word: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Count:
    """A number of things; a link to exactly those, where there is one."""

    number: int
    href: str = ""


Cell = Text | Code | Money | Moment | State | Count


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. kind decides its alignment and how exports write it. wide: takes the room that is left."""

    key: str
    title: str
    kind: Literal["text", "code", "money", "moment", "state", "count"] = "text"
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line. cells: in order of the columns. place: the cursor after it. href: where the row leads. key: its id, for
    actions on chosen rows."""

    cells: tuple[Cell, ...]
    place: Key = ()
    href: str = ""
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A filter held in the address. choices: (value, label); none: free text."""

    name: str
    label: str
    value: str = ""
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Empty:
    """What it means that there is nothing, and what to do. good: nothing is as it should be."""

    title: str
    detail: str = ""
    icon: str = "inbox"
    good: bool = False
    action: tuple[str, str] = ("", "")


@dataclass(frozen=True, kw_only=True)
class SameAs:
    """How the same is done elsewhere. command: of the command line. call: method and path of the API."""

    command: str = ""
    call: str = ""


@dataclass(frozen=True, kw_only=True)
class ListPage:
    """A list as data. rows: one more than the visit's limit says that there is a next page. lead: one sentence.

    export: the file's name without ending, "" for none. template: one that extends `list.html` to put something around it.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    empty: Empty
    lead: str = ""
    filters: tuple[Filter, ...] = ()
    export: str = ""
    same_as: SameAs = field(default_factory=SameAs)
    template: str = "list.html"
    values: Mapping[str, Any] = field(default_factory=dict)
    trail: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class View:
    """A template with what it shows."""

    template: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    trail: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Redirect:
    """Go there. said: told on the next page."""

    to: str
    said: str = ""
    tone: Literal["good", "warn", "bad", "info"] = "good"


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file."""

    name: str
    media_type: str
    body: bytes


Answer = ListPage | View | Redirect | Download | Problem


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page. path: after `/t/{tenant}` (of no tenant: from the root). group: its place in the navigation, None for none.

    key: the letter after `g` that leads there. of_tenant: False for pages of the installation, which name no tenant's business.
    """

    path: str
    name: str
    title: str
    answer: Callable[[Visit], Answer]
    icon: str = "file-text"
    group: Group | None = None
    key: str = ""
    permission: Permission = Permission.READ
    method: Literal["GET", "POST"] = "GET"
    of_tenant: bool = True

    @property
    def full_path(self) -> str:
        """The path as routes know it."""
        return f"/t/{{tenant:str}}{self.path}" if self.of_tenant else self.path


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request for a page, checked: the person is logged in and may read the tenant. parameters: of the path."""

    services: Services
    session: Session
    tenant_id: str
    page: Page
    urls: Callable[..., str]
    now: datetime
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    after: Key | None = None
    limit: int = ROWS_A_PAGE

    @property
    def person(self) -> Person:
        """Who is asking."""
        return self.session.person

    @property
    def actor(self) -> str:
        """Their name in the audit chain."""
        return self.person.actor

    @property
    def roles(self) -> frozenset[Role]:
        """Their roles here."""
        return self.person.roles(self.tenant_id) if self.tenant_id else self.person.everywhere

    def may(self, permission: Permission | str) -> bool:
        """Whether they may do something here."""
        where = self.tenant_id or "*"
        return self.person.may(Permission(permission), tenant_id=where)

    def need(self, permission: Permission) -> None:
        """ProblemError `access.forbidden`, naming who may, unless they may."""
        if not self.may(permission):
            named = ", ".join(role.value for role in roles_that_may(permission))
            raise ProblemError(problem("access.forbidden", f"this takes the role {named}"))

    def read(self) -> AbstractContextManager[Connection]:
        """A read-only transaction that sees this tenant alone."""
        return self.services.database.read(tenants=[self.tenant_id])

    def url(self, name: str, /, **values: str) -> str:
        """The address of a page of this tenant; values that are no part of its path become the query."""
        return self.urls(name, tenant=values.pop("tenant", self.tenant_id), **values)

    def filter(self, name: str, *, among: tuple[str, ...] = (), default: str = "") -> str:
        """The value of a filter; the default where it is none of `among`."""
        value = self.query.get(name, default)
        return default if among and value not in among else value[:FILTER_LENGTH_MAX].replace("\0", "")

    def after_text(self) -> str:
        """The cursor's place where it is one text, "" at the start."""
        return str(self.after[0]) if self.after else ""

    def after_numbers(self) -> tuple[int, int]:
        """The cursor's place where it is (position, ordinal)."""
        return (int(self.after[0]), int(self.after[1])) if self.after else (0, 0)

    def field(self, name: str) -> str:
        """A field of the form, "" when it is not there."""
        values = self.form.get(name, ())
        return values[0].strip() if values else ""

    def fields(self, name: str) -> tuple[str, ...]:
        """Every value of a field of the form."""
        return self.form.get(name, ())

    def reason(self) -> str:
        """The reason a form must give. ProblemError `console.reason_missing` without one."""
        text = self.field("reason")[:REASON_LENGTH_MAX]
        if len(text) < 3:
            wrong = FieldError(pointer="/reason", detail="is missing", instead="why, in a few words")
            raise ProblemError(problem("console.reason_missing", "the reason is missing", errors=(wrong,)))
        return text


def query_text(values: Mapping[str, str]) -> str:
    """A query string of the values that are not empty, with its question mark; "" for none."""
    given = {name: value for name, value in values.items() if value}
    return f"?{urlencode(given)}" if given else ""
