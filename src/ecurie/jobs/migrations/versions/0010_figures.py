"""What is counted of all jobs, and the trace that a job belongs to."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "figures",
        sql.Column("name", sql.String(80), primary_key=True),
        sql.Column("labels", sql.String(500), primary_key=True),
        sql.Column("value", sql.Float(53), nullable=False),
    )
    op.add_column("jobs", sql.Column("traceparent", sql.String(60)))


def downgrade() -> None:
    op.drop_column("jobs", "traceparent")
    op.drop_table("figures")
