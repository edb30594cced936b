"""An image that was made again, compared with the original."""

from __future__ import annotations

import dataclasses
import logging

from PIL import ImageChops, ImageStat

from ecurie.domain import GenerationRequest, JobResult, Original, Replay
from ecurie.errors import InvalidRequest
from ecurie.images.incoming import ReadPicture, load_picture, read_content, read_here
from ecurie.images.manifest import differences, manifest_of, read_manifest
from ecurie.images.storage import Storage

log = logging.getLogger(__name__)


def with_replay(
    result: JobResult, request: GenerationRequest, outputs: Storage, read: ReadPicture = read_here
) -> JobResult:
    """The result of a replay with its comparison; `outputs` holds the new image. Others as they are.

    Raises StorageUnavailable.
    """
    if request.original is None:
        return result
    replay = _compared(request.original, request, result, outputs, read)
    return dataclasses.replace(result, replay=replay)


def _compared(
    original: Original, request: GenerationRequest, result: JobResult, outputs: Storage, read: ReadPicture
) -> Replay:
    """An original that is gone or damaged compares as none."""
    differing = differences(read_manifest(original.manifest), manifest_of(request, 0, result.setup))
    nothing = Replay(None, None, None, None, differing)
    if original.picture is None:
        return nothing
    try:
        then = read_content(original.picture, "image", read)
        now = outputs.read(result.images[0].filename)
        pixels = _pixel_difference(then, now)
    except (OSError, InvalidRequest) as error:
        log.warning("the original cannot be compared: %s", error)
        return nothing
    if pixels is None:
        return Replay(then == now, False, None, None, differing)
    largest, mean = pixels
    return Replay(then == now, largest == 0, largest, mean, differing)


def _pixel_difference(then: bytes, now: bytes) -> tuple[int, float] | None:
    """(largest, mean) over all channels, in 0 to 255; None for images of different sizes."""
    before, after = (load_picture(content, "image").convert("RGB") for content in (then, now))
    if before.size != after.size:
        return None
    statistics = ImageStat.Stat(ImageChops.difference(before, after))
    largest = max(int(high) for _, high in statistics.extrema)
    return largest, round(sum(statistics.mean) / len(statistics.mean), 6)
