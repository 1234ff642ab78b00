"""Trains the autoencoder: 256x256 pictures to 16x16 latents of 8 channels and back.

First everything but the last stage, on pictures of half the size, which costs a third; then the decoder's
last stage alone, at full size, on latents that stay what they are.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from training.muon import build_optimizers
from training.pictures import picture_shards, to_model
from training.work import add_work_flag, half_precision, load_checkpoint, pick_device, save_checkpoint

LATENT_CHANNELS = 8
CHANNELS = 48  # the same at every size: the tiny autoencoder changes no channel count between its stages
ENCODER_BLOCKS = (0, 0, 2, 3, 3)  # from full size down: the costly sizes get the few blocks
DECODER_BLOCKS = (4, 4, 3, 1, 0)  # from latents up
HALF_LAYERS = 20  # of the decoder: up to the features at half size
CROP_PX = 128
CRITIC_SHARE = 0.5  # of the way to what the critic makes of the decoder
FAINT = 5e-3  # variance in a window, of pictures from -1 to 1, below which patterns count little
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


class HalfDecoder(nn.Module):
    """The decoder up to half the size, with colours of its own instead of the last stage."""

    def __init__(self, autoencoder: AutoencoderTiny) -> None:
        super().__init__()
        self.layers = autoencoder.decoder.layers[:HALF_LAYERS]
        self.conv_out = nn.Conv2d(CHANNELS, 3, 3, padding=1)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) to pictures (B, 3, 8 h, 8 w) from -1 to 1."""
        features = self.layers(torch.tanh(latents / 3) * 3)  # as the whole decoder begins
        return self.conv_out(features) * 2 - 1  # type: ignore[no-any-return]


def load_autoencoder(work: Path) -> AutoencoderTiny:
    """The autoencoder as trained so far, with the decoder trained on its own where there is one: between its
    weights before and after a critic pulled at them (as in Wang et al., 2018, arXiv:1809.00219)."""
    state = load_checkpoint(work / "autoencoder.pt")
    if state is None:
        raise SystemExit(
            f"No autoencoder in {work}: run `python -m training.autoencoder --work {work}` first."
        )
    autoencoder = build_autoencoder()
    autoencoder.load_state_dict(state["model"])
    if own := load_checkpoint(work / "decoder.pt"):
        before = own["before"] or own["decoder"]
        mixed = {name: before[name].lerp(weight, CRITIC_SHARE) for name, weight in own["decoder"].items()}
        autoencoder.decoder.load_state_dict(mixed)
    return autoencoder


def edges(pictures: torch.Tensor) -> list[torch.Tensor]:
    """Differences between neighbouring pixels, at full, half and quarter size."""
    found = []
    for _ in range(3):
        found += [pictures[..., 1:, :] - pictures[..., :-1, :], pictures[..., 1:] - pictures[..., :-1]]
        pictures = F.avg_pool2d(pictures, 2)
    return found


def hues(pictures: torch.Tensor) -> torch.Tensor:
    """(B, 2, H/8, W/8): what is red rather than green, and blue rather than either, over squares."""
    red, green, blue = F.avg_pool2d(pictures, 8).unbind(1)
    return torch.stack([red - green, blue - (red + green) / 2], 1)


