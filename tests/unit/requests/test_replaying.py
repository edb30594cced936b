"""From a manifest to a request: the same one, or a refusal that says what is missing or wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ecurie.adapter_stack import LoraBody
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.catalog.sources import DEMO_MODELS
from ecurie.domain import GenerationRequest, PictureUse, Setup
from ecurie.errors import AdapterMismatch, InvalidRequest, ManifestInvalid, RequestError, WeightsMissing
from ecurie.formats import hashes
from ecurie.formats.checkpoint import files_of, read_checkpoint
from ecurie.formats.hashes import sha256_of
from ecurie.formats.model_files import model_files
from ecurie.images.manifest import differences, manifest_of, read_manifest
from ecurie.images.storage import LocalFolder
from ecurie.images.uploads import Pictures, UploadLimits
from ecurie.requests import finding
from ecurie.requests.body import GenerateBody
from ecurie.requests.describe import describe
from ecurie.requests.finding import find_picture
from ecurie.requests.pictures import PictureSource, settle_picture
from ecurie.requests.replaying import _with_pictures, manifest_in, replay
from ecurie.requests.resolve import resolve, resolve_for_cli
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files
from tests.unit.images.pictures import plain, saved

STYLE = DEMO_MODELS / "adapters" / "style-anime.safetensors"


def none_here(use: PictureUse) -> PictureUse:
    raise WeightsMissing(f"the picture with SHA-256 {use.sha256}")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """The demo's, and one adapter of the user's own."""
    folder = tmp_path / "models" / "adapters"
    folder.mkdir(parents=True)
    shutil.copy(STYLE, folder / "mine.safetensors")
    return Catalog(BUILTIN["demo"], tmp_path / "models")


def made(catalog: Catalog, **fields: Any) -> tuple[GenerationRequest, Setup]:
    """A request, and the setup that would have made it."""
    body = GenerateBody(**({"prompt": "red apple", "seed": 7, "steps": 4} | fields))
    request = resolve(body, catalog, 10**6)
    parts = model_files(read_checkpoint(files_of(request)))
    return request, Setup("cpu", "float32", "EulerDiscreteScheduler", {"torch": "1"}, files=parts)


def manifest_text(catalog: Catalog, **fields: Any) -> str:
    request, setup = made(catalog, **fields)
    return manifest_of(request, 0, setup).to_json()


def again(content: str | bytes, catalog: Catalog) -> GenerationRequest:
    manifest = manifest_in(content.encode() if isinstance(content, str) else content)
    return replay(manifest, None, catalog, none_here, 10**6)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"num_images": 3, "scheduler": "DPM++ 2M Karras", "negative_prompt": "", "clip_skip": 3},
        {"model": "pony-xl-v6", "prompt": "fox", "prediction_type": "v_prediction", "guidance_rescale": 0.3},
        {"prompt": "fox <lora:style-anime:0.5>", "loras": [{"name": "mine", "weight": 1}]},
        {"loras": [{"name": "mine", "unet": 0, "blocks": {"IN": 0.5, "M00": 0}, "strict": False}]},
        {"format": "webp", "quality": 40, "metadata": False, "inject_triggers": False},
    ],
)
def test_a_manifest_gives_the_request_of_its_image(catalog: Catalog, fields: dict[str, Any]) -> None:
    request, setup = made(catalog, **fields)
    for index in range(request.num_images):
        found = again(manifest_of(request, index, setup).to_json(), catalog)
        wanted = dataclasses.replace(request, seed=7 + index, num_images=1, original=found.original)
        assert _without_stamps(found) == _without_stamps(wanted)
        assert manifest_of(found, 0, setup) == manifest_of(request, index, setup)


def _without_stamps(request: GenerationRequest) -> GenerationRequest:
    """A file that was written a moment ago has no stamp yet, and one a moment later."""
    uses = tuple(dataclasses.replace(use, stamp=None) for use in request.adapters)
    return dataclasses.replace(request, adapters=uses)


def test_a_changed_catalogue_changes_nothing(catalog: Catalog, tmp_path: Path) -> None:
    """Prefix, triggers and negative prompt are those of the image."""
    text = manifest_text(catalog, model="pony-xl-v6", loras=[{"name": "style-anime"}])
    edited = tmp_path / "edited.yaml"
    content = BUILTIN["demo"].read_text()
    for old in ("anime style, detailed", "score_9, score_8_up, score_7_up", "low quality"):
        assert old in content
        content = content.replace(old, "other")
    edited.write_text(content)
    found = again(text, Catalog(edited, tmp_path / "models"))
    assert found.final_prompt == "score_9, score_8_up, score_7_up, red apple, anime style, detailed"
    assert found.negative_prompt == "low quality, bad anatomy, worst quality, low res"


def test_a_missing_adapter_is_named_by_its_hash(catalog: Catalog) -> None:
    name = files.save(catalog.models_dir / "adapters" / "gone.safetensors", _own_tensors())
    text = manifest_text(catalog, loras=[{"name": "gone"}])
    sha256 = sha256_of(name)
    name.unlink()
    with pytest.raises(WeightsMissing, match=sha256) as missing:
        again(text, catalog)
    assert f"civitai.com/api/v1/model-versions/by-hash/{sha256}" in (missing.value.remedy or "")
    assert missing.value.field == "request.adapters.gone"


def _own_tensors() -> Any:
    return files.kohya_tensors(files.attention_places()[:2])


def test_another_file_under_the_same_id_is_not_taken(catalog: Catalog) -> None:
    text = manifest_text(catalog, loras=[{"name": "mine"}])
    style = json.loads(text)["request"]["adapters"][0]["sha256"]
    files.save(catalog.models_dir / "adapters" / "mine.safetensors", _own_tensors())
    found = again(text, catalog)
    assert (found.adapters[0].name, found.adapters[0].sha256) == ("style-anime", style)
    lone = Catalog(BUILTIN["demo"], catalog.models_dir)
    own = manifest_text(catalog, loras=[{"name": "mine"}])
    shutil.copy(STYLE, catalog.models_dir / "adapters" / "mine.safetensors")
    with pytest.raises(WeightsMissing, match="'mine' is another file"):
        again(own, lone)


def test_a_catalogue_s_source_is_told_for_what_is_not_here(catalog: Catalog, tmp_path: Path) -> None:
    text = manifest_text(catalog, loras=[{"name": "style-anime"}]).replace("bae39988", "00000000")
    remote = tmp_path / "remote.yaml"
    remote.write_text(
        BUILTIN["demo"].read_text().replace("demo:adapters/style-anime.safetensors", "hf:some/adapter")
    )
    with pytest.raises(WeightsMissing) as missing:
        again(text, Catalog(remote, tmp_path / "none"))
    assert "hf:some/adapter (ecurie pull style-anime)" in (missing.value.remedy or "")


def test_a_model_is_found_by_its_files(catalog: Catalog) -> None:
    text = manifest_text(catalog).replace('"model": "sdxl-base"', '"model": "renamed"')
    assert again(text, catalog).model == "sdxl-base"


@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
def test_a_model_that_is_not_here_is_named_by_the_file_that_differs(catalog: Catalog, part: str) -> None:
    content = json.loads(manifest_text(catalog))
    file = next(file for file in content["setup"]["files"] if file["part"] == part)
    file["sha256"] = "0" * 64
    with pytest.raises(WeightsMissing, match=f"{part} file .*{'0' * 64}; the catalogue's 'sdxl-base'"):
        again(json.dumps(content), catalog)


def test_a_large_file_is_not_read_at_submit(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is believed to be that of its id and size, and of no other id."""
    content = json.loads(manifest_text(catalog))
    for file in content["setup"]["files"]:
        file["sha256"] = "0" * 64
    monkeypatch.setattr(finding, "READ_AT_ONCE_BYTES", 0)
    monkeypatch.setattr(finding, "known_sha256", lambda _file: None)
    monkeypatch.setattr(finding, "sha256_of", _unread)
    assert again(json.dumps(content), catalog).model == "sdxl-base"
    content["request"]["model"] = "renamed"
    with pytest.raises(WeightsMissing):
        again(json.dumps(content), catalog)


