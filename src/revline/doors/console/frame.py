"""Around every page: who is asking, which tenant, what the navigation holds, how an answer becomes a response."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment
from litestar import Request, Response
from litestar.datastructures import Cookie

from revline.core.problem import Problem, ProblemError, problem
from revline.doors.api.cursors import make_cursor, read_cursor
from revline.doors.console.assets import Assets
from revline.doors.console.exports import ROWS_MAX, as_csv, as_xlsx
from revline.doors.console.rendering import make_environment
from revline.doors.console.security import (
    NOTE,
    PAGE_HEADERS,
    TENANT,
    THEME,
    THEMES,
    TLS_HEADERS,
    Cookies,
    open_note,
    seal_note,
)
from revline.doors.console.values import (
    Answer,
    Download,
    Group,
    Key,
    ListPage,
    Page,
    Redirect,
    View,
    Visit,
    query_text,
)
from revline.doors.services import Services
from revline.platform.access.oidc import IdentityProvider
from revline.platform.access.people import Person
from revline.platform.access.sessions import Session
from revline.platform.tenancy.queries import active_tenants

EXPORT_PAGE: Final = 1_000
TENANTS_SHOWN_MAX: Final = 200
FORMATS: Final = {"csv": as_csv, "xlsx": as_xlsx}


@dataclass(frozen=True, kw_only=True)
class ConsolePorts:
    """What the console is given by app. key: signs cursors, notes and forms. public_url: where people reach it, "" when they come
    to the address it listens on. provider: the identity provider, None when there is none. pages: every page there is."""

    services: Services
    key: bytes
    pages: Sequence[Page]
    random_bytes: Callable[[int], bytes]
    public_url: str = ""
    provider: IdentityProvider | None = None
    threads: int = 8

    @property
    def secure(self) -> bool:
        """Whether TLS is in front."""
        return self.public_url.startswith("https://")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request reduced to what a frame may look at, so that pages run in a thread without it."""

    path: str
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    cookies: Mapping[str, str]
    form: Mapping[str, tuple[str, ...]]
    partial: bool

    @classmethod
    def of(cls, request: Request[Any, Any, Any], form: Mapping[str, tuple[str, ...]]) -> Asked:
        """The request's parts, without NUL, which no text of the database can hold."""
        return cls(
            path=request.url.path,
            parameters={name: _storable(str(value)) for name, value in request.path_params.items()},
            query={name: _storable(value) for name, value in request.query_params.items()},
            cookies=dict(request.cookies),
            form={name: tuple(map(_storable, values)) for name, values in form.items()},
            partial=request.headers.get("hx-request") == "true",
        )


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd")


