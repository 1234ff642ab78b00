"""Trains the denoiser by the clock on a GPU that is at hand for minutes, beside many processors.

The lessons are those of `training.denoiser`. But pictures are drawn while it learns, by all processors, and
all that it learns from, several captions of each picture too, lies in the GPU's memory, for the host has
hardly the time to ask for one step after the other. Begins with the denoiser in the work folder, if any.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor
from copy import deepcopy
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import torch
from tqdm import tqdm
from transformers import CLIPTokenizer

from training.autoencoder import LATENT_CHANNELS, load_autoencoder
from training.denoiser import (
    SUBJECT_WEIGHT,
    WEIGHT_DECAY,
    Denoiser,
    blend,
    build_scheduler,
    has_a_side,
    learn,
    mirror_half,
)
from training.muon import build_optimizers
from training.pictures import draw_shard, to_model
from training.pool import share_inside
from training.scenes import TRAINED
from training.text_encoder import load_text_encoder, say, tokens_of
from training.tokenizer import MAX_TOKENS, build_tokenizer
from training.work import add_work_flag, half_precision, load_checkpoint, pick_device, save_checkpoint

SHARD: Final = 128  # pictures that one process draws at a time
MOST: Final = 512  # shards
FIRST: Final = 8  # shards to wait for
SAYINGS: Final = 8  # captions of each picture
SEVERAL: Final = 0.6  # of the pictures hold more than one subject
SEED: Final = 3_000_000  # of the first shard
SIDE: Final = 16  # of the latents
LEVEL_UNTIL: Final = 0.4  # of the time; from there the learning rate falls straight to nothing
WARM_STEPS: Final = 100
LOOK_EVERY: Final = 25  # steps: for new pictures, at the clock, and whether the loss is a number
SAVE_EVERY_S: Final = 60.0

_tokenizer: CLIPTokenizer


def prepare(work: Path) -> None:
    """In a drawing process: stay out of the way, and know the words."""
    global _tokenizer
    os.nice(19)
    torch.set_num_threads(1)
    _tokenizer = build_tokenizer(work)


def draw_and_tell(folder: Path, seed: int) -> Path:
    """Draw a shard, with captions, into a file."""
    pictures, scenes, places = draw_shard(seed, TRAINED, SHARD, SEVERAL)
    rng = random.Random(f"said {seed}")
    texts = [say(scene, rng)[0] for scene in scenes for _ in range(SAYINGS)]
    file = folder / f"{seed}.npz"
    np.savez(
        file,
        pictures=pictures,
        tokens=tokens_of(_tokenizer, texts).view(SHARD, SAYINGS, MAX_TOKENS).short().numpy(),
        inside=share_inside([[list(place.box()) for place in where] for where in places], SIDE).numpy(),
        sided=np.array([has_a_side(scene) for scene in scenes]),
    )
    return file


class GrowingPool:
    """What there is to learn from, on the device: the first `count` of each tensor. It grows by `fetch`.

    `latents` (N, C, SIDE, SIDE) and `inside` (N, 1, SIDE, SIDE), float16; `tokens` (N, SAYINGS, MAX_TOKENS);
    `sided` (N,).
    """

    def __init__(self, work: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="limner-")
        # forked before the GPU is touched
        self._processes = ProcessPoolExecutor(
            max(1, (os.cpu_count() or 2) - 4), get_context("fork"), prepare, (work,)
        )
        folder = Path(self._folder.name)
        self._drawn: list[Future[Path]] = [
            self._processes.submit(draw_and_tell, folder, SEED + i) for i in range(MOST)
        ]
        self.count, most, device = 0, MOST * SHARD, pick_device()
        self._encoder = load_autoencoder(work).to(device, memory_format=torch.channels_last).eval()
        self.latents = torch.empty(most, LATENT_CHANNELS, SIDE, SIDE, dtype=torch.half, device=device)
        self.inside = torch.empty(most, 1, SIDE, SIDE, dtype=torch.half, device=device)
        self.tokens = torch.empty(most, SAYINGS, MAX_TOKENS, dtype=torch.short, device=device)
        self.sided = torch.empty(most, dtype=torch.bool, device=device)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.shutdown(cancel_futures=True)
        self._folder.cleanup()

    @torch.no_grad()
    def fetch(self, at_most: int = 4) -> None:
        """Encode what has been drawn meanwhile."""
        for future in [future for future in self._drawn if future.done()][:at_most]:
            self._drawn.remove(future)
            file, new, device = future.result(), slice(self.count, self.count + SHARD), self.latents.device
            with np.load(file) as told, half_precision(device):
                pictures = to_model(told["pictures"]).to(device)
                self.latents[new] = self._encoder.encode(pictures).latents.half()
                for name in ("inside", "tokens", "sided"):
                    getattr(self, name)[new] = torch.from_numpy(told[name]).to(device)
            self.count = new.stop
            file.unlink()

    def choose(self, batch: int, scale: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents, tokens and weights of pictures by chance, as `learn` takes them."""
        device = self.latents.device
        chosen = torch.randint(self.count, (batch,), device=device)
        sided, saying = self.sided[chosen], torch.randint(SAYINGS, (batch,), device=device)
        clean = mirror_half(self.latents[chosen].float() * scale, sided)
        weight = mirror_half(1 + SUBJECT_WEIGHT * self.inside[chosen].float(), sided)
        clean = clean.contiguous(memory_format=torch.channels_last)
        return clean, self.tokens[chosen, saying].long(), weight


