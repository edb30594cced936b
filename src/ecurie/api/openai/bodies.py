"""What OpenAI's clients send, by OpenAI's names."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Quality = Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"]
Format = Literal["png", "webp", "jpeg"]


class ImagesBody(BaseModel):
    """The fields of `/v1/images/generations`, and of `/v1/images/edits` beside its files.

    All others are those of `POST /generate`, which `translate` knows; so they are kept here as they came.
    """

    model_config = ConfigDict(
        extra="allow",
        strict=True,
        json_schema_extra={
            "examples": [
                {"prompt": "red apple"},
                {"prompt": "red apple", "model": "gpt-image-1", "n": 2, "size": "64x64", "quality": "low"},
                {"prompt": "red apple", "stream": True, "partial_images": 2},
                {"prompt": "rocket", "loras": [{"name": "style-anime"}], "steps": 20, "seed": 7},
            ]
        },
    )

    prompt: str = Field(description="What to draw; see POST /generate.")
    model: str | None = Field(None, description="An id of GET /v1/models; OpenAI's own mean the default one.")
    n: int = Field(1, ge=1, le=10, description="Image k uses seed + k.")
    size: str = Field("auto", description="WIDTHxHEIGHT, multiples of 8; auto: the model's, the picture's.")
    quality: Quality = Field(
        "auto", description="Sets the steps where the request gives neither them nor a preset."
    )
    response_format: Literal["b64_json", "url"] | None = Field(
        None, description="Default: b64_json; url for the ids dall-e-2 and dall-e-3, as with OpenAI."
    )
    output_format: Format = "png"
    output_compression: int | None = Field(None, ge=0, le=100, description="Of webp and jpeg: their quality.")
    background: Literal["auto", "opaque", "transparent"] = Field("auto", description="Always opaque.")
    stream: bool = Field(False, description="Answer with server-sent events.")
    partial_images: int = Field(0, ge=0, le=3, description="Previews of each image in the stream, at most.")
    moderation: Any = Field(None, description="Without effect.")
    style: Any = Field(None, description="Without effect.")
    user: Any = Field(None, description="Without effect.")
    safety_identifier: Any = Field(None, description="Without effect.")
    input_fidelity: Any = Field(None, description="Without effect; `strength` is the one that has.")
    complexity: Any = Field(None, description="Without effect.")

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}

    @property
    def as_url(self) -> bool:
        """Clients of the first models were given addresses unless they asked otherwise, and read those."""
        if self.response_format is None:
            return (self.model or "").startswith("dall-e-")
        return self.response_format == "url"

    @property
    def quality_told(self) -> str:
        """By its name of today."""
        return {"auto": "medium", "standard": "medium", "hd": "high"}.get(self.quality, self.quality)
