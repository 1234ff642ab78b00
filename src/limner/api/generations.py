"""`/api/generations`: asking for pictures, watching them, calling them off."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from limner.api import answers, problems, schemas, streams
from limner.api.parts import App, BaseURL
from limner.api.people import Person
from limner.api.tunnelled import Previews
from limner.params import Frozen, GenerationSubmission
from limner.service.events import Preview
from limner.service.service import MAX_WAIT_S, Service

if TYPE_CHECKING:
    from pydantic import BaseModel as Submission
else:
    Submission = GenerationSubmission

router = APIRouter(prefix="/api/generations", tags=["generations"], responses=problems.RESPONSES)

MAX_BATCH = 100
MAX_BATCH_BYTES = 1024 * 1024

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key and body: the same generation",
    ),
]
_EVENTS: dict[str, Any] = {
    streams.MEDIA_TYPE: {
        "schema": {"type": "string", "description": "Events named and shaped as in `GenerationEvents`"}
    }
}


class Batch(Frozen):
    """Several submissions."""

    items: list[Submission] = Field(min_length=1, max_length=MAX_BATCH)


@router.post(
    "",
    status_code=202,
    response_model=schemas.Generation,
    responses={
        200: {"model": schemas.Generation, "description": "It ended while waiting", "content": _EVENTS},
        202: {"description": "Accepted; it will be made even if the server restarts"},
    },
)
async def generate(
    request: Request,
    asked: Submission,
    service: App,
    person: Person,
    base_url: BaseURL,
    prefer: Annotated[
        str | None, Header(alias="Prefer", description="`wait=N` waits up to N seconds, at most 60")
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Ask for pictures. With `Accept: text/event-stream` the answer is the stream of events."""
    view = await service.submit(person, asked, idempotency_key)
    location = f"{base_url}api/generations/{view.job.id}"
    headers = {"Location": location, "Content-Location": location}
    if streams.wanted(request):
        return streams.EventStream(_events(request, service, person, view.job.id, base_url, None), headers)
    wait_s = _wait_s(prefer or "")
    if wait_s is not None:
        view = await service.wait(person, view.job.id, wait_s)
        headers["Preference-Applied"] = f"wait={wait_s}"
    return Response(
        answers.generation(view, base_url).model_dump_json(),
        200 if view.job.status.over else 202,
        headers,
        "application/json",
    )


@router.post(
    "/batch",
    status_code=202,
    response_model=schemas.GenerationBatch,
    responses={202: {"description": "All accepted; they will be made even if the server restarts"}},
    max_body_size=MAX_BATCH_BYTES,
)
async def generate_batch(
    asked: Batch, service: App, person: Person, base_url: BaseURL, idempotency_key: IdempotencyKey = None
) -> Response:
    """Ask for up to 100 generations at once: all are accepted, or none. Each counts as one that waits."""
    views = await service.submit_all(person, asked.items, idempotency_key)
    answer = schemas.GenerationBatch(items=[answers.generation(view, base_url) for view in views])
    return Response(answer.model_dump_json(), 202, media_type="application/json")


@router.get("")
async def list_generations(
    service: App,
    person: Person,
    base_url: BaseURL,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[
        str | None, Query(max_length=100, description="`next_cursor` of the page before")
    ] = None,
) -> schemas.GenerationList:
    """The caller's own, newest first."""
    page = await service.page(person, limit, cursor)
    items = [answers.generation(view, base_url) for view in page.views]
    return schemas.GenerationList(items=items, next_cursor=page.next_cursor)


@router.get("/{id}")
async def read_generation(id: str, service: App, person: Person, base_url: BaseURL) -> schemas.Generation:
    return answers.generation(await service.view(person, id), base_url)


@router.get(
    "/{id}/events",
    status_code=200,
    response_class=streams.EventStream,
    responses={200: {"description": "Server-sent events", "content": _EVENTS}},
)
async def follow_generation(
    request: Request,
    id: str,
    service: App,
    person: Person,
    base_url: BaseURL,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", max_length=30, description="Resume behind this event")
    ] = None,
) -> streams.EventStream:
    """First a `snapshot`; the last is `succeeded`, `failed` or `cancelled`. Data as in `GenerationEvents`."""
    await service.view(person, id)
    after = int(last_event_id) if last_event_id and re.fullmatch(r"\d{1,20}", last_event_id) else None
    return streams.EventStream(_events(request, service, person, id, base_url, after))


@router.post("/{id}/cancel")
async def cancel_generation(id: str, service: App, person: Person, base_url: BaseURL) -> schemas.Generation:
    """Free its slots at the next step. What is over already stays as it is."""
    return answers.generation(await service.cancel(person, id), base_url)


@router.delete("/{id}", status_code=204)
async def delete_generation(id: str, service: App, person: Person) -> None:
    """Remove it and its pictures; if it still runs, it is cancelled."""
    await service.delete(person, id)


async def _events(
    request: Request, service: Service, person: str, job_id: str, base_url: str, after: int | None
) -> AsyncGenerator[bytes]:
    previews = Previews(request)
    async with contextlib.aclosing(service.follow(person, job_id, after)) as events:
        async for event in events:
            if isinstance(event.payload, Preview) and not previews.show(event.payload.index):
                continue
            name, data = answers.event(event.payload, base_url)
            yield streams.event(name, data, event.id)


def _wait_s(prefer: str) -> int | None:
    """The `wait` of a `Prefer` header, at most the limit; what is no number is no preference (RFC 7240)."""
    match = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\b", prefer)
    return min(int(match[1]), MAX_WAIT_S) if match else None
