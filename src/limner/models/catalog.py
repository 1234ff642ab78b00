"""From a `--model` reference to a folder of weights, and what that model can do. No torch here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.diffusion.config import FlowConfig, NoiseConfig, read_config
from limner.errors import ModelUnusable
from limner.models.adapted import ADAPTER, whole
from limner.models.folder import Source, read_json
from limner.models.hub import download
from limner.models.weights import check_weights
from limner.params import DIFFUSION_SAMPLERS, FLOW_SAMPLERS, ModelInfo, Sampler, Voice

STARTER = "starter"
SHIPPED = (STARTER, "starter-fast")
FAMILY = "stable-diffusion"
PIPELINES = ("StableDiffusionPipeline", "LatentConsistencyModelPipeline")
WEIGHTED = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
    "text_encoder": ("CLIPTextModel",),
}
SOURCE = Source(
    SHIPPED, "model_index.json", "stabilityai/sd-turbo", re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+"), download
)
_SAMPLER_OF = {
    "DDIMScheduler": Sampler.DDIM,
    "EulerDiscreteScheduler": Sampler.EULER,
    "EulerAncestralDiscreteScheduler": Sampler.EULER_ANCESTRAL,
    "LCMScheduler": Sampler.LCM,
    "TCDScheduler": Sampler.TCD,
}


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on this machine: what it can do, and the diffusers folder it is loaded from."""

    info: ModelInfo
    folder: Path


