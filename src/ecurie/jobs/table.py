"""The tables of jobs and what belongs to them. What a scheduler must see, or a search finds by, is
in columns, what only people read is JSON.

`words` is what the gallery searches, the prompt in folded case; `adapters` are the stack's names, a newline
before and after each; bit k of `deleted_images` says that its owner deleted image k.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

metadata = MetaData()
# Written out, not bound: a database uses a partial index only where it sees the condition.
NOT_CANCELLED = text("state <> 'cancelled'")
SUCCEEDED = text("state = 'succeeded'")
OWNED = text("owner <> ''")

jobs = Table(
    "jobs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("model", String(200), nullable=False),
    Column("stack", String(64), nullable=False),
    Column("request", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("overtaken_at", Float),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("attempts", Integer, nullable=False),
    Column("worker", String(64)),
    Column("lease_until", Float),
    Column("cancel_requested", Boolean, nullable=False),
    Column("phase", String(40), nullable=False),
    Column("step", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("drawing_at", Float),
    Column("bytes_done", BigInteger),
    Column("bytes_total", BigInteger),
    Column("result", Text),
    Column("failure", Text),
    Column("sweep", String(32)),
    Column("cell", Integer),
    Column("owner", String(64), nullable=False, server_default=""),
    Column("turn", BigInteger, nullable=False, server_default="0"),
    Column("outputs_removed", Boolean, nullable=False, server_default=false()),
    Column("words", Text, nullable=False, server_default=""),
    Column("adapters", Text, nullable=False, server_default=""),
    Column("deleted_images", Integer, nullable=False, server_default="0"),
    Column("pixels", BigInteger, nullable=False, server_default="0"),
    Column("traceparent", String(60)),
    Index("jobs_by_turn", "state", "priority", "turn", "seq", "model"),
    Index(
        "jobs_by_owner",
        "owner",
        "priority",
        "turn",
        sqlite_where=NOT_CANCELLED,
        postgresql_where=NOT_CANCELLED,
    ),
    Index("jobs_by_end", "outputs_removed", "finished_at"),
    Index("jobs_by_sweep", "sweep", "cell"),
    Index("jobs_by_arrival", "created_at"),
    # All that a search reads. PostgreSQL keeps long texts apart from the rows, so it needs none; and its
    # indexes hold no long ones.
    Index(
        "gallery",
        "state",
        "outputs_removed",
        "seq",
        "owner",
        "model",
        "adapters",
        "words",
        sqlite_where=SUCCEEDED,
    ).ddl_if("sqlite"),
    Index("jobs_of_day", "owner", "created_at", sqlite_where=OWNED, postgresql_where=OWNED),
)

previews = Table(
    "previews",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("step", Integer, nullable=False),
    Column("image", LargeBinary, nullable=False),
    Column("written_at", Float, nullable=False),
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("definition", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(40), nullable=False),
    Column("device", String(40), nullable=False),
    Column("dtype", String(40), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("job", String(32)),
    Column("memory", Text, nullable=False),
    Column("on_disk", Text, nullable=False),
    Column("rung_for", Text),
)

figures = Table(
    "figures",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("labels", String(500), primary_key=True),
    Column("value", Float(53), nullable=False),
)

output_owners = Table(
    "output_owners",
    metadata,
    Column("filename", String(255), primary_key=True),
    Column("owner", String(64), nullable=False),
)

upload_owners = Table(
    "upload_owners",
    metadata,
    Column("picture", String(32), primary_key=True),
    Column("owner", String(64), primary_key=True),
)

client_options = Table(
    "client_options",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("client", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
