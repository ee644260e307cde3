"""Takes the pictures of the README from a demonstration's own console: `python -m tools.pictures [FOLDER]`.

Needs Debian's Chromium and Playwright, as the console's tests do. Knows which pages are shown; the demonstration is Revline's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from revline.sim.demo.run import PERSON, Story
from revline.sim.demo.stage import Stage

PICTURES = Path("docs/pictures")
CHROMIUM = "/usr/bin/chromium"
SIZE = (1280, 800)
BYTES_MAX = 200_000


class PicturedStory(Story):
    """A story that stops for a picture where something is held up, and at its end."""

    password = ""

    def _show_cases(self) -> None:
        super()._show_cases()
        self.password = self.let_in()
        with self._looking() as page:
            self._take(page, "overview", "/t/birch")
            page.goto(f"{self.stage.api}/t/birch/cases")
            page.locator("main table a").first.click()
            page.wait_for_load_state()
            self._take(page, "cause", page.url.removeprefix(self.stage.api))
            page.locator("main table a[href*='/cases/']").first.click()
            page.wait_for_load_state()
            self._take(page, "case", page.url.removeprefix(self.stage.api))
            self._take(page, "deliveries", "/t/birch/deliveries?state=ready")

    def at_the_end(self) -> None:
        """The way of an invoice, from a little further away: it is long."""
        with self._looking(zoom=0.8) as page:
            number = self.proof.number_to_search()
            self._take(page, "trace", f"/t/birch/trace?id={number}")

    @contextmanager
    def _looking(self, *, zoom: float = 1.0) -> Iterator[Page]:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            context = browser.new_context(
                viewport={"width": int(SIZE[0] / zoom), "height": int(SIZE[1] / zoom)},
                device_scale_factor=zoom,
                color_scheme="light",
                locale="en-GB",
                timezone_id="UTC",
            )
            page = context.new_page()
            page.goto(f"{self.stage.api}/login")
            page.get_by_label("E-mail").fill(PERSON)
            page.get_by_label("Password").fill(self.password)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_url("**/t/**")
            yield page
            browser.close()

    def _take(self, page: Page, name: str, path: str) -> None:
        page.goto(self.stage.api + path)
        page.wait_for_load_state("networkidle")
        file = PICTURES / f"{name}.png"
        page.screenshot(path=str(file))
        if file.stat().st_size > BYTES_MAX:
            raise SystemExit(f"{file} is larger than {BYTES_MAX} bytes")


def main() -> int:
    """Play, and take them."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".revline/pictures")
    folder.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    console = Console(width=132)
    with Stage(folder=folder, with_tryton=False, report=console.print) as stage:
        story = PicturedStory(stage=stage, console=console, small=False)
        try:
            told = story.tell()
            story.at_the_end()
        finally:
            story.close()
    return 0 if told else 1


if __name__ == "__main__":
    sys.exit(main())
