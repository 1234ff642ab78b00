"""Measures a prompt writer: how many of its prompts are drawable and different, and how fast they come.

python -m training.writer_evaluate [--folder FOLDER] [--prompts 500]
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from tqdm import tqdm

from limner.params import Voice
from limner.prompting import catalog
from limner.prompting.messages import PromptRequest
from limner.prompting.writer import Writer
from training import scenes
from training.writer_prompts import compose

# Each is cut somewhere a person might stop; what follows must go on from it.
TYPED: Final = {
    Voice.STARTER: (
        "a",
        "a red ",
        "a small yellow flo",
        "at night, a",
        "A Blue Car next",
        "lightho",
        "a wobbly dragon",
    ),
    Voice.FULL: (
        "a watercolor of",
        "an old sailo",
        "portrait of a queen,",
        "in the snow, a tiny rob",
        "My grandmother's",
    ),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One prompt and where its time went, in seconds."""

    text: str
    tokens: int
    first_s: float
    total_s: float


def write(writer: Writer, request: PromptRequest) -> Sample:
    began = time.perf_counter()
    text, first_s = request.text, 0.0
    writing = writer.begin(request)
    while not writing.done:
        text += writing.step()
        first_s = first_s or time.perf_counter() - began
    return Sample(text, writing.tokens, first_s, time.perf_counter() - began)


def figures(voice: Voice, samples: list[Sample]) -> list[tuple[str, str]]:
    """The rows of the table for one voice."""
    texts = [sample.text for sample in samples]
    words = [len(text.split()) for text in texts]
    pace = sum(s.tokens for s in samples) / sum(s.total_s for s in samples)
    rows = [
        ("different", f"{len(set(texts))} of {len(texts)}"),
        ("words", f"{statistics.mean(words):.1f} ({min(words)} to {max(words)})"),
        ("tokens a second", f"{pace:.0f}"),
        ("time to the first token", f"{statistics.median(s.first_s for s in samples) * 1000:.1f} ms"),
    ]
    if voice is Voice.STARTER:
        drawn = sum(scenes.parse(text) is not None for text in texts)
        rows.insert(0, ("drawable", f"{drawn} of {len(texts)} ({drawn / len(texts):.1%})"))
    return rows


def repeats(writer: Writer, voice: Voice) -> bool:
    """Whether the same seeds write the same prompts again."""
    first, second = (
        [write(writer, PromptRequest("", "", voice, seed)).text for seed in range(20)] for _ in range(2)
    )
    return first == second


def continued(writer: Writer, count: int) -> tuple[int, int]:
    """Of `count` starter prompts cut anywhere: how many go on from the cut, and how many end drawable."""
    rng = random.Random(1)
    kept = drawn = 0
    for seed in range(count):
        prompt = compose(Voice.STARTER, rng)
        typed = prompt[: rng.randint(1, len(prompt) - 1)]
        text = write(writer, PromptRequest("", typed, Voice.STARTER, seed)).text
        kept += text.startswith(typed) and len(text) > len(typed)
        drawn += scenes.parse(text) is not None
    return kept, drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=None, help="default: the shipped weights")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    folder = asked.folder or catalog.find(catalog.WRITER)
    writer = Writer(folder)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {sum(p.numel() for p in writer.model.parameters()):,} parameters, {size / 1e6:.1f} MB")
    for voice in Voice:
        requests = (PromptRequest("", "", voice, seed) for seed in range(asked.prompts))
        samples = [write(writer, r) for r in tqdm(requests, total=asked.prompts, desc=voice, leave=False)]
        print(f"\n{voice} voice, {asked.prompts} prompts, seeds from 0")
        for name, value in [*figures(voice, samples), ("seeds repeat", str(repeats(writer, voice)))]:
            print(f"  {name:<26}{value}")
        if voice is Voice.STARTER:
            kept, drawn = continued(writer, asked.prompts)
            print(f"  {'cut anywhere: go on':<26}{kept} of {asked.prompts}, {drawn} drawable")
        for sample in samples[:8]:
            print(f"    {sample.text}")
        print("  continued")
        for seed, typed in enumerate(TYPED[voice]):
            text = write(writer, PromptRequest("", typed, voice, seed)).text
            print(f"    {typed}|{text[len(typed) :]}")


if __name__ == "__main__":
    main()