def _unread(file: Path) -> str:
    raise AssertionError(f"{file} was read")


def test_an_adapter_is_checked_against_the_model_again(catalog: Catalog) -> None:
    tensors = _own_tensors()
    files.save(
        catalog.models_dir / "adapters" / "odd.safetensors",
        tensors | {"lora_unet_nothing.lora_up.weight": next(iter(tensors.values()))},
    )
    content = json.loads(manifest_text(catalog, loras=[{"name": "odd", "strict": False}]))
    assert again(json.dumps(content), catalog).adapters[0].name == "odd"
    content["request"]["adapters"][0]["strict"] = True
    with pytest.raises(AdapterMismatch):
        again(json.dumps(content), catalog)


def test_embeddings_are_found_by_their_content_and_keep_the_name_that_the_prompt_says(
    catalog: Catalog,
) -> None:
    folder = catalog.models_dir / "embeddings"
    folder.mkdir()
    save_file({name: torch.ones(2, 32) for name in ("clip_l", "clip_g")}, folder / "worn.safetensors")
    text = manifest_text(catalog, prompt="a cat, (worn:1.2)", negative_prompt="")
    assert json.loads(text)["request"]["embeddings"][0].keys() == {"name", "sha256", "auto_v3", "vectors"}
    (folder / "worn.safetensors").rename(folder / "renamed.safetensors")
    (use,) = again(text, catalog).embeddings
    assert (use.name, use.file, use.vectors) == ("worn", str(folder / "renamed.safetensors"), 2)
    content = json.loads(text)
    content["request"]["embeddings"] *= 2
    with pytest.raises(InvalidRequest, match="two embeddings of one name"):
        again(json.dumps(content), catalog)
    save_file({name: torch.zeros(2, 32) for name in ("clip_l", "clip_g")}, folder / "worn.safetensors")
    (folder / "renamed.safetensors").unlink()
    with pytest.raises(WeightsMissing, match=f"{use.sha256} is not here; 'worn' here is another file"):
        again(text, catalog)


