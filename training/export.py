"""Puts the trained parts together as a Stable Diffusion folder of half-precision safetensors."""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from limner.models.adapted import ADAPTER
from training.autoencoder import load_autoencoder
from training.denoiser import GUIDANCE_SCALE, build_scheduler, load_denoiser
from training.distill import load_adapter
from training.draw import draw
from training.pictures import to_model
from training.scenes import (
    COLORS,
    RELATIONS,
    SETTINGS,
    SIZES,
    STYLES,
    TRAINED,
    known_words,
    sample_scene,
)
from training.tokenizer import build_tokenizer
from training.trajectories import FAST_STEPS
from training.work import PICTURE_PX, add_work_flag

STARTER = Path(__file__).resolve().parents[1] / "src" / "limner" / "weights" / "starter"
DESCRIPTION = (
    f"Draws simple things ({', '.join(TRAINED)}) in {len(COLORS)} colours and {len(SETTINGS)} settings, "
    f"plain or as {', '.join(STYLES)}, softly, and nothing else; two in one picture sometimes go wrong."
)
EXAMPLES = (
    "a red mushroom in the snow",
    "a green cactus in the desert",
    "a purple butterfly on a meadow",
    "a white castle at night",
    "an orange umbrella next to a red flower in the rain",
    "pixel art of a red rocket at night",
    "a watercolor of a purple hot-air balloon at sunset",
    "a red tree and a blue house on a meadow",
    "a red apple on a meadow",
    "a white snowman at night",
    "a neon sign of a pink robot",
    "a yellow car in the desert",
)


def latent_rgb(autoencoder: AutoencoderTiny, scale: float) -> list[list[float]]:
    """The linear map from scaled latents to colours, by least squares: C rows and one of bias, each of 3.

    Colours run from -1 to 1, as the decoder's do.
    """
    rng = random.Random(0)
    pictures = to_model(np.stack([draw(sample_scene(rng), PICTURE_PX, rng) for _ in range(192)]))
    with torch.inference_mode():
        latents = autoencoder.encode(pictures).latents * scale
    side = PICTURE_PX // latents.shape[-1]
    colors = F.avg_pool2d(pictures, side).movedim(1, -1).flatten(0, 2)
    inputs = latents.movedim(1, -1).flatten(0, 2)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    fitted: list[list[float]] = torch.linalg.lstsq(inputs, colors).solution.tolist()
    return [[round(value, 4) for value in row] for row in fitted]


def about(rgb: list[list[float]]) -> dict[str, Any]:
    """What `limner.json` tells of the model: what it draws, its words, its defaults."""
    return {
        "description": DESCRIPTION,
        "draws": {
            "subjects": list(TRAINED),
            "colors": list(COLORS),
            "settings": [phrases[0] for phrases in SETTINGS.values()],
            "sizes": list(SIZES),
            "relations": list(RELATIONS),
            "styles": list(STYLES),
        },
        "known_words": known_words(TRAINED),
        "licence": "Apache-2.0",
        "defaults": {
            "num_inference_steps": 20,
            "guidance_scale": GUIDANCE_SCALE,
            "sampler": "ddim",
            "width": PICTURE_PX,
            "height": PICTURE_PX,
        },
        "latent_rgb": rgb,
        "examples": list(EXAMPLES),
    }


def export(work: Path, folder: Path) -> None:
    """Write the model as trained so far into the folder, over what is there."""
    tokenizer = build_tokenizer(work)
    denoiser, scale = load_denoiser(work, tokenizer)
    autoencoder = load_autoencoder(work)
    autoencoder.register_to_config(scaling_factor=scale)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=denoiser.text_encoder,
        tokenizer=tokenizer,
        unet=denoiser.unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        pipeline.save_pretrained(fresh, safe_serialization=True)
        for weights in Path(fresh).rglob("*.safetensors"):
            halves = {
                name: tensor.half()
                for name, tensor in load_file(weights).items()
                if tensor.is_floating_point()
            }
            save_file(halves, weights, metadata={"format": "pt"})
            weights.chmod(0o644)
        _drop_derived(Path(fresh) / "vae" / "config.json")
        text = json.dumps(about(latent_rgb(autoencoder, scale)), indent=1)
        (Path(fresh) / "limner.json").write_text(text + "\n")
        for file in sorted(path for path in Path(fresh).rglob("*") if path.is_file()):
            target = folder / file.relative_to(fresh)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)


def export_fast(work: Path, folder: Path) -> None:
    """Write the fast model beside the starter in `folder`: the change of its UNet in half precision, and its
    own `limner.json`."""
    card = json.loads((folder / "limner.json").read_text()) | {"base": folder.name}
    card["defaults"] |= {"num_inference_steps": FAST_STEPS, "guidance_scale": 1.0}
    fast = folder.with_name(f"{folder.name}-fast")
    fast.mkdir(parents=True, exist_ok=True)
    halves = {name: tensor.half().contiguous() for name, tensor in load_adapter(work).items()}
    save_file(halves, fast / ADAPTER, metadata={"format": "pt"})
    (fast / ADAPTER).chmod(0o644)
    (fast / "limner.json").write_text(json.dumps(card, indent=1) + "\n")


def _drop_derived(config: Path) -> None:
    """Leave out what diffusers derives and saves, and then warns of when it reads it."""
    settings = json.loads(config.read_text())
    settings.pop("block_out_channels")
    config.write_text(json.dumps(settings, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--folder", type=Path, default=STARTER, help="where to (%(default)s)")
    parser.add_argument("--fast", action="store_true", help="the fast model instead, beside the starter")
    args = parser.parse_args()
    (export_fast if args.fast else export)(args.work, args.folder)


if __name__ == "__main__":
    main()
