"""The demo family's networks: the true SDXL classes and topology at tiny size.

The block layout (three down blocks, the first without attention, two ResNets each) is SDXL's own, so
that adapter key mappings and checkpoint conversions written for SDXL hold for the demo without a special
case. Only widths, depth of the transformers and the autoencoder's factor (4 instead of 8) are smaller.
"""

from __future__ import annotations

from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

IMAGE_SIZE = 64
LATENT_SIZE = 16
TEXT_WIDTH = 32
POOLED_WIDTH = 64
BEGIN_TOKEN, END_TOKEN = 49406, 49407


def make_autoencoder() -> AutoencoderKL:
    """An autoencoder of 3×64×64 pixels in [-1, 1] to 4×16×16 latents."""
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        block_out_channels=[24, 48, 64],
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=IMAGE_SIZE,
        force_upcast=False,
    )


def _text_config(activation: str, pad_token: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=TEXT_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=4 * TEXT_WIDTH,
        projection_dim=POOLED_WIDTH,
        max_position_embeddings=77,
        vocab_size=49408,
        bos_token_id=BEGIN_TOKEN,
        eos_token_id=END_TOKEN,
        pad_token_id=pad_token,
        hidden_act=activation,
    )


def make_text_encoders() -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    """SDXL's pair: the first gives hidden states, the second hidden states and the pooled projection."""
    return (
        CLIPTextModel(_text_config("quick_gelu", END_TOKEN)),
        CLIPTextModelWithProjection(_text_config("gelu", 0)),
    )


def make_unet() -> UNet2DConditionModel:
    """Predicts the noise (epsilon) in 4×16×16 latents from 77×64 prompt embeds and 64 pooled values."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=4,
        out_channels=4,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        block_out_channels=[48, 96, 128],
        layers_per_block=2,
        transformer_layers_per_block=[1, 1, 1],
        attention_head_dim=[2, 3, 4],
        cross_attention_dim=2 * TEXT_WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=POOLED_WIDTH + 6 * 32,
        use_linear_projection=True,
        norm_num_groups=16,
    )


def make_scheduler() -> EulerDiscreteScheduler:
    """The scheduler configuration that SDXL base is published with, its unused keys included: other
    schedulers made from it read them."""
    published = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "timestep_spacing": "leading",
        "steps_offset": 1,
        "interpolation_type": "linear",
        "use_karras_sigmas": False,
        "clip_sample": False,
        "sample_max_value": 1.0,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "trained_betas": None,
    }
    return EulerDiscreteScheduler.from_config(published)
