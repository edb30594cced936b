"""Prompts through the server: preview, wildcards, embeddings, both syntaxes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ecurie.formats.hashes import sha256_of
from tests.conftest import Server

NAME = "teststyle-e2e"


@pytest.fixture
def embedding(server: Server) -> Iterator[Path]:
    folder = server.data_dir / "models" / "embeddings"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{NAME}.safetensors"
    save_file({name: torch.ones(2, 32) for name in ("clip_l", "clip_g")}, file)
    yield file
    file.unlink()


@pytest.fixture
def wildcard(server: Server) -> Iterator[None]:
    folder = server.data_dir / "wildcards"
    folder.mkdir(exist_ok=True)
    (folder / "fruit-e2e.txt").write_text("apple\npear\n")
    yield
    (folder / "fruit-e2e.txt").unlink(missing_ok=True)


def made(server: Server, **fields: Any) -> dict[str, Any]:
    body = {"prompt": "red apple", "negative_prompt": "", "steps": 2, "seed": 4} | fields
    answer = server.client.post("/generate?wait=60", json=body).json()
    assert answer["state"] == "succeeded", answer
    return dict(answer)


def test_a_preview_says_what_the_picture_will_get(server: Server, embedding: Path, wildcard: None) -> None:
    body = {
        "prompt": f"(red:1.2) __fruit-e2e__ BREAK {NAME}",
        "negative_prompt": "dull",
        "loras": [{"name": "ink-sketch"}],
        "seed": 4,
    }
    preview = server.client.post("/prompt/preview", json=body).json()
    result = made(server, **body)["result"]
    assert preview["prompt"]["text"] == result["prompt"]
    assert preview["prompt"]["template"] == result["report"]["prompt_template"] == body["prompt"]
    assert preview["prompt"]["syntax"] == result["report"]["prompt_syntax"] == "a1111"
    first, second = preview["prompt"]["text_encoders"]["text_encoder"]["chunks"]
    assert (first["tokens"][0]["text"], first["tokens"][0]["weight"]) == ("red", 1.2)
    assert second["tokens"][0] == {"id": None, "text": NAME, "weight": 1.0}
    assert preview["triggers"] == [{"text": "ink sketch", "adapter": "ink-sketch", "source": "catalogue"}]
    (one,) = result["report"]["embeddings"]
    assert (one["name"], one["sha256"], one["vectors"]) == (NAME, sha256_of(embedding), 2)
    assert preview["embeddings"][0]["sha256"] == one["sha256"]
    listed = server.client.get("/embeddings").json()["embeddings"]
    assert NAME in [entry["name"] for entry in listed if entry["unavailable"] is None]


def test_a_drawn_picture_is_made_again_without_the_file(server: Server, wildcard: None) -> None:
    first = made(server, prompt="a __fruit-e2e__", num_images=2)
    images = first["result"]["images"]
    (server.data_dir / "wildcards" / "fruit-e2e.txt").unlink()
    for image in images:
        again = made(server, **image["metadata"])
        assert again["result"]["prompt"] == first["result"]["prompt"]
        paths = [
            server.data_dir / "outputs" / one["filename"] for one in (image, again["result"]["images"][0])
        ]
        pictures = [Image.open(path) for path in paths]
        assert pictures[0].tobytes() == pictures[1].tobytes()
        for picture in pictures:
            picture.close()


def test_an_embedding_changes_the_picture_and_the_second_time_no_prompt_is_encoded(
    server: Server, embedding: Path
) -> None:
    results = [made(server, prompt=f"an apple, {NAME}")["result"] for _ in range(2)]
    plain = made(server, prompt="an apple")["result"]
    contents = [
        (server.data_dir / "outputs" / result["images"][0]["filename"]).read_bytes()
        for result in (*results, plain)
    ]
    assert contents[0] == contents[1] != contents[2]
    assert results[1]["report"]["prompt_cached"]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [("[a|b]", "alternation"), ("(a:1.2) b++", "two syntaxes"), ("__no-such__", "no wildcard 'no-such'")],
)
def test_a_prompt_that_cannot_be_drawn_is_refused_at_both_doors(
    server: Server, prompt: str, reason: str
) -> None:
    for route in ("/generate", "/prompt/preview"):
        answer = server.client.post(route, json={"prompt": prompt})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
        assert answer.json()["field"] == "prompt"
        assert reason in answer.json()["detail"]
        assert answer.json()["remedy"]


def test_the_command_shows_the_same_as_the_route(server: Server) -> None:
    command = [sys.executable, "-m", "ecurie", "prompt", "(red:1.2) [apple] {a|b}", "--demo", "--seed", "4"]
    arguments = ["--data-dir", str(server.data_dir), "--lora", "ink-sketch"]
    asked = {"prompt": "(red:1.2) [apple] {a|b}", "seed": 4, "loras": [{"name": "ink-sketch"}]}
    expected = server.client.post("/prompt/preview", json=asked).json()
    shown = subprocess.run(
        [*command, *arguments, "--json"], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(shown.stdout) == expected
    table = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True, timeout=60)
    assert "red×1.2 apple×0.9091" in table.stdout
    assert "trigger added: ink sketch (ink-sketch, catalogue)" in table.stdout
