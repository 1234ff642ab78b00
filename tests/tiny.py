"""Tiny Stable Diffusion models with random weights: true diffusers folders that load in a moment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from limner.models.adapted import ADAPTER
from training.distill import adapter, add_low_rank

EPSILON = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "clip_sample": False,
}
ZERO_SNR_V = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
}


@dataclass(frozen=True, slots=True)
class TinyModel:
    """What to build. `tiny_decoder`: AutoencoderTiny instead of AutoencoderKL; both shrink 8 times.

    `scale_shift`: the timestep scales what it shifts, too.
    """

    noise: str = "epsilon"
    latent_channels: int = 4
    tiny_decoder: bool = False
    scale_shift: bool = False
    size_px: int = 64
    cards: dict[str, Any] | None = None


def save(model: TinyModel, folder: Path) -> Path:
    """Write `model` as a diffusers folder of safetensors, the same bytes every time."""
    torch.manual_seed(7)
    _unet(model).save_pretrained(folder / "unet")
    _vae(model).save_pretrained(folder / "vae")
    _text_encoder().save_pretrained(folder / "text_encoder")
    _tokenizer().save_pretrained(folder / "tokenizer")
    noise = ZERO_SNR_V if model.noise == "zero_snr_v" else EPSILON
    DDIMScheduler.from_config(noise).save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.0",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny" if model.tiny_decoder else "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    if model.cards is not None:
        (folder / "limner.json").write_text(json.dumps(model.cards))
    return folder


def save_change(base: Path, folder: Path) -> tuple[Path, UNet2DConditionModel]:
    """Write a random low-rank change of `base`, of few steps; and the network that was changed."""
    torch.manual_seed(1)
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    added = add_low_rank(unet, rank=4)
    with torch.no_grad():
        for change in added.values():
            change.up.normal_(std=0.1)
    folder.mkdir()
    save_file(adapter(unet, added), folder / ADAPTER)
    card = {"base": str(base), "defaults": {"num_inference_steps": 3}}
    (folder / "limner.json").write_text(json.dumps(card))
    return folder, unet


def save_safety_checker(folder: Path, *, objects: bool) -> Path:
    """Write a safety checker that objects to every picture, or to none."""
    torch.manual_seed(7)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=small | {"vocab_size": 8},
        vision_config=small | {"image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.fill_(-1.5 if objects else 1.5)  # cosines lie between -1 and 1
    checker.special_care_embeds_weights.fill_(1.5)
    checker.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    return folder


def _unet(model: TinyModel) -> Any:
    unet = UNet2DConditionModel(
        sample_size=model.size_px // 8,
        in_channels=model.latent_channels,
        out_channels=model.latent_channels,
        layers_per_block=1,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=8,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift" if model.scale_shift else "default",
    )
    with torch.no_grad():  # so that text and guidance change the picture a lot, as in a trained network
        for name, weight in unet.named_parameters():
            if ".attn2.to_out.0.weight" in name or "conv_out.weight" in name:
                weight.mul_(8.0)
    return unet


def _vae(model: TinyModel) -> Any:
    if model.tiny_decoder:
        vae = AutoencoderTiny(
            latent_channels=model.latent_channels,
            encoder_block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            num_encoder_blocks=(1, 1, 1, 1),
            num_decoder_blocks=(1, 1, 1, 1),
        )
        with torch.no_grad():  # random weights would decode to black
            vae.decoder.layers[-1].weight.mul_(20.0)
            vae.decoder.layers[-1].bias.fill_(0.5)
        return vae
    return AutoencoderKL(
        latent_channels=model.latent_channels,
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        scaling_factor=0.5,
    )


def _text_encoder() -> Any:
    config = CLIPTextConfig(
        vocab_size=len(_vocabulary()),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        projection_dim=16,
        bos_token_id=_vocabulary()["<|startoftext|>"],
        eos_token_id=_vocabulary()["<|endoftext|>"],
        pad_token_id=_vocabulary()["<|endoftext|>"],
        initializer_factor=8.0,
    )
    return CLIPTextModel(config)


def _vocabulary() -> dict[str, int]:
    letters = [chr(c) for c in range(ord("!"), ord("~") + 1)]
    tokens = letters + [letter + "</w>" for letter in letters] + ["<|startoftext|>", "<|endoftext|>"]
    return {token: i for i, token in enumerate(tokens)}


def _tokenizer() -> Any:
    return CLIPTokenizer(vocab=_vocabulary(), merges=[], model_max_length=77)
