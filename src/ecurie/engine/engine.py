"""The recipe of an image, from a checked request to saved files."""

from __future__ import annotations

import dataclasses
import math
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from threading import Thread
from typing import Any

import ecurie
from ecurie.adapters.parallel import CHECK_SECONDS, Check, go_on
from ecurie.domain import (
    GenerationRequest,
    ImageFile,
    JobResult,
    Preview,
    Progress,
    Setup,
    StackReport,
    Timings,
)
from ecurie.engine import pipelines, prompts
from ecurie.engine.ahead import get_ready
from ecurie.engine.devices import Compute, device_memory
from ecurie.engine.drawing import Drawn, Start, StepListener, drawing_of, read_start
from ecurie.engine.ladder import first_step, labels, run_down, warnings_of
from ecurie.engine.loader import Model
from ecurie.engine.memory import TEXT_ENCODERS, Step, peak
from ecurie.engine.need import ModelNeed
from ecurie.engine.placement import Placement
from ecurie.engine.previews import Previews
from ecurie.engine.prompt_cache import PromptCache, encode_request, prompt_key
from ecurie.engine.references import Prepared, References, adapter_bytes
from ecurie.engine.residency import Budgets, Residency, Resident
from ecurie.engine.stack import ReadStack, Stacks, apply_stack
from ecurie.errors import WeightsDrifted
from ecurie.formats.checkpoint import Checkpoint, files_of, read_checkpoint
from ecurie.formats.inventory import Part
from ecurie.formats.model_files import begin_hashing, configuration_sha256, model_files
from ecurie.images.files import OutputFolder
from ecurie.images.incoming import ReadPicture, read_here
from ecurie.machine import host_memory

LIBRARIES = ("torch", "diffusers", "transformers", "compel", "pillow")
"""Those that can change a picture or its file."""
Listener = Callable[[Progress], None]
"""Told of every phase and step; raises JobCancelled, JobInterrupted or LeaseLost to stop the work."""


