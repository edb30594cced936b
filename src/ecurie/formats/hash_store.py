"""Hashes of files by path, time and size, in a database of their own that processes share."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

log = logging.getLogger(__name__)
BUSY_SECONDS = 5.0
TABLE = """
CREATE TABLE IF NOT EXISTS hashes (
    path TEXT PRIMARY KEY, modified INTEGER NOT NULL, bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL, after_header TEXT NOT NULL
)"""


class HashStore:
    """Opened for each question, so threads and processes may share it. It is a cache: what it cannot read or
    write (no data folder, a full disk, a damaged file) is logged and computed again."""

    def __init__(self, database: Path):
        self._database = database

    def find(self, file: Path, modified: int, size: int) -> tuple[str, str] | None:
        """(sha256, after_header) of the file in this very state."""
        query = "SELECT sha256, after_header FROM hashes WHERE path = ? AND modified = ? AND bytes = ?"
        rows = self._run(query, (str(file), modified, size))
        return (rows[0][0], rows[0][1]) if rows else None

    def files_with(self, sha256: str) -> list[tuple[str, int, int]]:
        """(path, modified, bytes) of every file that had this hash."""
        query = "SELECT path, modified, bytes FROM hashes WHERE sha256 = ?"
        return [(row[0], int(row[1]), int(row[2])) for row in self._run(query, (sha256,))]

    def keep(self, file: Path, modified: int, size: int, sha256: str, after_header: str) -> None:
        query = "INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?)"
        self._run(query, (str(file), modified, size, sha256, after_header))

    def _run(self, query: str, values: tuple[object, ...]) -> list[tuple[str, ...]]:
        if not self._database.parent.is_dir():
            return []
        try:
            connection = sqlite3.connect(self._database, timeout=BUSY_SECONDS, isolation_level=None)
            with closing(connection):
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(TABLE)
                return connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            log.warning("%s cannot be used: %s", self._database, error)
            return []
