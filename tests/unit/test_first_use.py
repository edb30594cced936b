"""What an unsettled request says, and what it becomes."""

from __future__ import annotations

import base64
import shutil
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from ecurie.catalog.catalog import Catalog
from ecurie.catalog.downloads.downloader import Downloader
from ecurie.catalog.sources import RemoteSource, place_of
from ecurie.domain import Progress
from ecurie.errors import InvalidRequest, UnknownAdapter, UnknownModel, WeightsMissing
from ecurie.first_use import missing_sources, resolve_or_defer, settle
from ecurie.images.storage import LocalFolder
from ecurie.images.uploads import Pictures, UploadLimits
from ecurie.jobs.rows import REQUEST
from ecurie.requests.body import GenerateBody
from ecurie.requests.describe import describe
from ecurie.requests.pictures import PictureSource, settle_picture
from tests.conftest import DEMO_FOLDER
from tests.unit.images.pictures import plain, saved
from tests.unit.ip_adapters import DRAWN, ENCODER, PLAIN

ADAPTER = DEMO_FOLDER.parent / "adapters" / "style-anime.safetensors"
TEXT = f"""
defaults: {{model: far}}
models:
  far: {{name: Far, source: 'hf:owner/name', prompt_prefix: score_9, scheduler: euler-a, clip_skip: 1}}
  here: {{name: Here, source: {DEMO_FOLDER}}}
  lost: {{name: Lost, source: ./nowhere}}
adapters:
  style: {{name: Style, source: 'civitai:42', default_weight: 0.6, trigger_words: [ink]}}
  lost: {{name: Lost, source: ./nothing.safetensors}}
ip_adapters:
  look:
    name: Look
    source: hf:owner/pictures/sdxl/look.safetensors
    image_encoder: hf:owner/pictures/models/image_encoder
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    (tmp_path / "ecurie.yaml").write_text(TEXT)
    return Catalog(tmp_path / "ecurie.yaml", tmp_path / "models", download_on_use=True)


class FakeDownloader:
    """Copies bundled files to where the sources' belong."""

    def __init__(self, models: Path):
        self._models = models
        self.fetched: list[RemoteSource] = []

    def fetch(self, sources: tuple[RemoteSource, ...], listen: Any) -> None:
        for source in sources:
            self.fetched.append(source)
            listen(1, 2)
            place = place_of(source, self._models)
            if place.suffix:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(PLAIN if place.stem == "look" else ADAPTER, place)
            elif place.name == "image_encoder":
                shutil.copytree(ENCODER, place)
            else:
                shutil.copytree(DEMO_FOLDER, place)


def body(**fields: Any) -> GenerateBody:
    return GenerateBody(**({"prompt": "cat"} | fields))


def test_an_unsettled_request_holds_what_the_catalogue_tells(catalog: Catalog) -> None:
    request = resolve_or_defer(body(loras=[{"name": "style", "text_encoder": 0.1}], steps=7), catalog, 10**9)
    assert (request.model, request.width, request.height) == ("far", 1024, 1024)
    assert (request.scheduler, request.clip_skip) == ("euler-a", 1)
    (use,) = request.adapters
    assert (use.name, use.unet, use.text_encoder) == ("style", 0.6, 0.1)
    assert describe(request)["loras"][0]["name"] == "style"


def test_settling_keeps_the_seed_and_the_model_and_survives_the_store(
    catalog: Catalog, tmp_path: Path
) -> None:
    asked = body(loras=[{"name": "style"}], num_images=2, steps=7)
    deferred = REQUEST.validate_json(REQUEST.dump_json(resolve_or_defer(asked, catalog, 10**9)))
    (tmp_path / "ecurie.yaml").write_text(TEXT.replace("model: far", "model: here"))
    told: list[Progress] = []
    downloader = FakeDownloader(catalog.models_dir)
    request = settle(deferred, catalog, cast(Downloader, downloader), 10**9, told.append)
    assert (request.model, request.seed, request.unsettled) == ("far", deferred.seed, "")
    assert request.final_prompt == "score_9, cat, ink"
    assert (request.width, request.height) == (64, 64)
    assert len(request.adapters[0].sha256) == 64
    assert told == [Progress("downloading", 0, 14, 1, 2)] * 2
    assert missing_sources(asked, catalog) == ()
    assert resolve_or_defer(asked, catalog, 10**9).unsettled == ""


def test_pictures_of_a_job_that_waits_are_uploads(catalog: Catalog, tmp_path: Path) -> None:
    pictures = Pictures(LocalFolder(tmp_path / "uploads"), LocalFolder(tmp_path), UploadLimits(10**6, 10**6))
    find = PictureSource(partial(settle_picture, pictures=pictures), read=pictures.content)
    coded = base64.b64encode(saved(plain(72, 64))).decode()
    deferred = resolve_or_defer(body(init_image=coded, strength=0.5), catalog, 10**9, find)
    assert coded not in deferred.unsettled
    assert (deferred.width, deferred.height, deferred.total_steps) == (72, 64, 15)
    downloader = cast(Downloader, FakeDownloader(catalog.models_dir))
    request = settle(deferred, catalog, downloader, 10**9, lambda _progress: None, find)
    assert (request.init, request.width) == (deferred.init, 72)
    assert request.pictures == (pictures.find(request.pictures[0].id).use,)


