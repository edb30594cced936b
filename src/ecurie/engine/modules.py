"""From a component's tensors on the disk to a module: built empty, then given the file's own memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)
from transformers.initialization import no_init_weights

from ecurie.adapters.parallel import Check, go_on, run_all
from ecurie.adapters.pristine import Pristine
from ecurie.adapters.upload import upload
from ecurie.engine.devices import Compute
from ecurie.errors import WeightsInvalid
from ecurie.formats.parts import Source

SHOWN_KEYS = 3


def empty_module(component: str, config: dict[str, Any]) -> nn.Module:
    """The component's class without memory for its weights, and without numbers drawn for them.

    Raises WeightsInvalid for a bad configuration.
    """
    try:
        with no_init_weights(), init_empty_weights():
            match component:
                case "unet":
                    module: nn.Module = UNet2DConditionModel.from_config(config)
                case "vae":
                    module = AutoencoderKL.from_config(config)
                case "text_encoder":
                    module = CLIPTextModel(CLIPTextConfig.from_dict(config))
                case "image_encoder":
                    module = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(config))
                case _:
                    module = CLIPTextModelWithProjection(CLIPTextConfig.from_dict(config))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise WeightsInvalid(f"the configuration of {component} cannot be used: {error}") from error
    return module.eval()


@torch.no_grad()
def fill(
    module: nn.Module,
    sources: Mapping[str, Source],
    pristine: Pristine,
    compute: Compute,
    check: Check = go_on,
) -> None:
    """Give every parameter its tensor in `compute.dtype` on the device; no copy is made of one that is
    stored so on the CPU. A parameter that has memory there keeps it: new memory costs ten times the
    conversion.

    Raises WeightsInvalid for missing, unknown or misshapen tensors, or what `check` raises: then a module
    without memory is as it was, one that has memory must not be used.
    """
    expected = module.state_dict()
    named = {_state_name(key, expected): source for key, source in sources.items()}
    _check(expected, named)
    stored = {name: pristine.tensor(source) for name, source in named.items()}
    fetch = _convert_all if compute.on_cpu else _upload_all
    _assign(module, expected, fetch(expected, stored, compute, check))
    # Buffers, which no file holds.
    module.to(compute.device)


def _convert_all(
    expected: Mapping[str, Tensor], stored: Mapping[str, Tensor], compute: Compute, check: Check
) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}

    def convert(name: str) -> None:
        has_memory = expected[name].device.type != "meta"
        state[name] = expected[name].copy_(stored[name]) if has_memory else stored[name].to(compute.dtype)

    mapped = {name for name, tensor in stored.items() if tensor.dtype == compute.dtype}
    run_all([partial(convert, name) for name in stored.keys() - mapped], check=check)
    return state | {name: stored[name] for name in mapped}


def _upload_all(
    expected: Mapping[str, Tensor], stored: Mapping[str, Tensor], compute: Compute, check: Check
) -> dict[str, Tensor]:
    """Uploaded as stored, converted there."""
    state: dict[str, Tensor] = {}
    for name, source in stored.items():
        taken_over = expected[name].device.type == compute.device.type and source.dtype == compute.dtype
        state[name] = (
            expected[name]
            if taken_over
            else torch.empty(source.shape, dtype=source.dtype, device=compute.device)
        )
    upload([(state[name], source) for name, source in stored.items()], compute.device, check)
    return {name: tensor.to(compute.dtype) for name, tensor in state.items()}


def _assign(module: nn.Module, expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """As `load_state_dict(assign=True)` does with tensors that are known to fit, in a third of its time."""
    modules = dict(module.named_modules())
    for name, tensor in state.items():
        if tensor is expected[name]:
            continue
        path, _, leaf = name.rpartition(".")
        inner = modules[path]
        is_parameter = isinstance(getattr(inner, leaf), nn.Parameter)
        setattr(inner, leaf, nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor)


def drop(module: nn.Module) -> None:
    """Free the parameters' memory; buffers, which no file holds, stay. `fill` undoes it."""
    for inner in module.modules():
        for name, parameter in inner.named_parameters(recurse=False):
            empty = torch.empty_like(parameter, device="meta")
            setattr(inner, name, nn.Parameter(empty, requires_grad=False))


def _state_name(key: str, expected: Mapping[str, Tensor]) -> str:
    """By the module's own name: versions of transformers put `text_model.` before or leave it out."""
    for name in (key, key.removeprefix("text_model."), f"text_model.{key}"):
        if name in expected:
            return name
    return key


def _check(expected: Mapping[str, Tensor], named: Mapping[str, Source]) -> None:
    wrong = [f"{name} is missing" for name in expected.keys() - named.keys()]
    wrong += [f"{source.key} is unknown" for name, source in named.items() if name not in expected]
    wrong += [
        f"{source.key} is {_shown(source.shape)}, not {_shown(expected[name].shape)}"
        for name, source in named.items()
        if name in expected and tuple(expected[name].shape) != source.shape
    ]
    if wrong:
        file = next(iter(named.values())).file if named else "the file"
        raise WeightsInvalid(
            f"{file} has {len(wrong)} wrong tensors: {'; '.join(sorted(wrong)[:SHOWN_KEYS])}"
        )


def _shown(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