Edit = Callable[[dict[str, Any]], object]
WRONG: list[tuple[Edit, type[RequestError], str]] = [
    (lambda m: m.update(manifest_version=2), ManifestInvalid, "version 2; this Écurie reads version 1"),
    (lambda m: m.pop("manifest_version"), ManifestInvalid, "before manifests had a version"),
    (lambda m: m.update(manifest_version="1"), ManifestInvalid, "no manifest of Écurie"),
    (lambda m: m.pop("setup"), ManifestInvalid, "not whole: setup"),
    (lambda m: m["setup"].update(files=[]), ManifestInvalid, "does not name the files"),
    (lambda m: m["request"].pop("steps"), ManifestInvalid, "request is wrong: steps"),
    (lambda m: m["request"].update(novelty=1), ManifestInvalid, "not known here: novelty"),
    (lambda m: m["request"].update(model_path="/etc/passwd"), ManifestInvalid, "not known here: model_path"),
    (lambda m: m["request"].update(original=None), ManifestInvalid, "not known here: original"),
    (lambda m: m["request"].update(steps=10**9), InvalidRequest, "steps: .*150"),
    (lambda m: m["request"].update(width=1 << 13, height=1 << 13), InvalidRequest, "67,108,864 pixels"),
    (lambda m: m["request"].update(width=65), InvalidRequest, "width: .*multiple of 8"),
    (lambda m: m["request"].update(guidance_scale=float("nan")), InvalidRequest, "guidance_scale"),
    (lambda m: m["request"].update(scheduler="magic"), InvalidRequest, "unknown scheduler 'magic'"),
    (lambda m: m["request"].update(scheduler="lcm", steps=51), InvalidRequest, "at most 50 steps"),
    (lambda m: m["request"].update(clip_skip=12), InvalidRequest, "clip_skip 12"),
    (lambda m: m["request"].update(format="gif"), InvalidRequest, "format"),
    (lambda m: m["request"].update(seed=-5), InvalidRequest, "seed"),
    (lambda m: m["request"].update(final_prompt="a\0b"), InvalidRequest, "NUL"),
    (lambda m: m["request"].update(final_prompt="\ud800"), ManifestInvalid, "half of a UTF-16"),
    (lambda m: m["request"].update(final_prompt="x" * 40_001), InvalidRequest, "too long"),
    (lambda m: m["request"].update(prompt_template="x" * 40_001), InvalidRequest, "too long"),
    (lambda m: m["request"].update(prompt_syntax="x"), ManifestInvalid, "prompt_syntax"),
    (
        lambda m: m["request"].update(final_prompt="[a|b]", prompt_syntax="a1111"),
        InvalidRequest,
        "alternation",
    ),
    (lambda m: m["request"]["adapters"][0].update(unet=1e30), InvalidRequest, "loras.0.unet"),
    (lambda m: m["request"]["adapters"][0].update(blocks=[["NOPE", 1]]), InvalidRequest, "NOPE"),
    (lambda m: m["request"]["adapters"].extend(m["request"]["adapters"] * 64), InvalidRequest, "loras"),
    (lambda m: m["request"].update(adapters="x"), ManifestInvalid, "adapters"),
]


