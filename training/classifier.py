"""A small judge, trained on drawn pictures, that names the subject, colour and setting of a picture."""

from __future__ import annotations

import random
from itertools import pairwise
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
from training.scenes import COLORS, SETTINGS, SUBJECTS, Scene, Subject
from training.work import load_checkpoint, pick_device, save_checkpoint

JUDGED_PX: Final = 64
HEADS: Final = {"subject": list(SUBJECTS), "color": list(COLORS), "setting": list(SETTINGS)}
DRAWN: Final = 6_000
EPOCHS: Final = 6


class Classifier(nn.Module):
    """(B, 3, 64, 64) from -1 to 1, to the logits of every head."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 96, 128)
        self.layers = nn.Sequential()
        for narrow, wide in pairwise(widths):
            self.layers.extend((nn.Conv2d(narrow, wide, 3, 2, padding=1), nn.BatchNorm2d(wide), nn.ReLU()))
        self.heads = nn.ModuleDict(
            {name: nn.Linear(128 * 4 * 4, len(names)) for name, names in HEADS.items()}
        )

    def forward(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits (B, names) of each head."""
        features = self.layers(pictures).flatten(1)
        return {name: head(features) for name, head in self.heads.items()}


def to_judge(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures of any size as the classifier takes them."""
    return F.interpolate(
        pictures, (JUDGED_PX, JUDGED_PX), mode="bilinear", antialias=True, align_corners=False
    )


def names_in(scene: Scene) -> tuple[str | None, ...]:
    """What the heads should say of a scene: its first subject's name and colour, and its setting."""
    return scene.subjects[0].name, scene.subjects[0].color, scene.setting


def draw_to_judge(count: int, seed: int) -> tuple[NDArray[np.uint8], list[Scene]]:
    """Drawn pictures of one subject each, of any combination, held out or not, and their scenes."""
    rng = random.Random(seed)
    scenes = [
        Scene(
            (Subject(rng.choice(list(SUBJECTS)), rng.choice(list(COLORS))),), None, rng.choice(list(SETTINGS))
        )
        for _ in range(count)
    ]
    drawn = [draw(scene, JUDGED_PX, rng) for scene in tqdm(scenes, "draw to judge", mininterval=5)]
    return np.stack(drawn), scenes


def train_classifier(work: Path) -> Classifier:
    """The trained judge: from the work folder, or trained now, which takes a minute or two."""
    device = pick_device()
    model = Classifier().to(device)
    if state := load_checkpoint(work / "classifier.pt"):
        model.load_state_dict(state)
        return model.eval()
    torch.manual_seed(0)
    drawn, scenes = draw_to_judge(DRAWN, seed=1)
    pictures = to_model(drawn)
    said = zip(*map(names_in, scenes), strict=True)
    labels = {
        head: torch.tensor([HEADS[head].index(name) for name in names if name])
        for head, names in zip(HEADS, said, strict=True)
    }
    batches = [batch for _ in range(EPOCHS) for batch in torch.randperm(DRAWN).reshape(-1, 60)]
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=len(batches))
    for batch in tqdm(batches, "train the judge", mininterval=5):
        answers = model(_worn(pictures[batch]).to(device))
        loss = sum(F.cross_entropy(answers[name], labels[name][batch].to(device)) for name in HEADS)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
        schedule.step()
    save_checkpoint(model.state_dict(), work / "classifier.pt")
    return model.eval()


def _worn(pictures: torch.Tensor) -> torch.Tensor:
    """Half of the batch softened and all of it a little noisy, as made pictures are."""
    soft = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
    mask = (torch.rand(len(pictures), 1, 1, 1) < 0.5).float()
    mixed: torch.Tensor = soft * mask + pictures * (1 - mask)
    return mixed + 0.05 * torch.randn_like(mixed)


def judge(model: Classifier, pictures: torch.Tensor) -> list[Scene]:
    """What the judge sees in each of the pictures (B, 3, H, W) from -1 to 1."""
    with torch.inference_mode():
        answers = model(to_judge(pictures).to(next(model.parameters()).device))
    indices = zip(*(answers[head].argmax(1).tolist() for head in HEADS), strict=True)
    named = [[names[i] for names, i in zip(HEADS.values(), row, strict=True)] for row in indices]
    return [Scene((Subject(name, color),), setting=setting) for name, color, setting in named]
