"""A small judge, trained on drawn pictures: it names subjects, their colours, the setting, the style."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from training.draw import draw
from training.pictures import to_model
from training.scenes import COLORS, RELATIONS, SETTINGS, STYLES, TRAINED, Scene, Subject
from training.work import load_checkpoint, pick_device, save_checkpoint

JUDGED_PX: Final = 128
SHARD: Final = 500  # pictures that one process draws at a time
DRAWN_SHARDS: Final = 36
EPOCHS: Final = 10
PAIRS: Final = 0.5  # of the drawn pictures hold two subjects
FEATURES: Final = 128
KINDS: Final = (None, *COLORS)  # of every subject: not there, or there in this colour


class Classifier(nn.Module):
    """(B, 3, 128, 128) from -1 to 1, to features (B, 128) and logits of subjects, setting and style.

    Subjects are looked for at every place alike, so that two are as easy to see as one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        wide = FEATURES
        for into, out, size, stride in (
            (3, 32, 6, 4),
            (32, 64, 3, 2),
            (64, wide, 3, 2),
            (wide, wide, 3, 1),
            (wide, wide, 3, 1),
        ):
            self.layers.extend(
                (nn.Conv2d(into, out, size, stride, (size - 1) // 2), nn.BatchNorm2d(out), nn.ReLU())
            )
        self.subjects = nn.Conv2d(wide, len(TRAINED) * len(COLORS), 1)
        # as good as nothing is at any place: half of the training went by before that was learnt
        assert self.subjects.bias is not None
        nn.init.constant_(self.subjects.bias, -7.0)
        self.setting = nn.Linear(FEATURES, len(SETTINGS))
        self.style = nn.Linear(FEATURES, 1 + len(STYLES))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features, and the logits (B, subjects, kinds), (B, settings) and (B, 1 + styles)."""
        places = self.layers(pictures)
        features = places.mean((2, 3))
        there = self.subjects(places).flatten(2).logsumexp(2).unflatten(1, (len(TRAINED), len(COLORS)))
        kinds = F.pad(there, (1, 0))  # that it is not there has no place: 0
        return features, kinds, self.setting(features), self.style(features)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the judge sees: every subject from the most likely on, each with its likeliest colour."""

    subjects: tuple[Subject, ...]
    setting: str
    style: str | None

    def first(self, count: int) -> frozenset[Subject]:
        """The `count` most likely subjects."""
        return frozenset(self.subjects[:count])


def any_scene(rng: random.Random, count: int, style: str | None) -> Scene:
    """A scene of `count` subjects in that style, of any combination, held out or not."""
    subjects = tuple(Subject(name, rng.choice(list(COLORS))) for name in rng.sample(TRAINED, count))
    relation = rng.choice(list(RELATIONS)) if count > 1 else None
    return Scene(subjects, relation, rng.choice(list(SETTINGS)), style)


def draw_to_judge(seed: int, pair_share: float = PAIRS) -> tuple[NDArray[np.uint8], list[Scene]]:
    """`SHARD` drawn pictures (SHARD, 128, 128, 3), as many of each style, and their scenes."""
    rng = random.Random(seed)
    styles = (None, *STYLES)
    scenes = [any_scene(rng, 1 + (rng.random() < pair_share), styles[i % len(styles)]) for i in range(SHARD)]
    return np.stack([draw(scene, JUDGED_PX, rng) for scene in scenes]), scenes


def train_classifier(work: Path) -> Classifier:
    """The trained judge: from the work folder, or trained now, which takes some minutes."""
    device = pick_device()
    model = Classifier().to(device)
    if state := load_checkpoint(work / "classifier.pt"):
        model.load_state_dict(state)
        return model.eval()
    torch.manual_seed(0)
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        shards = processes.map(draw_to_judge, range(DRAWN_SHARDS))
        drawn = list(tqdm(shards, "draw to judge", DRAWN_SHARDS))
    pictures = np.concatenate([pixels for pixels, _ in drawn])
    labels = _labels([scene for _, scenes in drawn for scene in scenes])
    batches = [part for _ in range(EPOCHS) for part in torch.randperm(len(pictures)).reshape(-1, 60)]
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=len(batches))
    for step, batch in enumerate(tqdm(batches, "train the judge", mininterval=5)):
        shown = to_model(pictures[batch])
        _, *answers = model(_worn(shown.flip(-1) if step % 2 else shown).to(device))
        losses = [
            F.cross_entropy(answer.flatten(0, -2), label[batch].flatten().to(device))
            for answer, label in zip(answers, labels, strict=True)
        ]
        loss = len(TRAINED) * losses[0] + losses[1] + losses[2]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    save_checkpoint(model.state_dict(), work / "classifier.pt")
    return model.eval()


def _labels(scenes: Sequence[Scene]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Kinds (B, subjects), settings (B,) and styles (B,), as the classifier counts them."""
    kinds = torch.zeros(len(scenes), len(TRAINED), dtype=torch.long)
    for row, scene in zip(kinds, scenes, strict=True):
        for subject in scene.subjects:
            row[TRAINED.index(subject.name)] = KINDS.index(subject.color)
    settings = [list(SETTINGS).index(scene.setting or "") for scene in scenes]
    styles = [(None, *STYLES).index(scene.style) for scene in scenes]
    return kinds, torch.tensor(settings), torch.tensor(styles)


def _worn(pictures: torch.Tensor) -> torch.Tensor:
    """Half of the batch softened and all of it a little noisy, as made pictures are."""
    soft = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
    mask = (torch.rand(len(pictures), 1, 1, 1) < 0.5).float()
    mixed: torch.Tensor = soft * mask + pictures * (1 - mask)
    return mixed + 0.05 * torch.randn(
        mixed.shape
    )  # seven times as fast as `randn_like` when channels are last


def to_judge(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures of any size as the classifier takes them."""
    size = (JUDGED_PX, JUDGED_PX)
    return F.interpolate(pictures, size, mode="bilinear", antialias=True, align_corners=False)


@torch.inference_mode()
def judge(model: Classifier, pictures: torch.Tensor) -> tuple[list[Seen], torch.Tensor]:
    """What the judge sees in each of the pictures (B, 3, H, W) from -1 to 1, and its features (B, 128)."""
    parts = [model(to_judge(part).to(next(model.parameters()).device)) for part in torch.split(pictures, 100)]
    features, kinds, settings, styles = (torch.cat(answers).cpu() for answers in zip(*parts, strict=True))
    seen = []
    for row, setting, style in zip(kinds.softmax(-1), settings.argmax(1), styles.argmax(1), strict=True):
        order = row[:, 0].argsort().tolist()  # the first kind says that it is not there
        subjects = [Subject(TRAINED[i], KINDS[1 + int(row[i, 1:].argmax())]) for i in order]
        seen.append(Seen(tuple(subjects), list(SETTINGS)[setting], (None, *STYLES)[style]))
    return seen, features


def kernel_distance(made: torch.Tensor, drawn: torch.Tensor) -> float:
    """KID of two sets of features (N, D): the unbiased squared MMD with the kernel (x·y / D + 1)³.

    Binkowski et al., 2018 (arXiv:1801.01401); zero on average for two sets of one kind.
    """

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a.double() @ b.double().T / a.shape[1] + 1) ** 3

    def within(a: torch.Tensor) -> torch.Tensor:
        matrix = kernel(a, a)
        return (matrix.sum() - matrix.trace()) / (len(a) * (len(a) - 1))

    return float(within(made) + within(drawn) - 2 * kernel(made, drawn).mean())
