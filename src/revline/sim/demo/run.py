"""Runs the demonstration and says what happened."""

from __future__ import annotations

from pathlib import Path


def run(folder: Path, small: bool) -> int:  # noqa: FBT001 - one command's flag
    """The exit code."""
    raise SystemExit(f"not here yet: {folder} {small}")
