"""People and keys of a tenant: who may come in, with which role, who let them in; and what each role may do."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from revline.core.problem import FieldError, Mender, Problem, ProblemError, Retryable, define, problem
from revline.doors.console.values import (
    Answer,
    Code,
    Column,
    Empty,
    Group,
    ListPage,
    Moment,
    Page,
    Redirect,
    Row,
    State,
    Text,
    View,
    Visit,
)
from revline.platform.access.people import Person
from revline.platform.access.roles import KEY_ROLES, MEANING, PERMISSIONS, PERSON_ROLES, Permission, Role
from revline.platform.access.tables import EVERY_TENANT

KEY_DAYS: Final = {"30": "30 days", "90": "90 days", "365": "a year"}

define(
    code="console.role_unknown",
    title="There is no such role",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Choose one of the roles in the list.",
)
define(
    code="access.own_role",
    title="Nobody takes their own administrator role",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.OPERATOR,
    remedy="Ask another administrator, so that one is always left.",
)


def people(visit: Visit) -> Answer:
    """Who has a role here."""
    found = visit.services.people.people(tenant_id=visit.tenant_id)
    people_rows = [
        {
            "person": one,
            "here": sorted(role.value for role in one.grants.get(visit.tenant_id, ())),
            "everywhere": sorted(role.value for role in one.everywhere),
            "state": "disabled" if one.disabled_at else "enabled",
            "how": " and ".join(
                way for way, there in (("identity provider", one.by_provider), ("password", one.has_password)) if there
            ),
            "self": one.person_id == visit.person.person_id,
        }
        for one in found[:500]
    ]
    values = {
        "people": people_rows,
        "roles": [role.value for role in PERSON_ROLES],
        "sets_passwords": _everywhere(visit),
        "names": {one.actor: one.name for one in visit.services.people.people()},
        "changes": visit.services.people.changes(tenant_id=visit.tenant_id)[:20],
    }
    return View(template="people.html", title="People and roles", values=values)


def keys(visit: Visit) -> Answer:
    """API keys, never their text."""
    found = visit.services.access.keys(tenant_id=visit.tenant_id)
    rows = []
    for one in reversed(found):
        over = one.expires_at is not None and one.expires_at <= visit.now
        word = "revoked" if one.revoked_at else "expired" if over else "live"
        rows.append(
            Row(
                cells=(
                    Code(text=one.key_id),
                    Text(text=one.role.value, tag=True),
                    State(word=word),
                    Moment(at=one.created_at),
                    Moment(at=one.expires_at),
                    Moment(at=one.revoked_at),
                ),
                key=one.key_id,
            )
        )
    columns = (
        Column(key="key", title="Key", kind="code", wide=True),
        Column(key="role", title="Role"),
        Column(key="state", title="State", kind="state"),
        Column(key="created", title="Made", kind="moment"),
        Column(key="expires", title="Ends", kind="moment"),
        Column(key="revoked", title="Revoked", kind="moment"),
    )
    return ListPage(
        title="API keys",
        lead="For programs. A key is shown once, when it is made, and stored nowhere.",
        columns=columns,
        rows=tuple(rows[:1_000]),
        empty=Empty(
            title="No key yet", detail="A program that sends facts needs one of the role ingest.", icon="key-round"
        ),
        export="keys",
        template="keys.html",
        values={
            "key_roles": [role.value for role in KEY_ROLES],
            "days": KEY_DAYS,
            "live": [row.key for row in rows if row.cells[2] == State(word="live")],
        },
    )


def permissions(visit: Visit) -> Answer:
    """The table of what each role may do."""
    roles = (*PERSON_ROLES, Role.INGEST)
    table = [(one.value, MEANING[one], [one in PERMISSIONS[role] for role in roles]) for one in Permission]
    values = {"roles": [role.value for role in roles], "table": table, "mine": sorted(one.value for one in visit.roles)}
    return View(template="permissions.html", title="Roles and permissions", values=values)


def add(visit: Visit) -> Answer:
    """Add a person with a role here. They come in through the identity provider, or an administrator sets a password."""
    role = _role(visit.field("role"), people=True)
    reason = visit.reason()
    if visit.field("password") and not _everywhere(visit):
        return problem("access.forbidden", "a first password is set by an administrator of every tenant")
    known = visit.services.people.find(email=visit.field("email"))
    if known is None:
        made = visit.services.people.add(
            email=visit.field("email"), name=visit.field("name"), password=visit.field("password"), actor=visit.actor
        )
        if isinstance(made, Problem):
            return made
        known = made
    refused = visit.services.people.grant(
        person_id=known.person_id, tenant_id=visit.tenant_id, role=role, actor=visit.actor, reason=reason
    )
    return refused or Redirect(to=visit.url("people"), said=f"{known.name} is {role.value} of {visit.tenant_id}.")


def grant(visit: Visit) -> Answer:
    """Give a person one more role here."""
    person, role = _person(visit), _role(visit.field("role"), people=True)
    refused = visit.services.people.grant(
        person_id=person.person_id, tenant_id=visit.tenant_id, role=role, actor=visit.actor, reason=visit.reason()
    )
    return refused or Redirect(to=visit.url("people"), said=f"{person.name} is {role.value} of {visit.tenant_id}.")


def revoke(visit: Visit) -> Answer:
    """Take a role here."""
    person, role = _person(visit), _role(visit.field("role"), people=True)
    if person.person_id == visit.person.person_id and role is Role.ADMINISTRATOR:
        return problem("access.own_role", "you would take your own administrator role")
    taken = visit.services.people.revoke(
        person_id=person.person_id, tenant_id=visit.tenant_id, role=role, actor=visit.actor, reason=visit.reason()
    )
    if not taken:
        return Redirect(to=visit.url("people"), said=f"{person.name} did not have this role.", tone="warn")
    return Redirect(to=visit.url("people"), said=f"{person.name} is no longer {role.value} of {visit.tenant_id}.")


def issue_key(visit: Visit) -> Answer:
    """Make a key and show it once."""
    role = _role(visit.field("role"), people=False)
    days = visit.field("days") if visit.field("days") in KEY_DAYS else "90"
    ends = visit.now + timedelta(days=int(days))
    made = visit.services.access.issue(tenant_id=visit.tenant_id, role=role, expires_at=ends, actor=visit.actor)
    values = {"key": made, "ends": ends}
    return View(template="key_made.html", title="A new key", values=values, trail=(("API keys", visit.url("keys")),))


def revoke_key(visit: Visit) -> Answer:
    """End a key."""
    key_id = visit.field("key")
    reason = visit.reason()
    if not visit.services.access.revoke(tenant_id=visit.tenant_id, key_id=key_id, actor=visit.actor, reason=reason):
        return Redirect(to=visit.url("keys"), said="There is no live key of this id.", tone="warn")
    return Redirect(to=visit.url("keys"), said=f"Key {key_id} is revoked.")


def _everywhere(visit: Visit) -> bool:
    """Whether they say who comes in everywhere. A person is one for all tenants: whoever set their password could come in with it
    to every other tenant that gives them a role."""
    return visit.person.may(Permission.ADMINISTER, tenant_id=EVERY_TENANT)


def _person(visit: Visit) -> Person:
    """Somebody with a role in this tenant: nobody else's name is told or touched from here."""
    found = visit.services.people.find(person_id=visit.field("person"))
    if found is None or not (found.grants.get(visit.tenant_id) or found.grants.get(EVERY_TENANT)):
        raise ProblemError(problem("person.unknown", "nobody with a role in this tenant has this id"))
    return found


