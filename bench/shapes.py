"""Public models by their shapes alone: random weights take the same time, and need no download."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from limner.models.modules import Decoder, Denoiser, TextEncoder
from limner.models.network import Backend, Dtype, Network, Networks, Part
from limner.models.stable_diffusion import StableDiffusion
from limner.models.torch_networks import TorchNetworks, network_of

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
CROSS_UP, PLAIN_UP = "CrossAttnUpBlock2D", "UpBlock2D"
SD_UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": (CROSS, CROSS, CROSS, PLAIN),
    "up_block_types": (PLAIN_UP, CROSS_UP, CROSS_UP, CROSS_UP),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
SD_VAE = {
    "latent_channels": 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "scaling_factor": 0.18215,
}
TAESD = {
    "latent_channels": 4,
    "encoder_block_out_channels": (64,) * 4,
    "decoder_block_out_channels": (64,) * 4,
    "num_encoder_blocks": (1, 3, 3, 3),
    "num_decoder_blocks": (3, 3, 3, 1),
}
CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CLIP_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}


@dataclass(frozen=True, slots=True)
class Shape:
    """Configurations of diffusers and transformers. `text` None: embeddings are given, not made.

    `row_tflop`: of one row's forward; `decode_tflop`: of one picture (2 × multiply-adds).
    """

    name: str
    unet: dict[str, Any]
    vae: dict[str, Any]
    text: dict[str, Any] | None
    steps: int
    guidance: float
    row_tflop: float
    decode_tflop: float

    @property
    def rows(self) -> int:
        """Of one picture."""
        return 2 if self.guidance > 1 else 1

    def images_s_at(self, tflop_s: float) -> float:
        """As many a second as the arithmetic alone allows."""
        return tflop_s / (self.steps * self.rows * self.row_tflop + self.decode_tflop)


SD15 = Shape("sd15", SD_UNET, SD_VAE, CLIP_L, 20, 7.5, 0.80, 2.51)
TURBO_UNET = SD_UNET | {
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
TURBO_TINY = Shape("sd-turbo-tiny-decoder", TURBO_UNET, TAESD, CLIP_H, 1, 0.0, 0.80, 0.14)
TURBO = replace(TURBO_TINY, name="sd-turbo", vae=SD_VAE, decode_tflop=2.51)
SDXL_UNET = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": (PLAIN, CROSS, CROSS),
    "up_block_types": (CROSS_UP, CROSS_UP, PLAIN_UP),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SDXL = Shape("sdxl", SDXL_UNET, SD_VAE | {"scaling_factor": 0.13025}, None, 20, 7.5, 6.76, 10.5)


def tiny(shape: Shape) -> Shape:
    """The same architecture in a few numbers and few steps, to try the code anywhere."""
    blocks = len(shape.unet["block_out_channels"])
    unet = shape.unet | {
        "sample_size": 8,
        "block_out_channels": (16, 32, 32, 32)[:blocks],
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "attention_head_dim": 4,
        "cross_attention_dim": 16,
    }
    if "addition_embed_type" in unet:
        unet["transformer_layers_per_block"] = 1
        unet |= {"addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 64}
    if "decoder_block_out_channels" in shape.vae:
        few = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
        vae = shape.vae | few | {"num_encoder_blocks": (1,) * 4, "num_decoder_blocks": (1,) * 4}
    else:
        vae = shape.vae | {"block_out_channels": (8,) * 4, "layers_per_block": 1, "norm_num_groups": 4}
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = small if shape.text else None
    return replace(shape, unet=unet, vae=vae, text=text, steps=min(3, shape.steps))


class AddedDenoiser(Denoiser):
    """SDXL's, which is also told a summary of the text and the picture's size: here the same for all."""

    summary: torch.Tensor
    sizes: torch.Tensor

    def __init__(self, unet: Any) -> None:
        super().__init__(unet)
        config = unet.config
        width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        self.register_buffer("summary", torch.randn(1, width), persistent=False)
        self.register_buffer("sizes", torch.full((1, 6), 8.0 * config.sample_size), persistent=False)

    def forward(
        self,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        embeds: torch.Tensor,
        condition: torch.Tensor | None = None,
    ) -> torch.Tensor:
        dtype, rows = self.unet.dtype, len(latents)
        added = {"text_embeds": self.summary.expand(rows, -1), "time_ids": self.sizes.expand(rows, -1)}
        answer: torch.Tensor = self.unet(
            latents.to(dtype),
            timesteps,
            encoder_hidden_states=embeds.to(dtype),
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        return answer


class GivenText(torch.nn.Module):
    """Embeddings `(1, L, D)` for any prompt."""

    light = False
    embeds: torch.Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("embeds", torch.randn(1, length, width), persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.embeds.clone()


class RandomNetworks:
    """`Networks` of a shape, made on the device in the precision they compute in."""

    name = "torch"

    def __init__(self, shape: Shape, device: torch.device, compiled: bool) -> None:
        self._shape, self._device, self._compiled = shape, device, compiled

    def precisions(self) -> tuple[torch.dtype, ...]:
        return TorchNetworks(Path(), self._device).precisions()[:1]

    def network(self, part: Part, dtype: torch.dtype) -> Network:
        torch.manual_seed(0)
        with _made_on(self._device, dtype):
            module = self.module(part).eval().requires_grad_(False)
        return network_of(module, self._device, dtype, self._compiled)

    def module(self, part: Part) -> torch.nn.Module:
        """With weights as its library starts them, in float32 on the processor unless told otherwise."""
        shape = self._shape
        if part == "unet":
            unet = UNet2DConditionModel(**shape.unet)
            return (AddedDenoiser if "addition_embed_type" in shape.unet else Denoiser)(unet)
        if part == "vae":
            kind = AutoencoderTiny if "decoder_block_out_channels" in shape.vae else AutoencoderKL
            return Decoder(kind(**shape.vae))
        if shape.text is None:
            return GivenText(77, shape.unet["cross_attention_dim"])
        return TextEncoder(CLIPTextModel(CLIPTextConfig(**shape.text)))


@contextmanager
def _made_on(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(before)


class RandomModel(StableDiffusion):
    """A shape as the engine sees a model. `folder`: for its configuration, without weights."""

    def __init__(
        self, shape: Shape, folder: Path, device: str, dtype: Dtype = "auto", compiled: bool = False
    ) -> None:
        self._shape = shape
        _write(shape, folder)
        super().__init__(folder, device, dtype, compiled=compiled)

    def _open_networks(self, backend: Backend, threads: int, compiled: bool) -> Networks:
        return RandomNetworks(self._shape, self.device, compiled)

    def _load_tokenizer(self) -> Any:
        return letter_tokenizer()


def letter_tokenizer() -> Any:
    """CLIP's, with a token for each letter and digit alone."""
    letters = [*string.ascii_lowercase, *string.digits]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _write(shape: Shape, folder: Path) -> None:
    card = {
        "latent_rgb": [[0.3, 0.2, 0.1]] * 4,
        "defaults": {"num_inference_steps": shape.steps, "guidance_scale": shape.guidance},
    }
    scheduler = {
        "_class_name": "EulerDiscreteScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": "epsilon",
    }
    files = {
        "limner.json": card,
        "unet/config.json": {"in_channels": 4} | shape.unet,
        "vae/config.json": shape.vae,
        "text_encoder/config.json": shape.text or {},
        "scheduler/scheduler_config.json": scheduler,
    }
    for name, value in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