class Frame:
    """Renders answers of pages."""

    def __init__(self, ports: ConsolePorts) -> None:
        self.ports = ports
        self.assets = Assets()
        self.cookies = Cookies(secure=ports.secure)
        self.environment: Environment = make_environment(assets=self.assets)
        self.headers = {**PAGE_HEADERS, **(TLS_HEADERS if ports.secure else {})}
        self._paths = {page.name: page.full_path for page in ports.pages}

    def url(self, name: str, /, **values: str) -> str:
        """The address of a page by name; values that are no part of its path become the query. KeyError for an unknown page."""
        path = self._paths[name]
        rest = {}
        for key, value in values.items():
            place = f"{{{key}:str}}"
            if place in path:
                path = path.replace(place, quote(value, safe=""))
            elif key != "tenant":
                rest[key] = value
        return path + query_text(rest)

    def tenants(self, person: Person) -> tuple[str, ...]:
        """Active tenants a person has a role in."""
        with self.ports.services.database.control() as connection:
            known = active_tenants(connection)
        return tuple(one for one in known if person.roles(one))

    def visit(self, *, page: Page, asked: Asked, session: Session) -> Visit:
        """A checked visit. ProblemError `console.not_found` for a tenant without a role (as for one that is not there), and
        `access.forbidden` without the page's permission."""
        tenant_id = asked.parameters.get("tenant", "") if page.of_tenant else ""
        if page.of_tenant and tenant_id not in self.tenants(session.person):
            raise ProblemError(problem("console.not_found", "there is no such page, or it is not yours to see"))
        visit = Visit(
            services=self.ports.services,
            session=session,
            tenant_id=tenant_id,
            page=page,
            urls=self.url,
            now=self.ports.services.clock.now(),
            parameters=asked.parameters,
            query={name: value for name, value in asked.query.items() if name not in {"cursor", "format"}},
            form=asked.form,
            after=self._after(page, asked, tenant_id),
        )
        if page.of_tenant or page.permission.value != "read":
            visit.need(page.permission)
        return visit

    def lost(self, *, page: Page, session: Session) -> Visit:
        """A visit that leads nowhere: what a page that says so needs to show its visitor's navigation, and no more."""
        return Visit(
            services=self.ports.services,
            session=session,
            tenant_id="",
            page=replace(page, of_tenant=False),
            urls=self.url,
            now=self.ports.services.clock.now(),
            parameters={},
            query={},
        )

    def respond(self, visit: Visit, answer: Answer, asked: Asked) -> Response[Any]:
        """The response of an answer."""
        match answer:
            case Redirect():
                cookies = (
                    [self.cookies.make(NOTE, seal_note(answer, key=self.ports.key), seconds=60)] if answer.said else []
                )
                return Response(b"", status_code=303, headers={**self.headers, "location": answer.to}, cookies=cookies)
            case Download():
                return self._download(answer)
            case ListPage():
                return self._list(visit, answer, asked)
            case View():
                values = {"visit": visit, "trail": answer.trail, **answer.values}
                return self.page(answer.template, answer.title, values, asked, visit=visit, status=answer.status)
            case Problem():
                return self.problem(answer, asked, visit=visit)

    def problem(self, found: Problem, asked: Asked, *, visit: Visit | None = None) -> Response[Any]:
        """A page that says what can't go on and what to do."""
        values = {"problem": found, "visit": visit, "trail": ()}
        return self.page("problem.html", found.title, values, asked, visit=visit, status=found.entry.status)

    def page(
        self,
        template: str,
        title: str,
        values: Mapping[str, Any],
        asked: Asked,
        *,
        visit: Visit | None = None,
        status: int = 200,
        cookies: Sequence[Cookie] = (),
    ) -> Response[Any]:
        """A rendered page. The note of a redirect is told once."""
        note = open_note(asked.cookies.get(self.cookies.name(NOTE), ""), key=self.ports.key)
        theme = asked.cookies.get(THEME, "auto")
        everything = {
            "title": title,
            "theme": theme if theme in THEMES else "auto",
            "note": note,
            "url": self.url if visit is None else visit.url,
            **self._around(visit, asked),
            "now": self.ports.services.clock.now(),
            "path": asked.path,
            **values,
        }
        body = self.environment.get_template(template).render(everything).encode()
        told = [self.cookies.drop(NOTE)] if note else []
        if visit is not None and visit.tenant_id and asked.cookies.get(self.cookies.name(TENANT)) != visit.tenant_id:
            told.append(self.cookies.make(TENANT, visit.tenant_id))
        return Response(
            body,
            status_code=status,
            media_type="text/html; charset=utf-8",
            headers=self.headers,
            cookies=[*told, *cookies],
        )

    def _around(self, visit: Visit | None, asked: Asked) -> dict[str, Any]:
        """What stands around a page: navigation, tenants and search, of the page's tenant or, on a page of none, the last one."""
        if visit is None:
            return {"home": "", "navigation": (), "tenants": (), "search_url": ""}
        tenants = self.tenants(visit.person)
        last = asked.cookies.get(self.cookies.name(TENANT), "")
        home = visit.tenant_id or (last if last in tenants else next(iter(tenants), ""))
        return {
            "home": home,
            "navigation": self._navigation(visit.person, home) if home else (),
            "tenants": tenants[:TENANTS_SHOWN_MAX],
            "search_url": self.url("trace", tenant=home) if home and "trace" in self._paths else "",
        }

    def export(self, visit: Visit, form: str) -> Download:
        """A whole list, page after page, as a file; cut at ROWS_MAX rows with a last line that says so."""
        rows: list[Any] = []
        step = replace(visit, limit=EXPORT_PAGE, after=None)
        answer = step.page.answer(step)
        while isinstance(answer, ListPage):
            rows += answer.rows[:EXPORT_PAGE]
            if len(answer.rows) <= EXPORT_PAGE or len(rows) >= ROWS_MAX or not answer.rows[EXPORT_PAGE - 1].place:
                break
            step = replace(visit, limit=EXPORT_PAGE, after=answer.rows[EXPORT_PAGE - 1].place)
            answer = step.page.answer(step)
        if not isinstance(answer, ListPage) or not answer.export:
            raise ProblemError(problem("console.not_found", "this page is no list that can be exported"))
        name = "-".join(part for part in ("revline", visit.tenant_id, answer.export, f"{visit.now:%Y%m%d}") if part)
        return FORMATS[form](name=name, columns=answer.columns, rows=rows[:ROWS_MAX])

    def _download(self, answer: Download) -> Response[Any]:
        headers = {**self.headers, "content-disposition": f'attachment; filename="{answer.name}"'}
        return Response(answer.body, media_type=answer.media_type, headers=headers)

    def _list(self, visit: Visit, answer: ListPage, asked: Asked) -> Response[Any]:
        if asked.query.get("format") in FORMATS and answer.export:
            return self._download(self.export(visit, asked.query["format"]))
        rows = answer.rows[: visit.limit]
        more = len(answer.rows) > visit.limit and bool(rows[-1].place)
        scope = self._scope(visit.page, visit.query, visit.tenant_id)
        following = {**visit.query, "cursor": make_cursor(rows[-1].place, **scope)} if more else {}
        values = {
            "visit": visit,
            "list": answer,
            "rows": rows,
            "following": asked.path + query_text(following) if more else "",
            "first": asked.path + query_text(visit.query) if visit.after is not None else "",
            "exports": {form: asked.path + query_text({**visit.query, "format": form}) for form in FORMATS},
            "filtered": any(one.value for one in answer.filters),
            "trail": answer.trail,
            **answer.values,
        }
        return self.page(answer.template, answer.title, values, asked, visit=visit)

    def _after(self, page: Page, asked: Asked, tenant_id: str) -> Key | None:
        text = asked.query.get("cursor", "")
        filters = {name: value for name, value in asked.query.items() if name not in {"cursor", "format"}}
        place = read_cursor(text, **self._scope(page, filters, tenant_id)) if text else None
        if isinstance(place, Problem):
            raise ProblemError(place)
        return place

    def _scope(self, page: Page, filters: Mapping[str, str], tenant_id: str) -> dict[str, Any]:
        given = {name: value for name, value in filters.items() if value}
        return {"key": self.ports.key, "listing": f"console/{page.name}", "tenant_id": tenant_id, "filters": given}

    def _navigation(self, person: Person, home: str) -> tuple[tuple[str, tuple[Page, ...]], ...]:
        def shown(page: Page, group: Group) -> bool:
            return page.group is group and page.method == "GET" and person.may(page.permission, tenant_id=home)

        found = ((group.value, tuple(one for one in self.ports.pages if shown(one, group))) for group in Group)
        return tuple((title, pages) for title, pages in found if pages)
