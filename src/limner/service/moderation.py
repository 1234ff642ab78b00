"""What may be painted: asked before, of prompts, and after, of pictures."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import logging
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Literal

from anyio.to_thread import run_sync

from limner.errors import NotReady, Refused, StorageUnavailable, Unusable
from limner.params import GenerationParams
from limner.service import inspection
from limner.service.blocklist import SHIPPED, BlockList
from limner.service.hook import ModerationHook, Question
from limner.store import secret
from limner.store.abuse import Entry
from limner.store.job import Failure, Job, NewImage
from limner.store.store import Store

log = logging.getLogger(__name__)

Mode = Literal["off", "on", "strict"]
_DAY_S = 86_400
_KEY_BYTES = 32
MODERATED = Failure("moderated", "the picture was refused")
UNCHECKED = Failure("unchecked", "the picture could not be checked, so it was not kept; try again later")


class Moderation:
    """Off: everything may be painted and nothing is logged. Belongs to the event loop."""

    def __init__(
        self,
        store: Store,
        mode: Mode = "off",
        *,
        blocklist: Path | None = None,
        url: str | None = None,
        checker: bool = False,
        log_days: int = 30,
    ) -> None:
        """`blocklist`, instead of the one that is shipped; `url` of a hook; `checker`: the engine has one.

        `strict`: what cannot be checked is refused. Raises `Unusable` and `StorageUnavailable`.
        """
        self.on = mode != "off"
        given = {"--blocklist": blocklist, "--moderation-url": url, "--safety-checker": checker or None}
        idle = [flag for flag, value in given.items() if value is not None]
        if idle and not self.on:
            raise Unusable(f"{idle[0]} does nothing while --moderation is off; add --moderation on or strict")
        self._store = store
        self._log_days = log_days
        self._strict = mode == "strict"
        self._checker = checker
        self._words = BlockList(_read(blocklist)) if self.on else None
        self._hook = ModerationHook(url, strict=self._strict) if url is not None else None
        self._key = (
            store.secret("abuse.key", _new_key, lambda key: len(key) == _KEY_BYTES) if self.on else b""
        )
        self._pruning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._pruning = asyncio.create_task(self._prune(), name="prune the abuse log")

    async def stop(self) -> None:
        if self._pruning is not None:
            self._pruning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pruning
        if self._hook is not None:
            await self._hook.close()

    # Before.

    async def check(self, person: str, params: GenerationParams, *, written: bool = False) -> None:
        """`written`: the prompt writer had a hand in it, so it is not held against the person.

        Raises `Refused`, and `NotReady` when it cannot be checked and must be.
        """
        prompt, negative = params.prompt, params.negative_prompt
        await self._check(person, prompt, negative, logged=not written)

    async def check_text(self, person: str, text: str) -> None:
        """What a person gives the prompt writer to go on with. Raises as `check`."""
        if text:
            await self._check(person, text, "", logged=True)

    async def screened(self, person: str, text: str, pieces: AsyncGenerator[str]) -> AsyncGenerator[str]:
        """What the prompt writer appends to `text`, each word once it is whole and allowed.

        With a hook, which is not asked about every word, all of it comes at the end. Raises as `check`.
        """
        async with contextlib.aclosing(pieces):
            if not self.on:
                async for piece in pieces:
                    yield piece
                return
            held: list[str] = []
            async for piece in pieces:
                held.append(piece)
                if self._hook is not None:
                    continue
                ready = "".join(held)
                ready = ready[: _unfinished_at(ready)]
                if ready:
                    held = ["".join(held)[len(ready) :]]
                    text += ready
                    self._check_words(text)
                    yield ready
            await self._check(person, text + "".join(held), "", logged=False)
            for piece in held:
                yield piece

    # After.

    @property
    def sees_pictures(self) -> bool:
        return self._checker or self._hook is not None

    @property
    def hides_previews(self) -> bool:
        """They would show what has not been checked."""
        return self._strict and self.sees_pictures

    async def judge(self, job: Job, new: NewImage, *, flagged: bool) -> Failure | None:
        """Why the job must fail with this picture; None when it may be kept. `flagged`: by the checker."""
        params = job.params
        if not flagged and self._hook is not None:
            image = base64.b64encode(new.data).decode()
            question = Question(
                "picture", job.person, params.prompt, params.negative_prompt, f"image/{new.format}", image
            )
            try:
                flagged = not await self._hook.allows(question)
            except NotReady:
                return UNCHECKED
        if not flagged:
            return None
        digest = await run_sync(inspection.digest, new.data)
        await self._log(Entry(job.person, "picture_refused", self._hash(params.prompt), digest))
        return MODERATED

    def painted(self, job: Job, new: NewImage) -> Entry | None:
        """What the log keeps of a picture that is stored. Blocks: call in a thread."""
        if not self.on or not self._log_days:
            return None
        return Entry(job.person, "painted", self._hash(job.params.prompt), inspection.digest(new.data))

    # Inside.

    async def _check(self, person: str, prompt: str, negative: str, *, logged: bool) -> None:
        try:
            self._check_words(prompt, negative)
            if self._hook is not None and not await self._hook.allows(
                Question("prompt", person, prompt, negative)
            ):
                raise Refused
        except Refused:
            if logged:
                await self._log(Entry(person, "prompt_refused", self._hash(prompt)))
            raise

    def _check_words(self, prompt: str, negative: str = "") -> None:
        if self._words is not None and (
            self._words.forbids(prompt) or self._words.forbids(negative, wanted=False)
        ):
            raise Refused

    def _hash(self, prompt: str) -> str:
        """With a key, because prompts are short enough to be guessed."""
        return hmac.new(self._key, prompt.encode(), hashlib.sha256).hexdigest()

    async def _log(self, entry: Entry) -> None:
        if self._log_days:
            try:
                await run_sync(self._store.abuse.add, entry)
            except StorageUnavailable as error:  # it is refused all the same
                log.error("the abuse log misses a %s of %s: %s", entry.event, entry.person, error)

    async def _prune(self) -> None:
        while True:
            try:
                await run_sync(self._store.abuse.prune, self._log_days)
            except StorageUnavailable as error:
                log.error("the abuse log is pruned tomorrow: %s", error)
            await asyncio.sleep(_DAY_S)


def _new_key() -> bytes:
    return secrets.token_bytes(_KEY_BYTES)


def _read(blocklist: Path | None) -> str:
    if blocklist is None:
        return SHIPPED.read_text(encoding="utf-8")
    try:
        return secret.given(blocklist, "--blocklist").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unusable(f"--blocklist {blocklist} is not UTF-8 text; save it as such") from None


def _unfinished_at(text: str) -> int:
    """Where the last word begins, which may still grow, with the space before it."""
    whole = text.rstrip()
    if text and whole == text:
        whole = text[: -len(text.split()[-1])].rstrip()
    return len(whole)
