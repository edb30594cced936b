"""What is counted of all jobs, in one visible list: counters and histograms that the database keeps.

Named as Prometheus asks (https://prometheus.io/docs/practices/naming/): seconds and bytes, `_total` for what
only grows.
"""

from __future__ import annotations

from dataclasses import dataclass

from ecurie import errors
from ecurie.domain import FINAL_STATES, Priority

SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LONG = (0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
OUTCOMES = tuple(sorted(state.value for state in FINAL_STATES))
SWITCHES = ("model", "stack", "none")
STEPS = ("all-resident", "text-to-host", "vae-tiled", "model-offload", "sequential-offload")
"""Of the memory ladder (`engine.memory.Step`)."""
FAULTS = tuple(
    error.code
    for error in (
        *(errors.DownloadFailed, errors.StorageFull, errors.StorageUnavailable, errors.WeightsDrifted),
        *(errors.WorkerDied, errors.OutOfMemory, errors.ImageNotFinite, errors.GenerationFailed),
    )
)
"""Codes of what is not the client's mistake."""
PHASES = ("prepare", "encode", "denoise", "decode", "save")


@dataclass(frozen=True, slots=True)
class Measure:
    """A counter, or with `buckets` (upper bounds) a histogram. `values` are those that its label takes, where
    they are known: such series are told from the start, so that their first increase is seen."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    values: tuple[str, ...] = ()


FINISHED = Measure("ecurie_jobs_finished_total", "Jobs that ended, by how.", ("model", "outcome"))
FAILED = Measure(
    "ecurie_jobs_failed_total",
    "Failed jobs, by the code of their error.",
    ("code",),
    values=FAULTS,
)
IMAGES = Measure("ecurie_images_total", "Finished images.", ("model",))
RETURNED = Measure(
    "ecurie_job_runs_returned_total",
    "Runs that put their job back into the queue or lost it: the worker was stopped (interrupted), died "
    "(dead) or was silent until its lease ended (silent), or images could not be kept (storage).",
    ("reason",),
    values=("interrupted", "dead", "silent", "storage"),
)
WAITED = Measure(
    "ecurie_job_wait_seconds",
    "From a job's arrival to the start of the run that ended it.",
    ("priority",),
    LONG,
    tuple(priority.label for priority in Priority),
)
PHASE = Measure(
    "ecurie_job_phase_seconds",
    "What succeeded jobs took for each phase but switching, all images together.",
    ("phase",),
    SHORT,
    PHASES,
)
SWITCH = Measure(
    "ecurie_switch_seconds",
    "Making a model and its adapters ready: the model was read from its files (model), weights were patched "
    "or restored (stack), or all was as the job needs it (none).",
    ("kind",),
    SHORT,
    SWITCHES,
)
STEP = Measure("ecurie_step_seconds", "From one denoising step of an image to the next.", ("model",), SHORT)
ADAPTERS = Measure(
    "ecurie_adapter_seconds_total",
    "Reading adapter files (read), patching weights (compute), restoring them (restore).",
    ("phase",),
    values=("read", "compute", "restore"),
)
PROMPTS = Measure(
    "ecurie_prompt_cache_lookups_total",
    "Jobs whose prompts were encoded before (hit) or not (miss).",
    ("result",),
    values=("hit", "miss"),
)
MODELS = Measure(
    "ecurie_model_lookups_total",
    "Jobs whose model was in memory (hit) or was read from its files (miss).",
    ("result",),
    values=("hit", "miss"),
)
LADDER = Measure(
    "ecurie_memory_step_jobs_total",
    "Succeeded jobs, by step of the memory ladder.",
    ("step",),
    values=STEPS,
)
MEMORY_OUT = Measure(
    "ecurie_out_of_memory_total",
    "Times that memory ran out, by step of the memory ladder.",
    ("step",),
    values=STEPS,
)
DOWNLOADED = Measure("ecurie_downloaded_bytes_total", "Bytes of models and adapters that jobs downloaded.")
PREVIEWS = Measure("ecurie_previews_total", "Pictures of jobs on their way.")
DIED = Measure("ecurie_workers_died_total", "Workers of `ecurie serve` that ended without being asked to.")

MEASURES = (
    *(FINISHED, FAILED, IMAGES, RETURNED, WAITED, PHASE, SWITCH, STEP, ADAPTERS, PROMPTS, MODELS, LADDER),
    *(MEMORY_OUT, DOWNLOADED, PREVIEWS, DIED),
)
