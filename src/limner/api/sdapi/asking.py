"""What this protocol's clients ask for, as a submission of ours, or why it cannot be painted as asked."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from limner.errors import FieldError, InvalidInput
from limner.params import MAX_IMAGES, SEEDS, ModelInfo, Sampler, nearest_size, printable, submission
from limner.service import names
from limner.service.picture import SAMPLER_NAMES

_MAX_NAME = 200
_TAG = re.compile(r"<(lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)

Name = Annotated[str, Field(max_length=_MAX_NAME), AfterValidator(printable)]


class Asked(BaseModel):
    """Base of what is asked here: unknown fields are ignored, null is what was left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class SdOverrides(Asked):
    """Settings for this request alone."""

    sd_model_checkpoint: Name | None = Field(None, description="A title or name from `sd-models`")
    sd_vae: str | None = Field(None, description="Ignored: each model has its own")
    CLIP_stop_at_last_layers: int | None = Field(None, description="Ignored")


class TextToImage(Asked):
    """What to paint. Fields that are not named here are ignored; null or left out: the model's own."""

    prompt: str = ""
    negative_prompt: str | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    width: int | None = Field(None, ge=1, le=16384, description="The nearest size of that shape is painted")
    height: int | None = Field(None, ge=1, le=16384)
    seed: int | None = Field(None, ge=-1, lt=SEEDS, description="-1: random, and `info` says which")
    batch_size: int | None = Field(None, ge=1, description=f"times `n_iter`: up to {MAX_IMAGES}")
    n_iter: int | None = Field(None, ge=1)
    sampler_name: Name | None = None
    sampler_index: Name | None = Field(None, description="The older name of `sampler_name`")
    scheduler: Name | None = None
    override_settings: SdOverrides | None = None
    override_settings_restore_afterwards: bool | None = Field(None, description="Ignored: always")
    send_images: bool | None = None
    save_images: bool | None = Field(None, description="Ignored: Limner keeps what it paints")
    force_task_id: Name | None = Field(
        None, description="A name by which to ask for progress and to interrupt"
    )
    denoising_strength: float | None = Field(None, description="Of a second pass; ignored")

    # What would change the picture, and cannot be done: refused unless it changes nothing.
    enable_hr: bool | None = None
    restore_faces: bool | None = None
    tiling: bool | None = None
    styles: list[str] | None = None
    script_name: str | None = None
    alwayson_scripts: dict[Name, Any] | None = None
    subseed: int | None = None
    subseed_strength: float | None = None
    seed_resize_from_w: int | None = None
    seed_resize_from_h: int | None = None
    refiner_checkpoint: str | None = None
    s_churn: float | None = None

    @property
    def pictures(self) -> int:
        return (self.batch_size or 1) * (self.n_iter or 1)


# Each with the remedy. A truthy value changes the picture.
_BEYOND_US = {
    "enable_hr": "there is no second, larger pass; ask for the size itself",
    "restore_faces": "faces are not restored; set it to false",
    "tiling": "pictures do not tile; set it to false",
    "styles": "there are no stored styles; write them into the prompt",
    "script_name": "there are no scripts; leave it out",
    "subseed_strength": "seeds are not mixed; set it to 0",
    "refiner_checkpoint": "there is no refiner; leave it out",
    "s_churn": "the samplers add no noise of their own; set it to 0",
}


def asked_for(asked: TextToImage, model: ModelInfo) -> BaseModel:
    """A submission for `model`. Raises `InvalidInput` naming what cannot be done, and what to do instead."""
    problems = [*_beyond_us(asked), *_unknown_names(asked)]
    if asked.pictures > MAX_IMAGES:
        message = f"{asked.pictures} pictures are too many for one request; use {MAX_IMAGES} or fewer"
        problems.append(FieldError("n_iter × batch_size", message, asked.pictures, MAX_IMAGES))
    if problems:
        raise InvalidInput(*problems)
    width, height = nearest_size(model, asked.width or model.width, asked.height or model.height)
    sampler, schedule = _ways(asked, model)
    random = asked.seed is None or asked.seed < 0
    with in_its_words():
        return submission(
            prompt=asked.prompt,
            negative_prompt=asked.negative_prompt,
            model=model.name,
            width=width,
            height=height,
            num_inference_steps=asked.steps,
            guidance_scale=asked.cfg_scale,
            sampler=sampler,
            schedule=schedule,
            # Drawn here: who asks for chance twice is not repeating a request.
            seed=secrets.randbelow(SEEDS) if random else asked.seed,
            num_images=asked.pictures,
        )


