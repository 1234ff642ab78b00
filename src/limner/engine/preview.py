"""The picture so far, small."""

from __future__ import annotations

import io

import torch
from PIL import Image

MEDIA_TYPE = "image/webp"
MAX_BYTES = 6000
LONG_SIDE_PX = 128


def encode_preview(pixels: torch.Tensor) -> bytes:
    """A WebP of at most 6,000 bytes of pixels `(h, w, 3)`, uint8, softly enlarged."""
    image = Image.fromarray(pixels.numpy())
    scale = LONG_SIDE_PX / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.BICUBIC)
    for quality in (60, 30, 10, 1):
        encoded = io.BytesIO()
        image.save(encoded, "WEBP", quality=quality, method=0)
        if encoded.tell() <= MAX_BYTES:
            break
    return encoded.getvalue()
