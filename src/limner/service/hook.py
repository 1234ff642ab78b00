"""Somebody else's judgement, asked over HTTP."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from limner.errors import NotReady, Unusable

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0

# It tells of each request, as the log of this server does not.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Question:
    """`image`: base64. `stage`: `prompt` before anything is painted, `picture` before it is stored."""

    stage: str
    person: str
    prompt: str
    negative_prompt: str = ""
    media_type: str | None = None
    image: str | None = None


class _Verdict(BaseModel):
    model_config = ConfigDict(strict=True)

    allowed: bool


class ModerationHook:
    """`POST`s each question as JSON to `url`, which answers `{"allowed": true}` or `{"allowed": false}`.

    Belongs to the event loop.
    """

    def __init__(self, url: str, *, strict: bool) -> None:
        """`strict`: without an answer nothing is allowed. Raises `Unusable` for what is no HTTP address."""
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL()
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise Unusable(
                f"--moderation-url {url} is no address; give one that begins with http:// or https://"
            )
        self._url = parsed
        self._strict = strict
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S)

    async def allows(self, question: Question) -> bool:
        """Raises `NotReady` when there is no answer and it is strict."""
        asked = {name: value for name, value in _fields(question) if value is not None}
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._client.post(self._url, json=asked)
            if answer.status_code != 200:
                return self._unanswered(f"it answered {answer.status_code}")
            return _Verdict.model_validate_json(answer.content).allowed
        except TimeoutError:
            return self._unanswered(f"no answer in {TIMEOUT_S:.0f} s")
        except ValidationError:
            return self._unanswered('its answer is not {"allowed": true} or {"allowed": false}')
        except httpx.HTTPError as error:
            return self._unanswered(str(error) or type(error).__name__)

    async def close(self) -> None:
        await self._client.aclose()

    def _unanswered(self, reason: str) -> bool:
        if self._strict:
            log.error("nothing is painted, because %s cannot judge: %s", self._url, reason)
            raise NotReady("this cannot be checked at the moment; try again later", retry_after_s=10)
        log.warning("%s cannot judge, so it is allowed: %s", self._url, reason)
        return True


def _fields(question: Question) -> list[tuple[str, str | None]]:
    return [(name, getattr(question, name)) for name in Question.__slots__]
