"""The server of the protocol, on standard input and output."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError
from mcp_types import ToolAnnotations

import ecurie
from ecurie.client import AsyncClient, ClientError
from ecurie.mcp.tools import Tools

INSTRUCTIONS = (
    "Draws pictures with SDXL models and stacks of adapters. Look at list_models and list_adapters first; "
    "an adapter's trigger words are added to the prompt by themselves. Give a seed to vary one thing at a "
    "time."
)
MEDIA_TYPES = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
DRAWS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
CANCELS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)


def make_server(client: AsyncClient) -> MCPServer[None]:
    """Its tools ask the server of this client, which it closes in the end."""

    @asynccontextmanager
    async def lifespan(_server: MCPServer[None]) -> AsyncIterator[None]:
        async with client:
            yield

    server = MCPServer(
        "ecurie",
        title="Écurie",
        version=ecurie.__version__,
        instructions=INSTRUCTIONS,
        log_level="WARNING",
        lifespan=lifespan,
    )
    tools = Tools(client)
    hints: list[tuple[Callable[..., Any], ToolAnnotations]] = [
        (tools.generate_image, DRAWS),
        (tools.get_image, READS),
        (tools.list_models, READS),
        (tools.list_adapters, READS),
        (tools.inspect_adapter, READS),
        (tools.cancel_job, CANCELS),
    ]
    for tool, hint in hints:
        server.add_tool(tool, annotations=hint)
    for suffix, media_type in MEDIA_TYPES.items():
        _add_outputs(server, client, suffix, media_type)
    return server


def _add_outputs(server: MCPServer[None], client: AsyncClient, suffix: str, media_type: str) -> None:
    """Whole files; one template for each of their types."""

    async def output(name: str) -> bytes:
        try:
            return await client.output(f"{name}.{suffix}").read()
        except ClientError as error:
            raise ResourceError(error.whole) from error

    server.resource(
        f"ecurie://outputs/{{name}}.{suffix}",
        name=f"output-{suffix}",
        description="An image as it was made.",
        mime_type=media_type,
    )(output)
