from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.catalog.schedulers import SCHEDULERS, find_scheduler
from ecurie.catalog.sources import hub_folder, parse_hub_source
from ecurie.errors import CatalogError, InvalidRequest, UnknownModel, WeightsMissing
from tests.conftest import DEMO_FOLDER

TEXT = "defaults: {{model: one}}\nmodels:\n  one: {{name: One, source: {source}}}\n"


def make(tmp_path: Path, source: str) -> tuple[Catalog, Path]:
    file = tmp_path / "ecurie.yaml"
    file.write_text(TEXT.format(source=source))
    return Catalog(file, tmp_path / "models"), file


def test_both_shipped_catalogues_are_valid_and_share_their_ids(tmp_path: Path) -> None:
    default, demo = (Catalog(BUILTIN[name], tmp_path) for name in ("default", "demo"))
    assert {"sdxl-base", "pony-xl-v6"} <= set(default.models()) & set(demo.models())
    assert default.default_model == demo.default_model == "sdxl-base"


def test_every_default_entry_can_be_downloaded_and_tells_its_licence_or_that_we_do_not_know_it(
    tmp_path: Path,
) -> None:
    default = Catalog(BUILTIN["default"], tmp_path, download_on_use=True)
    entries = {**default.models(), **default.adapters()}
    text = BUILTIN["default"].read_text()
    for entry_id, entry in entries.items():
        said = re.search(rf"^  {entry_id}:\n((?:    .*\n)+)", text, re.MULTILINE)
        assert said is not None
        assert entry.license or "# " in said[1], entry_id
        assert default.to_download(entry) or entry.source.startswith("./"), entry_id
    local = [entry_id for entry_id, entry in entries.items() if not default.to_download(entry)]
    assert local == ["cyberpunk-style"]


def test_the_demo_models_are_ready(tmp_path: Path) -> None:
    demo = Catalog(BUILTIN["demo"], tmp_path)
    assert [demo.availability(model_id) for model_id in demo.models()] == [None, None]
    found = demo.find("sdxl-base")
    assert (found.size, found.checkpoint.factor) == ((64, 64), 4)


def test_an_unknown_model_names_the_known_ones(tmp_path: Path) -> None:
    catalog, _ = make(tmp_path, str(DEMO_FOLDER))
    with pytest.raises(UnknownModel, match="'two'") as caught:
        catalog.find("two")
    assert caught.value.remedy == "use one of: one"


def test_missing_weights_say_what_to_run(tmp_path: Path) -> None:
    catalog, _ = make(tmp_path, "hf:owner/repository@main")
    with pytest.raises(WeightsMissing, match="has not been downloaded") as caught:
        catalog.find("one")
    assert caught.value.remedy == "run: ecurie pull one"
    assert "ecurie pull one" in (catalog.availability("one") or "")


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    catalog, _ = make(tmp_path, "./nowhere")
    with pytest.raises(WeightsMissing, match=str(tmp_path / "nowhere")):
        catalog.find("one")


def test_a_single_file_of_the_hub_has_its_place(tmp_path: Path) -> None:
    catalog, _ = make(tmp_path, "hf:owner/repository/model.safetensors")
    with pytest.raises(WeightsMissing, match=r"owner--repository/model\.safetensors") as caught:
        catalog.find("one")
    assert caught.value.remedy == "run: ecurie pull one"


def test_single_files_among_the_checkpoints_are_models(tmp_path: Path) -> None:
    catalog, _ = make(tmp_path, str(DEMO_FOLDER))
    checkpoints = tmp_path / "models" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "My Mix v2.safetensors").write_bytes(b"")
    assert catalog.models()["my-mix-v2"].source == str(checkpoints / "My Mix v2.safetensors")


def test_a_base_must_be_a_model_of_the_catalogue(tmp_path: Path) -> None:
    _, file = make(tmp_path, str(DEMO_FOLDER))
    file.write_text(file.read_text().replace("name:", "base: nowhere, name:", 1))
    with pytest.raises(UnknownModel, match="'nowhere'"):
        Catalog(file, tmp_path).find("one")


def test_another_vae_stands_instead_of_the_model_s_own(tmp_path: Path) -> None:
    catalog, _ = make(tmp_path, f"{DEMO_FOLDER}, vae: ./other")
    with pytest.raises(WeightsMissing, match="other"):
        catalog.find("one")
    shutil.copytree(DEMO_FOLDER / "vae", tmp_path / "other")
    tensors = catalog.find("one").checkpoint.parts.tensors
    assert {source.file.parent.name for source in tensors["vae"].values()} == {"other"}
    assert {source.file.parent.parent for source in tensors["unet"].values()} == {DEMO_FOLDER}


