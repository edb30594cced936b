"""How an image is made: checkpoints, prompts, schedulers and the denoising itself."""

import os
import warnings

# Read when torch loads its OpenMP runtime. Threads that spin while they wait make two processes on the same
# cores slow each other a hundredfold (measured: 30 demo steps in 127 s instead of 0.9 s beside a training).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Diffusers and transformers talk about optional parts that Écurie does not use.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
warnings.filterwarnings("ignore", module="(diffusers|transformers|compel|torchsde)")

from diffusers.utils import logging as diffusers_logging  # noqa: E402
from transformers.utils import logging as transformers_logging  # noqa: E402

diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()
