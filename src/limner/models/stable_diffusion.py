"""Stable Diffusion 1.x and 2.x: text to embeddings, latents to prediction, latents to pixels."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from limner.diffusion.config import FlowConfig
from limner.diffusion.noise import Noise
from limner.errors import EngineFailed
from limner.models.catalog import read_noise, vae_factor
from limner.models.latent_rgb import LatentRgb, fitted

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

CACHED_PROMPTS = 256


@dataclass(frozen=True, slots=True)
class LatentShape:
    """Channels, height and width of one picture's latents."""

    channels: int
    height: int
    width: int


class StableDiffusion:
    """One loaded model. Its methods run on one thread; latents, embeddings and answers are float32.

    `parameters`: how many numbers its denoising network has.
    """

    def __init__(self, folder: Path, device: str = "cpu", dtype: Dtype = "auto") -> None:
        """Load from a diffusers folder that `catalog.check` accepted."""
        self.device = torch.device(device)
        self.dtype = _dtype(dtype, self.device)
        index = _json(folder / "model_index.json")
        decoder = AutoencoderTiny if index["vae"][1] == "AutoencoderTiny" else AutoencoderKL
        self._unet = self._part(UNet2DConditionModel, folder / "unet", low_cpu_mem_usage=False)
        self.parameters: int = self._unet.num_parameters()
        self._vae = self._part(decoder, folder / "vae", low_cpu_mem_usage=False)
        self._text_encoder = self._part(CLIPTextModel, folder / "text_encoder")
        self._tokenizer: Any = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        self._factor = vae_factor(_json(folder / "vae" / "config.json"))
        self._prompts: OrderedDict[str, torch.Tensor] = OrderedDict()
        config = read_noise(folder)
        self.noise = config if isinstance(config, FlowConfig) else Noise.of(config)
        card = _json(folder / "limner.json") if (folder / "limner.json").exists() else {}
        map_rows = card.get("latent_rgb")
        self._rgb = LatentRgb(map_rows) if map_rows else fitted(self._encode_pixels)

    def _part(self, kind: Any, folder: Path, **options: Any) -> Any:
        part, told = kind.from_pretrained(
            folder,
            torch_dtype=self.dtype,
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
        return part.to(self.device).eval().requires_grad_(False)

    @property
    def guidance_embedded(self) -> bool:
        """Guidance goes into the network as a number (latent consistency models), not as a second row."""
        return bool(self._unet.config.time_cond_proj_dim)

    @property
    def embed_shape(self) -> tuple[int, int]:
        """Length and width of one prompt's embeddings."""
        return self._tokenizer.model_max_length, self._unet.config.cross_attention_dim

    def latent_shape(self, width: int, height: int) -> LatentShape:
        return LatentShape(self._unet.config.in_channels, height // self._factor, width // self._factor)

    @torch.inference_mode()
    def encode(self, prompt: str) -> torch.Tensor:
        """Embeddings `(L, D)` of one prompt, cached; what is longer than the model reads is left out."""
        if prompt in self._prompts:
            self._prompts.move_to_end(prompt)
            return self._prompts[prompt]
        length = self._tokenizer.model_max_length
        tokens = self._tokenizer(
            [prompt], padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).to(self.device)
        masked = getattr(self._text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask if masked else None
        embeds: torch.Tensor = self._text_encoder(tokens.input_ids, attention_mask=mask)[0][0].float()
        self._prompts[prompt] = embeds
        if len(self._prompts) > CACHED_PROMPTS:
            self._prompts.popitem(last=False)
        return embeds

    @torch.inference_mode()
    def predict(
        self, latents: torch.Tensor, timesteps: torch.Tensor, embeds: torch.Tensor, guidance: torch.Tensor
    ) -> torch.Tensor:
        """The network's answer `(B, C, h, w)`; `timesteps` and `guidance` `(B,)`, `embeds` `(B, L, D)`.

        `guidance` counts only where `guidance_embedded`.
        """
        embedded = self._guidance_embedding(guidance) if self.guidance_embedded else None
        answer: torch.Tensor = self._unet(
            latents.to(self.dtype),
            timesteps,
            encoder_hidden_states=embeds.to(self.dtype),
            timestep_cond=embedded,
            return_dict=False,
        )[0]
        return answer.float()

    def _guidance_embedding(self, guidance: torch.Tensor) -> torch.Tensor:
        """Sinusoids of the guidance scale (Meng et al., "On Distillation of Guided Diffusion Models")."""
        half = self._unet.config.time_cond_proj_dim // 2
        frequencies = torch.logspace(0, -4, half, device=self.device)
        angles = (guidance - 1)[:, None] * 1000.0 * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1).to(self.dtype)

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pixels `(H, W, 3)`, uint8 on the CPU, of latents `(C, h, w)`.

        Raises `EngineFailed` where the network gives values that are not numbers.
        """
        scaled = (latents[None] / self._vae.config.scaling_factor).to(self.dtype)
        picture = self._vae.decode(scaled, return_dict=False)[0][0].float()
        if not torch.isfinite(picture).all():
            raise EngineFailed("the network gave values that are not numbers; another seed may work")
        levels: torch.Tensor = (picture / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).mul(255).round()
        return levels.to(torch.uint8).cpu()

    def preview(self, latents: torch.Tensor) -> torch.Tensor:
        """A rough picture `(h, w, 3)`, uint8 on the CPU, one pixel a latent of `(C, h, w)`."""
        return self._rgb(latents)

    @torch.inference_mode()
    def _encode_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latents `(B, C, h, w)` as the network sees them, of pixels `(B, 3, H, W)` from -1 to 1."""
        encoded = self._vae.encode(pixels.to(self.device, self.dtype))
        found = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        latents: torch.Tensor = found.float() * self._vae.config.scaling_factor
        return latents


def _dtype(dtype: Dtype, device: torch.device) -> torch.dtype:
    if dtype != "auto":
        named: torch.dtype = getattr(torch, dtype)
        return named
    if device.type != "cuda":
        return torch.float32
    # Older cards say yes to bfloat16 and emulate it slowly.
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def _variant(folder: Path) -> str | None:
    """`fp16` where a folder holds only half-precision weights."""
    names = [file.name for file in folder.glob("*.safetensors")]
    return "fp16" if names and all(".fp16." in name for name in names) else None


def _json(file: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return value
