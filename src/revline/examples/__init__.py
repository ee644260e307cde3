"""Example configuration folders that ship with Revline. Knows how to write one; what it says is YAML."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

EXAMPLES: Final = ("starter",)


def example_folder(name: str = "starter") -> Path:
    """Where an example stands inside the installed package. KeyError for one that does not exist."""
    if name not in EXAMPLES:
        raise KeyError(f"there is no example {name!r}; there are: {', '.join(EXAMPLES)}")
    return Path(str(files("revline.examples") / name))


def write_example(*, target: Path, name: str = "starter") -> tuple[Path, ...]:
    """Copy an example's YAML into a folder; gives the files written, in order.

    The folder is made when it is missing. FileExistsError when one of the files is there already: nothing is written then.
    """
    sources = sorted(path for path in example_folder(name).iterdir() if path.suffix == ".yaml")
    targets = [target / source.name for source in sources]
    for path in targets:
        if path.exists():
            raise FileExistsError(f"{path} is there already")
    target.mkdir(parents=True, exist_ok=True)
    for source, path in zip(sources, targets, strict=True):
        path.write_bytes(source.read_bytes())
    return tuple(targets)
