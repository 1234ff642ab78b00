"""Judges the starter model: does it draw what held-out prompts ask for? Prints a table, writes sheets."""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from tqdm import tqdm

from limner.engine.local import LocalEngine
from limner.engine.messages import Finished, ImageRequest
from limner.models.catalog import STARTER, LocalModel, open_model
from limner.params import resolve, submission
from training.classifier import Seen, any_scene, judge, kernel_distance, train_classifier
from training.draw import draw
from training.pictures import to_model
from training.scenes import (
    STYLES,
    TRAINED,
    Scene,
    Subject,
    caption,
    held_out_scenes,
    parse,
    plain_caption,
    touches_held_out,
)
from training.sheets import write_sheet
from training.work import PICTURE_PX, add_work_flag

BATCH = 20
LOOKED_AT = 24  # held-out prompts on the sheet for the README
SHEET = 64  # pictures of one style


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt and the scene that it means."""

    text: str
    scene: Scene


def ask_plainly(count: int) -> list[Asked]:
    """Held-out combinations over and over, each in the next style, and in another the next time."""
    scenes, styles = held_out_scenes(), (None, *STYLES)
    found = [
        replace(scenes[i % len(scenes)], style=styles[(i + i // len(scenes)) % len(styles)])
        for i in range(count)
    ]
    return [Asked(plain_caption(scene), scene) for scene in found]


def ask_otherwise(asked: Sequence[Asked]) -> list[Asked]:
    """The same scenes, said as completely in other words."""
    rng = random.Random(0)
    found = []
    for plain in asked:
        while parse(text := caption(plain.scene, rng)) != plain.scene or text == plain.text:
            pass
        found.append(Asked(text, plain.scene))
    return found


def ask_for_pairs(count: int) -> list[Asked]:
    """Two subjects, of which at least one is in a held-out combination."""
    rng = random.Random(1)
    found: list[Asked] = []
    while len(found) < count:
        style = None if rng.random() < 0.4 else rng.choice(list(STYLES))
        if touches_held_out(scene := any_scene(rng, 2, style)):
            found.append(Asked(plain_caption(scene), scene))
    return found


def make(folder: Path, asked: Sequence[Asked], steps: int, guidance: float) -> torch.Tensor:
    """Pictures (B, 3, H, W) from -1 to 1 made by the folder with plain diffusers; the same each time."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu").set_progress_bar_config(disable=True)
    made = []
    for start in tqdm(range(0, len(asked), BATCH), "make"):
        texts = [prompt.text for prompt in asked[start : start + BATCH]]
        generators = [torch.Generator().manual_seed(start + i) for i in range(len(texts))]
        pictures = pipeline(
            texts, num_inference_steps=steps, guidance_scale=guidance, generator=generators, output_type="pt"
        ).images
        made.append(pictures.float().cpu() * 2 - 1)
    return torch.cat(made)


def drawn(asked: Sequence[Asked], seed: int) -> torch.Tensor:
    """The same scenes drawn, (B, 3, H, W) from -1 to 1."""
    rng = random.Random(seed)
    return to_model(np.stack([draw(one.scene, PICTURE_PX, rng) for one in tqdm(asked, "draw")]))


@torch.inference_mode()
def coded(folder: Path, pictures: torch.Tensor) -> torch.Tensor:
    """The pictures encoded and decoded by the folder's autoencoder: the best that any denoiser can show."""
    autoencoder = AutoencoderTiny.from_pretrained(folder / "vae", torch_dtype=torch.float32)
    parts = torch.split(pictures, BATCH)
    return torch.cat([autoencoder.decode(autoencoder.encode(part).latents).sample for part in parts]).clamp(
        -1, 1
    )


@dataclass(frozen=True, slots=True)
class Score:
    """Shares from 0 to 1 of pictures of one subject in which the judge sees what was asked for."""

    subject: float
    color: float
    setting: float
    style: float

    @classmethod
    def of(cls, seen: Sequence[Seen], asked: Sequence[Asked]) -> Score:
        right = [
            (
                saw.subjects[0].name == one.scene.subjects[0].name,
                saw.subjects[0].color == one.scene.subjects[0].color,
                saw.setting == one.scene.setting,
                saw.style == one.scene.style,
            )
            for saw, one in zip(seen, asked, strict=True)
        ]
        return cls(*(float(share) for share in np.mean(right, axis=0)))

    def row(self, name: str) -> str:
        """One line of the table."""
        shares = (self.subject, self.color, self.setting, self.style)
        return f"| {name:<28} | " + " | ".join(f"{share:7.1%}" for share in shares) + " |"


def print_scores(
    seen: Sequence[Seen], own: Sequence[Seen], asked: Sequence[Asked], other: Sequence[Seen]
) -> None:
    """The table of single subjects: in all, by style, in other words, and of drawn pictures."""
    print("| one subject                  | subject |  colour | setting |   style |")
    print("| ---------------------------- | ------- | ------- | ------- | ------- |")
    print(Score.of(seen, asked).row(f"all {len(asked)}"))
    for style in (None, *STYLES):
        mine = [i for i, one in enumerate(asked) if one.scene.style == style]
        if mine:
            chosen = Score.of([seen[i] for i in mine], [asked[i] for i in mine])
            print(chosen.row(f"{style or 'plain'} ({len(mine)})"))
    print(Score.of(other, asked).row("all, in other words"))
    print(Score.of(own, asked).row("drawn: the judge's own"))


