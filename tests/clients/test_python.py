"""Our own Python client, against a real server."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from PIL import Image

import ecurie
from ecurie.client import AsyncClient, Client, Job, JobCancelled, NotEnded, Refused
from tests.conftest import Server, free_port
from tests.proxy import proxy

CLIENT = "ecurie.client"
VERSION = ecurie.__version__
START = Path(__file__).parents[2] / "docs" / "pictures" / "start.png"
MASK = START.with_name("mask.png")


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as made:
        yield made


@pytest.fixture
def long_job(server: Server, client: Client) -> Iterator[Job]:
    """One that runs until it is cancelled."""
    job = client.submit("rocket", steps=150, num_images=16)
    yield job
    if job.refresh() not in ("succeeded", "cancelled"):
        job.cancel()
    server.wait_for(job.id, "cancelled", "succeeded")


@pytest.mark.calls("POST /generate", "GET /jobs/{id}", "GET /outputs/{file}")
def test_a_prompt_becomes_pictures(client: Client, tmp_path: Path) -> None:
    result = client.generate("red apple", steps=3, seed=7, num_images=2, loras=[{"name": "style-anime"}])
    assert result.seeds == (7, 8)
    assert result.prompt.startswith("red apple, anime style")
    assert [used["name"] for used in result.report["adapters"]] == ["style-anime"]
    assert result.timings["denoise"] > 0
    assert result.warnings == ()
    first, second = result.images
    assert (first.width, first.height, first.metadata["seed"]) == (64, 64, 7)
    assert first.save(tmp_path) == tmp_path / first.filename
    assert second.save(tmp_path / "second.png").read_bytes() == second.read()
    assert second.pil().size == (64, 64)
    alone = client.generate("red apple", steps=3, seed=8, loras=[{"name": "style-anime"}]).image
    assert alone.pil().tobytes() == second.pil().tobytes()


@pytest.mark.calls("POST /generate", "GET /jobs/{id}/events", "DELETE /jobs/{id}")
def test_a_job_is_followed_while_it_waits_and_runs(client: Client, long_job: Job) -> None:
    job = client.submit("red apple", steps=40)
    with pytest.raises(NotEnded):
        job.wait(timeout=0.1)
    news, steps, previews = [], [], []
    for progress in job.progress():
        if not news:
            assert (progress.state, progress.queue_position) == ("queued", 1)
            assert long_job.cancel() in ("running", "preparing", "cancelled")
        news.append(progress.news)
        steps.append(progress.step)
        previews += [progress.preview] if progress.news == "preview" else []
    assert {"queue", "state", "step", "preview"} <= set(news)
    assert steps == sorted(steps)
    assert Image.open(io.BytesIO(previews[-1] or b"")).size == (64, 64)
    assert (job.state, job.result.image.width) == ("succeeded", 64)
    assert list(job.progress()) == []
    with pytest.raises(JobCancelled, match=f"job {long_job.id} was cancelled"):
        long_job.wait(60)
    with pytest.raises(Refused) as caught:
        long_job.cancel()
    assert caught.value.code == "job-finished"


@pytest.mark.calls("GET /jobs/{id}/events")
def test_a_connection_that_breaks_is_made_again(server: Server, client: Client) -> None:
    with proxy(free_port(), server.port) as network, Client(f"http://localhost:{network.port}") as far:
        job = far.submit("rocket", steps=60)
        news, steps = [], []
        for progress in job.progress():
            if progress.news == "preview" and "lost" not in news:
                threading.Thread(target=network.refuse, args=(0.5,)).start()
            news.append(progress.news)
            steps.append(progress.step)
        assert "lost" in news
        assert news[-1] == "state"
        assert steps[-1] == 60
        assert len(job.result.image.read()) > 1000


@pytest.mark.calls("GET /jobs/{id}?wait=")
def test_a_wait_survives_that_too(server: Server) -> None:
    with proxy(free_port(), server.port) as network, Client(f"http://localhost:{network.port}") as far:
        job = far.submit("rocket", steps=40)
        threading.Timer(0.2, network.refuse, args=(0.5,)).start()
        assert job.wait(100).image.width == 64


@pytest.mark.calls("GET /models", "GET /loras", "GET /loras/{id}", "GET /presets", "GET /schedulers")
@pytest.mark.calls("GET /jobs", "GET /system")
def test_what_there_is_can_be_asked(client: Client) -> None:
    assert [model["id"] for model in client.models() if model["default"]] == ["sdxl-base"]
    assert "style-anime" in [lora["id"] for lora in client.loras()]
    assert client.lora("style-anime")["check"]["fits"]
    assert {"steps", "loras"} <= set(client.presets()[0])
    assert "dpmpp-2m-karras" in [scheduler["id"] for scheduler in client.schedulers()]
    (newest,) = client.jobs(limit=1)
    assert client.job(newest.id).id == newest.id
    system = client.system()
    assert (system["version"], len(system["workers"])) == (ecurie.__version__, 1)


@pytest.mark.calls("POST /prompt/preview")
def test_a_prompt_can_be_looked_at(client: Client) -> None:
    told = client.preview_prompt("(red apple:1.2)", loras=[{"name": "ink-sketch"}])
    assert told["triggers"][0]["adapter"] == "ink-sketch"


@pytest.mark.calls("POST /images", "POST /generate")
def test_pictures_of_this_machine_are_sent_along(client: Client) -> None:
    whole = client.generate("dog", init_image=START, strength=0.6, steps=5, seed=7).image
    with Image.open(START) as start:
        width = start.width
        part = client.generate("dog", init_image=start, mask=str(MASK), strength=0.6, steps=5, seed=7).image
    assert whole.read() != part.read()
    onwards = client.generate("dog", init_image=whole, strength=0.2, steps=5, reference_images=[START])
    assert onwards.report["ip_adapter"]["references"] == 1
    assert client.upload(START)["width"] == width
    with pytest.raises(Refused) as caught:
        client.generate("dog", init_image="no-such-file.png")
    assert (caught.value.field, caught.value.status) == ("init_image", 404)


@pytest.mark.calls("POST /replay")
def test_a_picture_is_made_again(client: Client, tmp_path: Path) -> None:
    image = client.generate("red apple", steps=2, seed=7).image
    for original in (image.save(tmp_path), image):
        replay = client.replay(original).replay
        assert replay is not None
        assert replay["identical_bytes"]
    manifests = client.job(client.jobs(limit=1)[0].id).info["request"]
    assert manifests["seed"] == 7


@pytest.mark.calls("POST /sweeps", "GET /sweeps/{id}", "GET /sweeps/{id}/grid", "DELETE /sweeps/{id}")
def test_a_grid_is_made(client: Client, tmp_path: Path) -> None:
    sweep = client.sweep(
        "red apple",
        x={"field": "seed", "values": [1, 2]},
        y={"field": "lora:style-anime", "values": [0, 1]},
        steps=2,
        priority="normal",
    )
    assert sweep.wait(100) == "succeeded"
    assert [image.seed for image in sweep.images] == [1, 2, 1, 2]
    assert sweep.grid.pil().width > 128
    assert sweep.grid.save(tmp_path).name == f"{sweep.id}.png"
    with pytest.raises(Refused):
        client.sweep("red apple", x={"field": "loras", "values": [1]})


@pytest.mark.calls("POST /generate")
def test_what_is_wrong_is_said(client: Client) -> None:
    with pytest.raises(Refused, match="greater than or equal to 1") as caught:
        client.generate("red apple", steps=0)
    assert (caught.value.code, caught.value.field) == ("invalid-request", "steps")
    with pytest.raises(Refused, match="there is no model 'nope'") as caught:
        client.generate("red apple", model="nope")
    assert (caught.value.code, caught.value.status) == ("unknown-model", 404)


PROGRAM = """
import sys
from ecurie.client import Client
client = Client(sys.argv[1])
print("asking", flush=True)
client.generate("rocket", steps=150, num_images=16)
"""


@pytest.mark.calls("DELETE /jobs/{id}")
def test_ctrl_c_cancels_the_job(server: Server, client: Client) -> None:
    before = {job.id for job in client.jobs()}
    line = [sys.executable, "-c", PROGRAM, server.url]
    asking = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    (job,) = server.wait_until(lambda: [job for job in client.jobs() if job.id not in before], "sent")
    server.wait_for(job.id, "running")
    asking.send_signal(signal.SIGINT)
    _, said = asking.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said
    assert server.wait_for(job.id, "cancelled")


def test_a_block_that_is_left_by_an_error_cancels_its_job(server: Server, client: Client) -> None:
    with pytest.raises(ZeroDivisionError), client.submit("rocket", steps=150, num_images=16) as job:
        raise ZeroDivisionError
    assert server.wait_for(job.id, "cancelled")


@pytest.mark.calls("POST /generate", "GET /jobs/{id}/events", "GET /outputs/{file}", "POST /images")
def test_many_at_once_asynchronously(server: Server) -> None:
    async def draw() -> None:
        async with AsyncClient(server.url) as client:
            asked = (client.generate("red apple", steps=2, seed=seed) for seed in range(5))
            results = await asyncio.gather(*asked)
            assert [result.seeds for result in results] == [(seed,) for seed in range(5)]
            assert len({await result.image.read() for result in results}) == 5
            job = await client.submit("dog", init_image=START, steps=4)
            news = [progress.news async for progress in job.progress()]
            assert {"state", "step"} <= set(news)
            assert (await job.result.image.pil()).size == (64, 64)
            assert (await client.models())[0]["id"] == "sdxl-base"

    asyncio.run(draw())


@pytest.mark.calls("DELETE /jobs/{id}")
@pytest.mark.parametrize("way", ["task", "scope", "timeout"])
def test_a_task_that_is_cancelled_cancels_its_job(server: Server, way: str) -> None:
    """Also within a cancelled scope of anyio, where whatever is awaited is cancelled."""

    async def draw() -> str:
        async with AsyncClient(server.url) as client:
            before = {job.id for job in await client.jobs()}
            if way == "scope":
                with anyio.move_on_after(1):
                    await client.generate("rocket", steps=150, num_images=16)
            elif way == "timeout":
                with pytest.raises(NotEnded):
                    await client.generate("rocket", steps=150, num_images=16, timeout=1)
            else:
                task = asyncio.create_task(_generated(client))
                await asyncio.sleep(1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            (job,) = [job for job in await client.jobs() if job.id not in before]
            return job.id

    assert server.wait_for(asyncio.run(draw()), "cancelled")


async def _generated(client: AsyncClient) -> None:
    await client.generate("rocket", steps=150, num_images=16)
