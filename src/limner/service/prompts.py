"""Prompts: written by the prompt writer, and let pass or refused by moderation."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from pydantic import BaseModel, ValidationError

from limner.errors import FieldError, InvalidInput, PromptWriterFailed
from limner.params import MAX_PROMPT, SEEDS, GenerationParams, ModelInfo, resolve
from limner.prompting.messages import PromptRequest, PromptWriter
from limner.service.metrics import Metrics
from limner.service.moderation import Moderation
from limner.service.writing import Writing


class Prompts:
    """Belongs to the event loop."""

    def __init__(
        self,
        writer: PromptWriter,
        models: Callable[[], tuple[ModelInfo, ...]],
        moderation: Moderation,
        metrics: Metrics,
    ) -> None:
        self._writer = writer
        self._models = models
        self._moderation = moderation
        self._metrics = metrics

    async def write(
        self,
        text: str,
        *,
        person: str,
        model: str | None = None,
        seed: int | None = None,
        temperature: float = 1.0,
        max_new_tokens: int = 60,
    ) -> Writing:
        """Begin to continue `text` with what `model` can draw.

        Raises `InvalidInput`, `NotReady`, `Refused` and `PromptWriterFailed`; the writing itself may raise
        the last two.
        """
        chosen = next((m for m in self._models() if m.name == model or (model is None and m.default)), None)
        if chosen is None:
            names = ", ".join(m.name for m in self._models())
            message = f"no model {model!r} is loaded; use one of: {names}"
            raise InvalidInput(FieldError("model", message, model, names))
        await self._moderation.check_text(person, text)
        seed = secrets.randbelow(SEEDS) if seed is None else seed
        request = PromptRequest(secrets.token_hex(8), text, chosen.voice, seed, temperature, max_new_tokens)
        pieces = self._moderation.screened(person, text, self._writer.write(request))
        writing = Writing(pieces, request, self._metrics.wrote)
        await writing.begin()
        return writing

    async def checked(self, person: str, asked: BaseModel) -> GenerationParams:
        """What a `GenerationSubmission` is to be painted from, with a prompt that may be painted.

        Raises `InvalidInput`, `Refused`, and what the prompt writer and moderation raise.
        """
        params = await self._resolved(person, asked)
        await self._moderation.check(person, params, written=bool(getattr(asked, "random", None)))
        return params

    async def all_checked(self, person: str, asked: Sequence[BaseModel]) -> list[GenerationParams]:
        """As `checked`; `InvalidInput` names the items that are wrong."""
        found = await asyncio.gather(*(self.checked(person, each) for each in asked), return_exceptions=True)
        wrong = [
            replace(field, field=f"items.{place}.{field.field}")
            for place, each in enumerate(found)
            if isinstance(each, InvalidInput)
            for field in each.fields
        ]
        if wrong:
            raise InvalidInput(*wrong)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return [each for each in found if isinstance(each, GenerationParams)]

    async def _resolved(self, person: str, asked: BaseModel) -> GenerationParams:
        seed = secrets.randbelow(SEEDS)
        given = getattr(asked, "prompt", None) or ""
        if not getattr(asked, "random", None):
            return resolve(asked, self._models(), seed)
        # Everything else is checked before the writer is set to work.
        params = resolve(asked.model_copy(update={"prompt": given or "…"}), self._models(), seed)
        writing = await self.write(given, person=person, model=params.model, seed=params.seed)
        written = (await writing.whole())[:MAX_PROMPT].strip()
        # Sent again, the answer's parameters must give this picture, so nothing is left to the writer.
        completed = {"prompt": written or given, "random": False}
        try:
            return GenerationParams.model_validate(params.model_dump() | completed)
        except ValidationError as error:
            raise PromptWriterFailed(
                f"the prompt writer wrote what cannot be painted: {written!r}"
            ) from error
