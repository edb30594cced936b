"""Finished images for the page to show."""

from __future__ import annotations

import dataclasses
import io
import time
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sql
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Locator, Page

from ecurie.domain import ImageFile, JobState
from ecurie.jobs.rows import to_json
from ecurie.jobs.store import JobStore, New
from ecurie.jobs.table import jobs
from tests.conftest import Server
from tests.unit.jobs.test_store import REQUEST, RESULT


def made(server: Server, prompt: str, **fields: Any) -> dict[str, Any]:
    """The job of an image that was really drawn, in two steps."""
    job_id = server.submit(prompt=prompt, **{"steps": 2, **fields})
    return server.wait_for(job_id, "succeeded")


def link_to(job: dict[str, Any], index: int = 0) -> str:
    return f"/#/gallery/{job['id']}/{index}"


def filled(server: Server, prompt: str, count: int) -> list[str]:
    """Many images that nobody drew, as the job table and the outputs would have them; their files, newest
    first."""
    store = JobStore(f"sqlite:///{server.data_dir / 'ecurie.db'}")
    named = [
        dataclasses.replace(REQUEST, prompt=f"{prompt} {number}", num_images=1) for number in range(count)
    ]
    ids = store.add_all([New(request, "") for request in named], priority=-1, max_queue=10**6)
    sent = f"{datetime.now(UTC):%Y%m%d_%H%M%S}"
    files = [f"sdxl-base_{sent}_{job_id[:8]}.png" for job_id in ids]
    with store.database.connect() as connection:
        for number, (job_id, file) in enumerate(zip(ids, files, strict=True)):
            result = dataclasses.replace(RESULT, images=(ImageFile(file, number, 64, 64),))
            ended = {"state": JobState.SUCCEEDED, "result": to_json(result)}
            now = time.time()
            connection.execute(
                sql.update(jobs).where(jobs.c.id == job_id).values(**ended, started_at=now, finished_at=now)
            )
            colour = (number * 7 % 256, number * 29 % 256, number * 53 % 256)
            Image.new("RGB", (64, 64), colour).save(server.data_dir / "outputs" / file)
    store.close()
    return files[::-1]


def width_of(image: Locator) -> int:
    """Of the picture that an `<img>` shows, once it does."""
    width: int = image.evaluate(
        """image => new Promise((done) => {
            const look = () => (image.naturalWidth ? done(image.naturalWidth) : setTimeout(look, 20));
            look();
        })"""
    )
    return width


def png(width: int, height: int, colour: str = "teal", parameters: str | None = None) -> bytes:
    text = PngInfo()
    if parameters is not None:
        text.add_text("parameters", parameters)
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG", pnginfo=text)
    return file.getvalue()


def drop(page: Page, content: bytes, name: str = "dropped.png") -> None:
    """Let a file go over the middle of the page, as from a folder of the desktop."""
    page.evaluate(
        """([bytes, name]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/png' }));
            for (const kind of ['dragover', 'drop']) {
                const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
                document.querySelector('main').dispatchEvent(event);
            }
        }""",
        [list(content), name],
    )
