"""GPT-2 at work: loads a folder and writes prompts token by token. The writer's process only."""

from __future__ import annotations

import codecs
import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AutoTokenizer, DynamicCache, GPT2LMHeadModel, PreTrainedTokenizerBase

from limner.errors import ModelUnusable
from limner.params import Voice
from limner.prompting import priming
from limner.prompting.clean import Cleaner
from limner.prompting.healing import LOOK_AHEAD, spell, split_last_word
from limner.prompting.messages import PromptRequest
from limner.prompting.vocabulary import Vocabulary

TOP_P: Final = 0.95


@dataclass(frozen=True, slots=True)
class Opening:
    """What stands before the typed text, already read: its cache, and `logits` `(vocabulary,)` after it."""

    length: int
    cache: DynamicCache
    logits: Tensor


class Writer:
    """A loaded GPT-2. Raises `ModelUnusable` when the folder does not hold a whole one."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        self.model = _load(folder)
        size = self.model.config.vocab_size
        if len(self.tokenizer) > size:
            raise ModelUnusable(
                f"{folder}: the tokenizer has {len(self.tokenizer)} tokens, the weights only {size}; "
                "they do not belong together"
            )
        self.vocabulary = Vocabulary(self.tokenizer, size)
        self.end = self._end()
        self.positions: int = self.model.config.n_positions
        self._openings: dict[Voice, Opening] = {}
        known = self.tokenizer.get_vocab()
        self.voices = {voice: known[f"<|{voice}|>"] for voice in Voice if f"<|{voice}|>" in known}
        self.primed = not self.voices and not priming.writes_prompts(self._log_likelihood)

    def _end(self) -> int:
        """The token that ends a text, and from which an empty one begins."""
        for end in (self.tokenizer.eos_token_id, self.model.config.eos_token_id):
            if isinstance(end, int) and 0 <= end < self.model.config.vocab_size:
                return end
        raise ModelUnusable("the model has no end-of-text token (eos_token_id); use another copy of it")

    def begin(self, request: PromptRequest) -> Writing:
        """A prompt under way, at the seed of the request."""
        return Writing(self, request)

    def encode(self, text: str) -> list[int]:
        # Split: what looks like a control token in a typed text is text.
        ids: list[int] = self.tokenizer.encode(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )
        return ids

    @torch.inference_mode()
    def read(self, ids: list[int], cache: DynamicCache) -> Tensor:
        """The logits `(vocabulary,)` after `ids`, which are added to the cache."""
        out = self.model(
            input_ids=torch.tensor([ids]), past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        logits: Tensor = out.logits[0, -1].float()
        return logits

    def opening(self, voice: Voice) -> Opening:
        """A copy of the voice's opening for one prompt to go on from."""
        if voice not in self._openings:
            ids = self._opening_ids(voice)
            cache = DynamicCache(config=self.model.config)
            self._openings[voice] = Opening(len(ids), cache, self.read(ids, cache))
        kept = self._openings[voice]
        return Opening(kept.length, copy.deepcopy(kept.cache), kept.logits)

    def _opening_ids(self, voice: Voice) -> list[int]:
        if self.voices:
            return [self.voices.get(voice, self.end)]
        if not self.primed:
            return [self.end]
        lines = priming.opening(voice).split("\n")
        while len(ids := [self.end, *self.encode("\n".join(lines))]) > self.positions // 2:
            lines = lines[1:]  # a model with a short memory is shown fewer examples
        return ids

    @torch.inference_mode()
    def _log_likelihood(self, text: str) -> float:
        ids = torch.tensor([[self.end, *self.encode(text)][: self.positions]])
        logits = self.model(input_ids=ids).logits[0, :-1].float()
        return -float(torch.nn.functional.cross_entropy(logits, ids[0, 1:]))


class Writing:
    """One prompt under way. Each `step` makes one token and returns the text that is ready to be shown."""

    def __init__(self, writer: Writer, request: PromptRequest) -> None:
        self._writer = writer
        self._temperature = request.temperature
        self._random = torch.Generator().manual_seed(request.seed)
        self._cleaner = Cleaner(request.text)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._spoken = False  # something that can be read was added to the typed text
        self.tokens = 0
        self.done = False

        opening = writer.opening(request.voice)
        self._cache, self._logits = opening.cache, opening.logits
        room = writer.positions - opening.length
        self._limit = min(request.max_new_tokens, room // 2)
        head, tail = split_last_word(request.text)
        typed = writer.encode(tail)
        again = max(len(typed), LOOK_AHEAD)  # tokens the last typed word may take
        if read := writer.encode(head)[-max(1, room - self._limit - again) :]:
            self._logits = writer.read(read, self._cache)
        self._due = writer.vocabulary.bytes_of(typed)  # bytes still to be written again
        self._spelled = self._spell(typed) if typed else []
        self._limit += len(self._spelled)

    def step(self) -> str:
        """Make one token. Returns the text that it makes certain, often none."""
        assert not self.done, "a finished prompt has no more tokens"
        token = self._next()
        self.tokens += 1
        if token == self._writer.end:
            return self._finish(whole=True)
        raw = self._decoder.decode(self._new_bytes(token))
        self._spoken = self._spoken or any(map(str.isalnum, raw))
        text = self._cleaner.feed(raw)
        if self._cleaner.finished:
            self.done = True
        elif self.tokens >= self._limit:
            return text + self._finish(whole=False)
        else:
            self._logits = self._writer.read([token], self._cache)
        return text

    def _spell(self, typed: list[int]) -> list[int]:
        """The tokens to write the last typed word with."""

        def read_on(tokens: list[int]) -> Tensor:
            return self._writer.read(tokens, copy.deepcopy(self._cache))

        spelled = spell(self._due, self._logits, read_on, self._writer.vocabulary, self._random)
        return typed if spelled is None else spelled

    def _next(self) -> int:
        if self._spelled:
            return self._spelled.pop(0)
        allowed = self._writer.vocabulary.writes.clone()
        if self._spoken:
            allowed[self._writer.end] = True
        else:  # who asks for more is given something, even after a prompt that could end here
            allowed &= ~self._writer.vocabulary.breaks
        logits = self._logits.where(allowed, -torch.inf)
        return sample(logits, self._temperature, TOP_P, self._random)

    def _new_bytes(self, token: int) -> bytes:
        """What the token adds to the typed text."""
        text = self._writer.vocabulary.bytes_of([token])
        new, self._due = text[len(self._due) :], self._due[len(text) :]
        return new

    def _finish(self, *, whole: bool) -> str:
        self.done = True
        return self._cleaner.close(whole=whole)


def sample(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> int:
    """One id from `logits` `(vocabulary,)`; temperature 0 takes the likeliest.

    Nucleus sampling (Holtzman et al. 2019, arXiv:1904.09751): the fewest ids that together reach `top_p`.
    """
    if temperature == 0:
        return int(logits.argmax())
    chances, ids = (logits / temperature).softmax(0).sort(descending=True, stable=True)
    chances = chances.where(chances.cumsum(0) - chances < top_p, 0.0)
    return int(ids[torch.multinomial(chances, 1, generator=generator)])


def _load(folder: Path) -> GPT2LMHeadModel:
    model: Any
    model, report = GPT2LMHeadModel.from_pretrained(
        folder,
        use_safetensors=True,
        local_files_only=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    if missing := sorted(report["missing_keys"]):
        raise ModelUnusable(f"{folder}: the weights lack {len(missing)} tensors, such as {missing[0]}")
    return model.eval()
