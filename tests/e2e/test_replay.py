"""Images made again: by a real server, on the command line, and from one to the other."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ecurie.cli.generate import generate
from ecurie.cli.replay import replay as replay_here
from ecurie.cli.show import show
from ecurie.errors import InvalidRequest
from ecurie.formats import hashes
from ecurie.formats.hashes import sha256_of
from ecurie.images.exif import APP1_PREFIX, USER_COMMENT, user_comment, write_exif
from ecurie.images.formats import Provenance, write_image
from ecurie.images.reading import read_text
from tests.conftest import Server
from tests.e2e.test_cli import run
from tests.unit.adapters import files
from tests.unit.images.pictures import plain, saved

IDENTICAL = {
    "identical_bytes": True,
    "identical_pixels": True,
    "max_difference": 0,
    "mean_difference": 0.0,
    "differing": [],
}
A1111 = "a cat\nNegative prompt: a dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x64"
STACK = {
    "model": "pony-xl-v6",
    "prompt": "fox <lora:style-anime:0.5>",
    "loras": [
        {"name": "cyberpunk-style", "unet": 0.9, "text_encoder": 0.2, "blocks": {"IN": 0.5, "M00": 0}},
        {"name": "loose", "strict": False},
    ],
    "num_images": 3,
}


def save_loose(server: Server) -> None:
    """An adapter that does not fit whole."""
    tensors = files.kohya_tensors(files.attention_places()[:4])
    strange = next(iter(tensors.values()))
    file = server.data_dir / "models" / "adapters" / "loose.safetensors"
    file.parent.mkdir(exist_ok=True)
    files.save(file, tensors | {"lora_unet_nothing.lora_up.weight": strange})


def made(server: Server, **fields: Any) -> tuple[dict[str, Any], list[bytes]]:
    """The job and its files."""
    body = {"prompt": "red apple", "steps": 2, "seed": 7, **fields}
    job = server.client.post("/generate?wait=60", json=body).json()
    assert job["state"] == "succeeded", job
    return job, [server.client.get(image["url"]).content for image in job["result"]["images"]]


def replayed(server: Server, **sent: Any) -> tuple[dict[str, Any], bytes]:
    """What the replay says, and the new file."""
    answer = server.client.post("/replay?wait=60", **sent)
    job = answer.json()
    assert (answer.status_code, job.get("state")) == (200, "succeeded"), job
    (image,) = job["result"]["images"]
    return job["result"]["replay"], server.client.get(image["url"]).content


@pytest.mark.parametrize("image_format", ["png", "webp", "jpeg"])
def test_an_image_is_made_again_to_the_byte(server: Server, image_format: str) -> None:
    """One of several, with a stack from tags and fields."""
    save_loose(server)
    job, contents = made(server, **STACK, format=image_format)
    assert all(report["unmatched"] for report in job["result"]["report"]["adapters"][1:2])
    for content in contents[1:]:
        report, again = replayed(server, content=content)
        assert report == IDENTICAL
        assert again == content


@pytest.mark.parametrize(
    ("image_format", "suffix", "quality"), [("png", "png", 90), ("webp", "webp", 100), ("jpeg", "jpg", 60)]
)
def test_outputs_are_of_the_format_that_was_asked_for(
    server: Server, image_format: str, suffix: str, quality: int
) -> None:
    job, (content,) = made(server, format=image_format, quality=quality)
    (image,) = job["result"]["images"]
    assert image["filename"].endswith(f".{suffix}")
    assert (image["metadata"]["format"], image["metadata"]["quality"]) == (image_format, quality)
    assert server.client.get(image["url"]).headers["content-type"] == f"image/{image_format}"
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == image_format.upper()


def test_a_form_s_file_and_a_curl_s_bytes_are_taken_too(server: Server) -> None:
    _, (content,) = made(server, format="webp")
    form = {"files": {"image": ("x.webp", content, "image/webp")}}
    curl = {"content": content, "headers": {"content-type": "application/x-www-form-urlencoded"}}
    for options in (form, curl):
        assert replayed(server, **options) == (IDENTICAL, content)


def test_an_image_without_metadata_is_made_again_from_its_job(server: Server) -> None:
    job, contents = made(server, metadata=False, num_images=2)
    assert read_text(contents[0]).manifest is None
    refused = server.client.post("/replay", content=contents[0])
    assert (refused.status_code, refused.json()["code"]) == (422, "manifest-invalid")
    manifests = server.client.get(f"/jobs/{job['id']}/manifests").json()["manifests"]
    assert [manifest["request"]["seed"] for manifest in manifests] == [7, 8]
    report, again = replayed(server, content=json.dumps(manifests[1]))
    assert again == contents[1]
    assert report == dict.fromkeys(IDENTICAL) | {"differing": []}


def edited(content: bytes, edit: Callable[[dict[str, Any]], object], picture: Image.Image) -> bytes:
    """An image that tells something else of itself."""
    manifest = json.loads(read_text(content).manifest or "")
    edit(manifest)
    stream = io.BytesIO()
    write_image(stream, picture, "png", 90, Provenance("x", json.dumps(manifest)))
    return stream.getvalue()


def test_what_made_it_then_and_now_is_compared(server: Server) -> None:
    _, (content,) = made(server)

    def elsewhere(manifest: dict[str, Any]) -> None:
        manifest["setup"]["device"] = "cuda"
        manifest["setup"]["versions"]["torch"] = "1.0"

    with Image.open(io.BytesIO(content)) as picture:
        report, _ = replayed(server, content=edited(content, elsewhere, picture))
        assert (report["identical_bytes"], report["identical_pixels"]) == (False, True)
        torch = report["differing"][1].pop("now")
        assert torch.startswith("2.")
        assert report["differing"] == [
            {"what": "setup.device", "then": "cuda", "now": "cpu"},
            {"what": "setup.versions.torch", "then": "1.0"},
        ]
        red, green, blue = picture.getpixel((3, 4))  # type: ignore[misc]
        picture.putpixel((3, 4), (red, green, (blue + 96) % 192))
        report, _ = replayed(server, content=edited(content, lambda _: None, picture))
    assert (report["identical_pixels"], report["max_difference"]) == (False, 96)
    assert report["mean_difference"] == pytest.approx(96 / (64 * 64 * 3), abs=1e-6)
    assert report["differing"] == []
    report, _ = replayed(server, content=edited(content, lambda _: None, Image.new("RGB", (8, 8))))
    assert (report["identical_pixels"], report["max_difference"]) == (False, None)


def told_by_a1111(image_format: str = "webp") -> bytes:
    stream = io.BytesIO()
    block = APP1_PREFIX + write_exif({USER_COMMENT: user_comment(A1111)})
    Image.new("RGB", (64, 64)).save(stream, format=image_format, exif=block)
    return stream.getvalue()


def test_what_cannot_be_replayed_is_refused_before_the_queue(server: Server) -> None:
    """A file that is not here is named by its hash."""
    _, (content,) = made(server, loras=[{"name": "ink-sketch"}])

    def other_file(manifest: dict[str, Any]) -> None:
        manifest["request"]["adapters"][0]["sha256"] = "0" * 64

    with Image.open(io.BytesIO(content)) as picture:
        missing = edited(content, other_file, picture)
    before = server.client.get("/jobs").json()["jobs"]
    cases: list[tuple[dict[str, Any], int, str, str]] = [
        ({"content": missing}, 409, "weights-missing", "0" * 64),
        ({"content": told_by_a1111()}, 422, "manifest-invalid", "A1111's parameters"),
        ({"content": b"\x89PNG\r\n\x1a\n" + bytes(50)}, 422, "invalid-request", "no picture"),
        ({"content": b"{}"}, 422, "manifest-invalid", "no manifest"),
        ({"content": b""}, 422, "manifest-invalid", "no JSON"),
        ({"files": {"a": b"1", "b": b"2"}}, 422, "invalid-request", "Too many files"),
        ({"data": {"image": "x"}, "files": {}}, 422, "manifest-invalid", "no JSON"),
    ]
    for options, status, code, shown in cases:
        answer = server.client.post("/replay", **options)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert shown in answer.json()["detail"]
    assert server.client.get("/jobs").json()["jobs"] == before


def test_the_command_line_and_the_server_make_each_other_s_images(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name's ending is the format. The picture that it starts from is nowhere but in its file."""
    here: dict[str, Any] = {"demo": True, "data_dir": tmp_path / "data"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hashes, "_known", hashes._Known())

    def replay(output: str) -> str:
        replay_here(Path("fox-2.webp"), Path(output), [Path("start.png")], **here)
        return capsys.readouterr().out

    Image.new("RGB", (64, 64), "orange").save("start.png")
    stack: dict[str, Any] = {"lora": ["style-anime:0.5"], "init_image": "start.png"}
    output: dict[str, Any] = {"num_images": 2, "output": Path("fox.webp"), "quality": 100}
    generate("fox <lora:ink-sketch>", steps=2, seed=7, **stack, **output, **here)
    capsys.readouterr()
    content = (tmp_path / "fox-2.webp").read_bytes()
    missing = server.client.post("/replay", content=content).json()
    assert missing["code"] == "weights-missing"
    assert sha256_of(tmp_path / "start.png") in missing["detail"]
    server.client.post("/images", content=(tmp_path / "start.png").read_bytes()).raise_for_status()
    assert replayed(server, content=content) == (IDENTICAL, content)
    assert replay("again.webp") == "again.webp: identical, byte for byte\n"
    assert (tmp_path / "again.webp").read_bytes() == content
    for name, shown in (("fox-2.webp", "original's own file"), ("again.png", "format is webp")):
        with pytest.raises(InvalidRequest, match=shown):
            replay(name)


