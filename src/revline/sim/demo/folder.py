"""Writes the demonstration's configuration folder: its own documents with addresses filled in, and the starter's posting rules."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

TENANTS: Final = ("aurora", "birch")
RULES: Final = "-rules-"
STARTER_TENANT: Final = "tenant: acme"


def write_folder(*, folder: Path, addresses: Mapping[str, str], tenants: tuple[str, ...] = TENANTS) -> None:
    """Write the folder anew. addresses: values of the placeholders in the connections, such as tryton_base_url."""
    own = files("revline.sim.demo") / "configuration"
    starter = files("revline") / "examples" / "starter"
    for tenant in tenants:
        place = folder / tenant
        place.mkdir(parents=True, exist_ok=True)
        for document in (own / tenant).iterdir():
            text = Template(document.read_text(encoding="utf-8")).substitute(addresses)
            (place / document.name).write_text(text, encoding="utf-8")
        for rules in starter.iterdir():
            if RULES in rules.name:
                text = rules.read_text(encoding="utf-8").replace(STARTER_TENANT, f"tenant: {tenant}")
                (place / rules.name).write_text(text, encoding="utf-8")


def add_missing_mapping(*, folder: Path) -> str:
    """Write the tax rate the demonstration left out; gives the line that was added."""
    path = folder / "birch" / "40-mapping.yaml"
    line = 'txr_birch_20: "32"'
    path.write_text(path.read_text(encoding="utf-8").replace(f"# {line}", line), encoding="utf-8")
    return line
