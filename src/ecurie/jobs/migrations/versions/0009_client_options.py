"""Options that clients of the AUTOMATIC1111 API have set, each for itself."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "client_options",
        sql.Column("owner", sql.String(64), primary_key=True),
        sql.Column("client", sql.String(64), primary_key=True),
        sql.Column("name", sql.String(64), primary_key=True),
        sql.Column("value", sql.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("client_options")
