"""Trains the decoder alone on latents as the denoiser leaves them, to draw crisply what is soft in them.

Latents of drawn pictures are noised half-way and denoised again as when a picture is made: what the denoiser
gets wrong then stays near the drawing, which shows what it should have been. Where an edge may lie here or
there, the mean of both is blurred: a critic of patches (Isola et al., 2017, arXiv:1611.07004) wants one.
What it pulls to has outlines, and scratches too, so the weights used lie half-way (`load_autoencoder`).
"""

from __future__ import annotations

import argparse
import math
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from tqdm import tqdm

from training.autoencoder import LATENT_NOISE, load_autoencoder, picture_loss
from training.denoiser import build_scheduler, load_denoiser
from training.muon import build_optimizers
from training.pictures import SHARD, to_model, write_array
from training.pool import draw_pool_shard, load_pool
from training.text_encoder import say, tokens_of
from training.tokenizer import build_tokenizer
from training.trajectories import level, timesteps_of, walk
from training.work import (
    PICTURE_PX,
    add_work_flag,
    half_precision,
    load_checkpoint,
    pick_device,
    save_checkpoint,
    spare_processors,
)

STEPS: Final = 20  # as pictures are made
START: Final = (250, 650)  # timesteps to noise up to: beyond them other things are drawn than were there
CLEAN: Final = 0.25  # of the latents stay as they were encoded
BATCH: Final = 4
LEARNING_RATE: Final = 0.005
SAVE_EVERY: Final = 50
CRITIC_LEARNS_FROM: Final = 300  # steps; until then the decoder learns from the drawings alone
CRITIC_PULLS_FROM: Final = 400
CRITIC_PULL: Final = 0.5  # of its pull on the last layer, against that of the drawing
CRITIC_RATE: Final = 1e-3
CRITIC_PX: Final = 128  # of a picture, at a place by chance


