"""The engine's imports leave scipy for later, and what was left works when it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import diffusers

# The LMS scheduler integrates with scipy; `use_beta_sigmas` asks scipy.stats for the beta distribution.
PROGRAM = """
import gc, json, sys
from ecurie.bootstrap import make_engine
from ecurie.settings import Settings
make_engine(Settings())
loaded = [name for name in sys.modules if name in ("scipy.stats", "scipy.optimize", "scipy.integrate")]
assert gc.isenabled() and gc.get_freeze_count() > 100_000
from tests.unit.test_quick_imports import sigmas_and_coefficients
print(json.dumps([loaded, *sigmas_and_coefficients()]))
"""


def sigmas_and_coefficients() -> list[list[float]]:
    lms = diffusers.LMSDiscreteScheduler()
    lms.set_timesteps(5)
    beta = diffusers.EulerDiscreteScheduler(use_beta_sigmas=True)
    beta.set_timesteps(5)
    return [
        [float(sigma) for sigma in beta.sigmas],
        [lms.get_lms_coefficient(2, 3, order) for order in range(2)],
    ]


def test_scipy_is_loaded_when_a_scheduler_computes_with_it() -> None:
    shown = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded, *ours = json.loads(shown.stdout)
    assert loaded == []
    assert ours == sigmas_and_coefficients()
