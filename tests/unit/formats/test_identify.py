"""What a file is, from headers with the names and shapes of diffusers' and transformers' own models."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

from ecurie.formats.identify import Kind, identify
from ecurie.formats.safetensors_file import Header, TensorInfo, read_header
from ecurie.formats.sgm_names import sgm_names
from tests.conftest import DEMO_FOLDER
from tests.unit.formats.test_adapter_file import SDXL_UNET

# Published configurations, but for the number of layers.
SD1_UNET = {"cross_attention_dim": 768, "attention_head_dim": 8}
SD2_UNET = {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}
Shapes = dict[str, tuple[int, ...]]


def header(shapes: Shapes, **metadata: str) -> Header:
    tensors = {key: TensorInfo("F16", shape, 0, 0) for key, shape in shapes.items()}
    return Header(tensors, {name.replace("__", "."): text for name, text in metadata.items()})


def shapes_of(module: nn.Module, prefix: str = "") -> Shapes:
    return {f"{prefix}{key}": tuple(tensor.shape) for key, tensor in module.state_dict().items()}


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return make()


def lora(model: nn.Module, prefix: str, *, kohya: bool, chosen: str = "attn") -> Shapes:
    """A LoRA of rank 4 on the linear layers whose names hold `chosen`."""
    shapes: Shapes = {}
    down, up = ("lora_down", "lora_up") if kohya else ("lora_A", "lora_B")
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear) and chosen in name:
            key = prefix + (name.replace(".", "_") if kohya else name)
            shapes[f"{key}.{down}.weight"] = (4, layer.in_features)
            shapes[f"{key}.{up}.weight"] = (layer.out_features, 4)
    assert shapes
    return shapes


def unet(**options: object) -> nn.Module:
    return on_meta(lambda: UNet2DConditionModel(**options))


def flux() -> nn.Module:
    return on_meta(lambda: FluxTransformer2DModel(num_layers=1, num_single_layers=1))


def sd3() -> nn.Module:
    return on_meta(
        lambda: SD3Transformer2DModel(
            num_layers=1, num_attention_heads=24, caption_projection_dim=1536, pooled_projection_dim=2048
        )
    )


def clip(width: int, layers: int = 1) -> nn.Module:
    return on_meta(
        lambda: CLIPTextModel(
            CLIPTextConfig(hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64)
        )
    )


@pytest.mark.parametrize("kohya", [True, False])
@pytest.mark.parametrize(
    ("family", "make"),
    [
        ("Stable Diffusion 1.5", lambda: unet(**SD1_UNET)),
        ("Stable Diffusion 2", lambda: unet(**SD2_UNET)),
        ("SDXL", lambda: unet(**SDXL_UNET)),
        ("Flux", flux),
        ("Stable Diffusion 3", sd3),
    ],
)
def test_the_family_of_a_lora_is_told_from_its_shapes(
    family: str, make: Callable[[], nn.Module], kohya: bool
) -> None:
    model = make()
    prefix = "unet" if isinstance(model, UNet2DConditionModel) else "transformer"
    found = identify(header(lora(model, f"lora_{prefix}_" if kohya else f"{prefix}.", kohya=kohya)))
    assert (found.kind, found.family) == (Kind.ADAPTER, family)


@pytest.mark.parametrize(
    ("shapes", "family"),
    [
        ({"lora_unet_down_blocks_0_attentions_0_proj_in": (320, 1, 1)}, "Stable Diffusion 1.5 or 2"),
        ({"lora_te_text_model_encoder_layers_0_mlp_fc1": (768,)}, "Stable Diffusion 1.5 or 2"),
        ({"lora_te2_text_model_encoder_layers_0_mlp_fc1": (1280,)}, "SDXL"),
        ({"lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q": (640,)}, "SDXL"),
        ({"lora_unet_double_blocks_0_img_attn_qkv": (3072,)}, "Flux"),
        ({"diffusion_model.single_blocks.3.linear1": (3072,)}, "Flux"),
        ({"lora_unet_joint_blocks_0_x_block_attn_qkv": (1536,)}, "Stable Diffusion 3"),
        ({"diffusion_model.blocks.0.cross_attn.q": (1536,)}, "Wan"),
        ({"lora_unet_mid_block_attentions_0_proj_in": (1280,)}, None),
    ],
)
def test_names_tell_where_shapes_do_not(shapes: Shapes, family: str | None) -> None:
    pairs = {f"{name}.lora_down.weight": (4, *inputs) for name, inputs in shapes.items()}
    pairs |= {f"{name}.lora_up.weight": (64, 4) for name in shapes}
    assert identify(header(pairs)).family == family


@pytest.mark.parametrize(
    "tensors",
    [
        {"hada_w1_a": (640, 4), "hada_w1_b": (4, 2048), "hada_w2_a": (640, 4), "hada_w2_b": (4, 2048)},
        {"lokr_w1": (8, 16), "lokr_w2_a": (80, 4), "lokr_w2_b": (4, 128)},
        {"lokr_w1_a": (8, 4), "lokr_w1_b": (4, 16), "lokr_w2": (80, 128)},
        {"a1.weight": (2048, 4), "a2.weight": (4, 2048), "b1.weight": (640, 4), "b2.weight": (4, 2048)},
        {"diff": (640, 2048)},
    ],
)
def test_every_algorithm_with_inputs_tells_its_family(tensors: Shapes) -> None:
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    found = identify(header({f"{name}.{role}": shape for role, shape in tensors.items()}))
    assert found.family == "SDXL"
    assert "2048" in (found.why or "")


def test_metadata_is_asked_only_where_names_and_shapes_leave_it_open() -> None:
    name = "lora_unet_mid_block_attentions_0_proj_in"
    pair = {f"{name}.lora_down.weight": (4, 64), f"{name}.lora_up.weight": (64, 4)}
    written = {"modelspec__architecture": "stable-diffusion-xl-v1-base/lora"}
    assert identify(header(pair, **written)).family == "SDXL"
    assert identify(header(pair, ss_base_model_version="sd_v1")).family == "Stable Diffusion 1.5"
    assert identify(header(pair, ss_base_model_version="sd3_m")).family == "Stable Diffusion 3"
    assert identify(header(lora(flux(), "transformer.", kohya=False), **written)).family == "Flux"


def original(model: nn.Module) -> Shapes:
    """A UNet's tensors under the names of the original layout."""
    shapes = shapes_of(model)
    names = {path: name for name, path in sgm_names({key.rpartition(".")[0] for key in shapes}).items()}
    return {
        f"model.diffusion_model.{names[path]}.{kind}": shape
        for key, shape in shapes.items()
        for path, _, kind in [key.rpartition(".")]
    }


