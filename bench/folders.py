"""Diffusers folders of public shapes with random weights, for whatever opens a folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler

from bench.shapes import RandomNetworks, Shape, letter_tokenizer
from limner.models.network import Part

SHARED: tuple[Part, ...] = ("unet", "text_encoder")
# Of a one-step model's latents, where its network says little: the scale of its noise.
LATENT_STD, PIXEL_STD = 15.0, 0.4
SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "trailing",
}


@torch.no_grad()
def write(shapes: list[Shape], root: Path) -> None:
    """A diffusers folder of each, named after it; all have the first one's network and text encoder."""
    first = root / shapes[0].name
    made = {part: RandomNetworks(shapes[0], torch.device("cpu"), False).module(part) for part in SHARED}
    made["unet"].unet.half().save_pretrained(first / "unet")  # type: ignore[operator, union-attr]
    made["text_encoder"].clip.half().save_pretrained(first / "text_encoder")  # type: ignore[operator, union-attr]
    letter_tokenizer().save_pretrained(first / "tokenizer")
    EulerDiscreteScheduler(**SCHEDULER).save_pretrained(first / "scheduler")
    for shape in shapes[1:]:
        shutil.copytree(first, root / shape.name, copy_function=os.link)
    for shape in shapes:
        vae = autoencoder(shape)
        vae.half().save_pretrained(root / shape.name / "vae")
        index = {
            "_class_name": "StableDiffusionPipeline",
            "feature_extractor": [None, None],
            "requires_safety_checker": False,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", "EulerDiscreteScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", type(vae).__name__],
        }
        (root / shape.name / "model_index.json").write_text(json.dumps(index), encoding="utf-8")


def autoencoder(shape: Shape) -> Any:
    """One whose pictures have the contrast of real ones, so that encoding them takes as long."""
    decoder: Any = RandomNetworks(shape, torch.device("cpu"), False).module("vae")
    for layer in decoder.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                torch.nn.init.zeros_(layer.bias)
    pixels = decoder(LATENT_STD * torch.randn(1, 4, 8, 8))
    # The tiny one's last layer answers from 0 to 1.
    own = decoder.vae.decoder
    last, middle, unit = (own.layers[-1], 0.5, 2.0) if decoder.light else (own.conv_out, 0.0, 1.0)
    factor = float(PIXEL_STD / pixels.std())
    last.weight.mul_(factor)
    last.bias.fill_(middle - factor * (float(pixels.mean()) / unit + middle))
    return decoder.vae
