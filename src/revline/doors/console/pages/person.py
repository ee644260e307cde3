"""One's own page: who one is, where one has which role, one's sessions and password."""

from __future__ import annotations

from typing import Final

from revline.core.problem import Problem, problem
from revline.doors.console.values import Answer, Page, Redirect, View, Visit
from revline.platform.access.sessions import ABSOLUTE, IDLE


def profile(visit: Visit) -> Answer:
    """Me."""
    grants = [
        ("every tenant" if tenant == "*" else tenant, sorted(role.value for role in roles))
        for tenant, roles in sorted(visit.person.grants.items())
    ]
    values = {
        "grants": grants,
        "sessions": visit.services.sessions.count(person_id=visit.person.person_id),
        "idle_hours": IDLE.seconds // 3600,
        "absolute_hours": ABSOLUTE.seconds // 3600,
    }
    return View(template="profile.html", title="Profile and sessions", values=values)


def change_password(visit: Visit) -> Answer:
    """A new password, proved by the old one; every session ends."""
    proved = visit.services.sessions.log_in(
        email=visit.person.email, password=visit.field("old"), address=f"person:{visit.person.person_id}"
    )
    if isinstance(proved, Problem):
        return (
            proved
            if proved.code != "access.login_refused"
            else problem(proved.code, "the present password is not right")
        )
    refused = visit.services.people.set_password(
        person_id=visit.person.person_id, password=visit.field("new"), actor=visit.actor
    )
    return refused or Redirect(to="/login", said="The password is changed. Log in with the new one.")


PAGES: Final = (
    Page(path="/profile", name="profile", title="Profile and sessions", answer=profile, of_tenant=False),
    Page(path="/profile/password", name="password", title="", answer=change_password, of_tenant=False, method="POST"),
)