def coded_png(picture: Image.Image) -> str:
    return base64.b64encode(saved(picture)).decode()


def test_pictures_embeddings_and_larger_passes_are_made_again(server: Server) -> None:
    folder = server.data_dir / "models" / "embeddings"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "again-style.safetensors"
    save_file({name: torch.full((2, 32), 0.5) for name in ("clip_l", "clip_g")}, file)
    coded = {"init_image": coded_png(plain(64, 64)), "mask": coded_png(Image.linear_gradient("L"))}
    cases: list[dict[str, Any]] = [
        {**coded, "strength": 0.7, "steps": 4},
        {"hires": {"scale": 1.5, "strength": 0.5}, "accelerate": "guidance-cutoff"},
        {"prompt": "a {cat|dog}, (again-style:1.2) BREAK [red]", "negative_prompt": "(dull:1.1)"},
    ]
    for fields in cases:
        _, (content,) = made(server, **fields)
        assert replayed(server, content=content) == (IDENTICAL, content)
    text = read_text(content).parameters or ""
    assert "TI hashes" in text
    file.unlink()
    refused = server.client.post("/replay", content=content).json()
    assert refused["code"] == "weights-missing"
    assert "embedding 'again-style' with SHA-256" in refused["detail"]


def test_show_prints_what_an_image_tells(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(name: str, as_json: bool = False) -> str:
        show(tmp_path / name, as_json)
        return capsys.readouterr().out

    job, (content,) = made(server, loras=[{"name": "style-anime", "weight": 0.5}], negative_prompt="[red]x")
    (tmp_path / "ours.png").write_bytes(content)
    printed = run("show", "ours.png", cwd=tmp_path).stdout
    sha256 = job["result"]["report"]["adapters"][0]["sha256"]
    for text in ("red apple, anime style, detailed", "[red]x", sha256, "unet 0.5", "seed", "torch"):
        assert text in printed
    assert str(server.data_dir) not in printed
    (tmp_path / "theirs.jpg").write_bytes(told_by_a1111("jpeg"))
    printed = shown("theirs.jpg")
    for text in ("A1111's parameters", "a cat", "a dog", "Sampler", "Euler a"):
        # The title stands above a narrow table and wraps.
        assert text in " ".join(printed.split())
    assert json.loads(shown("theirs.jpg", as_json=True))["settings"]["Seed"] == "5"
    Image.new("RGB", (8, 8)).save(tmp_path / "none.png")
    assert shown("none.png") == f"{tmp_path}/none.png does not tell how it was made\n"
    assert shown("none.png", as_json=True) == "null\n"
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(InvalidRequest, match="no picture"):
        shown("text.png")