class Engine:
    """Makes images, one request at a time."""

    def __init__(
        self,
        compute: Compute,
        budgets: Budgets,
        verify_weights: bool = False,
        previews: Previews | None = None,
    ):
        self._compute, self._budgets, self._verify_weights = compute, budgets, verify_weights
        self._residency = Residency(compute, budgets)
        self._stacks = Stacks()
        self._references = References(compute)
        self._prompts = PromptCache()
        self._previews = previews

    def run(
        self,
        request: GenerationRequest,
        outputs: OutputFolder,
        listen: Listener,
        read: ReadPicture = read_here,
        check: Check = go_on,
    ) -> JobResult:
        """Make the request's images, with less of the model in memory if all of it does not fit.

        `read` gets the pictures that it brings. `check` is called within phases and steps, hundreds of times
        a second, and raises what `listen` raises; nothing is half applied then.

        Raises RequestError for what the request got wrong, JobError for the rest; no file is left behind
        then.
        """
        clock = _Clock()
        checkpoint = read_checkpoint(files_of(request))
        hashing = begin_hashing(checkpoint)
        need = self._residency.need(checkpoint).with_more(
            "unet", adapter_bytes(request, checkpoint, self._compute.dtype)
        )
        start = self._first_step(need, *request.final_size)
        run = _Run(request, outputs, listen, read, check, read_start(request, read), hashing, clock)
        prepare = clock.lap()

        def attempt(step: Step, failed: tuple[Step, ...]) -> JobResult:
            room = 0 if self._compute.on_cpu else peak(step, need, math.prod(request.final_size))
            listen(Progress("loading model", 0, request.total_steps))
            clock.lap()
            in_memory = self._residency.holds(checkpoint)
            with self._residency.use(request.model, checkpoint, step, room, check) as resident:
                made = self._make(run, resident, step)
            return dataclasses.replace(
                made,
                timings=dataclasses.replace(made.timings, prepare=prepare),
                warnings=warnings_of(failed, step) + made.warnings,
                model_read=not in_memory,
                out_of_memory=labels(failed),
            )

        return run_down(start, self._compute, attempt, self._clear)

    def _clear(self) -> None:
        """Give back all memory that no running job uses."""
        self._references.clear()
        self._residency.clear()

    def _make(self, run: _Run, resident: Resident, step: Step) -> JobResult:
        """Apply the stack, encode the prompts, then draw and save each image.

        Images are made one by one, so image k is bit for bit the one that `seed + k` makes alone.
        """
        request, model, clock = run.request, resident.model, run.clock
        placement = Placement(model, self._compute, step, run.check)
        placement.settle()
        conditioning, report, timings = self._condition(run, resident, placement)
        prepared = self._look_at_references(run, resident)
        embeds = prepared.embeds if prepared else None
        timings = dataclasses.replace(timings, encode=timings.encode + clock.lap())
        published = model.checkpoint.parts.scheduler_config
        images: list[ImageFile] = []
        warnings: dict[str, None] = {}
        sketcher = self._previews.of(model, placement) if self._previews else None
        try:
            for index in range(request.num_images):
                on_step = _steps_of(request, index, run.listen)
                on_step("denoising", 0, None)
                drawing = drawing_of(request, index, run.picture, published, conditioning, embeds)
                with self._references.at_work(prepared, model, step):
                    drawn = pipelines.draw(
                        model,
                        self._compute,
                        placement,
                        drawing,
                        on_step,
                        sketcher,
                    )
                clock.lap()
                on_step("saving", request.steps_an_image, None)
                run.wait_for_hashes()
                setup = self._setup(drawn.scheduler, step, model.checkpoint)
                images.append(run.outputs.save(drawn.image, request, index, setup))
                warnings |= dict.fromkeys(drawn.warnings)
                timings = _added(timings, drawn, clock.lap())
        except BaseException:
            run.outputs.discard(images)
            raise
        return JobResult(
            tuple(images), setup, timings, report, tuple(warnings), prepared.report if prepared else None
        )

    def _look_at_references(self, run: _Run, resident: Resident) -> Prepared | None:
        prepared = self._references.prepare(run.request, resident.model, run.read, run.check)
        self._residency.beside = self._references.own_bytes
        self._residency.trim(resident)
        return prepared

    def _condition(
        self, run: _Run, resident: Resident, placement: Placement
    ) -> tuple[prompts.Conditioning, StackReport, Timings]:
        """Apply the stack and encode the prompts; text encoders that have encoded them before need not
        work."""
        request, model, total = run.request, resident.model, run.request.total_steps
        run.listen(Progress("applying adapters", 0, total))
        stack = self._stacks.read(request, model, run.check)
        key = prompt_key(request, model, stack)
        conditioning = self._prompts.find(key, self._compute.device)
        cached = conditioning is not None
        idle = cached and not self._verify_weights
        with placement.at_work(*(() if idle else TEXT_ENCODERS)):
            report = self._apply(run, resident, stack, ["unet"] if idle else None)
            switch = run.clock.lap()
            run.listen(Progress("encoding prompt", 0, total))
            if conditioning is None:
                conditioning = encode_request(request, model, stack)
                self._prompts.keep(key, conditioning)
        report = dataclasses.replace(report, prompt_cached=cached)
        return conditioning, report, Timings(switch=switch, encode=run.clock.lap())

    def _apply(
        self, run: _Run, resident: Resident, stack: ReadStack, parts: Iterable[Part] | None
    ) -> StackReport:
        resident.stack = ()
        report = apply_stack(stack, run.request, resident.model, parts, run.check)
        resident.stack = tuple(
            f"{use.name} (unet {use.unet:g}, text encoders {use.text_encoder:g})"
            for use in run.request.adapters
        )
        self._residency.trim(resident)
        if self._verify_weights:
            _refuse_drifted(resident.model)
        return report

    def verify(self, request: GenerationRequest) -> StackReport:
        """Apply the request's stack, take it away, and compare every weight with the file, bit for bit.

        Raises WeightsDrifted, and what `run` raises before it draws.
        """
        checkpoint = read_checkpoint(files_of(request))
        step = self._first_step(self._residency.need(checkpoint), request.width, request.height)
        with self._residency.use(request.model, checkpoint, step) as resident:
            model, placement = resident.model, Placement(resident.model, self._compute, step)
            placement.settle()
            with placement.at_work(*TEXT_ENCODERS):
                model.patcher.apply([])
                report = self._stacks.apply(request, model)
                _refuse_drifted(model)
                model.patcher.apply([])
                _refuse_drifted(model)
        return report

    def preload(self, model_id: str, checkpoint: Checkpoint) -> None:
        """Load a model before anyone asks. Raises what `load_model` raises, or OutOfMemory."""
        start = self._first_step(self._residency.need(checkpoint), *checkpoint.size)

        def attempt(step: Step, _failed: tuple[Step, ...]) -> None:
            with self._residency.use(model_id, checkpoint, step):
                pass

        run_down(start, self._compute, attempt, self._residency.clear)

    def get_ready(self, request: GenerationRequest, check: Check) -> int:
        """What of a later, settled request can be read while another one runs; on another thread.

        `check` stops it. Returns how many bytes came from the disk. Raises what reading the files raises.
        """
        return get_ready(request, self._stacks, self._residency, check)

    def _first_step(self, need: ModelNeed, width: int, height: int) -> Step:
        return first_step(self._compute, self._budgets.vram, need, width, height)

    def describe(self) -> dict[str, Any]:
        return {
            "device": str(self._compute.device),
            "dtype": self._compute.dtype_name,
            "ram_budget": self._budgets.ram,
            "vram_budget": self._budgets.vram,
            **host_memory(),
            **device_memory(self._compute.device),
            "models": self._residency.describe(),
        }

    def _setup(self, scheduler: str, step: Step, checkpoint: Checkpoint) -> Setup:
        return Setup(
            device=self._compute.device.type,
            dtype=self._compute.dtype_name,
            scheduler=scheduler,
            versions=dict(_versions()),
            memory_step=step.label,
            files=model_files(checkpoint),
            configuration=configuration_sha256(checkpoint),
        )


