"""A real Tryton 8.2 on loopback, to rehearse against: its own environment, its own PostgreSQL, its own process.

Tryton is a separate program under its own licence (GPL-3): it is installed into an environment of its own, never imported, and
driven over its JSON-RPC only. The first provisioning takes a minute or two; what it made is kept as a template database in the
folder, so that later starts take seconds. Binds 127.0.0.1 only. Not for production.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import msgspec
import psycopg
from psycopg import sql

from revline.connectors.tryton.client import TrytonClient, TrytonFailure
from revline.platform.store.embedded import EmbeddedServer
from revline.platform.store.roles import SUPERUSER
from revline.sim.tryton_books import BOOKS_LAYOUT, SERVICE_USER, TrytonBooks, account_codes, make_books

MODULES: Final = ("account", "account_invoice", "account_deposit")
ADMINISTRATOR: Final = "admin"
DATABASE_ROLE: Final = "tryton"
REQUIREMENTS: Final = Path(__file__).resolve().parents[3] / "requirements" / "tryton.txt"
INSTALL_LIMIT_SECONDS: Final = 900
ACTIVATE_LIMIT_SECONDS: Final = 900
START_LIMIT_SECONDS: Final = 60
STOP_LIMIT_SECONDS: Final = 20
SERVER_THREADS: Final = 4
POLL_SECONDS: Final = 0.1


class TrytonServerError(RuntimeError):
    """The rehearsal Tryton can't be installed, provisioned or started; the message says what to do."""


def _silent(_message: str) -> None:
    """No progress wanted."""


