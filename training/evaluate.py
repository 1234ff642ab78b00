"""Judges the starter model: does it draw what held-out prompts ask for? Prints a table, writes sheets."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageDraw
from tqdm import tqdm

from training.classifier import HEADS, draw_to_judge, judge, names_in, train_classifier
from training.export import GUIDANCE_SCALE, STARTER
from training.pictures import to_model
from training.scenes import Scene, caption, held_out_scenes, parse, plain_caption, sample_scene
from training.work import add_work_flag

BATCH = 20
SHEET_COLUMNS = 5


def held_out_prompts(count: int, seed: int = 0) -> list[tuple[str, Scene]]:
    """Prompts that say a held-out combination in full; the first of each scene in the plainest words."""
    rng = random.Random(seed)
    scenes = held_out_scenes()
    prompts = []
    for i in range(count):
        scene = scenes[i % len(scenes)]
        text = plain_caption(scene)
        while i >= len(scenes) and parse(text := caption(scene, rng)) != scene:
            pass
        prompts.append((text, scene))
    return prompts


def make(folder: Path, prompts: list[str], steps: int, guidance: float) -> torch.Tensor:
    """Pictures (B, 3, H, W) from -1 to 1 made by the folder with plain diffusers; the same each time."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu").set_progress_bar_config(disable=True)
    made = []
    for start in tqdm(range(0, len(prompts), BATCH), "make"):
        batch = prompts[start : start + BATCH]
        generators = [torch.Generator().manual_seed(start + i) for i in range(len(batch))]
        pictures = pipeline(
            batch, num_inference_steps=steps, guidance_scale=guidance, generator=generators, output_type="pt"
        ).images
        made.append(pictures.float().cpu() * 2 - 1)
    return torch.cat(made)


def sheet(pictures: torch.Tensor, captions: list[str], path: Path) -> None:
    """A contact sheet of the pictures with their captions below."""
    height, width = pictures.shape[-2:]
    rows = -(-len(captions) // SHEET_COLUMNS)
    page = Image.new("RGB", (SHEET_COLUMNS * width, rows * (height + 16)), "white")
    pen = ImageDraw.Draw(page)
    for i, (picture, text) in enumerate(zip(pictures, captions, strict=True)):
        x, y = i % SHEET_COLUMNS * width, i // SHEET_COLUMNS * (height + 16)
        pixels = picture.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(1, 2, 0).numpy()
        page.paste(Image.fromarray(np.ascontiguousarray(pixels)), (x, y))
        pen.text((x + 4, y + height + 2), text[:46], fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)


def shares_right(seen: list[Scene], meant: list[Scene]) -> list[float]:
    """For each head of the judge, in how many of the pictures it sees what was meant."""
    pairs = zip(map(names_in, seen), map(names_in, meant), strict=True)
    right = [[a == b for a, b in zip(*pair, strict=True)] for pair in pairs]
    return [float(share) for share in np.mean(right, axis=0)]


def evaluate(work: Path, folder: Path, count: int, steps: int, guidance: float) -> None:
    """Print the shares of right subjects, colours and settings, beside the judge's own on drawn pictures."""
    classifier = train_classifier(work)
    drawn, drawn_scenes = draw_to_judge(600, seed=2)
    own = shares_right(judge(classifier, to_model(drawn)), drawn_scenes)
    prompts = held_out_prompts(count)
    texts, scenes = [text for text, _ in prompts], [scene for _, scene in prompts]
    made = make(folder, texts, steps, guidance)
    seen = judge(classifier, made)
    print(f"{count} held-out prompts, {steps} steps, guidance {guidance:g}")
    print("| right   |  made | drawn (the judge's own) |")
    print("| ------- | ----- | ----------------------- |")
    for head, share, best in zip(HEADS, shares_right(seen, scenes), own, strict=True):
        print(f"| {head:<7} | {share:5.1%} | {best:23.1%} |")
    for text, scene, other in zip(texts, scenes, seen, strict=True):
        if names_in(scene) != names_in(other):
            print(f"  asked: {text!r}, seen: {plain_caption(other)!r}")
    sheets = work / "sheets"
    for start in range(0, count, 25):
        sheet(made[start : start + 25], texts[start : start + 25], sheets / f"held-out-{start:03d}.png")
    rng = random.Random(7)
    pairs = [plain_caption(sample_scene(rng, pair_share=1.0)) for _ in range(25)]
    sheet(make(folder, pairs, steps, guidance), pairs, sheets / "pairs.png")
    print(f"Sheets: {sheets}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--folder", type=Path, default=STARTER, help="the model to judge (%(default)s)")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=GUIDANCE_SCALE)
    args = parser.parse_args()
    evaluate(args.work, args.folder, args.count, args.steps, args.guidance)


if __name__ == "__main__":
    main()
