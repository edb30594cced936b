"""What the server's application says of itself, without a server."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ecurie.api.app import create_app
from ecurie.bootstrap import make_service, make_store
from ecurie.jobs.doorbell import NoBell
from ecurie.jobs.forecasts import Forecasts
from ecurie.settings import Settings


def description() -> dict[str, Any]:
    """The OpenAPI document of all routes."""
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), demo=True)
        store = make_store(settings)
        app = create_app(
            make_service(settings, store, NoBell()),
            lambda: False,
            Forecasts(store.database, list, settings.max_overtake_seconds),
            allowed_hosts=(),
            allowed_origins=(),
            api_key=None,
            max_body_bytes=settings.max_body_bytes,
            max_upload_bytes=settings.max_upload_bytes,
        )
        store.close()
        return app.openapi()
