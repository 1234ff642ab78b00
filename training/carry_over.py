"""Turns an exported denoiser to the latents of another autoencoder, so that its training can go on there.

python -m training.unpack --work OLD
python -m training.autoencoder --work NEW --from MODEL_FOLDER/vae --learning-rate 0.01
python -m training.pool --work NEW
python -m training.carry_over --work NEW --old OLD
python -m training.denoiser --work NEW
"""

from __future__ import annotations

import argparse
import random
import shutil
from pathlib import Path
from typing import Final

import numpy as np
import torch

from training.autoencoder import load_autoencoder
from training.draw import draw
from training.pictures import to_model
from training.pool import load_pool
from training.scenes import sample_scene
from training.work import PICTURE_PX, add_work_flag, load_checkpoint, save_checkpoint

PICTURES: Final = 256  # that both autoencoders encode


@torch.inference_mode()
def rotation(old: torch.Tensor, new: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The orthogonal (C, C) that takes latents (N, C, h, w) nearest to others, and the share
    of the variance of `new` that it explains. White noise stays white under it."""
    a, b = (latents.movedim(1, -1).flatten(0, 2) for latents in (old, new))
    u, _, v = torch.linalg.svd(b.T @ a)
    turn = u @ v
    alike = (b * (a @ turn.T)).sum() / (a.norm() * b.norm())
    return turn, alike.item() ** 2


def turned(state: dict[str, torch.Tensor], turn: torch.Tensor) -> dict[str, torch.Tensor]:
    """The denoiser's weights for latents turned so: its first and last convolutions changed alike."""
    first = torch.einsum("oikl,ji->ojkl", state["unet.conv_in.weight"], turn)
    last = torch.einsum("ji,i...->j...", turn, state["unet.conv_out.weight"])
    bias = turn @ state["unet.conv_out.bias"]
    return state | {
        "unet.conv_in.weight": first,
        "unet.conv_out.weight": last,
        "unet.conv_out.bias": bias,
    }


@torch.inference_mode()
def carry_over(work: Path, old: Path, seen: int) -> None:
    """Write the denoiser of the work folder `old`, turned, into `work`, with its text encoder."""
    state = load_checkpoint(old / "denoiser.pt")
    if state is None:
        raise SystemExit(f"No denoiser in {old}: run `python -m training.unpack --work {old}` first.")
    if (work / "denoiser.pt").exists():
        raise SystemExit(
            f"{work} holds a denoiser already; move it away, or name another folder with --work."
        )
    for name in ("text_encoder.pt", "tokenizer.json"):
        shutil.copy(old / name, work / name)
    rng = random.Random(0)
    pictures = to_model(np.stack([draw(sample_scene(rng), PICTURE_PX, rng) for _ in range(PICTURES)]))
    before = load_autoencoder(old).encode(pictures).latents * state["scale"]
    scale = 1 / load_pool(work).latents.float().std().item()
    turn, explained = rotation(before, load_autoencoder(work).encode(pictures).latents * scale)
    print(f"The old latents, turned, tell {explained:.0%} of the new ones.")
    weights = turned(state["average"], turn)
    fresh = {"seen": seen, "step": 0, "scale": scale, "optimizers": []}
    save_checkpoint(fresh | {"model": weights, "average": weights}, work / "denoiser.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_work_flag(parser)
    parser.add_argument("--old", type=Path, required=True, help="work folder of the denoiser as it was")
    parser.add_argument("--seen", type=int, default=0, help="noisy latents to count as seen (%(default)s)")
    args = parser.parse_args()
    carry_over(args.work, args.old, args.seen)


if __name__ == "__main__":
    main()
