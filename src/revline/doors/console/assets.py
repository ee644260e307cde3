"""Static files under names that hold their own digest, so that they may be kept for ever; and the pictures pages are drawn with."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from typing import Final

import msgspec
from markupsafe import Markup

STATIC: Final = files("revline.doors.console") / "static"
NAMES: Final = {
    "console.css": "text/css; charset=utf-8",
    "work.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "favicon.svg": "image/svg+xml",
    "vendor/htmx-4.0.1.min.js": "text/javascript; charset=utf-8",
    "vendor/inter-latin-wght-normal.woff2": "font/woff2",
    "vendor/inter-latin-ext-wght-normal.woff2": "font/woff2",
}
"""What may be asked for, with its media type; licences lie beside the vendored files."""
VENDORED: Final = {
    "vendor/htmx-4.0.1.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "vendor/inter-latin-wght-normal.woff2": "3100e775e8616cd2611beecfa23a4263d7037586789b43f035236a2e6fbd4c62",
    "vendor/inter-latin-ext-wght-normal.woff2": "34b9c504cab7a73e37b746343a449132e56cf7b5481af2cb81dc74dcff25c956",
    "vendor/lucide-1.62.0.json": "0cced3abce65f09340a5533fede61af71a6fe87594910b553d1bb2a44c394419",
}
"""SHA-256 of what was not written here; a test compares."""
URL_IN_CSS: Final = re.compile(r"url\(\"([a-z0-9./-]+)\"\)")
PREFIX: Final = "/static/"


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it is served."""

    path: str
    media_type: str
    body: bytes


class Assets:
    """Every static file, read once."""

    def __init__(self) -> None:
        self._by_name: dict[str, Asset] = {}
        self.by_path: dict[str, Asset] = {}
        fonts_first = sorted(NAMES, key=lambda name: not name.endswith((".woff2", ".svg")))
        for name in fonts_first:
            body = (STATIC / name).read_bytes()
            if name.endswith(".css"):
                body = URL_IN_CSS.sub(lambda found: f'url("{self.url(found[1])}")', body.decode()).encode()
            stem, _, ending = name.rpartition("/")[2].rpartition(".")
            path = f"{PREFIX}{stem}.{hashlib.sha256(body).hexdigest()[:12]}.{ending}"
            asset = Asset(path=path, media_type=NAMES[name], body=body)
            self._by_name[name] = self.by_path[path] = asset

    def url(self, name: str) -> str:
        """The address of a file by its name."""
        return self._by_name[name].path


def _icons() -> dict[str, str]:
    found: dict[str, str] = json.loads((STATIC / "vendor/lucide-1.62.0.json").read_bytes())
    return found


ICONS: Final = _icons()


def icon(name: str, *, size: int = 16) -> Markup:
    """A picture of the Lucide set, drawn in the text's colour and hidden from readers: a word always stands beside it."""
    inner = ICONS.get(name) or ICONS["circle"]
    return Markup(  # noqa: S704 - the set is vendored; the name only chooses in it
        f'<svg class="icon" width="{int(size)}" height="{int(size)}" viewBox="0 0 24 24" fill="none" stroke="currentColor"'
        f' stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">{inner}</svg>'
    )
