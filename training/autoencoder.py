"""Trains the autoencoder: 256x256 pictures to 16x16 latents of 12 channels and back."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from tqdm import tqdm

from training.muon import build_optimizers
from training.pictures import picture_shards, to_model
from training.work import add_work_flag, half_precision, load_checkpoint, pick_device, save_checkpoint

LATENT_CHANNELS = 12
CHANNELS = 48  # the same at every size: the tiny autoencoder changes no channel count between its stages
ENCODER_BLOCKS = (0, 0, 2, 3, 3)  # from full size down: the costly sizes get the few blocks
DECODER_BLOCKS = (4, 4, 3, 1, 0)  # from latents up
CROP_PX = 128
LATENT_NOISE = 0.1  # so that what the denoiser gets slightly wrong decodes almost the same


def build_autoencoder() -> AutoencoderTiny:
    """The untrained autoencoder: five stages, so 16 pixels a latent."""
    return AutoencoderTiny(
        encoder_block_out_channels=(CHANNELS,) * 5,
        decoder_block_out_channels=(CHANNELS,) * 5,
        num_encoder_blocks=ENCODER_BLOCKS,
        num_decoder_blocks=DECODER_BLOCKS,
        latent_channels=LATENT_CHANNELS,
    )


def load_autoencoder(work: Path) -> AutoencoderTiny:
    """The autoencoder as trained so far."""
    state = load_checkpoint(work / "autoencoder.pt")
    if state is None:
        raise SystemExit(
            f"No autoencoder in {work}: run `python -m training.autoencoder --work {work}` first."
        )
    autoencoder = build_autoencoder()
    autoencoder.load_state_dict(state["model"])
    return autoencoder


def edges(pictures: torch.Tensor) -> list[torch.Tensor]:
    """Differences between neighbouring pixels, at full, half and quarter size."""
    found = []
    for _ in range(3):
        found += [pictures[..., 1:, :] - pictures[..., :-1, :], pictures[..., 1:] - pictures[..., :-1]]
        pictures = F.avg_pool2d(pictures, 2)
    return found


def picture_loss(made: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """How far the pictures are apart, edges counted again so that they stay crisp."""
    pairs = zip(edges(made), edges(drawn), strict=True)
    return F.l1_loss(made, drawn) + 0.4 * torch.stack([F.l1_loss(a, b) for a, b in pairs]).sum()


def sample_crops(shards: list[NDArray[np.uint8]], count: int, rng: np.random.Generator) -> torch.Tensor:
    """(count, 3, CROP_PX, CROP_PX) from -1 to 1: random places in random pictures, half of them mirrored."""
    crops = []
    for _ in range(count):
        shard = shards[rng.integers(len(shards))]
        y, x = rng.integers(shard.shape[1] - CROP_PX + 1, size=2)
        crop = shard[rng.integers(len(shard)), y : y + CROP_PX, x : x + CROP_PX]
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return to_model(np.stack(crops))


def train(work: Path, steps: int, batch: int, shards: int, learning_rate: float, decoder_only: bool) -> None:
    """Train up to `steps` steps, going on from the last checkpoint.

    With `decoder_only` the latents stay what they are, so that a denoiser trained on them stays right.
    """
    device = pick_device()
    model = build_autoencoder().to(device, memory_format=torch.channels_last)
    model.encoder.requires_grad_(not decoder_only)
    trained = model.decoder if decoder_only else model
    optimizers = build_optimizers(trained, learning_rate, 0.1 * learning_rate)
    full_rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    done, phase = 0, "decoder" if decoder_only else "all"
    if state := load_checkpoint(work / "autoencoder.pt"):
        model.load_state_dict(state["model"])
        if state["phase"] == "decoder" and not decoder_only:
            return  # the latents are settled: a denoiser may stand on them
        if state["phase"] == phase:
            for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            done = state["step"]
    pictures = list(picture_shards(work, shards))
    rng = np.random.default_rng(done)
    mean_loss = 0.0
    bar = tqdm(range(done, steps), phase, steps, initial=done, mininterval=5)
    for step in bar:
        rate = min(1.0, (step + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        for optimizer, full in zip(optimizers, full_rates, strict=True):
            optimizer.param_groups[0]["lr"] = full * rate
        drawn = sample_crops(pictures, batch, rng).to(device, memory_format=torch.channels_last)
        with half_precision(device):
            latents = model.encode(drawn).latents
            made = model.decode(latents + LATENT_NOISE * torch.randn_like(latents)).sample
        loss = picture_loss(made.float(), drawn) + 1e-3 * latents.float().square().mean()
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        mean_loss += (loss.item() - mean_loss) / min(step - done + 1, 50)
        bar.set_postfix(loss=f"{mean_loss:.4f}")
        if (step + 1) % 100 == 0 or step + 1 == steps:
            save_checkpoint(
                {
                    "model": model.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                    "step": step + 1,
                    "phase": phase,
                },
                work / "autoencoder.pt",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--shards", type=int, default=8, help="of pictures to train on (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=0.02)
    parser.add_argument("--decoder-only", action="store_true", help="keep the latents as they are")
    args = parser.parse_args()
    train(args.work, args.steps, args.batch, args.shards, args.learning_rate, args.decoder_only)


if __name__ == "__main__":
    main()
