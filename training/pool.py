"""The pool of latents with their scenes, drawn and encoded once, that the denoiser learns from."""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from training.autoencoder import load_autoencoder
from training.pictures import SHARD, draw_shard, to_model, write_array
from training.scenes import TRAINED, Scene, Subject
from training.work import add_work_flag, half_precision, pick_device

POOL_SEED = 1_000_000  # of the first shard


def encode_shards(work: Path, count: int) -> None:
    """Draw and encode `count` shards of latents (SHARD, C, H/16, W/16), float16; those on disk stay."""
    device = pick_device()
    autoencoder = load_autoencoder(work).to(device, memory_format=torch.channels_last).eval()
    folder = work / "latents"
    folder.mkdir(parents=True, exist_ok=True)
    # other seeds than the autoencoder's own pictures, so that the latents are of unseen drawings
    missing = [i for i in range(count) if not (folder / f"{i:05d}.npy").exists()]
    with ProcessPoolExecutor(max(1, (os.cpu_count() or 2) // 2)) as processes, torch.inference_mode():
        drawn = processes.map(draw_shard, [POOL_SEED + i for i in missing], repeat(TRAINED))
        for i, (pictures, scenes, places) in tqdm(zip(missing, drawn, strict=True), "encode", len(missing)):
            parts = []
            for batch in np.array_split(pictures, SHARD // 32):
                with half_precision(device):
                    parts.append(autoencoder.encode(to_model(batch).to(device)).latents.half().cpu())
            told = [
                asdict(scene) | {"boxes": [place.box() for place in where]}
                for scene, where in zip(scenes, places, strict=True)
            ]
            (folder / f"{i:05d}.json").write_text(json.dumps(told))
            write_array(folder / f"{i:05d}.npy", torch.cat(parts).numpy())


@dataclass(frozen=True, slots=True)
class Pool:
    """`latents` (N, C, H/16, W/16), float16, as the encoder gave them; their scenes; and where subjects are.

    `inside` (N, 1, H/16, W/16): what share of a latent's square lies in the box of some subject.
    """

    latents: torch.Tensor
    scenes: list[Scene]
    inside: torch.Tensor


def load_pool(work: Path) -> Pool:
    """All that is on disk."""
    files = sorted((work / "latents").glob("*.npy"))
    latents = torch.from_numpy(np.concatenate([np.load(file) for file in files]))
    told = [item for file in files for item in json.loads(file.with_suffix(".json").read_text())]
    inside = torch.stack([_inside(item.pop("boxes"), latents.shape[-1]) for item in told])
    return Pool(latents, [read_scene(item) for item in told], inside)


def _inside(boxes: list[list[float]], side: int) -> torch.Tensor:
    edges = torch.arange(side + 1) / side
    covered = torch.zeros(1, side, side)
    for left, top, right, bottom in boxes:
        across = (edges[1:].clamp(max=right) - edges[:-1].clamp(min=left)).clamp(min=0)
        down = (edges[1:].clamp(max=bottom) - edges[:-1].clamp(min=top)).clamp(min=0)
        covered = torch.maximum(covered, down[:, None] * across[None] * side**2)
    return covered


def read_scene(item: dict[str, object]) -> Scene:
    """A scene from its JSON form."""
    subjects = item.pop("subjects")
    assert isinstance(subjects, list)
    return Scene(tuple(Subject(**subject) for subject in subjects), **item)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--shards", type=int, default=80, help=f"of {SHARD} pictures (%(default)s)")
    args = parser.parse_args()
    encode_shards(args.work, args.shards)


if __name__ == "__main__":
    main()
