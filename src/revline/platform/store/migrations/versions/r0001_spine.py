"""The spine: every table of the first way through, with its walls and grants.

Revision ID: 0001
Revises: none
"""

from revline.platform.store.migrate import run_frozen_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs the frozen file."""
    run_frozen_sql("0001_spine.sql")
