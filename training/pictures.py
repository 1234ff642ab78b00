"""Drawn pictures on disk, for training to read again and again."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from training.draw import draw_placed
from training.draw_layout import Place
from training.scenes import PAIR_SHARE, SUBJECTS, Scene, sample_scene
from training.work import PICTURE_PX

SHARD = 512  # pictures in one file


def draw_shard(
    seed: int, names: Sequence[str], count: int = SHARD, pair_share: float = PAIR_SHARE
) -> tuple[NDArray[np.uint8], list[Scene], list[list[Place]]]:
    """`count` drawn pictures (count, 256, 256, 3) of these subjects, their scenes and the subjects' places.

    The same for a seed.
    """
    rng = random.Random(seed)
    scenes = [sample_scene(rng, pair_share, names) for _ in range(count)]
    pictures, places = zip(*(draw_placed(scene, PICTURE_PX, rng) for scene in scenes), strict=True)
    return np.stack(pictures), scenes, list(places)


def to_model(pictures: NDArray[np.uint8]) -> torch.Tensor:
    """(B, H, W, 3) bytes as (B, 3, H, W) from -1 to 1, channels last in memory."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def picture_shards(work: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """`count` shards of pictures of all subjects, drawn at first need and mapped from disk after."""
    folder = work / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in range(count) if not (folder / f"{seed:05d}.npy").exists()]
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        drawn = processes.map(draw_shard, missing, repeat(tuple(SUBJECTS)))
        for seed, (pictures, _, _) in tqdm(
            zip(missing, drawn, strict=True), "draw", len(missing), disable=not missing
        ):
            write_array(folder / f"{seed:05d}.npy", pictures)
    for seed in range(count):
        yield np.load(folder / f"{seed:05d}.npy", mmap_mode="r")


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write a whole file or none."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, array)
    partial.replace(path)
