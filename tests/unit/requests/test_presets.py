from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.catalog.schedulers import find_scheduler
from ecurie.errors import CatalogError, UnknownPreset
from ecurie.first_use import missing_sources, resolve_or_defer
from ecurie.requests.body import GenerateBody
from ecurie.requests.describe import describe
from ecurie.requests.drawing import draw
from ecurie.requests.resolve import resolve

DEMO = Catalog(BUILTIN["demo"], Path("nowhere"))


def described(**fields: Any) -> dict[str, Any]:
    body = GenerateBody(**{"prompt": "red apple", "preset": "sketch-8", "seed": 1} | fields)
    return describe(resolve(body, DEMO, 10**9))


def test_a_preset_fills_in_what_the_request_leaves_open() -> None:
    found = described()
    assert (found["steps"], found["guidance_scale"], found["scheduler"]) == (8, 5, "dpmpp-2m-karras")
    assert [(lora["name"], lora["unet"]) for lora in found["loras"]] == [("ink-sketch", 1)]
    assert found["preset"] == "sketch-8"


@pytest.mark.parametrize(
    ("field", "value"), [("steps", 30), ("guidance_scale", 7.5), ("scheduler", "default")]
)
def test_an_explicit_field_wins_even_if_it_is_the_default(field: str, value: object) -> None:
    found = described(**{field: value})
    assert found[field] == (find_scheduler(value).id if isinstance(value, str) else value)
    others = {"steps": 8, "guidance_scale": 5, "scheduler": "dpmpp-2m-karras"}
    del others[field]
    assert {name: found[name] for name in others} == others


def test_the_request_s_adapters_come_after_the_preset_s_and_win() -> None:
    loras = [{"name": "style-anime", "weight": 0.5}, {"name": "ink-sketch", "weight": 0.2}]
    stack = [(lora["name"], lora["unet"]) for lora in described(loras=loras)["loras"]]
    assert stack == [("style-anime", 0.5), ("ink-sketch", 0.2)]
    added = described(loras=loras[:1])["loras"]
    assert [lora["name"] for lora in added] == ["ink-sketch", "style-anime"]


def test_what_is_described_makes_the_same_request_again() -> None:
    found = described(steps=12)
    fields = {name: value for name, value in found.items() if value is not None}
    assert describe(resolve(GenerateBody(**fields), DEMO, 10**9)) == found


def test_an_unknown_preset_names_those_that_there_are() -> None:
    with pytest.raises(UnknownPreset) as caught:
        described(preset="sketch")
    assert caught.value.field == "preset"
    assert "sketch-8" in str(caught.value.remedy)


def test_a_preset_s_adapter_is_downloaded_like_one_of_the_request(tmp_path: Path) -> None:
    catalog = Catalog(BUILTIN["default"], tmp_path, download_on_use=True)
    body = GenerateBody(prompt="red apple", preset="lightning-8")
    assert any("Lightning" in str(source) for source in missing_sources(draw(body, catalog).body, catalog))
    waiting = resolve_or_defer(body, catalog, 10**9)
    assert (waiting.steps, waiting.scheduler) == (8, "euler-trailing")
    assert [use.name for use in waiting.adapters] == ["lightning-8-step"]


@pytest.mark.parametrize("name", BUILTIN)
def test_every_bundled_preset_names_adapters_of_its_catalogue(name: str) -> None:
    catalog = Catalog(BUILTIN[name], Path("nowhere"))
    for entry in catalog.presets().values():
        assert {adapter.name for adapter in entry.adapters} <= catalog.adapters().keys()


@pytest.mark.parametrize("wrong", ["steps: 0", "scheduler: nope", "adapters: [{weight: 1}]", "seed: 3"])
def test_a_wrong_preset_is_an_error_of_the_catalogue(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "ecurie.yaml"
    shutil.copyfile(BUILTIN["demo"], file)
    broken = f"presets:\n  broken:\n    name: Broken\n    {wrong}\n"
    file.write_text(file.read_text().replace("presets:\n", broken))
    with pytest.raises(CatalogError, match=r"presets\.broken"):
        Catalog(file, tmp_path)