class Critic(nn.Module):
    """(B, 3, H, W) from -1 to 1, to how drawn each patch of 38 pixels looks (B, 1, H/8, W/8)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for into, out in ((3, 32), (32, 64), (64, 96)):
            self.layers.extend((spectral_norm(nn.Conv2d(into, out, 4, 2, 1)), nn.LeakyReLU(0.2)))
        self.layers.append(spectral_norm(nn.Conv2d(96, 1, 3, 1, 1)))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        patches: torch.Tensor = self.layers(pictures)
        return patches


def critic_loss(critic: Critic, made: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """The hinge loss: sure of either by a margin of 1, and no more."""
    return F.relu(1 - critic(drawn)).mean() + F.relu(1 + critic(made)).mean()


def balance(near: torch.Tensor, real: torch.Tensor, last: nn.Parameter) -> torch.Tensor:
    """What the critic's loss is multiplied by, so that it pulls `CRITIC_PULL` as much on the last layer as
    the drawing (Esser et al., 2021, arXiv:2012.09841)."""
    pulls = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (near, real)]
    return torch.clamp(CRITIC_PULL * pulls[0] / (pulls[1] + 1e-6), max=10.0).detach()


@torch.inference_mode()
def make_worn(work: Path, shards: int) -> None:
    """Noise and denoise the first `shards` shards of the pool, and draw its pictures again, into `worn/`."""
    device, tokenizer, folder = pick_device(), build_tokenizer(work), work / "worn"
    folder.mkdir(parents=True, exist_ok=True)
    model, scale = load_denoiser(work, tokenizer)
    model = model.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    scheduler, pool = build_scheduler(), load_pool(work)
    times = timesteps_of(scheduler, STEPS)
    unsaid = tokens_of(tokenizer, [""])
    missing = [i for i in range(shards) if not (folder / f"{i:05d}.latents.npy").exists()]
    with ProcessPoolExecutor(spare_processors(device)) as processes:
        drawn = processes.map(draw_pool_shard, missing)
        for shard, (pictures, _, _) in tqdm(zip(missing, drawn, strict=True), "worn", len(missing)):
            rng = random.Random(f"worn {shard}")
            torch.manual_seed(shard)
            worn = []
            for start in range(shard * SHARD, (shard + 1) * SHARD, 32):
                scenes = pool.scenes[start : start + 32]
                tokens = tokens_of(tokenizer, [say(scene, rng)[0] for scene in scenes])
                both = torch.cat([unsaid.expand_as(tokens), tokens]).to(device)
                clean = (pool.latents[start : start + 32].float() * scale).to(device)
                first = rng.choice([i for i, time in enumerate(times) if START[0] <= time <= START[1]])
                a, s = level(scheduler, times[first])
                noisy = (a * clean + s * torch.randn_like(clean)).to(memory_format=torch.channels_last)
                *_, last = walk(model, scheduler, both, noisy, times[first:])
                worn.append((last / scale).half().cpu())
            write_array(folder / f"{shard:05d}.pictures.npy", pictures)
            write_array(folder / f"{shard:05d}.latents.npy", torch.cat(worn).numpy())


def train(work: Path, shards: int, steps: int) -> None:
    """Train until `steps` steps are done, going on from the last checkpoint."""
    device = pick_device()
    autoencoder = load_autoencoder(work).requires_grad_(False)
    decoder = autoencoder.decoder.requires_grad_(True)
    decoder.to(device).to(memory_format=torch.channels_last)
    optimizers = build_optimizers(decoder, LEARNING_RATE, 0.1 * LEARNING_RATE)
    critic = Critic().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizers.append(torch.optim.Adam(critic.parameters(), CRITIC_RATE, betas=(0.0, 0.9)))
    full_rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    done, before = 0, None
    if state := load_checkpoint(work / "decoder.pt"):
        done, before = state["step"], state["before"]
        decoder.load_state_dict(state["decoder"])
        critic.load_state_dict(state["critic"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    encoded = load_pool(work).latents
    worn = [np.load(work / "worn" / f"{i:05d}.latents.npy") for i in range(shards)]
    drawn = [np.load(work / "worn" / f"{i:05d}.pictures.npy", mmap_mode="r") for i in range(shards)]
    rng = np.random.default_rng(done)
    torch.manual_seed(done)
    mean_loss = mean_apart = 0.0
    for step in (bar := tqdm(range(done, steps), "decoder", steps, initial=done, mininterval=5)):
        rate = min(1.0, (step + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        for optimizer, full in zip(optimizers, full_rates, strict=True):
            optimizer.param_groups[0]["lr"] = full * rate
        if step == CRITIC_LEARNS_FROM:
            before = {name: weight.clone() for name, weight in decoder.state_dict().items()}
        chosen = [(rng.integers(shards), rng.integers(SHARD)) for _ in range(BATCH)]
        pictures = to_model(np.stack([drawn[shard][i] for shard, i in chosen])).to(device)
        latents = torch.stack(
            [
                encoded[shard * SHARD + i] if rng.random() < CLEAN else torch.from_numpy(worn[shard][i])
                for shard, i in chosen
            ]
        )
        near = latents.float() + LATENT_NOISE * torch.randn(latents.shape)
        with half_precision(device):
            made = decoder(near.to(device, memory_format=torch.channels_last))
        made = made.float()
        y, x = rng.integers(PICTURE_PX - CRITIC_PX + 1, size=2)
        made_patch, drawn_patch = (
            each[..., y : y + CRITIC_PX, x : x + CRITIC_PX] for each in (made, pictures)
        )
        critic.requires_grad_(False)
        loss = near_loss = picture_loss(made, pictures)
        if step >= CRITIC_PULLS_FROM:
            real_loss = -critic(made_patch).mean()
            loss = near_loss + balance(near_loss, real_loss, decoder.layers[-1].weight) * real_loss
        decoder.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        critic.requires_grad_(True).zero_grad()
        if step >= CRITIC_LEARNS_FROM:
            told_apart = critic_loss(critic, made_patch.detach(), drawn_patch)
            told_apart.backward()  # type: ignore[no-untyped-call]
            mean_apart += (told_apart.item() - mean_apart) / min(step - CRITIC_LEARNS_FROM + 1, 100)
        for optimizer in optimizers:
            optimizer.step()
        mean_loss += (near_loss.item() - mean_loss) / min(step - done + 1, 100)
        bar.set_postfix(loss=f"{mean_loss:.4f}", critic=f"{mean_apart:.3f}")
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            state = {"step": step + 1, "decoder": decoder.state_dict(), "before": before}
            state["critic"] = critic.state_dict()
            state["optimizers"] = [optimizer.state_dict() for optimizer in optimizers]
            save_checkpoint(state, work / "decoder.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--shards", type=int, default=6, help=f"of {SHARD} pictures (%(default)s)")
    parser.add_argument("--steps", type=int, default=900)
    args = parser.parse_args()
    make_worn(args.work, args.shards)
    train(args.work, args.shards, args.steps)


if __name__ == "__main__":
    main()
