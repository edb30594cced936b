"""The one clock of a cluster: the database's. Those of its machines may differ by more than a lease."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class database_time(FunctionElement[float]):
    """Seconds since 1970, in a statement."""

    type = sql.Float()
    inherit_cache = True


@compiles(database_time, "sqlite")
def _in_sqlite(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_time, "postgresql")
def _in_postgresql(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "(extract(epoch from clock_timestamp())::float8)"