def open_models(references: Sequence[str], cache_dir: Path | None = None) -> tuple[LocalModel, ...]:
    """Find, download where needed, and check every model; the first is the default.

    `cache_dir`: where what is made of them is kept; None is the user's own. Raises `ModelUnusable` with one
    line that says what is wrong and what to do.
    """
    models = tuple(open_model(reference, i == 0, cache_dir) for i, reference in enumerate(references))
    names = [model.info.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise ModelUnusable(f"two models are called {name}; rename the folder of one")
    return models


def open_model(reference: str, default: bool = True, cache_dir: Path | None = None) -> LocalModel:
    """Raises `ModelUnusable`."""
    folder = SOURCE.locate(reference)
    if (folder / ADAPTER).is_file():
        folder = _adapted(folder, cache_dir)
    check(folder)
    return LocalModel(describe(folder, folder_name(reference), default), folder)


def _adapted(folder: Path, cache_dir: Path | None) -> Path:
    """A model kept as a change of another, which `limner.json` names: a folder beside it, or a reference."""
    base = read_json(folder / "limner.json").get("base")
    if not isinstance(base, str):
        raise ModelUnusable(f"{folder / 'limner.json'} does not say of which model it is a change; add base")
    beside = folder.parent / base
    return whole(folder, SOURCE.locate(str(beside) if beside.is_dir() else base), cache_dir)


def folder_name(reference: str) -> str:
    """The short name of a folder or hub id: its last part."""
    return Path(reference).expanduser().resolve().name if _is_path(reference) else reference.split("/")[-1]


def _is_path(reference: str) -> bool:
    return Path(reference).expanduser().exists() or not SOURCE.hub_id.fullmatch(reference)


def cached() -> list[str]:
    """The hub ids of the models in the hub's cache that can be opened without downloading anything."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return []
    found = []
    for repository in sorted(repositories, key=lambda r: r.repo_id):
        newest = max(repository.revisions, key=lambda r: r.last_modified, default=None)
        if repository.repo_type == "model" and newest is not None:
            try:
                check(newest.snapshot_path)
            except ModelUnusable:
                continue
            found.append(repository.repo_id)
    return found


def check(folder: Path) -> None:
    """Raises `ModelUnusable` unless `folder` is a Stable Diffusion diffusers folder with sound weights."""
    if not (folder / "model_index.json").is_file():
        raise ModelUnusable(f"{folder} is not a diffusers folder: it has no model_index.json")
    index = read_json(folder / "model_index.json")
    pipeline = index.get("_class_name")
    if pipeline not in PIPELINES:
        raise ModelUnusable(
            f"{folder} is a {pipeline}; limner opens Stable Diffusion 1.x and 2.x ({PIPELINES[0]})"
        )
    for part, classes in WEIGHTED.items():
        given = (index.get(part) or [None, None])[1]
        if given not in classes:
            raise ModelUnusable(f"{folder}: its {part} is a {given}; limner opens {' or '.join(classes)}")
        read_json(folder / part / "config.json")
        check_weights(folder / part)
    read_noise(folder)
    unet = read_json(folder / "unet" / "config.json")
    if unet.get("in_channels", 4) != unet.get("out_channels", 4):
        raise ModelUnusable(f"{folder} is an inpainting or editing model; limner needs a text-to-image one")


def describe(folder: Path, name: str, default: bool) -> ModelInfo:
    """What the model can do, from the JSON beside its weights; `limner.json` has the last word."""
    unet, vae = read_json(folder / "unet" / "config.json"), read_json(folder / "vae" / "config.json")
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    card = read_json(folder / "limner.json") if (folder / "limner.json").exists() else {}
    factor = vae_factor(vae)
    sample = unet.get("sample_size", 64)
    high, wide = sample if isinstance(sample, list | tuple) else (sample, sample)
    few_steps = _is_few_step(scheduler, name)
    samplers = FLOW_SAMPLERS if isinstance(read_noise(folder), FlowConfig) else DIFFUSION_SAMPLERS
    values = {
        "width": wide * factor,
        "height": high * factor,
        "min_size": max(factor, min(wide, high) * factor // 2 // factor * factor),
        "max_size": min(4096, max(wide, high) * factor * 2),
        "size_step": factor,
        "num_inference_steps": 4 if few_steps else 25,
        "guidance_scale": 1.0 if few_steps else 7.5,
        "sampler": _sampler(scheduler, samplers),
        "samplers": samplers,
        "voice": Voice.STARTER if card.get("known_words") else Voice.FULL,
        "draws": card.get("description"),
        "known_words": tuple(card.get("known_words", ())),
        "examples": tuple(card.get("examples", ())),
        "licence": card.get("licence"),
        "base": folder_name(card["base"]) if isinstance(card.get("base"), str) else None,
    } | card.get("defaults", {})
    try:
        info = ModelInfo(name=name, default=default, family=FAMILY, **values)
    except ValueError as error:
        raise ModelUnusable(f"{folder / 'limner.json'}: {str(error).splitlines()[0]}") from None
    if info.sampler not in info.samplers:
        names = ", ".join(info.samplers)
        raise ModelUnusable(
            f"{folder / 'limner.json'}: {info.sampler} cannot sample this model; use one of: {names}"
        )
    return info


def read_noise(folder: Path) -> NoiseConfig | FlowConfig:
    """What the model's scheduler says about its noise. Raises `ModelUnusable`."""
    file = folder / "scheduler" / "scheduler_config.json"
    try:
        # Where the file is silent, Stable Diffusion's own offset.
        return read_config({"steps_offset": 1} | read_json(file))
    except (TypeError, ValueError) as error:
        raise ModelUnusable(f"{file}: {error}; use another model, or a copy with that changed") from None


def vae_factor(vae: dict[str, Any]) -> int:
    """Pixels per latent, along each side."""
    channels = vae.get("block_out_channels") or vae.get("decoder_block_out_channels") or [0] * 4
    return int(2 ** (len(channels) - 1))


def _sampler(scheduler: dict[str, Any], samplers: tuple[Sampler, ...]) -> Sampler:
    if "sde" in str(scheduler.get("algorithm_type")):
        own = Sampler.DPMPP_2M_SDE
    else:
        own = _SAMPLER_OF.get(str(scheduler.get("_class_name")), Sampler.DPMPP_2M)
    return own if own in samplers else samplers[0]


def _is_few_step(scheduler: dict[str, Any], name: str) -> bool:
    """Distilled models say so in their name alone, but for those with an LCM or TCD scheduler."""
    return (
        scheduler.get("_class_name") in ("LCMScheduler", "TCDScheduler")
        or re.search(r"turbo|lightning|lcm", name, re.I) is not None
    )
