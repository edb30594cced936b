from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["mcp"] = None
sys.argv = ["ecurie", "mcp"]
from ecurie.cli.app import main
main()
"""


def test_without_the_sdk_the_verb_says_what_to_install() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 3
    assert ended.stderr.startswith("ecurie: mcp")
    assert ended.stderr.endswith(" is not installed\n        run: pip install 'ecurie[mcp]'\n")