def unlikeness(made: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """From 0: how little the patterns of small windows agree, whatever their contrast (the structure of SSIM,
    Wang et al., 2004). A dark flower at night counts as much as a white one; faint grain does not."""
    mean = F.avg_pool2d(torch.cat([made, drawn]), 8, 4)
    square_mean = F.avg_pool2d(torch.cat([made**2, drawn**2, made * drawn]), 8, 4)
    mean_made, mean_drawn = mean.chunk(2)
    square_made, square_drawn, product = square_mean.chunk(3)
    spread = square_made - mean_made**2 + square_drawn - mean_drawn**2
    return (1 - (2 * (product - mean_made * mean_drawn) + FAINT) / (spread + FAINT)).mean()


def picture_loss(made: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """How far the pictures are apart; edges again, to stay crisp, hues, not to fade, and what is faint."""
    pairs = zip(edges(made), edges(drawn), strict=True)
    sharp = torch.stack([F.l1_loss(a, b) for a, b in pairs]).sum()
    far = F.l1_loss(made, drawn) + F.l1_loss(hues(made), hues(drawn))
    return far + 0.4 * sharp + 0.3 * unlikeness(made, drawn)


def sample_crops(shards: list[NDArray[np.uint8]], count: int, rng: np.random.Generator) -> torch.Tensor:
    """(count, 3, CROP_PX, CROP_PX) from -1 to 1: random places in random pictures, half of them mirrored."""
    crops = []
    for _ in range(count):
        shard = shards[rng.integers(len(shards))]
        y, x = rng.integers(shard.shape[1] - CROP_PX + 1, size=2)
        crop = shard[rng.integers(len(shard)), y : y + CROP_PX, x : x + CROP_PX]
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return to_model(np.stack(crops))


def change_alike(
    latents: torch.Tensor, pictures: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as they are, both mirrored or both at half size, by chance.

    Latents that can be changed as pictures can are easier to denoise (Kouzelis et al., 2025,
    arXiv:2502.09509).
    """
    chance = rng.random()
    if chance < 0.25:
        return latents.flip(-1), pictures.flip(-1)
    if chance < 0.5:
        return F.avg_pool2d(latents, 2), F.avg_pool2d(pictures, 2)
    return latents, pictures


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to train; with `last_stage` only the decoder's, at full size."""

    steps: int
    batch: int
    shards: int
    learning_rate: float
    last_stage: bool


def train(work: Path, plan: Plan, start: Path | None) -> None:
    """Train up to `plan.steps` steps, going on from the last checkpoint, or else from the folder `start`."""
    device, phase = pick_device(), "full size" if plan.last_stage else "half size"
    model = build_autoencoder()
    if start is not None:
        model.load_state_dict(AutoencoderTiny.from_pretrained(start).state_dict())
    half = HalfDecoder(model)
    both = nn.ModuleList([model, half]).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    last = model.decoder.layers[HALF_LAYERS - 1 :]
    trained = last if plan.last_stage else nn.ModuleList([model.encoder, half])
    both.requires_grad_(False)
    trained.requires_grad_(True)
    optimizers = build_optimizers(trained, plan.learning_rate, 0.1 * plan.learning_rate)
    full_rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    done = 0
    if state := load_checkpoint(work / "autoencoder.pt"):
        model.load_state_dict(state["model"])
        half.conv_out.load_state_dict(state["conv_out"])
        if state["phase"] == "full size" and not plan.last_stage:
            return  # the latents are settled: a denoiser may stand on them
        if state["phase"] == phase:
            for optimizer, saved in zip(optimizers, state["optimizers"], strict=False):  # none if unpacked
                optimizer.load_state_dict(saved)
            done = state["step"]
    pictures = list(picture_shards(work, plan.shards))
    rng = np.random.default_rng(done)
    mean_loss = 0.0
    bar = tqdm(range(done, plan.steps), phase, plan.steps, initial=done, mininterval=5)
    for step in bar:
        rate = min(1.0, (step + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * step / plan.steps))
        for optimizer, full in zip(optimizers, full_rates, strict=True):
            optimizer.param_groups[0]["lr"] = full * rate
        drawn = sample_crops(pictures, plan.batch, rng).to(device, memory_format=torch.channels_last)
        wanted = drawn if plan.last_stage else F.avg_pool2d(drawn, 2)
        with half_precision(device):
            latents = model.encode(drawn).latents
            shown, wanted = change_alike(latents, wanted, rng)
            near = shown + LATENT_NOISE * torch.randn_like(shown)
            made = model.decode(near).sample if plan.last_stage else half(near)
        loss = picture_loss(made.float(), wanted) + 1e-3 * latents.float().square().mean()
        both.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        mean_loss += (loss.item() - mean_loss) / min(step - done + 1, 50)
        bar.set_postfix(loss=f"{mean_loss:.4f}")
        if (step + 1) % 50 == 0 or step + 1 == plan.steps:
            save_checkpoint(
                {
                    "model": model.state_dict(),
                    "conv_out": half.conv_out.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                    "step": step + 1,
                    "phase": phase,
                },
                work / "autoencoder.pt",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--steps", type=int, default=9600)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--shards", type=int, default=8, help="of pictures to train on (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=0.02)
    parser.add_argument("--from", dest="start", type=Path, help="an autoencoder's folder to begin from")
    parser.add_argument("--last-stage", action="store_true", help="keep the latents as they are")
    args = parser.parse_args()
    plan = Plan(args.steps, args.batch, args.shards, args.learning_rate, args.last_stage)
    train(args.work, plan, args.start)


if __name__ == "__main__":
    main()
