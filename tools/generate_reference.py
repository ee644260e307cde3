"""Writes docs/reference from the code's own data: problems, settings, configuration, events, connectors, commands.

    python -m tools.generate_reference           write what differs
    python -m tools.generate_reference --check   write nothing; 1 when a page is stale

Pages depend on the code alone: no clock, no machine, no order of a file system.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tools.reference import (
    api,
    cli,
    configuration,
    conformance,
    connectors,
    events,
    problems,
    settings,
    usage_conventions,
)

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "reference"
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "errors.md": problems.render,
    "settings.md": settings.render,
    "configuration.md": configuration.render,
    "events.md": events.render,
    "connectors.md": connectors.render,
    "api.md": api.render,
    "cli.md": cli.render,
    "conformance.md": conformance.render,
    "usage-conventions.md": usage_conventions.render,
}


def stale(*, folder: Path) -> dict[str, str]:
    """Pages of the folder that are missing or say something else than the code, with what they should say."""
    wanted = {name: render() for name, render in PAGES.items()}
    return {name: text for name, text in wanted.items() if _text_of(folder / name) != text}


def main(arguments: list[str]) -> int:
    """Write the pages, or only check them."""
    found = stale(folder=FOLDER)
    if "--check" in arguments:
        for name in found:
            print(f"docs/reference/{name} is stale: python -m tools.generate_reference")
        return 1 if found else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in found.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"docs/reference/{name}")
    return 0


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