def test_an_ip_adapter_and_its_encoder_are_downloaded_with_the_model(
    catalog: Catalog, tmp_path: Path
) -> None:
    pictures = Pictures(LocalFolder(tmp_path / "uploads"), LocalFolder(tmp_path), UploadLimits(10**6, 10**6))
    find = PictureSource(partial(settle_picture, pictures=pictures), read=pictures.content)
    coded = base64.b64encode(saved(plain(72, 64))).decode()
    asked = body(reference_images=[coded], steps=7)
    assert len(missing_sources(asked, catalog)) == 3
    assert len(missing_sources(body(reference_images=[coded], ip_strength=0), catalog)) == 1
    deferred = resolve_or_defer(asked, catalog, 10**9, find)
    assert coded not in deferred.unsettled
    assert (deferred.ip_strength, len(deferred.references)) == (0.6, 1)
    assert describe(deferred)["ip_adapter"] == "look"
    downloader = cast(Downloader, FakeDownloader(catalog.models_dir))
    request = settle(deferred, catalog, downloader, 10**9, lambda _progress: None, find)
    assert request.ip_adapter is not None
    assert (request.ip_adapter.name, len(request.ip_adapter.sha256)) == ("look", 64)
    assert request.references == deferred.references
    assert missing_sources(asked, catalog) == ()


def test_what_is_here_is_not_fetched_again_and_nothing_twice(catalog: Catalog) -> None:
    loras = [{"name": "style"}, {"name": "style", "weight": 0.1}]
    asked = body(model="here", prompt="cat <lora:style:1>", loras=loras)
    assert len(missing_sources(asked, catalog)) == 1
    deferred = resolve_or_defer(asked, catalog, 10**9)
    assert [use.in_prompt for use in deferred.adapters] == [False, False, True]


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"model": "nope"}, UnknownModel, None),
        ({"model": "lost"}, WeightsMissing, None),
        ({"loras": [{"name": "style"}, {"name": "nope"}]}, UnknownAdapter, "loras.1"),
        ({"loras": [{"name": "lost"}]}, WeightsMissing, "loras.0"),
        ({"prompt": "cat <lora:nope:1>"}, UnknownAdapter, "prompt"),
        ({"prompt": "cat <lora:style:much>"}, InvalidRequest, "prompt"),
        ({"prompt": "<lora:style:1>"}, InvalidRequest, "prompt"),
        ({"prompt": "[a|b]"}, InvalidRequest, "prompt"),
        ({"prompt": "__nope__"}, InvalidRequest, "prompt"),
        ({"negative_prompt": "[a:b:4]"}, InvalidRequest, "negative_prompt"),
        ({"width": 8192, "height": 8192}, InvalidRequest, "width"),
        ({"scheduler": "nope"}, InvalidRequest, "scheduler"),
        ({"scheduler": "lcm", "steps": 60}, InvalidRequest, "steps"),
        ({"ip_strength": 0.5}, InvalidRequest, "ip_strength"),
        ({"reference_images": ["pizza"], "ip_adapter": "nope"}, UnknownAdapter, None),
        (
            {"loras": [{"name": "style", "weight": 0.1}] * 64, "prompt": "cat <lora:style:1>"},
            InvalidRequest,
            "prompt",
        ),
    ],
)
def test_mistakes_are_told_before_the_download(
    catalog: Catalog, fields: dict[str, Any], error: type[Exception], field: str | None
) -> None:
    with pytest.raises(error) as caught:
        resolve_or_defer(body(**fields), catalog, 2048 * 2048, DRAWN)
    if field is not None:
        assert getattr(caught.value, "field", None) == field


def test_wildcards_are_drawn_before_the_download_and_no_more_after_it(catalog: Catalog) -> None:
    asked = body(prompt="(cat:1.2) {x|y} <lora:{style|style}:0.5>", num_images=2)
    deferred = resolve_or_defer(asked, catalog, 10**9)
    assert deferred.prompt_syntax == "a1111"
    request = settle(
        deferred, catalog, cast(Downloader, FakeDownloader(catalog.models_dir)), 10**9, lambda _: None
    )
    assert (
        request.prompt == deferred.prompt in ("(cat:1.2) x <lora:style:0.5>", "(cat:1.2) y <lora:style:0.5>")
    )
    assert request.prompt_template == deferred.prompt_template == asked.prompt
    assert request.seed == deferred.seed


def test_nothing_is_deferred_where_downloads_are_off(tmp_path: Path, catalog: Catalog) -> None:
    strict = Catalog(tmp_path / "ecurie.yaml", tmp_path / "models")
    with pytest.raises(WeightsMissing) as caught:
        resolve_or_defer(body(), strict, 10**9)
    assert caught.value.remedy == "run: ecurie pull far"
    assert strict.availability("far") is not None
    assert catalog.availability("far") is None
    assert catalog.adapter_availability("style") is None
    assert "no file is" in (catalog.adapter_availability("lost") or "")
