"""Previews of running jobs, and what estimates are measured by."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "previews",
        sql.Column("job_id", sql.String(32), primary_key=True),
        sql.Column("step", sql.Integer, nullable=False),
        sql.Column("image", sql.LargeBinary, nullable=False),
        sql.Column("written_at", sql.Float, nullable=False),
    )
    op.add_column("jobs", sql.Column("drawing_at", sql.Float))


def downgrade() -> None:
    op.drop_column("jobs", "drawing_at")
    op.drop_table("previews")
