from __future__ import annotations

import inspect

from ecurie.cli.serve import serve
from ecurie.settings import SECRETS, Settings


def test_every_setting_is_a_flag_of_serve_but_the_secrets() -> None:
    assert set(inspect.signature(serve).parameters) == set(Settings.model_fields) - SECRETS
