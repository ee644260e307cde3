"""Secrets by reference: `secret://env/NAME` and `secret://file/PATH`. A value is never shown; it knows no connector."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.core.secret import Secret
from revline.platform.tenancy.kinds import SECRET_REFERENCE

SECRET_BYTES_MAX: Final = 64 * 1024


class SecretResolver:
    """Finds secrets where their references point.

    folder: the only place secret://file/ reads from, None when there is none. environment: where secret://env/ looks; the
    process's own by default; Revline's own settings (REVLINE_ but not REVLINE_SECRET_) are out of reach there, so that no
    connection can be configured to send them somewhere.
    """

    def __init__(self, *, folder: Path | None, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder.resolve() if folder else None
        self._environment = os.environ if environment is None else environment

    def resolve(self, reference: str) -> Secret | Problem:
        """The secret of a reference, or `secret.missing`. A file's one trailing line break is no part of it."""
        if not SECRET_REFERENCE.match(reference):
            return _missing("the reference is malformed", field="")
        kind, name = reference.removeprefix("secret://").split("/", 1)
        if kind == "env" and name.startswith("REVLINE_") and not name.startswith("REVLINE_SECRET_"):
            return _missing(f"{name} is a setting of Revline, not a connection's secret", field=reference)
        if kind == "env":
            value = self._environment.get(name)
            return Secret(value) if value else _missing(f"the environment has no {name}", field=reference)
        return self._from_file(name, reference)

    def resolve_all(self, references: Mapping[str, str]) -> dict[str, Secret] | Problem:
        """Every secret of a connection by its name, or the first problem."""
        found: dict[str, Secret] = {}
        for name, reference in sorted(references.items()):
            secret = self.resolve(reference)
            if isinstance(secret, Problem):
                return secret
            found[name] = secret
        return found

    def _from_file(self, name: str, reference: str) -> Secret | Problem:
        if self._folder is None:
            return _missing("no folder of secrets is set", field=reference)
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):
            return _missing("the file is outside the folder of secrets", field=reference)
        try:
            with path.open("rb") as stream:
                data = stream.read(SECRET_BYTES_MAX + 1)
            value = data.decode()
        except (OSError, UnicodeDecodeError):
            return _missing("the file can't be read as text", field=reference)
        if len(data) > SECRET_BYTES_MAX or not value.strip():
            return _missing(f"the file is empty or longer than {SECRET_BYTES_MAX} bytes", field=reference)
        return Secret(value.removesuffix("\n").removesuffix("\r"))


def _missing(detail: str, *, field: str) -> Problem:
    return problem("secret.missing", detail, field=field)


define(
    code="secret.missing",
    title="A secret can't be found",
    status=503,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Put the secret where its reference points: an environment variable, or a file under the folder of secrets.",
)
