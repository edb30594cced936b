"""API keys, who owns images and uploads, and how many pixels a job asked for."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sql.Column("id", sql.String(32), primary_key=True),
        sql.Column("name", sql.String(64), nullable=False),
        sql.Column("role", sql.String(16), nullable=False),
        sql.Column("hash", sql.String(64), nullable=False, unique=True),
        sql.Column("prefix", sql.String(20), nullable=False),
        sql.Column("created_at", sql.Float, nullable=False),
        sql.Column("revoked_at", sql.Float),
        sql.Column("last_used_at", sql.Float),
        sql.Column("requests_per_minute", sql.BigInteger),
        sql.Column("pixels_per_day", sql.BigInteger),
        sql.Column("queued_jobs", sql.BigInteger),
    )
    op.create_table(
        "secrets",
        sql.Column("name", sql.String(32), primary_key=True),
        sql.Column("value", sql.LargeBinary, nullable=False),
    )
    op.create_table(
        "output_owners",
        sql.Column("filename", sql.String(255), primary_key=True),
        sql.Column("owner", sql.String(64), nullable=False),
    )
    op.create_table(
        "upload_owners",
        sql.Column("picture", sql.String(32), primary_key=True),
        sql.Column("owner", sql.String(64), primary_key=True),
    )
    op.add_column("jobs", sql.Column("pixels", sql.BigInteger, nullable=False, server_default="0"))
    owned = sql.text("owner <> ''")
    op.create_index(
        "jobs_of_day", "jobs", ["owner", "created_at"], sqlite_where=owned, postgresql_where=owned
    )


def downgrade() -> None:
    op.drop_index("jobs_of_day", "jobs")
    op.drop_column("jobs", "pixels")
    for table in ("upload_owners", "output_owners", "secrets", "api_keys"):
        op.drop_table(table)
