"""What there is to choose from. What Limner does not have is an empty list of the right shape."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from limner.api.parts import App
from limner.api.schemas import Answer
from limner.service import names
from limner.service.picture import SAMPLER_NAMES

router = APIRouter()


class SdModel(Answer):
    title: str
    model_name: str
    hash: str | None = None
    sha256: str | None = None
    filename: str
    config: str | None = None


class SdSampler(Answer):
    name: str
    aliases: list[str]
    options: dict[str, str] = {}


class SdScheduler(Answer):
    name: str
    label: str
    aliases: list[str]
    default_rho: float = -1.0
    need_inner_model: bool = False


class SdUpscaler(Answer):
    name: str
    model_name: str | None = None
    model_path: str | None = None
    model_url: str | None = None
    scale: float = 1.0


class SdEmbeddings(Answer):
    loaded: dict[str, Any] = {}
    skipped: dict[str, Any] = {}


class SdScripts(Answer):
    txt2img: list[str] = []
    img2img: list[str] = []


@router.get("/sd-models")
async def sd_models(service: App) -> list[SdModel]:
    return [SdModel(title=m.name, model_name=m.name, filename=m.name) for m in service.models()]


@router.get("/samplers")
async def samplers(service: App) -> list[SdSampler]:
    """Those that at least one model can use."""
    return [
        SdSampler(name=name, aliases=list(names.SAMPLER_ALIASES[sampler]))
        for sampler, name in SAMPLER_NAMES.items()
        if any(sampler in model.samplers for model in service.models())
    ]


@router.get("/schedulers")
async def schedulers() -> list[SdScheduler]:
    automatic = SdScheduler(name=names.AUTOMATIC, label="Automatic", aliases=[])
    return [
        automatic,
        *(
            SdScheduler(name=key, label=names.schedule_label(schedule), aliases=aliases)
            for schedule, (key, *aliases) in names.SCHEDULE_KEYS.items()
        ),
    ]


@router.get("/upscalers")
async def upscalers() -> list[SdUpscaler]:
    """Clients take the first for none at all."""
    return [SdUpscaler(name="None")]


@router.get("/embeddings")
async def embeddings() -> SdEmbeddings:
    return SdEmbeddings()


@router.get("/scripts")
async def scripts() -> SdScripts:
    return SdScripts()


async def none_of_these() -> list[Any]:
    """There are none here."""
    return []


async def refresh() -> None:
    """Nothing to do: models are given when the server starts."""


for what in (
    "latent-upscale-modes",
    "sd-vae",
    "sd-modules",
    "loras",
    "hypernetworks",
    "face-restorers",
    "realesrgan-models",
    "prompt-styles",
    "script-info",
    "extensions",
):
    router.get(f"/{what}")(none_of_these)
for what in ("checkpoints", "vae", "loras", "embeddings"):
    router.post(f"/refresh-{what}")(refresh)
