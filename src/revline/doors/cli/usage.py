"""`revline usage`: the group that the commands of metered usage stand in. Each part adds its own."""

from __future__ import annotations

import typer

from revline.doors.cli import usage_charges, usage_files, usage_live, usage_meters, usage_prices
from revline.doors.cli.usage_shadow import add_shadow
from revline.platform.config.registry import Registry


def usage_commands(registry: Registry) -> typer.Typer:
    """The `usage` commands."""
    app = typer.Typer(no_args_is_help=True, help="Metered usage: what was used, what it costs, what was charged.")
    usage_prices.add_prices(app, registry)
    add_shadow(app)
    usage_charges.add_charges(app)
    usage_live.add_live(app)
    usage_files.add_files(app)
    usage_meters.add_meters(app)
    return app
