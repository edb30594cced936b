"""Workers, of this machine and of others."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "workers",
        sql.Column("name", sql.String(64), primary_key=True),
        sql.Column("host", sql.String(255), nullable=False),
        sql.Column("pid", sql.Integer, nullable=False),
        sql.Column("version", sql.String(40), nullable=False),
        sql.Column("device", sql.String(40), nullable=False),
        sql.Column("dtype", sql.String(40), nullable=False),
        sql.Column("started_at", sql.Float, nullable=False),
        sql.Column("seen_at", sql.Float, nullable=False),
        sql.Column("job", sql.String(32)),
        sql.Column("memory", sql.Text, nullable=False),
        sql.Column("on_disk", sql.Text, nullable=False),
        sql.Column("rung_for", sql.Text),
    )


def downgrade() -> None:
    op.drop_table("workers")
