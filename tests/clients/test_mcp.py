"""`ecurie mcp`, asked by the SDK's own client over standard input and output."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import BlobResourceContents, CallToolResult, ImageContent, TextContent
from PIL import Image

from tests.conftest import Server

CLIENT = "mcp (Python SDK)"
VERSION = version("mcp")
ROOT = Path(__file__).parents[2]
QUICK = {"prompt": "red apple", "steps": 4, "seed": 7}


def server_of(url: str, **environment: str) -> StdioServerParameters:
    """The SDK hands on few variables of its own."""
    variables = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "ecurie", "mcp", "--url", url],
        env=variables | environment,
        cwd=ROOT,
    )


@asynccontextmanager
async def connected(url: str, **environment: str) -> AsyncIterator[Client]:
    async with Client(server_of(url, **environment)) as client:
        yield client


def asking(server: Server, ask: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with connected(server.url) as client:
            await ask(client)

    asyncio.run(run())


def pictures(result: CallToolResult) -> list[Image.Image]:
    assert not result.is_error, result.content
    shown = [content for content in result.content if isinstance(content, ImageContent)]
    opened = [Image.open(io.BytesIO(base64.b64decode(content.data))) for content in shown]
    assert [image.get_format_mimetype() for image in opened] == [content.mime_type for content in shown]
    return opened


def problem(result: CallToolResult) -> str:
    (content,) = result.content
    assert result.is_error
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.calls("tools/list", "generate_image", "get_image", "resources/read", "notifications/progress")
def test_an_assistant_draws_and_looks_again(server: Server) -> None:
    async def ask(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"prompt", "loras", "seed", "steps"} <= set(tools["generate_image"].input_schema["properties"])
        told: list[tuple[float, float | None, str | None]] = []

        async def listen(progress: float, total: float | None, message: str | None) -> None:
            told.append((progress, total, message))

        stack = {"loras": [{"name": "style-anime", "weight": 0.5}], "num_images": 2}
        result = await client.call_tool("generate_image", QUICK | stack, progress_callback=listen)
        first, second = pictures(result)
        assert (first.size, second.size) == ((64, 64), (64, 64))
        made = result.structured_content
        assert (made["model"], made["adapters"]) == ("sdxl-base", ["style-anime"])
        assert (made["prompt"], made["warnings"]) == ("red apple, anime style, detailed", [])
        assert [image["seed"] for image in made["images"]] == [7, 8]
        assert server.job(made["job_id"])["state"] == "succeeded"

        amounts = [progress for progress, _, _ in told]
        assert amounts == sorted(set(amounts))
        assert {total for _, total, _ in told} == {8}
        assert any("step" in (message or "") for _, _, message in told)

        image = made["images"][0]
        whole = server.client.get(image["url"]).content
        (again,) = pictures(await client.call_tool("get_image", {"image": image["file"]}))
        assert again.tobytes() == Image.open(io.BytesIO(whole)).tobytes()
        assert len(pictures(await client.call_tool("get_image", {"image": made["job_id"]}))) == 2
        (content,) = (await client.read_resource(image["resource"])).contents
        assert isinstance(content, BlobResourceContents)
        assert (base64.b64decode(content.blob), content.mime_type) == (whole, "image/png")

        onwards = QUICK | {"prompt": "dog", "init_image": image["file"], "strength": 0.5}
        assert len(pictures(await client.call_tool("generate_image", onwards))) == 1

    asking(server, ask)


@pytest.mark.calls("list_models", "list_adapters", "inspect_adapter")
def test_an_assistant_sees_what_there_is(server: Server) -> None:
    async def ask(client: Client) -> None:
        models = (await client.call_tool("list_models", {})).structured_content["models"]
        assert [model["id"] for model in models if model["default"]] == ["sdxl-base"]
        found = await client.call_tool("list_adapters", {"search": "NEON"})
        (adapter,) = found.structured_content["adapters"]
        assert (adapter["id"], adapter["trigger_words"]) == ("cyberpunk-style", ["cyberpunk", "neon"])
        every = (await client.call_tool("list_adapters", {})).structured_content["adapters"]
        assert len(every) == len(server.client.get("/loras").json()["loras"])
        told = (await client.call_tool("inspect_adapter", {"adapter": "cyberpunk-style"})).structured_content
        assert told["algorithms"]
        assert "metadata" not in told

    asking(server, ask)


@pytest.mark.calls("generate_image", "get_image")
def test_what_is_wrong_is_an_error_of_the_tool_with_what_to_do(server: Server) -> None:
    async def ask(client: Client) -> None:
        wrong = await client.call_tool("generate_image", QUICK | {"model": "nope"})
        assert "there is no model 'nope'; use one of: pony-xl-v6, sdxl-base" in problem(wrong)
        many = await client.call_tool("generate_image", QUICK | {"steps": 1000})
        assert "steps: Input should be less than or equal to 150" in problem(many)
        path = await client.call_tool("generate_image", QUICK | {"init_image": "../../etc/passwd"})
        assert "init_image" in problem(path)
        here = await client.call_tool("generate_image", QUICK | {"init_image": "README.md"})
        assert "init_image: this is neither the id of an upload" in problem(here)
        assert "no output" in problem(await client.call_tool("get_image", {"image": "nothing.png"}))

    asking(server, ask)


@pytest.mark.calls("notifications/cancelled", "cancel_job")
def test_a_cancelled_call_cancels_the_job(server: Server) -> None:
    async def ask(client: Client) -> None:
        started = anyio.Event()

        async def listen(progress: float, _total: float | None, _message: str | None) -> None:
            if progress >= 1:
                started.set()

        long = {"prompt": "rocket", "steps": 150, "num_images": 4}
        async with anyio.create_task_group() as calls:
            calls.start_soon(lambda: client.call_tool("generate_image", long, progress_callback=listen))
            await started.wait()
            calls.cancel_scope.cancel()
        (job,) = server.client.get("/jobs?limit=1").json()["jobs"]
        await anyio.to_thread.run_sync(server.wait_for, job["id"], "cancelled")

        queued = server.submit(steps=150)
        stopped = await client.call_tool("cancel_job", {"job_id": queued})
        assert not stopped.is_error
        await anyio.to_thread.run_sync(server.wait_for, queued, "cancelled")

    asking(server, ask)


def test_without_a_server_each_tool_says_so() -> None:
    async def run() -> None:
        async with connected("http://localhost:1") as client:
            result = await client.call_tool("list_models", {})
            assert "no Écurie answers at http://localhost:1" in problem(result)
            assert "start it with `ecurie serve`" in problem(result)

    asyncio.run(run())


def test_nothing_but_the_protocol_is_on_standard_output(server: Server) -> None:
    """Asked by hand, as a client of an earlier version of the protocol does."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    drawing = {"name": "generate_image", "arguments": QUICK, "_meta": {"progressToken": 1}}
    messages: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": drawing},
    ]
    line = [sys.executable, "-m", "ecurie", "mcp", "--url", server.url]
    talking = subprocess.Popen(line, stdin=-1, stdout=-1, stderr=-1, text=True)
    assert talking.stdin is not None
    assert talking.stdout is not None
    for message in messages:
        talking.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    talking.stdin.flush()
    answers: list[dict[str, Any]] = []
    while not answers or answers[-1].get("id") != 2:
        answers.append(json.loads(talking.stdout.readline()))
    rest, said = talking.communicate(timeout=60)
    assert (rest, said, talking.returncode) == ("", "", 0)
    assert {answer["jsonrpc"] for answer in answers} == {"2.0"}
    assert "notifications/progress" in [answer.get("method") for answer in answers]
    kinds = [content["type"] for content in answers[-1]["result"]["content"]]
    assert kinds == ["text", "image"]
