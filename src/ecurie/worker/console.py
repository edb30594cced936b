"""For Celery's own commands and Flower: `celery -A ecurie.worker.console inspect active`.

They see the settings of the environment, so the broker's password is in no command line.
"""

from __future__ import annotations

from celery import Celery

from ecurie.errors import SettingsError
from ecurie.jobs.celery_bell import make_app
from ecurie.settings import load_settings


def __getattr__(name: str) -> Celery:
    """`app`, made when it is asked for."""
    if name != "app":
        raise AttributeError(name)
    broker_url = load_settings().broker_url
    if broker_url is None:
        raise SettingsError("there is no broker to look at", remedy="set ECURIE_BROKER_URL")
    return make_app(broker_url.get_secret_value())