@pytest.mark.parametrize(("edit", "error", "shown"), WRONG)
def test_values_that_no_client_may_send_are_refused(
    catalog: Catalog, edit: Edit, error: type[RequestError], shown: str
) -> None:
    """Tags are no way around the limits of a stack."""
    content = json.loads(manifest_text(catalog, prompt="fox <lora:mine:0.5>"))
    edit(content)
    with pytest.raises(error, match=shown):
        again(json.dumps(content), catalog)


def test_a_place_that_a_manifest_names_is_not_believed(catalog: Catalog) -> None:
    content = json.loads(manifest_text(catalog, loras=[{"name": "mine"}]))
    content["request"]["adapters"][0]["file"] = "/etc/passwd"
    (use,) = again(json.dumps(content), catalog).adapters
    assert use.file == str(catalog.models_dir / "adapters" / "mine.safetensors")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b" " * 2_000_000]
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        manifest_in(content)


def test_what_differs_is_told_by_its_name(catalog: Catalog) -> None:
    request, setup = made(catalog, loras=[{"name": "mine"}])
    then = manifest_of(request, 0, setup)
    later = dataclasses.replace(setup, device="cuda", versions={"torch": "2", "new": "1"})
    use = dataclasses.replace(request.adapters[0], auto_v3="other")
    now = manifest_of(dataclasses.replace(request, adapters=(use,)), 0, later)
    assert differences(then, then) == ()
    assert [(one.what, one.then, one.now) for one in differences(then, now)] == [
        ("request.adapters.mine.auto_v3", request.adapters[0].auto_v3, "other"),
        ("setup.device", "cpu", "cuda"),
        ("setup.versions.torch", "1", "2"),
        ("setup.versions.new", None, "1"),
    ]
    assert read_manifest(now.to_json()) == now


