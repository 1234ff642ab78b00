"""Options. One is real, the model, and each person has their own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from limner.api.parts import App
from limner.api.people import Person
from limner.api.schemas import Answer
from limner.api.sdapi import asking
from limner.api.sdapi.asking import Asked, Name

router = APIRouter()


class SdOptions(Answer):
    """Flat, as clients read it and send it back whole."""

    sd_model_checkpoint: str
    sd_checkpoint_hash: str = ""
    sd_vae: str = "Automatic"
    CLIP_stop_at_last_layers: int = 1
    samples_format: str = "png"
    show_progress_every_n_steps: int = 1
    live_previews_enable: bool = True
    enable_pnginfo: bool = True


class SdNewOptions(Asked):
    """Whatever else is sent is ignored."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})

    sd_model_checkpoint: Annotated[
        Name | None,
        Field(description="For the caller's coming calls; a name that is not loaded changes nothing"),
    ] = None


@router.get("/options")
async def read_options(service: App, person: Person) -> SdOptions:
    """With the model that the caller's next call will use."""
    return SdOptions(sd_model_checkpoint=service.sessions.model(person).name)


@router.post("/options")
async def set_options(wanted: SdNewOptions, service: App, person: Person) -> None:
    """Remember the model for this person until the server stops."""
    name = wanted.sd_model_checkpoint
    model = name and asking.model_called(name, service.models())
    if model:
        service.sessions.choose(person, model.name)


@router.get("/cmd-flags")
async def cmd_flags() -> dict[str, Any]:
    return {"api": True}


@router.get("/memory")
async def memory() -> dict[str, Any]:
    """Not told here: `/metrics` is the operator's."""
    return {"ram": {"error": "not told here"}, "cuda": {"error": "not told here"}}