def test_a_valid_edit_is_followed_and_a_broken_one_leaves_the_last_good_state(tmp_path: Path) -> None:
    catalog, file = make(tmp_path, str(DEMO_FOLDER))
    file.write_text(TEXT.format(source=DEMO_FOLDER).replace("one", "another"))
    assert list(catalog.models()) == ["another"]
    file.write_text("models: [broken")
    assert isinstance(catalog.error, CatalogError)
    assert list(catalog.models()) == ["another"]
    assert isinstance(catalog.error, CatalogError)
    file.write_text(TEXT.format(source=DEMO_FOLDER))
    assert list(catalog.models()) == ["one"]
    assert catalog.error is None


def test_folders_under_checkpoints_become_models(tmp_path: Path) -> None:
    catalog, _ = make(tmp_path, str(DEMO_FOLDER))
    shutil.copytree(DEMO_FOLDER, tmp_path / "models" / "checkpoints" / "My Model (v2)")
    assert set(catalog.models()) == {"one", "my-model-v2"}
    assert catalog.find("my-model-v2").size == (64, 64)
    shutil.copytree(DEMO_FOLDER, tmp_path / "models" / "checkpoints" / "my model v2")
    assert set(catalog.models()) == {"one", "my-model-v2", "my-model-v2-2"}


def test_a_link_that_leaves_the_adapters_folder_is_not_served(tmp_path: Path) -> None:
    """Whoever may write into the folder should not choose which other files are read."""
    catalog, file = make(tmp_path, str(DEMO_FOLDER))
    real = DEMO_FOLDER.parent / "adapters" / "style-anime.safetensors"
    outside, folder = tmp_path / "store", tmp_path / "models" / "adapters"
    outside.mkdir()
    shutil.copyfile(real, outside / "a.safetensors")
    (tmp_path / "models").mkdir()
    shutil.copytree(outside, folder)
    (folder / "out.safetensors").symlink_to(outside / "a.safetensors")
    (folder / "in.safetensors").symlink_to(folder / "a.safetensors")
    (folder / "broken.safetensors").symlink_to(tmp_path / "nothing.safetensors")
    (folder / "loop.safetensors").symlink_to(folder / "loop.safetensors")
    assert set(catalog.adapters()) == {"a", "in", "loop"}
    assert "no file is" in (catalog.adapter_availability("loop") or "")
    file.write_text(
        file.read_text() + "adapters: {out: {name: Out, source: models/adapters/out.safetensors}}\n"
    )
    assert catalog.find_adapter("out").file.samefile(outside / "a.safetensors")


def test_a_folder_of_adapters_may_itself_be_a_link(tmp_path: Path) -> None:
    catalog, _ = make(tmp_path, str(DEMO_FOLDER))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "adapters").symlink_to(DEMO_FOLDER.parent / "adapters")
    assert catalog.find_adapter("ink-sketch").file.is_file()


def test_one_damaged_folder_does_not_hide_the_others(tmp_path: Path) -> None:
    catalog, _ = make(tmp_path, str(DEMO_FOLDER))
    folder = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "models" / "checkpoints" / "bad"))
    (folder / "unet" / "config.json").write_text("{}")
    assert catalog.availability("one") is None
    assert "sample_size" in (catalog.availability("bad") or "")


def test_each_revision_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders = {hub_folder(tmp_path, parse_hub_source(f"hf:a/b{revision}")) for revision in ("", "@v1", "@v2")}
    assert len(folders) == 3


def test_an_interrupted_download_says_what_to_run(tmp_path: Path) -> None:
    catalog, _ = make(tmp_path, "hf:owner/repository")
    folder = hub_folder(tmp_path / "models", parse_hub_source("hf:owner/repository"))
    shutil.copytree(DEMO_FOLDER, folder)
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(WeightsMissing) as caught:
        catalog.find("one")
    assert caught.value.remedy == "run: ecurie pull one"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf:a/b", ("a/b", None, None)),
        ("hf:a/b.c@1f2e", ("a/b.c", "1f2e", None)),
        ("hf:a/b/c.safetensors", ("a/b", None, "c.safetensors")),
        ("hf:a/b@v1/d/c.safetensors", ("a/b", "v1", "d/c.safetensors")),
    ],
)
def test_hub_sources_are_read(text: str, parts: tuple[str, str | None, str | None]) -> None:
    source = parse_hub_source(text)
    assert (source.repository, source.revision, source.file) == parts


@pytest.mark.parametrize("text", ["hf:", "hf:a", "hf:a/b@", "hf:a/b/../c", "hf:a/b/c.ckpt"])
def test_what_is_no_hub_source_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_hub_source(text)


def test_every_scheduler_is_found_by_id_and_label_in_any_case() -> None:
    for entry in SCHEDULERS:
        for name in (entry.id, entry.label, entry.label.upper(), entry.id.replace("-", " ")):
            assert find_scheduler(name) is entry
    with pytest.raises(InvalidRequest, match="'eular'") as caught:
        find_scheduler("eular")
    assert "euler-a" in (caught.value.remedy or "")