class TrytonServer:
    """One Tryton in one folder. provision() once, then start() and stop(); start() does what is still missing.

    folder: keeps the environment, the databases and the log; created if missing. report: takes progress messages for a person.
    requirements: the pinned and hashed list of Tryton's packages.
    """

    def __init__(
        self,
        folder: Path,
        *,
        books: TrytonBooks,
        database: str = "tryton",
        requirements: Path = REQUIREMENTS,
        report: Callable[[str], None] = _silent,
    ) -> None:
        self.folder = folder.expanduser().resolve()
        self.books = books
        self.database = database
        self._requirements = requirements
        self._report = report
        self._postgresql = EmbeddedServer(self.folder / "postgresql", durable=False)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._claimed: IO[str] | None = None

    @property
    def base_url(self) -> str:
        """The address of the running server."""
        if not self._port:
            raise TrytonServerError("the rehearsal Tryton is not started")
        return f"http://127.0.0.1:{self._port}"

    @property
    def user(self) -> str:
        """The accounting user a connection logs in as; it may not close periods or change the chart."""
        return SERVICE_USER

    @property
    def password(self) -> str:
        """The accounting user's password."""
        return self._secrets()["service"]

    @property
    def administrator_password(self) -> str:
        """The password of `admin`, who may close periods."""
        return self._secrets()["administrator"]

    @property
    def accounts(self) -> Mapping[str, Mapping[str, str]]:
        """Company code -> neutral account key -> Tryton account code."""
        return account_codes(books=self.books)

    @property
    def process_id(self) -> int:
        """The process number of the running server, for a test that stops it under a client."""
        if self._process is None:
            raise TrytonServerError("the rehearsal Tryton is not started")
        return self._process.pid

    # -- life

    def provision(self) -> None:
        """Make what is missing: the environment, a database with the modules, one with the books. Safe to repeat."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._install()
            self._postgresql.start()
            self._ensure_role()
            self._ensure_modules()
            self._ensure_books()

    def start(self, *, fresh: bool = True) -> None:
        """Start the server. fresh: on a new copy of the books, else on the database of the last time if there is one."""
        self._claim()
        try:
            self.provision()
            with self._locked():
                self._stop_left_behind()
                if fresh or not self._database_exists(self.database):
                    self._copy_database(self._books_template(), self.database)
            self._launch(self.database)
        except BaseException:
            self.stop()
            raise
        self._report(f"Tryton answers at {self.base_url}")

    def stop(self) -> None:
        """Stop the server and its PostgreSQL. The databases stay."""
        self._stop_process()
        self._postgresql.stop()
        if self._claimed is not None:
            self._claimed.close()
            self._claimed = None

    def _claim(self) -> None:
        """One process at a time runs a folder: its PostgreSQL stops with it."""
        if self._claimed is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = (self.folder / "running.lock").open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            raise TrytonServerError(f"another process runs the rehearsal Tryton in {self.folder}") from None
        self._claimed = handle

    def kill(self) -> None:
        """End the server at once, as a crash would; `restart` brings it back on the same address."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=STOP_LIMIT_SECONDS)
            self._process = None

    def restart(self) -> None:
        """Bring a killed server back on the same address and database."""
        self._stop_process()
        self._launch(self.database, port=self._port)

    # -- environment

    def _install(self) -> None:
        wanted = self._requirements_digest()
        marker = self.folder / "environment" / "installed"
        if marker.exists() and marker.read_text(encoding="ascii") == wanted:
            return
        self._report("Installing Tryton into an environment of its own (about 20 seconds)")
        environment = self.folder / "environment"
        venv.EnvBuilder(with_pip=True, clear=True, symlinks=os.name != "nt").create(environment)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
        self._run([*pip, "--require-hashes", "--no-deps", "-r", str(self._requirements)], INSTALL_LIMIT_SECONDS, {})
        marker.write_text(wanted, encoding="ascii")

    def _requirements_digest(self) -> str:
        if not self._requirements.exists():
            raise TrytonServerError(f"{self._requirements} is missing: run from a checkout, or name the list yourself")
        return hashlib.sha256(self._requirements.read_bytes() + sys.version.encode()).hexdigest()

    # -- databases

    def _modules_template(self) -> str:
        key = self._requirements_digest() + ",".join(MODULES)
        return f"tryton_modules_{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    def _books_template(self) -> str:
        key = self._modules_template().encode() + msgspec.json.encode((BOOKS_LAYOUT, self.books))
        return f"tryton_books_{hashlib.sha256(key).hexdigest()[:12]}"

    def _ensure_role(self) -> None:
        with self._administration() as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (DATABASE_ROLE,)).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(DATABASE_ROLE)))
            password = sql.Literal(self._secrets()["database"])
            connection.execute(
                sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(DATABASE_ROLE), password)
            )

    def _ensure_modules(self) -> None:
        name = self._modules_template()
        if self._database_exists(name):
            return
        self._report("Creating Tryton's database and activating its modules (about a minute, once)")
        making = f"{name}_making"
        self._copy_database("template1", making)
        arguments = ["-u", *MODULES, "--activate-dependencies", "--email", "administrator@example.com", "-p"]
        password_file = self.folder / "administrator-password"
        with _private_file(password_file, self.administrator_password):
            self._run(
                [self._program("trytond-admin"), "-c", str(self._configuration()), "-d", making, *arguments],
                ACTIVATE_LIMIT_SECONDS,
                {"TRYTONPASSFILE": str(password_file)},
            )
        self._rename_database(making, name)

    def _ensure_books(self) -> None:
        name = self._books_template()
        if self._database_exists(name):
            return
        self._report("Opening the companies' books in Tryton (about five seconds, once)")
        making = f"{name}_making"
        self._copy_database(self._modules_template(), making)
        self._launch(making)
        try:
            asyncio.run(self._make_books(making))
        except TrytonFailure as failure:
            raise TrytonServerError(f"Tryton refused the books: {failure}") from failure
        finally:
            self._stop_process()
        self._rename_database(making, name)

    async def _make_books(self, database: str) -> None:
        client = TrytonClient(
            base_url=self.base_url,
            database=database,
            user=ADMINISTRATOR,
            password=self.administrator_password,
            call_timeout_seconds=60,
        )
        try:
            await make_books(client=client, books=self.books, service_password=self.password)
        finally:
            await client.close()

    @contextlib.contextmanager
    def _administration(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self._postgresql.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            yield connection

    def _database_exists(self, name: str) -> bool:
        with self._administration() as connection:
            return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None

    def _copy_database(self, template: str, name: str) -> None:
        target, source, role = sql.Identifier(name), sql.Identifier(template), sql.Identifier(DATABASE_ROLE)
        with self._administration() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(target))
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy").format(target, role, source)
            )

    def _rename_database(self, old: str, new: str) -> None:
        with self._administration() as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
            )

    # -- the process

    def _launch(self, database: str, *, port: int = 0) -> None:
        self._port = port or _free_port()
        command = [
            self._program("waitress-serve"),
            f"--listen=127.0.0.1:{self._port}",
            f"--threads={SERVER_THREADS}",
            "trytond.application:app",
        ]
        extra = {"TRYTOND_CONFIG": str(self._configuration()), "TRYTOND_DATABASE_NAMES": database}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment(extra), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        (self.folder / "process").write_text(str(self._process.pid), encoding="ascii")
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return
            time.sleep(POLL_SECONDS)
        self._stop_process()
        tail = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise TrytonServerError(f"Tryton did not start within {START_LIMIT_SECONDS} seconds:\n{tail}")

    def _stop_process(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=STOP_LIMIT_SECONDS)
        self._process = None

    def _stop_left_behind(self) -> None:
        """End the server of an owner that died: the process the folder names, if it is still one of ours."""
        with contextlib.suppress(OSError, ValueError):
            number = int((self.folder / "process").read_text(encoding="ascii"))
            if self._process is not None and self._process.pid == number:
                return
            environment = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
            if f"TRYTOND_CONFIG={self._configuration()}".encode() in environment:
                os.kill(number, signal.SIGKILL)

    def _program(self, name: str) -> str:
        return str(self.folder / "environment" / "bin" / name)

    def _configuration(self) -> Path:
        path = self.folder / "trytond.conf"
        address = urlsplit(self._postgresql.dsn(SUPERUSER, "postgres"))
        text = (
            f"[database]\nuri = postgresql://{DATABASE_ROLE}:{self._secrets()['database']}@127.0.0.1:{address.port}/\n"
            "[session]\nmax_age = 86400\ntimeout = 3600\n"
            "[request]\nmax_size_authenticated = 33554432\n"
        )
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.unlink(missing_ok=True)
            _write_private(path, text)
        return path

    def _secrets(self) -> dict[str, str]:
        path = self.folder / "credentials.json"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            values = {name: secrets.token_hex(16) for name in ("administrator", "service", "database")}
            _write_private(path, json.dumps(values))
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRYTON", "PYTHON"))}
        return kept | dict(extra)

    def _run(self, command: list[str], limit_seconds: int, extra: Mapping[str, str]) -> None:
        done = subprocess.run(
            command, env=self._environment(extra), cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
            check=False, timeout=limit_seconds,
        )  # fmt: skip
        if done.returncode:
            tail = done.stderr.decode("utf-8", "replace")[-2_000:]
            raise TrytonServerError(f"{Path(command[0]).name} failed with {done.returncode}:\n{tail}")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "provision.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


@contextlib.contextmanager
def _private_file(path: Path, text: str) -> Iterator[None]:
    path.unlink(missing_ok=True)
    _write_private(path, text)
    try:
        yield
    finally:
        path.unlink()


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
