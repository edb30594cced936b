"""The job table."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
        sql.Column("id", sql.String(32), nullable=False, unique=True),
        sql.Column("state", sql.String(16), nullable=False),
        sql.Column("priority", sql.Integer, nullable=False),
        sql.Column("model", sql.String(200), nullable=False),
        sql.Column("stack", sql.String(64), nullable=False),
        sql.Column("request", sql.Text, nullable=False),
        sql.Column("created_at", sql.Float, nullable=False),
        sql.Column("overtaken_at", sql.Float),
        sql.Column("started_at", sql.Float),
        sql.Column("finished_at", sql.Float),
        sql.Column("attempts", sql.Integer, nullable=False),
        sql.Column("worker", sql.String(64)),
        sql.Column("lease_until", sql.Float),
        sql.Column("cancel_requested", sql.Boolean, nullable=False),
        sql.Column("phase", sql.String(40), nullable=False),
        sql.Column("step", sql.Integer, nullable=False),
        sql.Column("total", sql.Integer, nullable=False),
        sql.Column("result", sql.Text),
        sql.Column("failure", sql.Text),
    )
    op.create_index("jobs_by_state", "jobs", ["state", "priority", "seq"])


def downgrade() -> None:
    op.drop_table("jobs")
