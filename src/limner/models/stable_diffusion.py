"""Stable Diffusion 1.x and 2.x: text to embeddings, latents to prediction, latents to pixels."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from limner.diffusion.config import FlowConfig
from limner.diffusion.noise import Noise
from limner.diffusion.samplers import sampler_table
from limner.models.backend import networks_of
from limner.models.catalog import describe, read_noise, vae_factor
from limner.models.decoding import Decoding
from limner.models.graph import ALONE
from limner.models.kept import Kept, part_files
from limner.models.latent_rgb import LatentRgb, fitted
from limner.models.network import PARTS, Backend, Dtype, Networks
from limner.models.precision import Course, judge
from limner.models.weights import count_parameters
from limner.params import Sampler, Schedule

log = logging.getLogger(__name__)

CACHED_PROMPTS = 256
# Steps of the picture that precisions are compared by.
TRIAL_STEPS = 8
# A row with more work than this (weights times positions) is compared at the model's smallest size.
LARGE_ROW = 5e10


@dataclass(frozen=True, slots=True)
class LatentShape:
    """Channels, height and width of one picture's latents."""

    channels: int
    height: int
    width: int


class StableDiffusion:
    """One loaded model; latents, embeddings and answers are float32.

    Its methods run on one thread, but `decoding` may have its own. `parameters`: how many numbers its
    denoising network has; `backend`, `dtype`: what runs it, and in which precision.
    """

    def __init__(
        self,
        folder: Path,
        device: str = "cpu",
        dtype: Dtype = "auto",
        *,
        backend: Backend = "torch",
        threads: int = 0,
        cache_dir: Path | None = None,
        compiled: bool = False,
    ) -> None:
        """Load from a diffusers folder that `catalog.check` accepted. `threads` 0: OpenVINO's own choice.

        `compiled`: the denoising network, where PyTorch runs it. `cache_dir` keeps what takes long to work
        out. Raises `ModelUnusable`, and `ValueError` or `OSError` where the folder is not whole.
        """
        self.device = torch.device(device)
        self._folder, self._threads = folder, threads
        self._unet = _json(folder / "unet" / "config.json")
        self._text = _json(folder / "text_encoder" / "config.json")
        self._vae = _json(folder / "vae" / "config.json")
        self._factor = vae_factor(self._vae)
        self.parameters = count_parameters(folder / "unet")
        config = read_noise(folder)
        self.noise = config if isinstance(config, FlowConfig) else Noise.of(config)
        self._kept = Kept(cache_dir / "models" if cache_dir else None)
        self._networks = self._open_networks(backend, threads, compiled)
        self.backend = self._networks.name
        self._tokenizer = self._load_tokenizer()
        self._prompts: OrderedDict[str, torch.Tensor] = OrderedDict()
        exact = torch.float32 if self.device.type == "cpu" else None
        tried = self._networks.precisions() if dtype == "auto" else (self._named(dtype),)
        self._text_encoder = self._networks.network("text_encoder", exact or tried[0])
        self.dtype: torch.dtype = tried[0] if len(tried) == 1 else self._judged(tried)
        self._denoiser = self._networks.network("unet", self.dtype)
        self._decoder = self._networks.network("vae", self.dtype)
        self._rgb = LatentRgb(self._preview_rows())

    def _open_networks(self, backend: Backend, threads: int, compiled: bool) -> Networks:
        return networks_of(self._folder, backend, self.device, self._kept, threads, compiled)

    def _load_tokenizer(self) -> Any:
        from transformers import CLIPTokenizer

        return CLIPTokenizer.from_pretrained(self._folder / "tokenizer", local_files_only=True)

    def _named(self, dtype: Dtype) -> torch.dtype:
        """What OpenVINO cannot compute in here it would compute in float32, and not say so."""
        named: torch.dtype = getattr(torch, dtype)
        if self.backend != "openvino" or named in self._networks.precisions():
            return named
        log.warning(
            "--dtype %s: OpenVINO has no %s on this processor and %s computes in float32; "
            "use auto or float32, or --backend torch",
            *(dtype, dtype, self._folder.name),
        )
        return torch.float32

    def _judged(self, tried: tuple[torch.dtype, ...]) -> torch.dtype:
        """The precision for this model on this machine; compared once, and remembered."""
        files, words = part_files(self._folder, *PARTS), (self.backend, str(tried), str(self._threads))
        told = self._kept.recall("dtype", files, *words)
        if told is None:
            told = judge(self._course(), tried, self._networks.network)
            self._kept.remember("dtype", told, files, *words)
        log.info("%s computes in %s: %s", self._folder.name, told["dtype"], told)
        chosen: torch.dtype = getattr(torch, told["dtype"])
        return chosen

    def _course(self) -> Course:
        """A picture in few steps, with guidance where the model is used with it."""
        info = describe(self._folder, self._folder.name, default=True)
        shape = self.latent_shape(info.width, info.height)
        if self.parameters * shape.height * shape.width > LARGE_ROW:
            shape = self.latent_shape(info.min_size, info.min_size)
        guided = info.guidance_scale > 1 and not self.guidance_embedded
        prompt = self.encode(info.examples[0] if info.examples else "a house by the sea")
        sampler = Sampler.FLOW_MATCH_EULER if isinstance(self.noise, FlowConfig) else Sampler.DDIM
        positions = shape.height * shape.width
        size = (shape.channels, shape.height, shape.width)
        scale = torch.tensor([info.guidance_scale])
        return Course(
            latents=torch.randn(size, generator=torch.Generator().manual_seed(0)),
            embeds=torch.stack([self.encode(""), prompt] if guided else [prompt]).cpu(),
            condition=self._guidance_embedding(scale) if self.guidance_embedded else None,
            guidance=info.guidance_scale,
            table=sampler_table(self.noise, sampler, Schedule.PLAIN, TRIAL_STEPS, positions),
        )

    def _preview_rows(self) -> list[list[float]]:
        """The model's own, or those that fit its autoencoder."""
        card = _json(self._folder / "limner.json") if (self._folder / "limner.json").exists() else {}
        if card.get("latent_rgb"):
            return [list(row) for row in card["latent_rgb"]]
        told = self._kept.recall("latent_rgb", part_files(self._folder, "vae"))
        if told is None:
            from limner.models.modules import load_decoder

            told = {"rows": fitted(load_decoder(self._folder, torch.float32).encode)}
            self._kept.remember("latent_rgb", told, part_files(self._folder, "vae"))
        return [list(row) for row in told["rows"]]

    @property
    def guidance_embedded(self) -> bool:
        """Guidance goes into the network as a number (latent consistency models), not as a second row."""
        return bool(self._unet.get("time_cond_proj_dim"))

    @property
    def embed_shape(self) -> tuple[int, int]:
        """Length and width of one prompt's embeddings."""
        return self._tokenizer.model_max_length, self._unet.get("cross_attention_dim", 1280)

    def latent_shape(self, width: int, height: int) -> LatentShape:
        return LatentShape(self._unet.get("in_channels", 4), height // self._factor, width // self._factor)

    @torch.inference_mode()
    def encode(self, prompt: str) -> torch.Tensor:
        """Embeddings `(L, D)` of one prompt, cached; what is longer than the model reads is left out."""
        if prompt in self._prompts:
            self._prompts.move_to_end(prompt)
            return self._prompts[prompt]
        length = self._tokenizer.model_max_length
        tokens = self._tokenizer(
            [prompt], padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        read = ("input_ids", "attention_mask") if self._text.get("use_attention_mask") else ("input_ids",)
        embeds = self._text_encoder(*(self._sent(tokens[name]) for name in read))[0]
        self._prompts[prompt] = embeds
        if len(self._prompts) > CACHED_PROMPTS:
            self._prompts.popitem(last=False)
        return embeds

    def _sent(self, tensor: torch.Tensor) -> torch.Tensor:
        """On the device, without waiting for what it does."""
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    @property
    def room(self) -> int | None:
        """For so many sizes of picture and batch it keeps what it compiled to denoise; None: for all."""
        return self._denoiser.room

    def compiled(self, shape: LatentShape, rows: int) -> bool:
        """Else the next `predict` of so many rows compiles first, which may take minutes."""
        shapes = [(rows, shape.channels, shape.height, shape.width), (rows,), (rows, *self.embed_shape)]
        if self.guidance_embedded:
            shapes.append((rows, 2 * (self._unet["time_cond_proj_dim"] // 2)))
        return self._denoiser.compiled(tuple(map(torch.Size, shapes)))

    @torch.inference_mode()
    def predict(
        self, latents: torch.Tensor, timesteps: torch.Tensor, embeds: torch.Tensor, guidance: torch.Tensor
    ) -> torch.Tensor:
        """The network's answer `(B, C, h, w)`; `timesteps` and `guidance` `(B,)`, `embeds` `(B, L, D)`.

        `guidance` counts only where `guidance_embedded`. The answer is a tensor of its own.
        """
        if self.guidance_embedded:
            return self._denoiser(latents, timesteps, embeds, self._guidance_embedding(guidance))
        return self._denoiser(latents, timesteps, embeds)

    def _guidance_embedding(self, guidance: torch.Tensor) -> torch.Tensor:
        """Sinusoids of the guidance scale (Meng et al., "On Distillation of Guided Diffusion Models")."""
        half = self._unet["time_cond_proj_dim"] // 2
        frequencies = torch.logspace(0, -4, half, device=guidance.device)
        angles = (guidance - 1)[:, None] * 1000.0 * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    @property
    def decodes_at_once(self) -> bool:
        """A picture is decoded in much less time than its steps take."""
        return self.device.type == "cuda" or self._vae["_class_name"] == "AutoencoderTiny"

    @torch.inference_mode()
    def decoding(self, latents: torch.Tensor) -> Decoding:
        """The picture of latents `(C, h, w)`; a GPU has only been told to work it out."""
        with ALONE if self.device.type == "cuda" else nullcontext():
            return Decoding(self._decoder(latents[None])[0], latents)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pixels `(H, W, 3)`, uint8 on the CPU, of latents `(C, h, w)`.

        Raises `EngineFailed` where the network gives values that are not numbers.
        """
        return self.decoding(latents).pixels()

    def preview(self, latents: torch.Tensor) -> torch.Tensor:
        """A rough picture `(h, w, 3)`, uint8 on the CPU, one pixel a latent of `(C, h, w)`."""
        return self._rgb(latents)


def _json(file: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return value
