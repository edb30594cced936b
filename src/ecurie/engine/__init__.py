"""How an image is made: checkpoints, prompts, schedulers and the denoising itself."""

import os
import warnings

# Read when torch loads its OpenMP runtime. Threads that spin for long while they wait make two processes on
# the same cores slow each other a hundredfold; threads that never spin halve the speed of small models
# (docs/log.md).
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# Read at torch's first allocation: new memory comes in pages of 2 MB where the kernel allows it, so that the
# 14 GB of a model in float32 do not cost 3.5 million page faults (docs/log.md).
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# Diffusers and transformers talk about optional parts that Écurie does not use.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
warnings.filterwarnings("ignore", module="(diffusers|transformers|compel|torchsde)")
