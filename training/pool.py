"""Pools on disk of what training reads again: drawn pictures, and their latents with their scenes."""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from training.draw import draw
from training.scenes import Scene, Subject, sample_scene
from training.work import PICTURE_PX, add_work_flag, half_precision, pick_device

SHARD = 512  # pictures in one file of a pool


def draw_shard(seed: int) -> tuple[NDArray[np.uint8], list[Scene]]:
    """`SHARD` drawn pictures (SHARD, 256, 256, 3) and their scenes; the same for the same seed."""
    rng = random.Random(seed)
    scenes = [sample_scene(rng) for _ in range(SHARD)]
    return np.stack([draw(scene, PICTURE_PX, rng) for scene in scenes]), scenes


def to_model(pictures: NDArray[np.uint8]) -> torch.Tensor:
    """(B, H, W, 3) bytes as (B, 3, H, W) from -1 to 1, channels last in memory."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def picture_shards(work: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """`count` shards of pictures, drawn at first need and mapped from disk after."""
    folder = work / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in range(count) if not (folder / f"{seed:05d}.npy").exists()]
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        drawn = processes.map(draw_shard, missing)
        for seed, (pictures, _) in tqdm(
            zip(missing, drawn, strict=True), "draw", len(missing), disable=not missing
        ):
            _write(folder / f"{seed:05d}.npy", pictures)
    for seed in range(count):
        yield np.load(folder / f"{seed:05d}.npy", mmap_mode="r")


def encode_shards(work: Path, count: int) -> None:
    """Draw and encode `count` shards of latents (SHARD, C, H/16, W/16), float16; those on disk stay."""
    from training.autoencoder import load_autoencoder

    device = pick_device()
    autoencoder = load_autoencoder(work).to(device, memory_format=torch.channels_last).eval()
    folder = work / "latents"
    folder.mkdir(parents=True, exist_ok=True)
    # other seeds than the autoencoder's own pictures, so that the latents are of unseen drawings
    missing = [i for i in range(count) if not (folder / f"{i:05d}.npy").exists()]
    with ProcessPoolExecutor(max(1, (os.cpu_count() or 2) // 2)) as processes, torch.inference_mode():
        drawn = processes.map(draw_shard, [1_000_000 + i for i in missing])
        for i, (pictures, scenes) in tqdm(zip(missing, drawn, strict=True), "encode", len(missing)):
            parts = []
            for batch in np.array_split(pictures, SHARD // 32):
                with half_precision(device):
                    parts.append(autoencoder.encode(to_model(batch).to(device)).latents.half().cpu())
            (folder / f"{i:05d}.json").write_text(json.dumps([asdict(scene) for scene in scenes]))
            _write(folder / f"{i:05d}.npy", torch.cat(parts).numpy())


def load_latents(work: Path) -> tuple[torch.Tensor, list[Scene]]:
    """All latents on disk (N, C, H/16, W/16), float16, as the encoder gave them, and their scenes."""
    files = sorted((work / "latents").glob("*.npy"))
    scenes = [
        read_scene(item) for file in files for item in json.loads(file.with_suffix(".json").read_text())
    ]
    return torch.from_numpy(np.concatenate([np.load(file) for file in files])), scenes


def read_scene(item: dict[str, object]) -> Scene:
    """A scene from its JSON form."""
    subjects = item.pop("subjects")
    assert isinstance(subjects, list)
    return Scene(tuple(Subject(**subject) for subject in subjects), **item)  # type: ignore[arg-type]


def _write(path: Path, array: NDArray[np.generic]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, array)
    partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--shards", type=int, default=80, help=f"of {SHARD} pictures (%(default)s)")
    args = parser.parse_args()
    encode_shards(args.work, args.shards)


if __name__ == "__main__":
    main()
