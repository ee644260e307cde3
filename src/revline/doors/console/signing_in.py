"""Log-in, log-out, and the way through an identity provider and back. Pages of nobody yet, so they stand outside the registry."""

from __future__ import annotations

import base64
from typing import Any, Final

from litestar import Request, Response
from litestar.datastructures import Cookie

from revline.core.problem import Problem, ProblemError, problem
from revline.doors.console.frame import Asked, Frame
from revline.doors.console.security import (
    NOTE,
    SESSION,
    VISITOR,
    from_elsewhere,
    proof,
    safe_return,
    same,
    seal_note,
)
from revline.doors.console.values import Redirect
from revline.platform.access.sessions import Session

STATE: Final = "revline_state"
PROVIDER_SECONDS: Final = 600
VISITOR_SECONDS: Final = 3_600
VISITOR_BYTES: Final = 20


class SigningIn:
    """The routes of log-in over one frame. Every method runs in a thread."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._ports = frame.ports

    def session(self, cookies: Any) -> Session | None:
        """Whose the request's cookie is."""
        return self._ports.services.sessions.resolve(token=cookies.get(self._frame.cookies.name(SESSION), ""))

    def form(self, asked: Asked, *, found: Problem | None = None, email: str = "") -> Response[Any]:
        """The log-in page. Its form is bound to the browser by a cookie, since there is no session yet."""
        given = asked.cookies.get(self._frame.cookies.name(VISITOR), "")
        fresh = base64.b32encode(self._ports.random_bytes(VISITOR_BYTES)).decode().lower()
        visitor = given if 0 < len(given) <= 64 else fresh
        provider = self._ports.provider
        values = {
            "token": proof(key=self._ports.key, purpose="login", value=visitor),
            "return_to": safe_return(asked.query.get("return_to", "/")),
            "email": email,
            "problem": found,
            "provider": provider.title if provider else "",
        }
        kept = [self._frame.cookies.make(VISITOR, visitor, seconds=VISITOR_SECONDS)]
        status = found.entry.status if found else 200
        return self._frame.page("login.html", "Log in", values, asked, status=status, cookies=kept)

    def log_in(self, asked: Asked, *, elsewhere: bool, address: str) -> Response[Any]:
        """Checks e-mail and password."""
        fields = {name: values[0] for name, values in asked.form.items() if values}
        visitor = asked.cookies.get(self._frame.cookies.name(VISITOR), "")
        expected = proof(key=self._ports.key, purpose="login", value=visitor)
        if elsewhere or not visitor or not same(fields.get("token", ""), expected):
            return self.form(
                asked, found=problem("console.form_forged", "the log-in page was open too long; try again")
            )
        email = fields.get("email", "")[:300]
        password = fields.get("password", "")[:1_000]
        made = self._ports.services.sessions.log_in(email=email, password=password, address=address)
        if isinstance(made, Problem):
            return self.form(asked, found=made, email=email)
        return self._let_in(asked, made.token, safe_return(fields.get("return_to", "/")))

    def depart(self, asked: Asked) -> Response[Any]:
        """Sends somebody to the identity provider."""
        provider = self._ports.provider
        if provider is None:
            raise ProblemError(problem("console.not_found", "there is no identity provider"))
        where = provider.depart(return_to=safe_return(asked.query.get("return_to", "/")))
        if isinstance(where, Problem):
            return self.form(asked, found=where)
        cookie = self._frame.cookies.make(STATE, where.state, seconds=PROVIDER_SECONDS)
        return self._go(where.url, [cookie])

    def arrive(self, asked: Asked) -> Response[Any]:
        """Takes somebody back from the identity provider."""
        provider = self._ports.provider
        if provider is None:
            raise ProblemError(problem("console.not_found", "there is no identity provider"))
        proved = provider.arrive(query=asked.query, state=asked.cookies.get(self._frame.cookies.name(STATE), ""))
        if isinstance(proved, Problem):
            return self.form(asked, found=proved)
        person = self._ports.services.people.arrived(
            issuer=proved.issuer,
            subject=proved.subject,
            email=proved.email,
            name=proved.name,
            grants=proved.grants,
        )
        if isinstance(person, Problem):
            return self.form(asked, found=person)
        made = self._ports.services.sessions.start(person_id=person.person_id)
        if isinstance(made, Problem):
            return self.form(asked, found=made)
        return self._let_in(asked, made.token, proved.return_to)

    def log_out(self, asked: Asked, session: Session) -> Response[Any]:
        """Ends this session, or with the field `everywhere` all of the person's."""
        if asked.form.get("everywhere"):
            ended = self._ports.services.sessions.end_all(person_id=session.person.person_id)
            said = f"Logged out everywhere: {ended} sessions ended."
        else:
            self._ports.services.sessions.end(token=asked.cookies.get(self._frame.cookies.name(SESSION), ""))
            said = "Logged out."
        note = seal_note(Redirect(to="/login", said=said), key=self._ports.key)
        return self._go("/login", [self._frame.cookies.drop(SESSION), self._frame.cookies.make(NOTE, note, seconds=60)])

    def _let_in(self, asked: Asked, token: str, return_to: str) -> Response[Any]:
        # Whoever was logged in here before is not any more, and nobody else holds a session that looks ended.
        self._ports.services.sessions.end(token=asked.cookies.get(self._frame.cookies.name(SESSION), ""))
        kept = [
            self._frame.cookies.make(SESSION, token),
            self._frame.cookies.drop(VISITOR),
            self._frame.cookies.drop(STATE),
        ]
        return self._go(return_to, kept)

    def _go(self, to: str, cookies: list[Cookie]) -> Response[Any]:
        return Response(b"", status_code=303, headers={**self._frame.headers, "location": to}, cookies=cookies)


def is_forged(request: Request[Any, Any, Any], asked: Asked, session: Session) -> bool:
    """Whether a form lacks this session's token or comes from another site."""
    given = (asked.form.get("form_token") or (request.headers.get("x-form-token", ""),))[0]
    return from_elsewhere(dict(request.headers.items())) or not same(given, session.form_token)
