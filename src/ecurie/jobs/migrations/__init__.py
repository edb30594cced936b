"""Alembic migrations of the job table."""