def test_files_of_no_catalogue_are_found_where_they_were_used(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the command line: a single file, a folder, an adapter; not once they have changed."""
    monkeypatch.setattr(hashes, "_known", hashes._Known())
    hashes.keep_hashes_in(tmp_path / "hashes.db")
    folder, style = tmp_path / "Own Model", tmp_path / "Own.safetensors"
    shutil.copytree(DEMO_FOLDER, folder)
    shutil.copy(STYLE, style)
    for file in (*folder.rglob("*.safetensors"), style):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    body = GenerateBody(prompt="x", model=str(folder), loras=[LoraBody(name=str(style))])
    request = resolve_for_cli(body, catalog, 10**6)
    setup = Setup("cpu", "float32", "", {}, files=model_files(read_checkpoint(files_of(request))))
    manifest = manifest_of(request, 0, setup)
    empty = tmp_path / "empty.yaml"
    empty.write_text("defaults: {model: none}\nmodels: {none: {name: None, source: none}}")
    bare = Catalog(empty, tmp_path / "none")
    found = replay(manifest, None, bare, none_here, 10**6, anywhere=True)
    assert (found.model, found.model_path) == ("own-model", str(folder))
    assert (found.adapters[0].name, found.adapters[0].file) == ("Own", str(style))
    with pytest.raises(WeightsMissing, match="no model here"):
        replay(manifest, None, bare, none_here, 10**6)
    style.touch()
    with pytest.raises(WeightsMissing, match="adapter 'Own'"):
        replay(manifest, None, bare, none_here, 10**6, anywhere=True)


@dataclasses.dataclass(frozen=True)
class _Holder:
    """As a request holds what it uses."""

    pictures: tuple[PictureUse, ...] = ()
    other: ModelUse | None = None


@dataclasses.dataclass(frozen=True)
class ModelUse:
    file: str
    sha256: str


def test_pictures_are_found_by_their_hash_wherever_a_request_holds_them(tmp_path: Path) -> None:
    pictures = Pictures(LocalFolder(tmp_path), LocalFolder(tmp_path), UploadLimits(10**6, 10**6))
    use = pictures.add(saved(plain()), "file").use
    find = partial(find_picture, pictures=pictures)
    found = _with_pictures(_Holder((PictureUse("", use.sha256),)), find)
    assert found == _Holder((use,))
    for unknown in ("cd" * 32, "*", "../" + use.sha256, "", use.id, use.id + "ab" * 16):
        with pytest.raises(WeightsMissing, match="picture with SHA-256"):
            _with_pictures(_Holder((PictureUse("", unknown),)), find)


def test_a_picture_to_start_from_and_its_mask_are_found_and_checked_again(
    catalog: Catalog, tmp_path: Path
) -> None:
    pictures = Pictures(LocalFolder(tmp_path / "uploads"), LocalFolder(tmp_path), UploadLimits(10**6, 10**6))
    ids = [pictures.add(saved(plain(96, 64, color)), "file").use.id for color in ("red", "white")]
    body = GenerateBody(prompt="x", seed=7, steps=4, init_image=ids[0], mask=ids[1], strength=0.5)
    request = resolve(
        body, catalog, 10**6, PictureSource(partial(settle_picture, pictures=pictures), read=pictures.content)
    )
    parts = model_files(read_checkpoint(files_of(request)))
    manifest = manifest_of(request, 0, Setup("cpu", "float32", "EulerDiscreteScheduler", {}, files=parts))
    assert str(tmp_path) not in manifest.to_json()
    found = replay(manifest, None, catalog, partial(find_picture, pictures=pictures), 10**6, pictures.content)
    assert found == dataclasses.replace(request, original=found.original)
    assert GenerateBody.model_validate(describe(found)).init_image == ids[0]
    content = json.loads(manifest.to_json())
    content["request"]["init"]["strength"] = 0.1
    with pytest.raises(InvalidRequest, match="less than one"):
        replay(
            read_manifest(json.dumps(content)),
            None,
            catalog,
            partial(find_picture, pictures=pictures),
            10**6,
            pictures.content,
        )
    with pytest.raises(WeightsMissing, match=request.pictures[0].sha256):
        replay(manifest, None, catalog, none_here, 10**6)


def test_a_kind_of_file_that_nobody_finds_is_refused() -> None:
    with pytest.raises(ManifestInvalid, match="ModelUse cannot be found again"):
        _with_pictures(_Holder(other=ModelUse("", "ab" * 32)), none_here)
