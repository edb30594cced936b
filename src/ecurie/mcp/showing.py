"""Pictures and progress, as an assistant can take them."""

from __future__ import annotations

import base64
import io

import PIL.Image
from mcp.server.mcpserver import Context
from mcp_types import ImageContent

from ecurie.client import Progress

SHOWN_SIDE, SHOWN_BYTES = 768, 400_000
"""Assistants count what they see by its pixels, and refuse answers of about a megabyte (in base64, all
pictures together)."""
QUALITY = 80
TICK = 0.001


def shown(content: bytes, share: int = 1) -> ImageContent:
    """The file as it is where it is small, else a WebP of at most SHOWN_SIDE pixels a side; `share` pictures
    go into one answer."""
    with PIL.Image.open(io.BytesIO(content)) as image:
        media_type = image.get_format_mimetype() or "application/octet-stream"
        if max(image.size) > SHOWN_SIDE or len(content) > SHOWN_BYTES // share:
            image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
            smaller = io.BytesIO()
            image.convert("RGB").save(smaller, format="WEBP", quality=QUALITY)
            content, media_type = smaller.getvalue(), "image/webp"
    return ImageContent(data=base64.b64encode(content).decode(), mime_type=media_type)


class Telling:
    """Tells a job's progress as the protocol's notifications, whose values must grow: news that are no step
    (a place in the queue, a phase) add a thousandth."""

    def __init__(self, context: Context):
        self._context, self._at, self._said = context, 0.0, ""

    async def tell(self, progress: Progress) -> None:
        said = _words(progress)
        if said == self._said:
            return
        self._said, self._at = said, max(self._at + TICK, float(progress.step))
        if progress.total and self._at > progress.total:
            return
        await self._context.report_progress(self._at, progress.total or None, said)


def _words(progress: Progress) -> str:
    if progress.news == "lost":
        return "the server does not answer, trying again"
    if progress.state == "queued":
        place = progress.queue_position
        return "queued" if place is None else f"queued, number {place}"
    return f"{progress.phase}, step {progress.step} of {progress.total}" if progress.step else progress.phase
