"""The guided starter's way from noise to picture, kept at few places: what the fast model learns from."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers import DDIMScheduler
from tqdm import tqdm

from training.denoiser import GUIDANCE_SCALE, Denoiser, build_scheduler, load_denoiser
from training.pictures import write_array
from training.scenes import caption, sample_scene
from training.tokenizer import MAX_TOKENS, build_tokenizer
from training.work import add_work_flag, half_precision, pick_device

FAST_STEPS: Final = 4
TEACHER_STEPS: Final = 12  # so each fast step stands for three of the teacher's
SHARD: Final = 128


@dataclass(frozen=True, slots=True)
class Trajectories:
    """`latents` (N, FAST_STEPS + 1, C, h, w), from noise to picture; `tokens` (N, MAX_TOKENS)."""

    latents: torch.Tensor
    tokens: torch.Tensor


def load_trajectories(work: Path) -> Trajectories:
    """All that is on disk."""
    files = sorted((work / "trajectories").glob("*.latents.npy"))
    tokens = [np.load(str(file).replace(".latents.", ".tokens.")) for file in files]
    latents = np.concatenate([np.load(file) for file in files])
    return Trajectories(torch.from_numpy(latents), torch.from_numpy(np.concatenate(tokens)))


def timesteps_of(scheduler: DDIMScheduler, steps: int) -> list[int]:
    """The trailing timesteps of that many steps, from noise on."""
    scheduler.set_timesteps(steps)
    return [int(t) for t in scheduler.timesteps]


def level(scheduler: DDIMScheduler, timestep: int) -> tuple[float, float]:
    """The shares of picture and noise at that timestep; below 0: of what the last step ends at."""
    clean = scheduler.alphas_cumprod[timestep] if timestep >= 0 else scheduler.final_alpha_cumprod
    return float(clean) ** 0.5, float(1 - clean) ** 0.5


def walk(
    model: Denoiser, scheduler: DDIMScheduler, both: torch.Tensor, x: torch.Tensor, times: Sequence[int]
) -> Iterator[torch.Tensor]:
    """The guided way of x (B, C, h, w) through these timesteps to the picture, by DDIM: x after each.

    `both` (2 B, MAX_TOKENS): what is said for none of them, then for each.
    """
    with half_precision(x.device):
        words = model.text_encoder(both).last_hidden_state
    for now, then in zip(times, [*times[1:], -1], strict=True):
        at = torch.full((len(both),), now, device=x.device)
        with half_precision(x.device):
            without, said = model.unet(x.repeat(2, 1, 1, 1), at, words).sample.float().chunk(2)
        v = without + GUIDANCE_SCALE * (said - without)
        (a, s), (a_then, s_then) = level(scheduler, now), level(scheduler, then)
        x = a_then * (a * x - s * v) + s_then * (a * v + s * x)
        yield x


@torch.inference_mode()
def paint(model: Denoiser, scheduler: DDIMScheduler, tokens: torch.Tensor, unsaid: torch.Tensor,
          noise: torch.Tensor) -> torch.Tensor:  # fmt: skip
    """The way (B, FAST_STEPS + 1, C, h, w) from this noise, each fast step as many of the teacher's."""
    both = torch.cat([unsaid.expand_as(tokens), tokens])
    painted = list(walk(model, scheduler, both, noise, timesteps_of(scheduler, TEACHER_STEPS)))
    every = TEACHER_STEPS // FAST_STEPS
    return torch.stack([noise, *painted[every - 1 :: every]], 1)


def make(work: Path, shards: int) -> None:
    """Paint `shards` shards of `SHARD` pictures; those on disk stay."""
    device, tokenizer = pick_device(), build_tokenizer(work)
    model, _ = load_denoiser(work, tokenizer)
    model = model.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    scheduler, folder = build_scheduler(), work / "trajectories"
    folder.mkdir(parents=True, exist_ok=True)

    def read(texts: list[str]) -> torch.Tensor:
        told = tokenizer(
            texts, padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        return told.input_ids.to(device)  # type: ignore[no-any-return]

    for shard in tqdm(range(shards), "trajectories"):
        if (folder / f"{shard:05d}.tokens.npy").exists():
            continue
        rng, generator = random.Random(f"trajectories {shard}"), torch.Generator().manual_seed(shard)
        tokens = read([caption(sample_scene(rng), rng) for _ in range(SHARD)])
        size = (
            SHARD,
            model.unet.config.in_channels,
            model.unet.config.sample_size,
            model.unet.config.sample_size,
        )
        noise = torch.randn(size, generator=generator).to(device, memory_format=torch.channels_last)
        parts = zip(torch.split(tokens, 32), torch.split(noise, 32), strict=True)
        painted = torch.cat([paint(model, scheduler, t, read([""]), n) for t, n in parts])
        write_array(folder / f"{shard:05d}.latents.npy", painted.half().cpu().numpy())
        write_array(folder / f"{shard:05d}.tokens.npy", tokens.short().cpu().numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--shards", type=int, default=48, help=f"of {SHARD} pictures (%(default)s)")
    args = parser.parse_args()
    make(args.work, args.shards)


if __name__ == "__main__":
    main()