VAE_KEYS: Shapes = {"first_stage_model.encoder.down.0.block.0.conv1.weight": (128, 128, 3, 3)}
FIRST: Shapes = {"conditioner.embedders.0.transformer.text_model.embeddings.x": (77, 768)}
SECOND: Shapes = {"conditioner.embedders.1.model.token_embedding.weight": (49408, 1280)}


def test_a_single_file_sdxl_checkpoint_says_what_it_holds() -> None:
    whole = identify(header(original(unet(**SDXL_UNET)) | VAE_KEYS | FIRST | SECOND))
    assert (whole.kind, whole.family, whole.missing) == (Kind.CHECKPOINT, "SDXL", ())
    assert whole.components == ("UNet", "VAE", "text encoder", "second text encoder")
    part = identify(header(original(unet(**SDXL_UNET)) | FIRST))
    assert part.missing == ("VAE", "second text encoder")


def test_inpainting_and_v_prediction_checkpoints_are_told() -> None:
    shapes = original(unet(**(SDXL_UNET | {"in_channels": 9}))) | {"v_pred": (0,)}
    assert identify(header(shapes)).detail == "inpainting, v-prediction"


def test_the_refiner_is_not_the_base() -> None:
    config = SDXL_UNET | {
        "block_out_channels": [384, 768, 1536, 1536],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "transformer_layers_per_block": 4,
        "attention_head_dim": [6, 12, 24, 24],
        "cross_attention_dim": 1280,
        "projection_class_embeddings_input_dim": 2560,
    }
    assert identify(header(original(unet(**config)))).family == "the SDXL refiner"


def test_a_checkpoint_of_sd_1_5_is_told() -> None:
    shapes = original(unet(**SD1_UNET)) | {"cond_stage_model.transformer.x": (1,)} | VAE_KEYS
    found = identify(header(shapes))
    assert (found.kind, found.family, found.missing) == (Kind.CHECKPOINT, "Stable Diffusion 1.5", ())


@pytest.mark.parametrize(
    ("make", "kind", "family"),
    [
        (lambda: unet(**SDXL_UNET), Kind.UNET, "SDXL"),
        (lambda: unet(**SD1_UNET), Kind.UNET, "Stable Diffusion 1.5"),
        (flux, Kind.UNET, "Flux"),
        (lambda: on_meta(AutoencoderKL), Kind.VAE, None),
        (lambda: on_meta(lambda: ControlNetModel(cross_attention_dim=768)), Kind.CONTROLNET, None),
        (lambda: clip(768), Kind.TEXT_ENCODER, None),
        (
            lambda: on_meta(lambda: CLIPVisionModel(CLIPVisionConfig(num_hidden_layers=1))),
            Kind.IMAGE_ENCODER,
            None,
        ),
    ],
)
def test_parts_of_models_are_no_adapters(
    make: Callable[[], nn.Module], kind: Kind, family: str | None
) -> None:
    found = identify(header(shapes_of(make())))
    assert found.kind is kind
    assert found.family == family or kind is Kind.CONTROLNET
    assert "not an adapter" in found.sentence


def test_the_demo_models_components_are_told() -> None:
    kinds = {
        part: identify(read_header(next((DEMO_FOLDER / part).glob("*.safetensors")))).kind
        for part in ("unet", "vae", "text_encoder", "text_encoder_2")
    }
    assert kinds == {
        "unet": Kind.UNET,
        "vae": Kind.VAE,
        "text_encoder": Kind.TEXT_ENCODER,
        "text_encoder_2": Kind.TEXT_ENCODER,
    }


@pytest.mark.parametrize(
    ("shapes", "kind", "family"),
    [
        ({"clip_l": (4, 768), "clip_g": (4, 1280)}, Kind.EMBEDDING, "SDXL"),
        ({"emb_params": (2, 768)}, Kind.EMBEDDING, "Stable Diffusion 1.5"),
        ({"<my-cat>": (1024,)}, Kind.EMBEDDING, "Stable Diffusion 2"),
        (
            {"image_proj.proj.weight": (8192, 1280), "ip_adapter.1.to_k_ip.weight": (640, 2048)},
            Kind.IP_ADAPTER,
            "SDXL",
        ),
        ({"conv_first.weight": (64, 3, 3, 3)}, Kind.UPSCALER, None),
        ({"something": (3,)}, Kind.UNKNOWN, None),
        ({}, Kind.UNKNOWN, None),
    ],
)
def test_other_files_are_told_by_their_names(shapes: Shapes, kind: Kind, family: str | None) -> None:
    found = identify(header(shapes))
    assert (found.kind, found.family) == (kind, family)
    assert found.remedy


def test_the_width_of_a_text_encoder_tells_which_it_is() -> None:
    assert "SDXL's second" in identify(header(shapes_of(clip(1280)))).sentence
