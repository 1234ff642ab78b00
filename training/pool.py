"""The pool of latents with their scenes, drawn and encoded once, that the denoiser learns from."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from training.autoencoder import load_autoencoder
from training.draw_layout import Place
from training.pictures import SHARD, draw_shard, to_model, write_array
from training.scenes import TRAINED, Scene, Subject
from training.work import add_work_flag, half_precision, pick_device, spare_processors

POOL_SEED: Final = 1_000_000  # of the first shard
SEVERAL: Final = 0.45  # of the pictures hold more than one subject


def draw_pool_shard(i: int) -> tuple[NDArray[np.uint8], list[Scene], list[list[Place]]]:
    """The drawings of shard `i` of the pool, as `draw_shard` gives them."""
    return draw_shard(POOL_SEED + i, TRAINED, pair_share=SEVERAL)


def encode_shards(work: Path, count: int) -> None:
    """Draw and encode `count` shards of latents (SHARD, C, H/16, W/16), float16; those on disk stay."""
    device = pick_device()
    autoencoder = load_autoencoder(work).to(device, memory_format=torch.channels_last).eval()
    folder = work / "latents"
    folder.mkdir(parents=True, exist_ok=True)
    # other seeds than the autoencoder's own pictures, so that the latents are of unseen drawings
    missing = [i for i in range(count) if not (folder / f"{i:05d}.npy").exists()]
    with ProcessPoolExecutor(spare_processors(device)) as processes, torch.inference_mode():
        drawn = processes.map(draw_pool_shard, missing)
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
    inside = share_inside([item.pop("boxes") for item in told], latents.shape[-1])
    return Pool(latents, [read_scene(item) for item in told], inside)


def share_inside(boxes: list[list[list[float]]], side: int) -> torch.Tensor:
    """(N, 1, side, side): what share of each square lies in some box of its picture.

    Boxes are (left, top, right, bottom), from 0 to 1.
    """
    most = max(map(len, boxes))
    nowhere = [0.0] * 4
    padded = torch.tensor([where + [nowhere] * (most - len(where)) for where in boxes])[..., None]
    left, top, right, bottom = padded.unbind(2)
    edges = torch.arange(side + 1) / side
    across = (torch.minimum(edges[1:], right) - torch.maximum(edges[:-1], left)).clamp(min=0)
    down = (torch.minimum(edges[1:], bottom) - torch.maximum(edges[:-1], top)).clamp(min=0)
    return (down[..., None] * across[..., None, :]).amax(1, keepdim=True) * side**2


def read_scene(item: dict[str, object]) -> Scene:
    """A scene from its JSON form."""
    subjects = item.pop("subjects")
    assert isinstance(subjects, list)
    return Scene(tuple(Subject(**subject) for subject in subjects), **item)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--shards", type=int, default=40, help=f"of {SHARD} pictures (%(default)s)")
    args = parser.parse_args()
    encode_shards(args.work, args.shards)


if __name__ == "__main__":
    main()
