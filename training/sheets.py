"""Contact sheets: many small pictures on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

SIDE_PX = 192
LINE_PX = 13
LETTERS = 32  # that fit under a picture


def write_sheet(pictures: torch.Tensor, captions: Sequence[str], path: Path, columns: int) -> None:
    """Write a page of the pictures (B, 3, H, W) from -1 to 1, with captions below if there are any."""
    room = 2 * LINE_PX + 4 if captions else 0
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * SIDE_PX, rows * (SIDE_PX + room)), "white")
    pen = ImageDraw.Draw(page)
    for i, picture in enumerate(pictures):
        x, y = i % columns * SIDE_PX, i // columns * (SIDE_PX + room)
        pixels = picture.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(1, 2, 0).numpy()
        small = Image.fromarray(np.ascontiguousarray(pixels)).resize(
            (SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS
        )
        page.paste(small, (x, y))
        for line, text in enumerate(_lines(captions[i]) if captions else ()):
            pen.text((x + 3, y + SIDE_PX + 1 + line * LINE_PX), text, fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)


def _lines(text: str) -> list[str]:
    """The text in at most two lines."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > LETTERS and len(lines) < 2:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
