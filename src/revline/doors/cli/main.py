"""The command line put together."""

from __future__ import annotations

import typer

from revline.doors.cli import (
    access,
    acts,
    cases,
    close_priority,
    configuration,
    conformance,
    corrections,
    deliveries,
    epoch,
    importing,
    looking,
    outbound,
    pools,
    prepaid,
    questions,
    running,
    simulating,
    sources,
    usage,
    users,
)
from revline.doors.cli.context import Program
from revline.platform.config.registry import Registry


def build(*, program: Program, registry: Registry) -> typer.Typer:
    """Every command over what app gives them."""
    app = typer.Typer(
        name="revline",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Keeps what you sell and what your ERP books true to each other.",
    )

    @app.callback()
    def prepare(context: typer.Context) -> None:
        context.obj = program

    configuration.add_init(app)
    app.add_typer(configuration.commands(registry), name="config")
    running.add_processes(app)
    app.add_typer(running.database_commands(), name="db")
    importing.add_import(app)
    app.add_typer(sources.app, name="sources")
    looking.add_status(app)
    looking.add_trace(app)
    app.add_typer(cases.app, name="cases")
    app.add_typer(corrections.app, name="corrections")
    app.add_typer(deliveries.app, name="deliveries")
    app.add_typer(epoch.app, name="epoch")
    app.add_typer(acts.app, name="acts")
    app.add_typer(pools.app, name="pools")
    app.add_typer(close_priority.app, name="close-priority")
    app.add_typer(users.user_commands(), name="users")
    app.add_typer(access.key_commands(), name="keys")
    app.add_typer(outbound.add_outbound(access.webhook_commands()), name="webhooks")
    app.add_typer(questions.preview_commands(), name="preview")
    app.add_typer(questions.validate_commands(), name="validate")
    app.add_typer(questions.customer_commands(), name="customer")
    app.add_typer(prepaid.app, name="credits")
    questions.add_master_data(app)
    app.add_typer(access.audit_commands(), name="audit")
    app.add_typer(access.export_commands(), name="export")
    app.add_typer(usage.usage_commands(registry), name="usage")
    conformance.add_conformance(app)
    simulating.add_simulation(app)
    return app
