"""The configuration tests rehearse with: two tenants, Aurora on Tryton and Birch on the simulated ERP, with the starter's posting
rules. Birch's account of hardware is left out, so that a test can see what a missing mapping becomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from revline.connectors.simulated.setup import Account, CompanySetup, SetupBody

HERE = Path(__file__).parent
TENANTS = ("aurora", "birch")
BIRCH_ACCOUNTS = (
    *("1000", "1010", "1050", "1150", "1160", "1170"),
    *("2200", "2300", "2400", "2450"),
    *("4000", "4010", "4100", "4900", "4910", "4920"),
    *("6100", "6110", "6500"),
)


def write_folder(*, folder: Path, addresses: Mapping[str, str], tenants: tuple[str, ...] = TENANTS) -> None:
    """Write the folder anew. addresses: values of the placeholders in the connections, such as tryton_base_url."""
    starter = files("revline") / "examples" / "starter"
    for tenant in tenants:
        place = folder / tenant
        place.mkdir(parents=True, exist_ok=True)
        for document in (HERE / tenant).iterdir():
            text = Template(document.read_text(encoding="utf-8")).substitute(addresses)
            (place / document.name).write_text(text, encoding="utf-8")
        for rules in starter.iterdir():
            if "-rules-" in rules.name:
                text = rules.read_text(encoding="utf-8").replace("tenant: acme", f"tenant: {tenant}")
                (place / rules.name).write_text(text, encoding="utf-8")


def add_missing_mapping(*, folder: Path) -> str:
    """Write the account that was left out; gives the line that was added."""
    path = folder / "birch" / "40-mapping.yaml"
    line = 'revenue_product: "4100"'
    path.write_text(path.read_text(encoding="utf-8").replace(f"# {line}", line), encoding="utf-8")
    return line


def birch_books() -> SetupBody:
    """The simulated ERP's company: its chart and two years of open periods."""
    accounts = (Account(code="1100", kind="receivable"), *(Account(code=code) for code in BIRCH_ACCOUNTS))
    company = CompanySetup(
        code="BIRCH-US",
        functional_currency="USD",
        accounts=accounts,
        first_period="2025-01",
        period_count=24,
    )
    return SetupBody(companies=(company,))
