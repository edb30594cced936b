"""Owners and turns of jobs, removed outputs, and word of every change on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0004"
down_revision = "0003"

TELL = """
CREATE FUNCTION ecurie_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY ecurie_jobs;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_changed AFTER INSERT OR UPDATE OR DELETE ON jobs
    FOR EACH STATEMENT EXECUTE FUNCTION ecurie_tell()
"""


def upgrade() -> None:
    # Jobs that wait keep the order of their arrival: their turns are equal.
    op.add_column("jobs", sql.Column("owner", sql.String(64), nullable=False, server_default=""))
    op.add_column("jobs", sql.Column("turn", sql.BigInteger, nullable=False, server_default="0"))
    op.add_column(
        "jobs", sql.Column("outputs_removed", sql.Boolean, nullable=False, server_default=sql.false())
    )
    op.drop_index("jobs_by_state", "jobs")
    op.create_index("jobs_by_turn", "jobs", ["state", "priority", "turn", "seq", "model"])
    kept = sql.text("state <> 'cancelled'")
    op.create_index(
        "jobs_by_owner", "jobs", ["owner", "priority", "turn"], sqlite_where=kept, postgresql_where=kept
    )
    op.create_index("jobs_by_end", "jobs", ["outputs_removed", "finished_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(TELL)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER jobs_changed ON jobs; DROP FUNCTION ecurie_tell()")
    for index in ("jobs_by_end", "jobs_by_owner", "jobs_by_turn"):
        op.drop_index(index, "jobs")
    op.create_index("jobs_by_state", "jobs", ["state", "priority", "seq"])
    for column in ("outputs_removed", "turn", "owner"):
        op.drop_column("jobs", column)
