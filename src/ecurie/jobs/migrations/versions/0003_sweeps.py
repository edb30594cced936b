"""Sweeps, and which jobs are their cells."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sql.Column("id", sql.String(32), primary_key=True),
        sql.Column("definition", sql.Text, nullable=False),
        sql.Column("created_at", sql.Float, nullable=False),
    )
    op.add_column("jobs", sql.Column("sweep", sql.String(32)))
    op.add_column("jobs", sql.Column("cell", sql.Integer))
    op.create_index("jobs_by_sweep", "jobs", ["sweep", "cell"])


def downgrade() -> None:
    op.drop_index("jobs_by_sweep", "jobs")
    op.drop_column("jobs", "cell")
    op.drop_column("jobs", "sweep")
    op.drop_table("sweeps")