def model_of(asked: TextToImage, models: tuple[ModelInfo, ...]) -> ModelInfo | None:
    """The model that this request names, if it does. Raises `InvalidInput` when it is not loaded."""
    name = asked.override_settings and asked.override_settings.sd_model_checkpoint
    if not name:
        return None
    found = model_called(name, models)
    if found is None:
        known = ", ".join(model.name for model in models)
        message = f"no model {name!r} is loaded; use one of: {known}"
        raise InvalidInput(FieldError(_ITS_FIELDS["model"], message, name, known))
    return found


def model_called(name: str, models: tuple[ModelInfo, ...]) -> ModelInfo | None:
    """By its title as clients write it: with a hash behind it, or as the name of a file."""
    plain = re.sub(r"\s*\[[0-9a-fA-F]*\]$", "", name.strip())
    for candidate in (name, plain, plain.removesuffix(".safetensors"), plain.removesuffix(".ckpt")):
        found = next((model for model in models if model.name == candidate), None)
        if found is not None:
            return found
    return None


@contextlib.contextmanager
def in_its_words() -> Iterator[None]:
    """Errors name the fields as this protocol does."""
    try:
        yield
    except InvalidInput as error:
        fields = (replace(f, field=_ITS_FIELDS.get(f.field, f.field)) for f in error.fields)
        raise InvalidInput(*fields) from None


_ITS_FIELDS = {
    "num_inference_steps": "steps",
    "guidance_scale": "cfg_scale",
    "sampler": "sampler_name",
    "schedule": "scheduler",
    "num_images": "n_iter × batch_size",
    "model": "override_settings.sd_model_checkpoint",
}


def _ways(asked: TextToImage, model: ModelInfo) -> tuple[str | None, str | None]:
    """Sampler and schedule, each None for the model's own."""
    name, schedule = _sampler_name(asked), None
    sampler = None
    if name:
        known = names.sampler_called(name)
        assert known is not None, "unknown names are refused before"
        sampler, schedule = known
        # The same update under the name that clients know it by.
        if sampler is Sampler.EULER and sampler not in model.samplers:
            sampler = next((s for s in model.samplers if s is Sampler.FLOW_MATCH_EULER), sampler)
    if not _is_automatic(asked.scheduler):
        schedule = names.schedule_called(asked.scheduler or "")
    return sampler, schedule


def _sampler_name(asked: TextToImage) -> str:
    given = asked.sampler_name or asked.sampler_index or ""
    return "" if _is_automatic(given) else given


def _is_automatic(name: str | None) -> bool:
    return not name or name.strip().lower() in ("", names.AUTOMATIC, "none")


def _unknown_names(asked: TextToImage) -> Iterator[FieldError]:
    sampler = _sampler_name(asked)
    if sampler and names.sampler_called(sampler) is None:
        known = ", ".join(SAMPLER_NAMES.values())
        yield FieldError(
            "sampler_name", f"no sampler is called {sampler!r}; use one of: {known}", sampler, known
        )
    schedule = asked.scheduler
    if not _is_automatic(schedule) and names.schedule_called(schedule or "") is None:
        known = ", ".join(["Automatic", *map(names.schedule_label, names.SCHEDULE_KEYS)])
        message = f"no schedule is called {schedule!r}; use one of: {known}"
        yield FieldError("scheduler", message, schedule, known)


def _beyond_us(asked: TextToImage) -> Iterator[FieldError]:
    for field, remedy in _BEYOND_US.items():
        value = getattr(asked, field)
        if value and value != "None":
            yield FieldError(field, remedy, _shown(value))
    for field in ("seed_resize_from_w", "seed_resize_from_h"):
        value = getattr(asked, field)
        if value is not None and value > 0:
            yield FieldError(field, "noise is not resized; set it to 0", value)
    for name, script in (asked.alwayson_scripts or {}).items():
        if _works(script):
            message = f"there is no script {name[:_MAX_NAME]!r}; leave it out"
            yield FieldError("alwayson_scripts", message, name[:_MAX_NAME])
    for field in ("prompt", "negative_prompt"):
        tag = _TAG.search(getattr(asked, field) or "")
        if tag is not None:
            kind = tag[1].lower()
            message = (
                f"{tag[0][:_MAX_NAME]} cannot be used: no {kind} is loaded here; take it out of the prompt"
            )
            yield FieldError(field, message, tag[0][:_MAX_NAME])


def _works(script: object) -> bool:
    """Whether a script that is always on would do anything: clients list those that are switched off."""
    args = script.get("args") if isinstance(script, Mapping) else script
    if isinstance(args, list):
        units = [arg for arg in args if isinstance(arg, Mapping)]
        if units and len(units) == len(args):
            return any(unit.get("enabled", True) for unit in units)
        return bool(args) and args[0] is not False
    return bool(args)


def _shown(value: object) -> object:
    return value if isinstance(value, bool | int | float) else str(value)[:_MAX_NAME]
