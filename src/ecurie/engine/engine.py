"""The recipe of an image, from a checked request to saved files."""

from __future__ import annotations

import dataclasses
import math
import platform
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import ecurie
from ecurie.domain import GenerationRequest, ImageFile, JobResult, Progress, Setup, Timings
from ecurie.engine import pipelines, prompts
from ecurie.engine.devices import Compute
from ecurie.engine.residency import Residency
from ecurie.engine.stack import Stacks
from ecurie.errors import LeaseLost
from ecurie.formats.diffusers_folder import read_folder
from ecurie.images.files import OutputFolder

Listener = Callable[[Progress], None]
"""Told of every phase and step; raises JobCancelled, JobInterrupted or LeaseLost to stop the work."""


class Engine:
    """Makes images, one request at a time."""

    def __init__(self, compute: Compute, max_resident_models: int):
        self._compute = compute
        self._residency = Residency(compute, max_resident_models)
        self._stacks = Stacks()

    def run(self, request: GenerationRequest, outputs: OutputFolder, listen: Listener) -> JobResult:
        """Activate model and stack, encode the prompts, then denoise, decode and save each image.

        Images are made one by one, so image k is bit for bit the one that `seed + k` makes alone. Raises
        RequestError for what the request got wrong, JobError for the rest; no file is left behind then.
        """
        clock = _Clock()
        total = request.steps * request.num_images
        facts = read_folder(Path(request.model_path))
        prepare = clock.lap()
        listen(Progress("loading model", 0, total))
        model = self._residency.activate(Path(request.model_path), facts)
        listen(Progress("applying adapters", 0, total))
        report = self._stacks.apply(request, model, facts)
        switch = clock.lap()
        listen(Progress("encoding prompt", 0, total))
        conditioning = prompts.encode(model, request.final_prompt, request.negative_prompt, request.clip_skip)
        timings = Timings(prepare=prepare, switch=switch, encode=clock.lap())
        images: list[ImageFile] = []
        try:
            for index in range(request.num_images):
                drawn = pipelines.draw(
                    model,
                    self._compute,
                    conditioning,
                    scheduler_name=request.scheduler,
                    seed=request.seed_of(index),
                    steps=request.steps,
                    guidance_scale=request.guidance_scale,
                    width=request.width,
                    height=request.height,
                    on_step=_steps_of(request, index, listen),
                )
                clock.lap()
                setup = self._setup(drawn.scheduler)
                images.append(outputs.save(drawn.image, request, index, setup))
                timings = dataclasses.replace(
                    timings,
                    denoise=timings.denoise + drawn.denoise,
                    decode=timings.decode + drawn.decode,
                    save=timings.save + clock.lap(),
                )
        except LeaseLost:
            # The files, of the same names, are the new owner's now.
            raise
        except BaseException:
            outputs.discard(images)
            raise
        return JobResult(tuple(images), setup, timings, report)

    def describe(self) -> dict[str, str]:
        return {"device": self._compute.device.type, "dtype": self._compute.dtype_name}

    def _setup(self, scheduler: str) -> Setup:
        return Setup(
            device=self._compute.device.type,
            dtype=self._compute.dtype_name,
            scheduler=scheduler,
            versions={
                "ecurie": ecurie.__version__,
                "python": platform.python_version(),
                **{name: metadata.version(name) for name in ("torch", "diffusers", "transformers", "compel")},
            },
        )


def _steps_of(request: GenerationRequest, index: int, listen: Listener) -> pipelines.StepListener:
    """Reports in the request's steps: some schedulers take two timesteps for one."""
    total = request.steps * request.num_images

    def on_step(done: int, timesteps: int) -> None:
        step = math.ceil(done * request.steps / timesteps)
        phase = "decoding" if done == timesteps else "denoising"
        listen(Progress(phase, index * request.steps + step, total))

    return on_step


class _Clock:
    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap."""
        now = time.perf_counter()
        elapsed, self._last = now - self._last, now
        return elapsed
