"""Values of the service as answers of the API."""

from __future__ import annotations

import base64

from limner.api import schemas
from limner.service.events import (
    Ended,
    ImageStored,
    Payload,
    Preview,
    Progress,
    Queued,
    Snapshot,
    Started,
    View,
)
from limner.store.job import Image, Job, Status


def generation(view: View, base_url: str) -> schemas.Generation:
    """`base_url` ends with a slash."""
    job = view.job
    here = f"{base_url}api/generations/{job.id}"
    failure = job.failure
    return schemas.Generation(
        id=job.id,
        status=job.status.value,
        params=job.params,
        position=view.position,
        eta_s=_rounded(view.eta_s),
        images=[image(i, base_url) for i in job.images],
        timings=_timings(job),
        error=schemas.GenerationError(code=failure.code, message=failure.message) if failure else None,
        created_at=job.created_at,
        finished_at=job.finished_at,
        links=schemas.Links(self=here, events=f"{here}/events", cancel=f"{here}/cancel"),
    )


def image(stored: Image, base_url: str) -> schemas.Image:
    url = f"{base_url}api/images/{stored.id}"
    return schemas.Image(
        id=stored.id,
        index=stored.index,
        url=url,
        thumbnail_url=f"{url}/thumbnail",
        seed=stored.seed,
        width=stored.width,
        height=stored.height,
    )


def event(payload: Payload, base_url: str) -> tuple[str, schemas.Answer]:
    """The name and the data of a server-sent event."""
    match payload:
        case Snapshot(view):
            return "snapshot", generation(view, base_url)
        case Queued(position, eta_s):
            return "queued", schemas.QueuedEvent(position=position, eta_s=_rounded(eta_s))
        case Started():
            return "started", schemas.StartedEvent()
        case Progress(index, step, steps, eta_s):
            return "progress", schemas.ProgressEvent(
                index=index, step=step, steps=steps, eta_s=round(eta_s, 2)
            )
        case Preview(index, step, data, media_type):
            url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
            return "preview", schemas.PreviewEvent(index=index, step=step, image=url)
        case ImageStored(stored):
            return "image", image(stored, base_url)
        case Ended(view):
            return view.job.status.value, generation(view, base_url)


def _timings(job: Job) -> schemas.Timings:
    durations = [i.durations for i in job.images]
    over = job.finished_at is not None and job.status is not Status.QUEUED
    return schemas.Timings(
        queue_s=_seconds(job.started_at.timestamp() - job.created_at.timestamp()) if job.started_at else None,
        encode_s=max((_seconds(d.encode_s) for d in durations), default=None),
        steps_s=max((_seconds(d.steps_s) for d in durations), default=None),
        decode_s=max((_seconds(d.decode_s) for d in durations), default=None),
        save_s=max((_seconds(d.save_s) for d in durations), default=None),
        total_s=_seconds(job.finished_at.timestamp() - job.created_at.timestamp())
        if over and job.finished_at
        else None,
    )


def _rounded(eta_s: float | None) -> float | None:
    return None if eta_s is None else round(eta_s, 2)


def _seconds(value: float) -> float:
    return round(value, 4)
