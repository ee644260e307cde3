"""The page on rating shows what the command prints, to the letter."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from revline.app.kinds import registry
from revline.doors.cli.main import build

PAGE = Path(__file__).resolve().parents[4] / "docs" / "explanation" / "usage-rating.md"
BLOCK = re.compile(r"```(yaml|text)\n(.*?)```", re.DOTALL)
SURROUNDINGS = """
apiVersion: revline/v1
kind: Tenant
metadata: {name: acme}
spec: {title: Acme}
---
apiVersion: revline/v1
kind: LegalEntity
metadata: {name: de, tenant: acme}
spec: {title: Acme GmbH, functionalCurrency: EUR, timeZone: Europe/Berlin}
---
apiVersion: revline/v1
kind: EventType
metadata: {name: used, tenant: acme}
spec: {title: Used, type: used, fields: {amount: {kind: decimal}, region: {kind: text}, size: {kind: text}}}
---
apiVersion: revline/v1
kind: Meter
metadata: {name: used, tenant: acme}
spec: {title: Used, eventType: used, aggregation: sum, field: amount%s}
---
apiVersion: revline/v1
kind: UsagePrice
metadata: {name: %s, tenant: acme}
spec:
  title: An example of the page
  meter: used
  entity: de
  terms:
"""


def examples() -> list[tuple[str, str]]:
    """(terms, what is typed and printed) of each example."""
    found, terms = [], ""
    for kind, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "yaml":
            terms = body
        else:
            found.append((terms, body))
    return found


def printed(terms: str, typed: str, folder: Path) -> str:
    """What the command says over a folder of these terms."""
    arguments = shlex.split(typed.removeprefix("$ revline "))
    grouped = ", groupBy: [region, size]" if "matrix:" in terms else ""
    text = SURROUNDINGS % (grouped, arguments[2]) + textwrap.indent(terms, "    ")
    (folder / "example.yaml").write_text(text, encoding="utf-8")
    program = build(program=None, registry=registry())  # type: ignore[arg-type]
    result = CliRunner().invoke(program, [*arguments, "--folder", str(folder)])
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(("terms", "shown"), examples())
def test_an_example_prints_what_the_page_shows(terms: str, shown: str, tmp_path: Path) -> None:
    typed, _, said = shown.partition("\n")

    assert said == printed(terms, typed, tmp_path)


def test_every_model_has_an_example() -> None:
    terms = "".join(each for each, _ in examples())
    names = (
        "flat",
        "perUnit",
        "graduated",
        "volume",
        "package",
        "percentage",
        "tieredPercentage",
        "matrix",
        "capacity",
    )

    assert [name for name in (*names, "timeOfDay", "dynamic") if f"{name}:" not in terms] == []
