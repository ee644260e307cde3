"""The folder of schemas: writes it from the code, and says where folder and code differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from revline.core.problem import FieldError, Mender, ProblemError, Retryable, define, problem
from revline.platform.schemas.contracts import CONTRACTS, Contract, Status
from revline.platform.schemas.generation import breaks, registry, schema_of

REGISTRY: Final = "registry.json"

define(
    code="schemas.differ",
    title="The published schemas are not what the code says",
    status=500,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Generate the schemas again, or give a changed stable contract a new version.",
)


def generate(folder: Path, *, contracts: tuple[Contract, ...] = CONTRACTS) -> tuple[Path, ...]:
    """Writes every schema and the registry; gives the files that changed. A file of a version that is gone stays.

    Raises ProblemError `schemas.differ`, before anything is written, when a stable contract changed in a breaking way.
    """
    broken = tuple(error for one in contracts for error in _broken(folder, one))
    if broken:
        raise ProblemError(problem("schemas.differ", "stable contracts changed in breaking ways", errors=broken))
    changed = []
    for path, text in _wanted(contracts).items():
        file = folder / path
        if not file.is_file() or file.read_text() != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            changed.append(file)
    return tuple(changed)


def check(folder: Path, *, contracts: tuple[Contract, ...] = CONTRACTS) -> tuple[FieldError, ...]:
    """Where the folder is not what the code says, and breaking changes of stable contracts; empty when all is well."""
    errors = [error for one in contracts for error in _broken(folder, one)]
    for path, text in _wanted(contracts).items():
        file = folder / path
        if not file.is_file():
            errors.append(FieldError(pointer=path, detail="is missing", instead="generate the schemas"))
        elif file.read_text() != text:
            errors.append(FieldError(pointer=path, detail="is not what the code says", instead="generate the schemas"))
    names = {one.name for one in contracts}
    strangers = [file for file in sorted(folder.glob("*/v*.json")) if file.parent.name not in names]
    errors += [FieldError(pointer=str(file.relative_to(folder)), detail="belongs to no contract") for file in strangers]
    return tuple(errors)


def _wanted(contracts: tuple[Contract, ...]) -> dict[str, str]:
    files = {one.path: _text(schema_of(one)) for one in contracts}
    return {**files, REGISTRY: _text(registry(contracts))}


def _text(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _broken(folder: Path, contract: Contract) -> list[FieldError]:
    """Breaking changes since the file, when the contract is stable in the code or was in the folder."""
    file = folder / contract.path
    entry = _entries(folder).get(contract.path, {})
    was_stable = entry.get("status") == Status.STABLE
    if not file.is_file() or not (was_stable or (entry and contract.status is Status.STABLE)):
        return []
    errors = []
    if was_stable and contract.status is not Status.STABLE:
        errors.append(FieldError(pointer=contract.path, detail="was stable and can't be a draft again"))
    if was_stable:
        for sentence in breaks(old=json.loads(file.read_text()), new=schema_of(contract)):
            instead = f"version {contract.version + 1} of {contract.name}"
            errors.append(FieldError(pointer=contract.path, detail=sentence, instead=instead))
    return errors


def _entries(folder: Path) -> dict[str, Any]:
    file = folder / REGISTRY
    return {one["path"]: one for one in json.loads(file.read_text())["contracts"]} if file.is_file() else {}
