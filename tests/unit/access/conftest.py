"""Tests of what the job database holds run on both databases."""

from __future__ import annotations

from tests.unit.jobs.conftest import database_url, postgres_template, store

__all__ = ["database_url", "postgres_template", "store"]