def _role(text: str, *, people: bool) -> Role:
    roles = PERSON_ROLES if people else KEY_ROLES
    found = next((role for role in roles if role.value == text), None)
    if found is None:
        wrong = FieldError(pointer="/role", detail="is no role", instead=", ".join(role.value for role in roles))
        raise ProblemError(problem("console.role_unknown", "the role is none of the list", errors=(wrong,)))
    return found


def _post(path: str, name: str, answer: object) -> Page:
    assert callable(answer)
    return Page(path=path, name=name, title="", answer=answer, method="POST", permission=Permission.ADMINISTER)


PAGES: Final = (
    Page(
        path="/people",
        name="people",
        title="People and roles",
        answer=people,
        icon="users",
        group=Group.ACCESS,
        key="p",
    ),
    Page(path="/keys", name="keys", title="API keys", answer=keys, icon="key-round", group=Group.ACCESS),
    Page(
        path="/permissions",
        name="permissions",
        title="Permissions",
        answer=permissions,
        icon="shield-check",
        group=Group.ACCESS,
    ),
    _post("/people/add", "add_person", add),
    _post("/people/grant", "grant", grant),
    _post("/people/revoke", "revoke", revoke),
    _post("/keys/issue", "issue_key", issue_key),
    _post("/keys/revoke", "revoke_key", revoke_key),
)
