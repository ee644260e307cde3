"""Log-ins and sessions: who a cookie belongs to, for how long, and how often somebody may guess. Knows no route."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not

from revline.core.clock import Clock
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.access.passwords import matches
from revline.platform.access.people import Person, person_of
from revline.platform.access.tables import login_window, person, person_session
from revline.platform.store.engine import Database

TOKEN_BYTES: Final = 20
TOKEN_LENGTH: Final = 32
IDLE: Final = timedelta(hours=2)
ABSOLUTE: Final = timedelta(hours=12)
TOUCH_EVERY: Final = timedelta(minutes=1)
"""A session's last use is written down this often, so that reading pages does not write a row each time."""
WINDOW: Final = timedelta(minutes=15)
FAILURES_OF_PAIR_MAX: Final = 8
FAILURES_OF_EMAIL_MAX: Final = 100
FAILURES_OF_ADDRESS_MAX: Final = 400
"""Few for one e-mail from one address; more for either alone, so that nobody can be locked out from elsewhere, nor everybody who
comes through one proxy by a single guesser there."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A live log-in. form_token: what a form of this session must bring (against forged requests)."""

    person: Person
    form_token: str


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """A log-in at the one moment its cookie can be set."""

    person: Person
    token: str

    def __repr__(self) -> str:
        return f"NewSession(person={self.person.person_id!r}, token=***)"


class Sessions:
    """Log-ins of one database."""

    def __init__(self, *, database: Database, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._database = database
        self._clock = clock
        self._random_bytes = random_bytes

    def log_in(self, *, email: str, password: str, address: str) -> NewSession | Problem:
        """A session for an e-mail and its password, or `access.login_refused` (one answer, in one time, for unknown, disabled and
        wrong), or `access.login_throttled`. address: where the request came from."""
        wanted = email.strip().lower()
        pair = _digest("pair", f"{wanted}\0{address}")
        digests = {
            pair: FAILURES_OF_PAIR_MAX,
            _digest("email", wanted): FAILURES_OF_EMAIL_MAX,
            _digest("address", address): FAILURES_OF_ADDRESS_MAX,
        }
        with self._database.control() as connection:
            over = self._over(connection, digests)
            row = connection.execute(select(person).where(person.c.email == wanted)).one_or_none()
        # The password is checked also for somebody who must wait: how long it takes says nothing about whether they are known.
        right = matches(password=password, stored="" if row is None else row.password_hash)
        if over:
            return problem("access.login_throttled", "too many log-ins failed from here; wait a quarter of an hour")
        if row is None or not right or row.disabled_at is not None:
            with self._database.control() as connection:
                self._count(connection, digests)
            return problem("access.login_refused", "the e-mail or the password is not right")
        with self._database.control() as connection:
            connection.execute(delete(login_window).where(login_window.c.subject_digest == pair))
        return self.start(person_id=row.person_id)

    def start(self, *, person_id: str) -> NewSession | Problem:
        """A session of a person whose identity is proved; `access.login_refused` for a disabled one."""
        token = base64.b32encode(self._random_bytes(TOKEN_BYTES)).decode().lower()
        now = self._clock.now()
        with self._database.control() as connection:
            row = connection.execute(select(person).where(person.c.person_id == person_id)).one_or_none()
            if row is None or row.disabled_at is not None:
                return problem("access.login_refused", "this person may not log in")
            connection.execute(delete(person_session).where(person_session.c.expires_at <= now))
            connection.execute(
                insert(person_session).values(
                    session_digest=hashlib.sha256(token.encode()).digest(),
                    person_id=person_id,
                    started_at=now,
                    seen_at=now,
                    expires_at=now + ABSOLUTE,
                )
            )
            connection.execute(update(person).where(person.c.person_id == person_id).values(seen_at=now))
            return NewSession(person=person_of(connection, row), token=token)

    def resolve(self, *, token: str) -> Session | None:
        """Whose a cookie's token is; None when it is none of ours, ended, idle too long or its person disabled."""
        if len(token) != TOKEN_LENGTH or not token.isascii():
            return None
        wanted = hashlib.sha256(token.encode()).digest()
        now = self._clock.now()
        with self._database.control() as connection:
            live = _live(connection, wanted)
            if live is None or live.expires_at <= now or now - live.seen_at > IDLE:
                return None
            row = connection.execute(select(person).where(person.c.person_id == live.person_id)).one_or_none()
            if row is None or row.disabled_at is not None:
                return None
            if now - live.seen_at > TOUCH_EVERY:
                connection.execute(
                    update(person_session).where(person_session.c.session_digest == wanted).values(seen_at=now)
                )
            return Session(person=person_of(connection, row), form_token=form_token(token))

    def end(self, *, token: str) -> None:
        """Log out here."""
        wanted = hashlib.sha256(token.encode()).digest()
        with self._database.control() as connection:
            connection.execute(delete(person_session).where(person_session.c.session_digest == wanted))

    def end_all(self, *, person_id: str) -> int:
        """Log out everywhere; gives how many sessions ended."""
        with self._database.control() as connection:
            return connection.execute(delete(person_session).where(person_session.c.person_id == person_id)).rowcount

    def count(self, *, person_id: str) -> int:
        """Live sessions of a person."""
        table = person_session.c
        now = self._clock.now()
        statement = select(func.count()).where(
            table.person_id == person_id, table.expires_at > now, table.seen_at > now - IDLE
        )
        with self._database.control() as connection:
            return int(connection.execute(statement).scalar_one())

    def _over(self, connection: Connection, limits: dict[bytes, int]) -> bool:
        since = self._clock.now() - WINDOW
        statement = select(login_window).where(
            login_window.c.subject_digest.in_(list(limits)), login_window.c.started_at > since
        )
        return any(row.failures >= limits[bytes(row.subject_digest)] for row in connection.execute(statement))

    def _count(self, connection: Connection, limits: dict[bytes, int]) -> None:
        now = self._clock.now()
        connection.execute(delete(login_window).where(login_window.c.started_at <= now - WINDOW))
        for digest in sorted(limits):
            statement = insert_or_not(login_window).values(subject_digest=digest, started_at=now, failures=1)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["subject_digest"], set_={"failures": login_window.c.failures + 1}
                )
            )


def form_token(token: str) -> str:
    """What a form of a session must bring: derived from the cookie's token, which no other site can read."""
    return hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()[:40]


def _digest(kind: str, value: str) -> bytes:
    return hashlib.sha256(f"{kind}\0{value}".encode()).digest()


def _live(connection: Connection, wanted: bytes) -> Any | None:
    statement = select(person_session).where(person_session.c.session_digest == wanted)
    return connection.execute(statement).one_or_none()


define(
    code="access.login_refused",
    title="Not logged in",
    status=401,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Check the e-mail and the password; an administrator can set a new one with `revline users reset-password`.",
)
define(
    code="access.login_throttled",
    title="Too many failed log-ins",
    status=429,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Wait a quarter of an hour and try again.",
)