def share_of_pairs(seen: Sequence[Seen], asked: Sequence[Asked]) -> float:
    """In how many pictures the judge sees both subjects in their own colours."""
    right = [
        saw.first(2) == {Subject(subject.name, subject.color) for subject in one.scene.subjects}
        for saw, one in zip(seen, asked, strict=True)
    ]
    return float(np.mean(right))


async def seconds_alone(model: LocalModel, pictures: int = 7) -> float:
    """The median time of one picture alone in Limner's engine, from request to pixels."""
    engine = LocalEngine((model,), log_level="warning")
    await engine.start()
    times = []
    for i in range(pictures + 2):  # the first two warm it up
        params = resolve(submission(prompt="a red house at night", seed=i), (model.info,), seed=0)
        began = time.monotonic()
        events = [e async for e in engine.generate(ImageRequest(str(i), "judge", params, params.seed))]
        assert isinstance(events[-1], Finished), events[-1]
        times.append(time.monotonic() - began)
    await engine.stop()
    return statistics.median(times[2:])


def evaluate(work: Path, model: LocalModel, count: int, pairs: int, steps: int, guidance: float) -> None:
    """Print what the judge sees in made pictures, beside what it sees in drawn ones."""
    classifier = train_classifier(work)
    asked, sheets = ask_plainly(count), work / "sheets"
    made, once, again = make(model.folder, asked, steps, guidance), drawn(asked, 2), drawn(asked, 3)
    (seen, features), (own, first), (_, second) = (judge(classifier, part) for part in (made, once, again))
    other, _ = judge(classifier, make(model.folder, ask_otherwise(asked), steps, guidance))
    print(f"{count} held-out prompts, {steps} steps, guidance {guidance:g}")
    print_scores(seen, own, asked, other)
    two = ask_for_pairs(pairs)
    together, ideal = make(model.folder, two, steps, guidance), drawn(two, 4)
    share, best, through = (
        share_of_pairs(judge(classifier, part)[0], two)
        for part in (together, ideal, coded(model.folder, ideal))
    )
    print(f"both subjects in their colours, {pairs} held-out pairs: {share:.1%}")
    print(f"  of drawn pictures: {best:.1%}; of these encoded and decoded: {through:.1%}")
    far, near = kernel_distance(features, first), kernel_distance(second, first)
    print(f"KID of made to drawn pictures: {far:.4f}; of drawn to drawn: {near:.4f}")
    seconds = asyncio.run(seconds_alone(model))
    print(f"one picture alone in the engine: {seconds:.2f} s")
    for saw, one in zip(seen, asked, strict=True):
        if saw.subjects[0] != Subject(one.scene.subjects[0].name, one.scene.subjects[0].color):
            print(f"  asked: {one.text!r}, seen: {saw.subjects[0].color} {saw.subjects[0].name}")
    spread = [i * count // LOOKED_AT for i in range(min(LOOKED_AT, count))]
    write_sheet(made[spread], [asked[i].text for i in spread], sheets / "held-out.png", columns=6)
    write_sheet(together[:24], [one.text for one in two[:24]], sheets / "pairs.png", columns=6)
    print(f"Sheets: {sheets}")


def write_style_sheets(work: Path, model: LocalModel, steps: int, guidance: float) -> None:
    """8x8 pictures of each style: every subject in turn, colours and settings by chance."""
    rng = random.Random(5)
    for style in (None, *STYLES):
        scenes = [any_scene(rng, 1, style) for _ in range(SHEET)]
        scenes = [
            replace(scene, subjects=(replace(scene.subjects[0], name=TRAINED[i % len(TRAINED)]),))
            for i, scene in enumerate(scenes)
        ]
        asked = [Asked(plain_caption(scene), scene) for scene in scenes]
        name = f"style-{style or 'plain'}.png".replace(" ", "-")
        write_sheet(make(model.folder, asked, steps, guidance), [], work / "sheets" / name, columns=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument(
        "--model", default=STARTER, help="the model to judge, as for limner serve (%(default)s)"
    )
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--steps", type=int, help="default: the model's own")
    parser.add_argument("--guidance", type=float, help="default: the model's own")
    parser.add_argument(
        "--styles", action="store_true", help="write a sheet of each style, and judge nothing"
    )
    args = parser.parse_args()
    model = open_model(args.model)
    info = model.info
    steps = args.steps or info.num_inference_steps
    guidance = info.guidance_scale if args.guidance is None else args.guidance
    if args.styles:
        write_style_sheets(args.work, model, steps, guidance)
    else:
        evaluate(args.work, model, args.count, args.pairs, steps, guidance)


if __name__ == "__main__":
    main()
