"""Redis servers with a known hole, told from their version."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)
FIXED = {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2}
"""The first patch release of each branch without CVE-2025-49844 (a script runs code in the server). Branches
that are not here, and not newer than all of them, were not mended by the project."""


def is_holed(version: str) -> bool:
    """`version` is as the server says it, such as `7.2.4`."""
    major, minor, patch = (int(number) for number in (*version.split("."), "0", "0")[:3])
    branch = major, minor
    return branch <= max(FIXED) and patch < FIXED.get(branch, patch + 1)


def warn_of_old_redis(broker_url: str) -> None:
    """Says nothing of other brokers, or of one that cannot be reached now."""
    if not broker_url.startswith("redis"):
        return
    from redis import Redis, RedisError

    try:
        with Redis.from_url(broker_url, socket_connect_timeout=5, socket_timeout=5) as client:
            told = client.info("server")
    except (RedisError, OSError):
        return
    version = str(told["redis_version"])
    # Valkey and others tell the Redis version that they are compatible with, and have fixes of their own.
    if told.get("server_name", "redis") == "redis" and is_holed(version):
        log.warning(
            "Redis %s may run code of whoever can send it scripts (CVE-2025-49844): use 6.2.20, 7.2.11, "
            "7.4.6, 8.0.4, 8.2.2 or newer, unless your distribution has mended it",
            version,
        )
