"""A linear map from latents to colours: a preview that costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional


class LatentRgb:
    """`rows`: red, green and blue (-1 to 1) of one unit of each latent channel; a last row: the offset."""

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        self._rows = torch.tensor(rows, dtype=torch.float32)

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """Pixels `(h, w, 3)`, uint8 on the CPU, of latents `(C, h, w)`."""
        channels = latents.shape[0]
        colours = latents.float().cpu().permute(1, 2, 0) @ self._rows[:channels]
        if len(self._rows) > channels:
            colours = colours + self._rows[channels]
        return (colours * 127.5 + 127.5).clamp(0, 255).to(torch.uint8)


@torch.inference_mode()
def fitted(encode: Callable[[torch.Tensor], torch.Tensor]) -> list[list[float]]:
    """The rows of the least squares map for an `encode` from pixels `(B, 3, H, W)` to latents."""
    generator = torch.Generator().manual_seed(0)
    # Large soft patches of every colour; a decoder's answer to them is what a preview can show.
    patches = torch.rand((8, 3, 4, 4), generator=generator) * 2 - 1
    pixels = functional.interpolate(patches, size=(128, 128), mode="bicubic", align_corners=False).clamp(
        -1, 1
    )
    latents = encode(pixels).cpu()
    colours = functional.interpolate(pixels, size=latents.shape[-2:], mode="area")
    inputs = latents.permute(0, 2, 3, 1).flatten(0, 2)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    targets = colours.permute(0, 2, 3, 1).flatten(0, 2)
    solution: torch.Tensor = torch.linalg.lstsq(inputs.double(), targets.double(), driver="gelsd").solution
    rows: list[list[float]] = solution.float().tolist()
    return rows
