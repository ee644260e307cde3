"""Page of problems: every code of the catalogue. The whole product is imported, since each package defines its own codes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from itertools import groupby
from typing import Final

import revline
from revline.core.problem import CATALOGUE, Mender, ProblemType, Retryable
from tools.reference import markdown

NOT_MODULES: Final = (".migrations.", "__main__")
MENDERS: Final = {
    Mender.SENDER: "whoever sent the input",
    Mender.CONFIGURATION: "whoever owns the configuration folder",
    Mender.ERP_ADMINISTRATOR: "the ERP's administrator",
    Mender.OPERATOR: "whoever runs Revline",
    Mender.FINANCE: "finance operations",
    Mender.NOBODY: "nobody: it passes",
}
AGAIN: Final = {Retryable.NO: "no", Retryable.YES: "yes", Retryable.AFTER_FIX: "after it is mended"}
LEAD: Final = """What can't go on is a problem with a stable code, the same in an API answer (RFC 9457), on the command line and on
a case. "Again" says whether the same attempt can succeed later. The status is what the API answers with."""


def render() -> str:
    """The page."""
    load_everything()
    parts = []
    for area, entries in groupby(sorted(CATALOGUE), key=lambda name: name.partition(".")[0]):
        parts.append(f"## {area}")
        parts += [_entry(CATALOGUE[name]) for name in entries]
    return markdown.page(title="Problems", lead=f"{LEAD}\n\n{len(CATALOGUE)} codes.", parts=parts)


def load_everything() -> None:
    """Import every module of the product, so that every code is defined."""
    for name in _modules():
        importlib.import_module(name)


def _modules() -> Iterator[str]:
    for module in pkgutil.walk_packages(revline.__path__, prefix="revline."):
        if not any(part in module.name for part in NOT_MODULES):
            yield module.name


def _entry(entry: ProblemType) -> str:
    return (
        f"### {entry.code}\n\n{entry.title}. {entry.remedy}\n\n"
        f"Status {entry.status} · again: {AGAIN[entry.retryable]} · mended by {MENDERS[entry.mender]}"
    )
