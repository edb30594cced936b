"""The tools. What the server refuses is an error of the tool: what was wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, TextContent
from pydantic import Field

from ecurie.client import AsyncClient, AsyncImage, ClientError, Result
from ecurie.mcp import shapes
from ecurie.mcp.shapes import AdaptersOut, MadeOut, ModelsOut
from ecurie.mcp.showing import Telling, shown

MOST_IMAGES = 4
EARLIER = Field(
    None,
    pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$",
    description="A picture that was made here before, by its file name, or an upload's id.",
)
Given = Annotated[str | None, EARLIER]


@contextmanager
def told_as_tool_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise ToolError(error.whole) from error


class Tools:
    def __init__(self, client: AsyncClient):
        self._client = client

    async def generate_image(
        self,
        context: Context,
        prompt: Annotated[
            str,
            Field(description="What to draw. (words:1.3) weighs words, <lora:ID:0.8> adds an adapter."),
        ],
        negative_prompt: Annotated[str | None, Field(description="What to avoid [the model's].")] = None,
        model: Annotated[str | None, Field(description="An id of list_models [the default].")] = None,
        loras: Annotated[list[shapes.Adapter] | None, Field(description="The adapter stack.")] = None,
        preset: Annotated[str | None, Field(description="A named set of settings of the server.")] = None,
        width: Annotated[int | None, Field(description="Pixels, a multiple of 8 [the model's].")] = None,
        height: Annotated[int | None, Field(description="Pixels, a multiple of 8 [the model's].")] = None,
        seed: Annotated[int | None, Field(description="Same seed, same picture [drawn].")] = None,
        steps: Annotated[int | None, Field(description="Denoising steps, 1 to 150 [30].")] = None,
        guidance_scale: Annotated[float | None, Field(description="1 to 30 [7.5].")] = None,
        scheduler: Annotated[str | None, Field(description="Such as dpmpp-2m-karras [the model's].")] = None,
        num_images: Annotated[int, Field(ge=1, le=MOST_IMAGES, description="Image k has seed + k.")] = 1,
        init_image: Given = None,
        strength: Annotated[float | None, Field(description="How far to leave init_image, 0 to 1.")] = None,
        mask: Annotated[str | None, EARLIER] = None,
    ) -> Annotated[CallToolResult, MadeOut]:
        """Draw pictures from a prompt with a model and a stack of adapters, and show them.

        Large pictures are shown smaller; the whole file is at `url`, and under `resource`.
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "context", "loras")}
        fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        for name in ("init_image", "mask"):
            if name in fields:
                # As a text it could be a file of this machine.
                fields[name] = self._client.output(fields[name])
        if loras:
            fields["loras"] = [lora.model_dump(exclude_none=True) for lora in loras]
        with told_as_tool_errors():
            async with await self._client.submit(**fields) as job:
                telling = Telling(context)
                async for progress in job.progress():
                    await telling.tell(progress)
            return await self._made(job.result)

    async def get_image(
        self,
        image: Annotated[str, Field(description="A file name, or the id of a job, for all its images.")],
    ) -> CallToolResult:
        """Show pictures that were made before."""
        with told_as_tool_errors():
            if "." not in image:
                return await self._made((await self._client.job(image)).result)
            content = await self._client.output(image).read()
            return CallToolResult(content=[shown(content)])

    async def _made(self, result: Result[AsyncImage]) -> CallToolResult:
        made = shapes.made_out(result, self._client.url)
        pictures = [shown(await image.read(), len(result.images)) for image in result.images]
        told = TextContent(text=made.model_dump_json(indent=1))
        return CallToolResult(content=[told, *pictures], structured_content=made.model_dump(mode="json"))

    async def list_models(self) -> ModelsOut:
        """The models that generate_image can use."""
        with told_as_tool_errors():
            found = await self._client.models()
        return ModelsOut(
            models=[
                shapes.ModelOut(**model, recommended_adapters=model["supported_loras"]) for model in found
            ]
        )

    async def list_adapters(
        self,
        search: Annotated[
            str | None, Field(description="Only those with this in id, name or trigger words.")
        ] = None,
    ) -> AdaptersOut:
        """The adapters (LoRA, LyCORIS) that generate_image can stack, with trigger words and weights."""
        with told_as_tool_errors():
            found = await self._client.loras()
        wanted = (search or "").casefold()
        return AdaptersOut(
            adapters=[
                shapes.AdapterOut(**lora)
                for lora in found
                if wanted in " ".join((lora["id"], lora["name"], *lora["trigger_words"])).casefold()
            ]
        )

    async def inspect_adapter(
        self, adapter: Annotated[str, Field(description="An id of list_adapters.")]
    ) -> dict[str, Any]:
        """What an adapter's file tells of itself: algorithms, ranks, training, and whether it fits."""
        with told_as_tool_errors():
            told = await self._client.lora(adapter)
        # The metadata of trainers are long, and what is of use in them is told above.
        return {name: value for name, value in told.items() if name != "metadata"}

    async def cancel_job(self, job_id: str) -> str:
        """Stop a job that waits or runs."""
        with told_as_tool_errors():
            state = await self._client.cancel(job_id)
        return "cancelled" if state == "cancelled" else "it stops within a step"
