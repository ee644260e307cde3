"""The documentation site: every link inside leads somewhere, every code has its anchor, nothing is fetched from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from revline.core.problem import CATALOGUE
from tools.reference.problems import load_everything

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]

CHECKOUT = Path(__file__).resolve().parents[3]
PAGES = sorted(path.relative_to(CHECKOUT / "docs") for path in (CHECKOUT / "docs").rglob("*.md"))
FETCHED = re.compile(
    r"""<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=["'](?:https?:)?//|url\(["']?(?:https?:)?//|@import\s+["']?http"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make site` builds it: a warning, a link that leads nowhere among them, is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-c", "tools/docs"]
    done = subprocess.run(
        [*command, "-d", str(folder / "doctrees"), "-b", "html", "docs", str(folder / "html")],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4_000:]
    return folder / "html"


def test_every_page_is_built(site: Path) -> None:
    assert len(PAGES) > 20
    assert [page for page in PAGES if not (site / page.with_suffix(".html")).exists()] == []


def test_a_browser_fetches_nothing_from_elsewhere(site: Path) -> None:
    """Fonts and scripts are the site's own, so that it reads the same without a network."""
    texts = [path for path in site.rglob("*") if path.suffix in {".html", ".css"}]
    assert len(texts) > 20
    assert [path.name for path in texts if FETCHED.search(path.read_text(encoding="utf-8"))] == []


def test_every_problem_has_an_anchor_of_its_own(site: Path) -> None:
    load_everything()
    page = (site / "reference" / "errors.html").read_text(encoding="utf-8")
    anchors = re.findall(r'<section id="([^"]+)">', page)
    for code in CATALOGUE:
        assert anchors.count(re.sub(r"[._]", "-", code)) == 1, code
