"""A small judge, trained on drawn pictures, that names the subject, colour and setting of a picture."""

from __future__ import annotations

import random
from itertools import pairwise, product
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from training.draw import draw
from training.pool import to_model
from training.scenes import COLORS, SETTINGS, SUBJECTS, Scene, Subject
from training.work import load_checkpoint, pick_device, save_checkpoint

JUDGED_PX: Final = 96
HEADS: Final = {"subject": list(SUBJECTS), "color": list(COLORS), "setting": list(SETTINGS)}
DRAWN: Final = 9_000
EPOCHS: Final = 8


class Classifier(nn.Module):
    """(B, 3, 96, 96) from -1 to 1, to the logits of every head."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128)
        self.layers = nn.Sequential()
        for narrow, wide in pairwise(widths):
            self.layers.extend(
                (nn.Conv2d(narrow, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.ReLU(), nn.MaxPool2d(2))
            )
        self.heads = nn.ModuleDict(
            {name: nn.Linear(128 * 6 * 6, len(names)) for name, names in HEADS.items()}
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


def draw_labelled(count: int, seed: int) -> tuple[NDArray[np.uint8], dict[str, torch.Tensor]]:
    """Drawn pictures of one subject each, of any combination, and the index of each head's name."""
    rng = random.Random(seed)
    combinations = list(product(*(range(len(names)) for names in HEADS.values())))
    chosen = [rng.choice(combinations) for _ in range(count)]
    pictures = []
    for subject, color, setting in tqdm(chosen, "draw to judge", mininterval=5):
        thing = Subject(HEADS["subject"][subject], HEADS["color"][color])
        pictures.append(draw(Scene((thing,), setting=HEADS["setting"][setting]), JUDGED_PX, rng))
    labels = torch.tensor(chosen)
    return np.stack(pictures), {name: labels[:, i] for i, name in enumerate(HEADS)}


def train_classifier(work: Path) -> Classifier:
    """The trained judge: from the work folder, or trained now, which takes a minute or two."""
    device = pick_device()
    model = Classifier().to(device)
    if state := load_checkpoint(work / "classifier.pt"):
        model.load_state_dict(state)
        return model.eval()
    torch.manual_seed(0)
    drawn, labels = draw_labelled(DRAWN, seed=1)
    pictures = to_model(drawn)
    batches = [batch for _ in range(EPOCHS) for batch in torch.randperm(DRAWN).split(64)]
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=len(batches))
    for batch in tqdm(batches, "train the judge", mininterval=5):
        answers = model(_worn(pictures[batch]).to(device))
        loss = sum(F.cross_entropy(answers[name], labels[name][batch].to(device)) for name in HEADS)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr, no-untyped-call]
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


def judge(model: Classifier, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
    """The index (B,) of each head's name, for pictures (B, 3, H, W) from -1 to 1."""
    with torch.inference_mode():
        answers = model(to_judge(pictures).to(next(model.parameters()).device))
    return {name: logits.argmax(1).cpu() for name, logits in answers.items()}
