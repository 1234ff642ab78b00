"""`/api/prompts`: the prompt writer."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fastapi import APIRouter, Request, Response

from limner.api import problems, schemas, streams
from limner.api.parts import App
from limner.api.people import Person
from limner.errors import LimnerError
from limner.service.writing import Writing

router = APIRouter(prefix="/api/prompts", tags=["prompts"], responses=problems.RESPONSES)


@router.post(
    "",
    response_model=schemas.PromptOut,
    responses={
        200: {
            "content": {
                streams.MEDIA_TYPE: {
                    "schema": {
                        "type": "string",
                        "description": "Events named and shaped as in `PromptEvents`",
                    }
                }
            }
        }
    },
)
async def write_prompt(request: Request, asked: schemas.PromptIn, service: App, person: Person) -> Response:
    """Continue a prompt, or write one. With `Accept: text/event-stream` it arrives token by token."""
    writing = await service.prompts.write(
        asked.text,
        person=person,
        model=asked.model,
        seed=asked.seed,
        temperature=asked.temperature,
        max_new_tokens=asked.max_new_tokens,
    )
    if streams.wanted(request):
        return streams.EventStream(_tokens(writing))
    text = await writing.whole()
    answer = schemas.PromptOut(text=text, seed=writing.seed)
    return Response(answer.model_dump_json(), media_type="application/json")


async def _tokens(writing: Writing) -> AsyncGenerator[bytes]:
    async with writing:
        try:
            async for piece in writing:
                yield streams.event("token", schemas.TokenEvent(text=piece))
        except LimnerError as error:
            yield streams.event("error", problems.problem(error))
            return
        yield streams.event("done", schemas.PromptOut(text=writing.text, seed=writing.seed))
