"""The networks of a diffusers folder as torch modules of tensors alone, so that they can be traced.

`light`: a GPU computes them in less time than their kernels take to launch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from transformers import CLIPTextModel
from transformers.utils import logging as transformers_logging

from limner.models.network import Part

Module = TypeVar("Module", bound=torch.nn.Module)


class Denoiser(torch.nn.Module):
    """Latents `(B, C, h, w)`, timesteps `(B,)`, embeddings `(B, L, D)` to a prediction like the latents.

    `condition` `(B, K)`: the embedded guidance of a latent consistency model.
    """

    light = False

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        embeds: torch.Tensor,
        condition: torch.Tensor | None = None,
    ) -> torch.Tensor:
        dtype = self.unet.dtype
        # Not the timesteps: half precision has no 999.
        answer: torch.Tensor = self.unet(
            latents.to(dtype),
            timesteps,
            encoder_hidden_states=embeds.to(dtype),
            timestep_cond=None if condition is None else condition.to(dtype),
            return_dict=False,
        )[0]
        return answer

    def examples(self) -> tuple[torch.Tensor, ...]:
        """Inputs to trace it with; the way it takes for odd sizes is right for even ones, too."""
        config = self.unet.config
        side = 2 ** (len(config.block_out_channels) - 1) + 1
        inputs = torch.zeros(2, config.in_channels, side, side + 2), torch.full((2,), 500.0)
        embeds = torch.zeros(2, 16, config.cross_attention_dim)
        if not config.time_cond_proj_dim:
            return *inputs, embeds
        return *inputs, embeds, torch.zeros(2, config.time_cond_proj_dim)


class Decoder(torch.nn.Module):
    """The network's latents `(B, C, h, w)` to pixels `(B, 3, H, W)` from -1 to 1; `encode` the other way."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae
        self.light = isinstance(vae, AutoencoderTiny)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        scaled = (latents / self.vae.config.scaling_factor).to(self.vae.dtype)
        pixels: torch.Tensor = self.vae.decode(scaled, return_dict=False)[0]
        return pixels

    def examples(self) -> tuple[torch.Tensor, ...]:
        return (torch.zeros(1, self.vae.config.latent_channels, 5, 7),)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        encoded = self.vae.encode(pixels.to(self.vae.dtype))
        found = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        latents: torch.Tensor = found * self.vae.config.scaling_factor
        return latents


class TextEncoder(torch.nn.Module):
    """Token ids `(B, L)`, with a mask like them where the model wants one, to embeddings `(B, L, D)`."""

    light = True

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        embeds: torch.Tensor = self.clip(ids, attention_mask=mask)[0]
        return embeds

    def examples(self) -> tuple[torch.Tensor, ...]:
        config = self.clip.config
        ids = torch.zeros((1, config.max_position_embeddings), dtype=torch.int64)
        return (ids, torch.ones_like(ids)) if getattr(config, "use_attention_mask", False) else (ids,)


def load(part: Part, model: Path, dtype: torch.dtype) -> Denoiser | Decoder | TextEncoder:
    """One network of a diffusers folder. Raises `ValueError` where weights are missing."""
    folder = model / part
    if part == "unet":
        return _frozen(Denoiser(_pretrained(UNet2DConditionModel, folder, dtype, low_cpu_mem_usage=False)))
    if part == "text_encoder":
        return _frozen(TextEncoder(_pretrained(CLIPTextModel, folder, dtype)))
    return load_decoder(model, dtype)


def load_decoder(model: Path, dtype: torch.dtype) -> Decoder:
    index = json.loads((model / "model_index.json").read_text(encoding="utf-8"))
    kind = AutoencoderTiny if index["vae"][1] == "AutoencoderTiny" else AutoencoderKL
    return _frozen(Decoder(_pretrained(kind, model / "vae", dtype, low_cpu_mem_usage=False)))


def _frozen(module: Module) -> Module:
    return module.eval().requires_grad_(False)


def _pretrained(kind: Any, folder: Path, dtype: torch.dtype, **options: Any) -> Any:
    transformers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    network, told = kind.from_pretrained(
        folder,
        torch_dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        variant=_variant(folder),
        output_loading_info=True,
        **options,
    )
    # What is missing would be left at random numbers, and paint noise.
    missing = sorted(key for key in told["missing_keys"] if "position_ids" not in key)
    if missing:
        raise ValueError(f"{folder} lacks {len(missing)} weights, {missing[0]} among them")
    return network


def _variant(folder: Path) -> str | None:
    """`fp16` where a folder holds only half-precision weights."""
    names = [file.name for file in folder.glob("*.safetensors")]
    return "fp16" if names and all(".fp16." in name for name in names) else None
