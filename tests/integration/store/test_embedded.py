"""The embedded server: one owner, any number of guests, its own account, passwords in one private file."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from revline.platform.store import binaries, embedded
from revline.platform.store.embedded import EmbeddedServer, EmbeddedServerError
from revline.platform.store.roles import SUPERUSER

as_root = os.geteuid() == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A fresh folder with spaces in its name, reachable by everybody."""
    home = Path(tempfile.mkdtemp(prefix="revline embedded "))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedServer]:
    one = EmbeddedServer(folder / "my data", durable=False)
    one.start()
    yield one
    one.stop()


def process_of(server: EmbeddedServer) -> int:
    return int((server.data_folder / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def who_answers(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT current_user").fetchone()
    assert row is not None
    return str(row[0])


def test_every_role_gets_in_with_its_password_only(server: EmbeddedServer) -> None:
    for role in ("revline_owner", "revline_app", "revline_control"):
        assert who_answers(server.dsn(role, "revline")) == role
    password = server.dsn("revline_app").split(":")[2].split("@")[0]
    for wrong in (
        server.dsn("revline_app").replace(password, "guessed"),
        server.dsn("revline_owner").replace("owner", "app"),
    ):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            who_answers(wrong)
    with pytest.raises(EmbeddedServerError, match="no role 'nobody'"):
        server.dsn("nobody")


def test_it_is_private_and_listens_on_this_machine_only(server: EmbeddedServer) -> None:
    assert stat.S_IMODE((server.data_folder / "credentials.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((server.data_folder / "cluster").stat().st_mode) == 0o700
    assert stat.S_IMODE(server.data_folder.stat().st_mode) == (0o711 if as_root else 0o700)
    assert not (server.data_folder / "initial-password").exists()
    with psycopg.connect(server.dsn(SUPERUSER)) as connection:
        names = ("listen_addresses", "unix_socket_directories")
        settings = [connection.execute("SELECT current_setting(%s)", (name,)).fetchone() for name in names]
    assert settings == [("127.0.0.1",), ("",)]
    assert Path(f"/proc/{process_of(server)}").stat().st_uid != 0


def test_starting_twice_is_one_server(server: EmbeddedServer) -> None:
    before = process_of(server)
    assert server.start()
    assert process_of(server) == before


def test_a_guest_joins_and_does_not_stop_it(server: EmbeddedServer) -> None:
    guest = EmbeddedServer(server.data_folder)
    assert not guest.start()
    assert not guest.owned
    guest.stop()
    assert who_answers(guest.dsn("revline_app")) == "revline_app"


def test_data_and_address_outlive_a_restart(server: EmbeddedServer) -> None:
    with psycopg.connect(server.dsn("revline_owner")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    before = server.dsn("revline_owner")
    server.stop()
    with pytest.raises(EmbeddedServerError, match="not running"):
        server.dsn("revline_owner")
    again = EmbeddedServer(server.data_folder, durable=False)
    assert again.start()
    with psycopg.connect(before) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (7,)
    again.stop()


def test_a_new_owner_takes_over_a_server_left_behind(server: EmbeddedServer) -> None:
    before = process_of(server)
    assert server._lock is not None
    server._lock.close()  # what the kernel does when the owning process dies
    heir = EmbeddedServer(server.data_folder, durable=False)
    assert heir.start()
    assert process_of(heir) == before
    heir.stop()
    if server._process is not None:
        server._process.wait(timeout=30)
    assert not is_alive(before)
    server._lock = None


def test_it_starts_after_the_server_was_killed(server: EmbeddedServer) -> None:
    os.kill(process_of(server), signal.SIGKILL)
    assert server._process is not None
    server._process.wait(timeout=30)
    assert server.start()
    assert who_answers(server.dsn("revline_app")) == "revline_app"


def test_a_cluster_half_made_is_made_again(folder: Path) -> None:
    (folder / "data" / "cluster").mkdir(parents=True)
    (folder / "data" / "cluster" / "remains").touch()
    server = EmbeddedServer(folder / "data", durable=False)
    assert server.start()
    server.stop()


def test_a_durable_server_syncs(folder: Path) -> None:
    server = EmbeddedServer(folder / "durable")
    server.start()
    with psycopg.connect(server.dsn("revline_app")) as connection:
        row = connection.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')").fetchone()
    server.stop()
    assert row == ("on", "on")


def test_asking_for_an_address_before_the_first_start_says_what_to_do(folder: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="revline up"):
        EmbeddedServer(folder / "none").dsn("revline_app")


def test_below_a_private_folder_no_right_is_widened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = folder / "private home"
    private.mkdir(mode=0o700)
    monkeypatch.setattr(embedded, "UNREACHABLE_ROOT", folder / "elsewhere")
    server = EmbeddedServer(private / "data", durable=False)
    server.start()
    try:
        assert who_answers(server.dsn("revline_app")) == "revline_app"
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert (private / "data" / "place").exists() == as_root
    finally:
        server.stop()


def test_programs_the_account_can_not_reach_are_copied_and_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "BINARIES_ROOT", folder / "programs" / "postgresql")
    copied = binaries.copied(binaries.installed_programs())
    assert copied.is_relative_to(folder)
    assert binaries.copied(binaries.installed_programs()) == copied
    monkeypatch.setattr(embedded, "binaries_for", lambda _: copied)
    server = EmbeddedServer(folder / "data", durable=False)
    server.start()
    assert str(copied) in Path(f"/proc/{process_of(server)}/cmdline").read_text()
    server.stop()


@pytest.mark.skipif(not as_root, reason="whoever runs the tests is no administrator: every other test is this one")
def test_it_runs_for_somebody_who_is_not_root(folder: Path) -> None:
    home = folder / "of nobody"
    home.mkdir(mode=0o700)
    os.chown(home, 65534, 65534)
    program = (
        "import os, sys, pathlib, encodings.idna, psycopg, revline.platform.store.embedded as embedded\n"
        "embedded.binaries_for(embedded.server_account(pathlib.Path('/none')))\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "server = embedded.EmbeddedServer(pathlib.Path(sys.argv[1]), durable=False)\n"
        "server.start()\n"
        "print(psycopg.connect(server.dsn('revline_app')).execute('SELECT current_user').fetchone()[0])\n"
        "server.stop()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(home / "data")], capture_output=True, text=True, check=False, cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    assert done.stdout == "revline_app\n", done.stderr
    assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700
