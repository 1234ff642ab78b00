"""Where diffusers' safety checker lies. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from limner.errors import ModelUnusable
from limner.models.folder import read_json
from limner.models.weights import check_weights

_PROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True, slots=True)
class SafetyFolder:
    """`weights`: safetensors and `config.json`. `processor`: how pictures are prepared for them."""

    weights: Path
    processor: Path


def open_safety(folder: Path) -> SafetyFolder:
    """A checker's own folder, or that of a Stable Diffusion model that has one. Raises `ModelUnusable`."""
    folder = folder.expanduser().resolve()
    if (folder / "model_index.json").is_file():
        folder = folder / "safety_checker"
    if not folder.is_dir():
        raise ModelUnusable(
            f"--safety-checker: there is no folder {folder}; give one with the checker's weights"
        )
    architectures = read_json(folder / "config.json").get("architectures")
    if architectures != ["StableDiffusionSafetyChecker"]:
        raise ModelUnusable(
            f"--safety-checker: {folder} is a {architectures}; limner opens a StableDiffusionSafetyChecker"
        )
    check_weights(folder)
    for place in (folder, folder.parent / "feature_extractor"):
        if (place / _PROCESSOR).is_file():
            read_json(place / _PROCESSOR)
            return SafetyFolder(folder, place)
    raise ModelUnusable(
        f"--safety-checker: {folder} has no {_PROCESSOR}; it lies beside the weights or in feature_extractor/"
    )