@cache
def _versions() -> Mapping[str, str]:
    found = {name: metadata.version(name) for name in LIBRARIES}
    return {"ecurie": ecurie.__version__, "python": platform.python_version(), **found}


def _added(timings: Timings, drawn: Drawn, save: float) -> Timings:
    return dataclasses.replace(
        timings,
        denoise=timings.denoise + drawn.denoise,
        decode=timings.decode + drawn.decode,
        save=timings.save + save,
    )


def _refuse_drifted(model: Model) -> None:
    drifted = model.patcher.drifted()
    if drifted:
        shown = ", ".join(".".join(place) for place in drifted[:3])
        raise WeightsDrifted(
            f"{len(drifted)} weights of {model.checkpoint.files.main} differ from their file: {shown}",
            remedy="start the server again, and report this as a fault of Écurie",
        )


def _steps_of(request: GenerationRequest, index: int, listen: Listener) -> StepListener:
    before = index * request.steps_an_image

    def on_step(phase: str, step: int, preview: Preview | None) -> None:
        if preview is not None:
            preview = dataclasses.replace(preview, step=before + step)
        listen(Progress(phase, before + step, request.total_steps, preview=preview))

    return on_step


@dataclass(frozen=True, slots=True)
class _Run:
    """One job on its way through the engine; `hashing` ends when the model's hashes are known."""

    request: GenerationRequest
    outputs: OutputFolder
    listen: Listener
    read: ReadPicture
    check: Check
    picture: Start | None
    hashing: Thread
    clock: _Clock

    def wait_for_hashes(self) -> None:
        """Half a minute for 7 GB, where nothing has read them before."""
        while self.hashing.is_alive():
            self.hashing.join(CHECK_SECONDS)
            self.check()


class _Clock:
    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap."""
        now = time.perf_counter()
        elapsed, self._last = now - self._last, now
        return elapsed
