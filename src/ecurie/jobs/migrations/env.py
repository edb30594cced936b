"""Alembic's entry: run the migrations on the store's database."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import context

from ecurie.jobs.table import metadata

ONE_AT_A_TIME = 0xEC0
"""Names the lock for which processes wait that open a new database at once."""

engine = sql.create_engine(context.config.get_main_option("sqlalchemy.url") or "", poolclass=sql.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        if engine.dialect.name == "postgresql":
            connection.execute(sql.select(sql.func.pg_advisory_xact_lock(ONE_AT_A_TIME)))
        context.run_migrations()
