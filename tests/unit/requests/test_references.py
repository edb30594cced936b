"""What a body says of references, settled; and what is refused at submit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.catalog.entries import IpAdapterEntry
from ecurie.catalog.ip_adapters import ip_adapter_availability
from ecurie.domain import GenerationRequest, Setup
from ecurie.errors import (
    AdapterMismatch,
    InvalidRequest,
    RequestError,
    UnknownAdapter,
    WeightsMissing,
)
from ecurie.formats.checkpoint import files_of, read_checkpoint
from ecurie.formats.model_files import model_files
from ecurie.images.manifest import manifest_of
from ecurie.jobs.rows import REQUEST
from ecurie.requests.body import MAX_REFERENCES, GenerateBody
from ecurie.requests.describe import describe
from ecurie.requests.pictures import PictureSource
from ecurie.requests.replaying import replay
from ecurie.requests.resolve import resolve
from tests.unit.ip_adapters import DRAWN, PLAIN, catalog_with, drawing, find_drawing, request_with, save_plus

SETUP = Setup("cpu", "float32", "EulerDiscreteScheduler", {})


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(BUILTIN["demo"], Path("nowhere"))


@pytest.mark.parametrize(
    ("images", "strength", "expected"),
    [
        (["octopus"], None, 0.6),
        (["octopus", "pizza"], 0.3, 0.3),
        (["octopus"], 0, 0),
        ([], None, 0),
        ([], 0, 0),
    ],
)
def test_the_strength_defaults_to_0_6_with_references_and_0_without(
    catalog: Catalog, images: list[str], strength: float | None, expected: float
) -> None:
    request = request_with(catalog, *images, ip_strength=strength)
    assert request.ip_strength == expected
    assert request.references == (tuple(map(drawing, images)) if expected else ())
    assert (request.ip_adapter is None) is (expected == 0)
    assert describe(request)["reference_images"] == [use.id for use in request.references]


def test_hashes_of_everything_that_draws_are_kept_and_places_are_not(catalog: Catalog) -> None:
    request = request_with(catalog, "octopus")
    assert REQUEST.validate_json(REQUEST.dump_json(request)) == request
    content: Any = manifest_of(request, 0, SETUP).request
    assert list(content["references"]) == [{"sha256": drawing("octopus").sha256}]
    assert set(content["ip_adapter"]) == {"name", "sha256", "encoder_sha256"}
    assert len(content["ip_adapter"]["encoder_sha256"]) == 64
    assert "/" not in json.dumps(content["ip_adapter"])


def test_an_image_with_references_is_made_again_by_the_hashes_of_its_files(
    catalog: Catalog, tmp_path: Path
) -> None:
    request = request_with(catalog, "octopus", "pizza")
    parts = model_files(read_checkpoint(files_of(request)))
    manifest = manifest_of(request, 0, dataclasses.replace(SETUP, files=parts))
    by_hash = {use.sha256: use for use in request.references}
    found = replay(manifest, None, catalog, lambda use: by_hash[use.sha256], 10**6)
    assert dataclasses.replace(found, original=None) == request
    assert request.ip_adapter is not None
    renamed = catalog_with(tmp_path, other=PLAIN)
    again = replay(manifest, None, renamed, lambda use: by_hash[use.sha256], 10**6)
    assert again.ip_adapter == dataclasses.replace(request.ip_adapter, name="other")
    without = catalog_with(tmp_path, plus=save_plus(tmp_path / "plus.safetensors"))
    with pytest.raises(WeightsMissing, match=request.ip_adapter.sha256):
        replay(manifest, None, without, lambda use: by_hash[use.sha256], 10**6)


def test_the_server_s_default_reference_is_used_when_only_a_strength_is_given(catalog: Catalog) -> None:
    def asked(**fields: Any) -> GenerationRequest:
        body = GenerateBody(prompt="x", **fields)
        return resolve(body, catalog, 10**9, PictureSource(find_drawing, lambda: drawing("pizza")))

    assert asked(ip_strength=0.4).references == (drawing("pizza"),)
    assert asked().references == ()


def catalog_of(folder: Path, **changes: str) -> Catalog:
    """One IP-Adapter, `only`, with these fields."""
    fields = {"name": "N", "source": str(PLAIN), "image_encoder": str(PLAIN.parent / "image_encoder")}
    text = ", ".join(f"{key}: '{value}'" for key, value in {**fields, **changes}.items())
    (folder / "c.yaml").write_text(
        "defaults: {model: base}\n"
        "models: {base: {name: B, source: 'demo:sdxl-base'}}\n"
        f"ip_adapters: {{only: {{{text}}}}}\n"
    )
    return Catalog(folder / "c.yaml", folder / "models")


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"ip_strength": 0.5}, InvalidRequest, "ip_strength"),
        ({"reference_images": ["octopus"], "ip_adapter": "nope"}, UnknownAdapter, "ip_adapter"),
        ({"reference_images": ["nope"]}, InvalidRequest, "reference_images"),
    ],
)
def test_a_wrong_field_is_named(
    catalog: Catalog, fields: dict[str, Any], error: type[RequestError], field: str
) -> None:
    with pytest.raises(error) as caught:
        resolve(GenerateBody(prompt="x", **fields), catalog, 10**9, DRAWN)
    assert (caught.value.field, bool(caught.value.remedy)) == (field, True)


def test_too_many_references_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 8"):
        GenerateBody(prompt="x", reference_images=["a"] * (MAX_REFERENCES + 1))


def test_guidance_that_ends_halfway_is_refused_with_references(catalog: Catalog) -> None:
    body = GenerateBody(prompt="x", reference_images=["pizza"], accelerate="guidance-cutoff")
    with pytest.raises(InvalidRequest, match="guides by them in every step"):
        resolve(body, catalog, 10**9, DRAWN)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"source": "./nowhere.safetensors"}, WeightsMissing),
        ({"image_encoder": "./nowhere"}, WeightsMissing),
        ({"image_encoder": "hf:owner/name"}, InvalidRequest),
        ({"image_encoder": "hf:owner/name/../x"}, InvalidRequest),
        ({"source": "hf:owner/name/x.safetensors"}, WeightsMissing),
        ({"source": "demo:adapters/style-anime.safetensors"}, AdapterMismatch),
    ],
)
def test_an_entry_that_cannot_be_used_says_why_at_submit(
    tmp_path: Path, changes: dict[str, str], error: type[RequestError]
) -> None:
    catalog = catalog_of(tmp_path, **changes)
    for fields in ({}, {"ip_adapter": "only"}):
        with pytest.raises(error) as caught:
            request_with(catalog, "octopus", **fields)
        assert caught.value.field == ("ip_adapter" if fields else "reference_images")
    missing = error is not AdapterMismatch
    assert (ip_adapter_availability(catalog, "only") is not None) is missing


def test_the_first_that_fits_the_model_is_the_default(tmp_path: Path) -> None:
    tensors = load_file(PLAIN)
    tensors["image_proj.proj.weight"] = torch.zeros(256, 1280)
    save_file(tensors, tmp_path / "bigg.safetensors")
    catalog = catalog_with(tmp_path, bigg=tmp_path / "bigg.safetensors", right=PLAIN)
    request = request_with(catalog, "octopus")
    assert request.ip_adapter is not None
    assert request.ip_adapter.name == "right"


def test_a_catalogue_without_ip_adapters_says_how_to_add_one(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "defaults: {model: base}\nmodels: {base: {name: B, source: 'demo:sdxl-base'}}\n"
    )
    with pytest.raises(UnknownAdapter) as caught:
        request_with(Catalog(tmp_path / "c.yaml", tmp_path), "octopus")
    assert "ip_adapters" in (caught.value.remedy or "")


def test_the_default_catalogue_names_downloads_of_file_and_encoder() -> None:
    catalog = Catalog(BUILTIN["default"], Path("nowhere"), download_on_use=True)
    for entry in catalog.ip_adapters().values():
        assert isinstance(entry, IpAdapterEntry)
        file, encoder = catalog.to_download(entry)
        assert str(getattr(file, "file", "")).endswith(".safetensors")
        assert getattr(encoder, "folder", None) == "models/image_encoder"
