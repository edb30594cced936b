"""What images are found by, and which of a job's were deleted."""

from __future__ import annotations

import json

import sqlalchemy as sql
from alembic import op

revision = "0008"
down_revision = "0007"

BATCH = 1000
JOBS = sql.table(
    "jobs", sql.column("seq"), sql.column("request"), sql.column("words"), sql.column("adapters")
)


def upgrade() -> None:
    op.add_column("jobs", sql.Column("words", sql.Text, nullable=False, server_default=""))
    op.add_column("jobs", sql.Column("adapters", sql.Text, nullable=False, server_default=""))
    op.add_column("jobs", sql.Column("deleted_images", sql.Integer, nullable=False, server_default="0"))
    _fill()
    op.create_index("jobs_by_arrival", "jobs", ["created_at"])
    if op.get_bind().dialect.name == "sqlite":
        # PostgreSQL keeps long texts apart from the rows and needs none; its indexes hold no long ones.
        op.create_index(
            "gallery",
            "jobs",
            ["state", "outputs_removed", "seq", "owner", "model", "adapters", "words"],
            sqlite_where=sql.text("state = 'succeeded'"),
        )


def _fill() -> None:
    """For the jobs that are there."""
    connection, last = op.get_bind(), 0
    found = sql.select(JOBS.c.seq, JOBS.c.request).order_by(JOBS.c.seq).limit(BATCH)
    change = sql.update(JOBS).where(JOBS.c.seq == sql.bindparam("of"))
    change = change.values(words=sql.bindparam("words"), adapters=sql.bindparam("adapters"))
    while rows := connection.execute(found.where(JOBS.c.seq > last)).all():
        connection.execute(change, [_searched(row.seq, json.loads(row.request)) for row in rows])
        last = rows[-1].seq


def _searched(seq: int, request: dict[str, object]) -> dict[str, object]:
    uses = request.get("adapters")
    names = [use["name"] for use in uses] if isinstance(uses, list) else []
    return {"of": seq, "words": str(request["prompt"]).casefold(), "adapters": "\n".join(["", *names, ""])}


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("gallery", "jobs")
    op.drop_index("jobs_by_arrival", "jobs")
    for column in ("deleted_images", "adapters", "words"):
        op.drop_column("jobs", column)
