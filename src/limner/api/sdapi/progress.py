"""How far the caller's pictures are, and calling them off. Nobody sees or stops another person's."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query

from limner.api.parts import App
from limner.api.people import Person
from limner.api.schemas import Answer
from limner.service import picture
from limner.service.sessions import Call

router = APIRouter()

# Between 0, which means that nothing is under way, and the first step.
_BEGUN = 0.01

TaskId = Annotated[
    str | None, Query(max_length=200, description="A `force_task_id`; left out: the caller's oldest call")
]


class SdState(Answer):
    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    job: str = ""
    job_count: int = 0
    job_timestamp: str = "0"
    job_no: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0


class SdProgress(Answer):
    """All zeros when nothing of the caller's is under way."""

    progress: float = 0.0
    eta_relative: float = 0.0
    state: SdState = SdState()
    current_image: str | None = None
    textinfo: str | None = None
    current_task: str | None = None


@router.get("/progress")
async def progress(
    service: App, person: Person, skip_current_image: bool = False, force_task_id: TaskId = None
) -> SdProgress:
    """Of the oldest of the caller's calls."""
    call = service.sessions.current(person, force_task_id)
    if call is None:
        return SdProgress()
    image = None
    if call.preview is not None and not skip_current_image:
        image = base64.b64encode(await run_sync(picture.as_png, call.preview.image)).decode()
    return SdProgress(
        progress=round(min(1.0, max(_BEGUN, call.share)), 4),
        eta_relative=round(call.eta_s or 0.0, 2),
        state=_state(call),
        current_image=image,
        textinfo=f"Waiting in the queue at place {call.position}" if call.position else None,
        current_task=call.task_id,
    )


@router.post("/interrupt")
async def interrupt(service: App, person: Person, force_task_id: TaskId = None) -> dict[str, Any]:
    """Stop what the caller has under way; those who wait get the pictures that are finished."""
    await service.sessions.interrupt(person, force_task_id)
    return {}


@router.post("/skip")
async def skip(service: App, person: Person, force_task_id: TaskId = None) -> dict[str, Any]:
    """Stop the oldest of the caller's calls."""
    await service.sessions.skip(person, force_task_id)
    return {}


def _state(call: Call) -> SdState:
    return SdState(
        skipped=call.skipped,
        interrupted=call.interrupted,
        stopping_generation=call.interrupted or call.skipped,
        job=call.task_id,
        job_count=call.pictures,
        job_timestamp=call.began.strftime("%Y%m%d%H%M%S"),
        job_no=min(call.finished, call.pictures - 1),
        sampling_step=call.step,
        sampling_steps=call.steps,
    )
