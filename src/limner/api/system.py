"""What this server is, can do, and whether it can do it now."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from limner import __version__
from limner.api import problems, schemas, tunnelled
from limner.api.parts import App
from limner.api.people import asker_of
from limner.params import MAX_PROMPT, SEEDS, GenerationParams, OutputFormat
from limner.service.metrics import CONTENT_TYPE
from limner.service.service import MAX_WAIT_S, Service

router = APIRouter(tags=["system"], responses=problems.RESPONSES)


@router.get("/api/capabilities")
async def capabilities(request: Request, service: App) -> schemas.Capabilities:
    """The models with their limits, and the limits of this server."""
    asker = asker_of(request)
    queued = asker.allowance.queued if asker is not None else service.max_queued
    return schemas.Capabilities(
        models=list(service.models()),
        limits=_limits(queued, tunnelled.poll_s(request)),
        output_formats=list(OutputFormat),
        engine=_engine(service),
        prompt_writer=_writer(service),
        version=__version__,
    )


@router.get("/healthz")
async def alive() -> schemas.Alive:
    """The server answers."""
    return schemas.Alive()


@router.get("/readyz", response_model=schemas.Ready, responses={503: {"model": schemas.Ready}})
async def ready(service: App) -> Response:
    """Whether pictures can be made now."""
    engine = _engine(service)
    answer = schemas.Ready(ready=engine.state == "ready", engine=engine, prompt_writer=_writer(service))
    headers = {"Cache-Control": "no-store"} | ({} if answer.ready else {"Retry-After": "2"})
    return Response(answer.model_dump_json(), 200 if answer.ready else 503, headers, "application/json")


@router.get("/metrics", include_in_schema=False)
async def metrics(service: App) -> Response:
    """What Prometheus scrapes; for the operator alone."""
    return Response(await service.measured(), media_type=CONTENT_TYPE)


def _engine(service: Service) -> schemas.EngineState:
    health = service.engine.health()
    return schemas.EngineState(state=health.state, detail=health.detail)


def _writer(service: Service) -> schemas.PromptWriterState:
    health = service.writer.health()
    return schemas.PromptWriterState(name=service.writer.name(), state=health.state, detail=health.detail)


def _limits(queued: int, poll_s: float) -> schemas.Limits:
    return schemas.Limits(
        prompt_characters=MAX_PROMPT,
        num_images=_range(GenerationParams, "num_images"),
        num_inference_steps=_range(GenerationParams, "num_inference_steps"),
        guidance_scale=_range(GenerationParams, "guidance_scale"),
        seed=schemas.Range(min=0, max=SEEDS - 1),
        temperature=_range(schemas.PromptIn, "temperature"),
        max_new_tokens=_range(schemas.PromptIn, "max_new_tokens"),
        queued=queued,
        wait_s=MAX_WAIT_S,
        poll_s=poll_s,
    )


def _range(of: type[GenerationParams] | type[schemas.PromptIn], field: str) -> schemas.Range:
    """The bounds that the field itself declares."""
    bounds = of.model_fields[field].metadata
    low = next(b.ge for b in bounds if hasattr(b, "ge"))
    high = next(b.le for b in bounds if hasattr(b, "le"))
    return schemas.Range(min=low, max=high)
