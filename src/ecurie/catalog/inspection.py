"""What a person asks of a file, adapter or model: what is it, and does it fit?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecurie.catalog.catalog import Catalog, FoundAdapter, FoundModel, adapter_of_file
from ecurie.catalog.lineage import lineage_of_adapter, lineage_of_model, lineage_warning
from ecurie.catalog.sources import locate_file
from ecurie.catalog.triggers import Triggers, triggers_of
from ecurie.errors import NotBuiltYet, RequestError, UnknownAdapter, WeightsInvalid, WeightsMissing
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.diffusers_folder import PIPELINE_CLASS, weight_files
from ecurie.formats.identify import Kind
from ecurie.formats.inspection import Inspection, inspect_file
from ecurie.formats.inventory import PARTS
from ecurie.formats.metadata import Sourced
from ecurie.formats.sgm_names import layers_per_block

FOLDER_PARTS = (*PARTS, "vae")


@dataclass(frozen=True, slots=True)
class Check:
    """Whether an adapter fits `model`; `fits` is None when that could not be checked, `reason` says why not
    or why it does not fit."""

    model: str
    fits: bool | None
    reason: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class InspectedAdapter:
    """`warnings` are what a request for it on the checked model would report."""

    id: str
    name: str
    default_weight: float
    triggers: Triggers
    lineage: Sourced | None
    check: Check
    warnings: tuple[str, ...]
    content: Inspection


@dataclass(frozen=True, slots=True)
class InspectedModel:
    """A diffusers folder; `components` by name, each with its files of weights."""

    id: str
    name: str
    folder: str
    pipeline: str
    size: tuple[int, int]
    lineage: str | None
    components: dict[str, tuple[Inspection, ...]]


Inspected = InspectedAdapter | InspectedModel | Inspection


def inspect_anything(catalog: Catalog, target: str, model_id: str | None = None) -> Inspected:
    """A path (file or diffusers folder), or the id of an adapter or model of the catalogue.

    Adapters are checked against `model_id`, by default the catalogue's default model. Raises UnknownAdapter,
    WeightsMissing, WeightsInvalid or what `Catalog.find` raises.
    """
    if target in catalog.adapters():
        return inspect_adapter(catalog, catalog.find_adapter(target), model_id)
    if target in catalog.models():
        return _inspect_model(catalog, target)
    path = Path(target).expanduser()
    if path.is_dir():
        return _inspect_folder(catalog.find_path(path))
    if path.is_file():
        return _inspect_path(catalog, path, model_id)
    raise UnknownAdapter(
        f"there is no file, folder, adapter or model '{target}'",
        remedy=f"adapters: {', '.join(catalog.adapters()) or 'none'}; models: {', '.join(catalog.models())}",
    )


def inspect_adapter(catalog: Catalog, found: FoundAdapter, model_id: str | None = None) -> InspectedAdapter:
    """Raises WeightsMissing or WeightsInvalid for a damaged file, UnknownModel for a model that is not there.

    An adapter that does not fit is an answer, not an error; so is a model whose files are not here.
    """
    model_id = model_id or catalog.default_model
    try:
        model = catalog.find(model_id)
    except (WeightsMissing, WeightsInvalid, NotBuiltYet) as error:
        return _described(found, inspect_file(found.file), Check(model_id, None, str(error), error.remedy))
    inventory = model.checkpoint.inventory
    content = inspect_file(found.file, layers_per_block(set(inventory["unet"])))
    try:
        read_adapter(found.file, inventory)
    except RequestError as error:
        return _described(found, content, Check(model_id, False, str(error), error.remedy), model)
    return _described(found, content, Check(model_id, True), model)


def _described(
    found: FoundAdapter, content: Inspection, check: Check, model: FoundModel | None = None
) -> InspectedAdapter:
    lineage = lineage_of_adapter(found.entry, content.metadata)
    return InspectedAdapter(
        id=found.id,
        name=found.entry.name,
        default_weight=found.entry.default_weight,
        triggers=triggers_of(found.entry, content.metadata),
        lineage=lineage,
        check=check,
        warnings=adapter_warnings(found.id, model, lineage) if model else (),
        content=content,
    )


def adapter_warnings(adapter_id: str, model: FoundModel, lineage: Sourced | None) -> tuple[str, ...]:
    """What the user of an adapter on this model should know; nothing of it refuses the request."""
    advised = model.entry.supported_loras
    outside = f"not among the adapters that {model.id} is known to work with"
    notes = (
        outside if advised and adapter_id not in advised else None,
        lineage_warning(model.id, lineage_of_model(model.id, model.entry), lineage),
    )
    return tuple(note for note in notes if note)


def _inspect_path(catalog: Catalog, path: Path, model_id: str | None) -> Inspected:
    content = inspect_file(path)
    if content.identity.kind is not Kind.ADAPTER:
        return content
    return inspect_adapter(catalog, adapter_of_file(path), model_id)


def _inspect_model(catalog: Catalog, model_id: str) -> Inspected:
    entry = catalog.models()[model_id]
    if entry.source.endswith(".safetensors"):
        return inspect_file(
            locate_file(entry.source, entry_id=model_id, base=catalog.base, models_dir=catalog.models_dir)
        )
    return _inspect_folder(catalog.find(model_id))


def _inspect_folder(found: FoundModel) -> InspectedModel:
    return InspectedModel(
        id=found.id,
        name=found.entry.name,
        folder=str(found.files.main),
        pipeline=PIPELINE_CLASS,
        size=found.size,
        lineage=lineage_of_model(found.id, found.entry),
        components={
            part: tuple(inspect_file(file) for file in weight_files(found.files.main, part))
            for part in FOLDER_PARTS
        },
    )
