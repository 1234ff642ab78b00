"""A model that is a low-rank change (LoRA) of another's denoising network, made into a folder of its own."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path
from safetensors.numpy import load_file, save_file

from limner.errors import ModelUnusable
from limner.models.kept import Kept
from limner.models.weights import check_weights

ADAPTER = "pytorch_lora_weights.safetensors"
DOWN, UP = ".lora_A.weight", ".lora_B.weight"


def whole(folder: Path, base: Path, cache_dir: Path | None = None) -> Path:
    """A diffusers folder like `base`, changed as `folder` says, put together once and kept.

    `cache_dir` None: the user's own. Raises `ModelUnusable` where the change does not fit.
    """
    check_weights(folder)
    files = [*folder.glob("*.json"), folder / ADAPTER, *(f for f in base.rglob("*") if f.is_file())]
    kept = _kept(cache_dir or user_cache_path("limner", appauthor=False))
    # in a folder of the model's name, which is what people are told of it
    return kept.folder(files, lambda made: _put_together(folder, base, made / folder.name)) / folder.name


@cache
def _kept(cache_dir: Path) -> Kept:
    """Lives as long as the process, as a folder in its temporary place must."""
    return Kept(cache_dir / "models")


def _put_together(folder: Path, base: Path, made: Path) -> None:
    shutil.copytree(base, made)
    for file in folder.glob("*.json"):
        shutil.copyfile(file, made / file.name)
    weights, *others = (made / "unet").glob("*.safetensors")
    if others:
        raise ModelUnusable(
            f"{base / 'unet'} holds {1 + len(others)} weight files; {folder.name} changes a model whose "
            "denoising network is in one: remove the others from a copy of it, and name that as base"
        )
    save_file(_changed(load_file(weights), load_file(folder / ADAPTER), folder), weights, {"format": "pt"})


def _changed(
    weights: dict[str, NDArray[np.floating]], change: dict[str, NDArray[np.floating]], folder: Path
) -> dict[str, NDArray[np.floating]]:
    """The weights with the product of two thin matrices added to each that the change names."""
    weights = dict(weights)
    downs = {key.removesuffix(DOWN) for key in change if key.endswith(DOWN)}
    strange = change.keys() - {stem + end for stem in downs for end in (DOWN, UP)}
    strange |= {stem + UP for stem in downs} - change.keys()
    if strange or not downs:
        raise ModelUnusable(
            f"{folder / ADAPTER} must hold pairs of unet.…{DOWN} and unet.…{UP}, as diffusers saves them, "
            f"and nothing else; look at {min(strange, default='it: it is empty')}"
        )
    for stem in downs:
        name = f"{stem.removeprefix('unet.')}.weight"
        down, up = (change[stem + end].astype(np.float32) for end in (DOWN, UP))
        weight = weights.get(name)
        if weight is None or weight.size != up.shape[0] * down[0].size:
            raise ModelUnusable(f"{folder / ADAPTER} does not fit its base model: {name}")
        added = up.reshape(len(up), -1) @ down.reshape(len(down), -1)
        weights[name] = (weight + added.reshape(weight.shape)).astype(weight.dtype)
    return weights
