"""Page of the conformance kit: its cases, and the defects planted in a connector with the cell that catches each."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from revline.connectors.sdk.conformance import CASES
from revline.connectors.sdk.conformance_run import Capability, Case
from tests.contract.conformance.mutants import MUTANTS
from tools.reference import markdown

LEAD: Final = """`revline conformance CONNECTOR...` runs these cases against a connector's simulator, or against the real system
where one runs, and prints a table of cases by connectors; it ends with 1 when a cell is red. Each case belongs to a capability. A
connector whose manifest has no such capability shows "not claimed"; a system that can't bring about what a case needs shows "not
tried". Neither is ever green.

`simulated` and `netsuite` run against simulators in the same process and need nothing. `tryton` installs and starts a real Tryton
8.2 on loopback, in the folder that `REVLINE_TRYTON_FOLDER` names or in `.revline/tryton`; run it from a checkout, where the list of
Tryton's packages is. A package of yours offers a connector of its own under the entry point group `revline.conformance`; the module
`revline.connectors.sdk.conformance` says what it gives."""

DEFECTS: Final = """The kit is tested by what it must catch. Each of these defects is planted in the connector to the simulated ERP,
one at a time; a test holds that it turns the named cell red, that without it every cell is green, and that every case catches
something."""


def render() -> str:
    """The page."""
    by_capability: dict[Capability, list[Case]] = defaultdict(list)
    for case in CASES:
        by_capability[case.capability].append(case)
    parts = ["## Cases"]
    for capability, cases in by_capability.items():
        rows = [(case.name, _needs(case)) for case in cases]
        title = capability.value[:1].upper() + capability.value[1:]
        parts.append(f"### {title}\n\n" + markdown.table(columns=("Case", "Needs"), rows=rows))
    rows = [(mutant.name, mutant.defect, mutant.caught_by, mutant.variant) for mutant in MUTANTS]
    table = markdown.table(columns=("Defect", "What the connector does", "Cell it turns red", "Planted in"), rows=rows)
    parts.append(f"## Planted defects\n\n{DEFECTS}\n\n{table}")
    return markdown.page(title="Conformance kit", lead=LEAD, parts=parts)


def _needs(case: Case) -> str:
    words = [markdown.code(kind.value) for kind in case.kinds]
    words += [f"a system that can bring about {markdown.code(trouble.value)}" for trouble in case.troubles]
    if case.searchable:
        words.append("references that can be searched")
    if case.idempotency:
        words.append("idempotency " + " or ".join(markdown.code(one.value) for one in case.idempotency))
    if case.lagging:
        words.append("a look-up that lags")
    return ", ".join(words) or "nothing"