def rate(step: int, done: float) -> float:
    """The share of the learning rate at this step, with this share of the time over."""
    return min((step + 1) / WARM_STEPS, (1 - done) / (1 - LEVEL_UNTIL), 1.0)


def train(work: Path, seconds: float, batch: int, learning_rate: float) -> None:
    """Train for so long, pictures to begin with included. Raises `SystemExit` if the loss is no number."""
    begun, tokenizer = time.monotonic(), build_tokenizer(work)
    with GrowingPool(work) as pool:
        device, scheduler = pool.latents.device, build_scheduler()
        model = Denoiser(tokenizer)
        model.text_encoder.load_state_dict(load_text_encoder(work, tokenizer).state_dict())
        state = load_checkpoint(work / "denoiser.pt")
        if state:
            model.load_state_dict(state["average"])
        model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = deepcopy(model).requires_grad_(False)
        optimizers = build_optimizers(model, learning_rate, 0.05 * learning_rate, WEIGHT_DECAY)
        full_rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
        while pool.count < FIRST * SHARD:
            pool.fetch()
            time.sleep(0.05)
        scale = state["scale"] if state else 1.0 / pool.latents[: pool.count].float().std().item()
        seen, step, done = state["seen"] if state else 0, 0, 0.0
        torch.manual_seed(seen)
        mean_loss, saved_at = torch.zeros((), device=device), time.monotonic()
        bar = tqdm(desc="denoiser", unit="picture", unit_scale=True, mininterval=5)
        while done < 1:
            for optimizer, full in zip(optimizers, full_rates, strict=True):
                optimizer.param_groups[0]["lr"] = full * rate(step, done)
            clean, tokens, weight = pool.choose(batch, scale)
            error = learn(model, scheduler, optimizers, clean, tokens, weight)
            seen, step = seen + batch, step + 1
            blend(average, model, step)
            mean_loss += (error - mean_loss) / min(step, 100)
            bar.update(batch)
            if step % LOOK_EVERY:
                continue
            pool.fetch()
            loss, now = mean_loss.item(), time.monotonic()
            if loss != loss:
                raise SystemExit(
                    f"The loss is no number any more at step {step}; {work} holds what was sound."
                )
            bar.set_postfix(loss=f"{loss:.4f}", pictures=pool.count, refresh=False)
            done = (now - begun) / seconds
            if now - saved_at > SAVE_EVERY_S or done >= 1:
                state = {"seen": seen, "step": step, "scale": scale, "optimizers": []}
                state |= {"model": model.state_dict(), "average": average.state_dict()}
                save_checkpoint(state, work / "denoiser.pt")
                saved_at = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_work_flag(parser)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--learning-rate", type=float, default=0.02)
    args = parser.parse_args()
    train(args.work, args.seconds, args.batch, args.learning_rate)


if __name__ == "__main__":
    main()
