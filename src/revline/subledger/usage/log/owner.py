"""Who may write to a shard's folder: one process at a time, told from those before it by its fence number."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from revline.core.problem import Problem, problem

_OWNER: Final = "owner"


class Ownership:
    """The right to write to a folder, held until `release` or the end of the process. fence: higher than of any owner before."""

    def __init__(self, *, descriptor: int, fence: int) -> None:
        self._descriptor = descriptor
        self.fence = fence

    def release(self) -> None:
        os.close(self._descriptor)


def take(folder: Path) -> Ownership | Problem:
    """Makes this process the owner, or `usage.log_owned`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / _OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return problem("usage.log_owned", f"another process holds {folder.name}", field=str(folder))
    fence = int(os.pread(descriptor, 20, 0) or b"0") + 1
    os.pwrite(descriptor, b"%020d" % fence, 0)
    os.fsync(descriptor)
    return Ownership(descriptor=descriptor, fence=fence)
