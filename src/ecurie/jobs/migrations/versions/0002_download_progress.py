"""Bytes of a download, beside the steps."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("jobs", sql.Column("bytes_done", sql.BigInteger))
    op.add_column("jobs", sql.Column("bytes_total", sql.BigInteger))


def downgrade() -> None:
    op.drop_column("jobs", "bytes_total")
    op.drop_column("jobs", "bytes_done")
