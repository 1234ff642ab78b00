"""How torch uses an NVIDIA GPU in this process."""

from __future__ import annotations

import torch

from limner.errors import ModelUnusable

GIB = 2**30


def prepare_gpu(*, exact: bool = False, memory_gb: float | None = None) -> None:
    """Before the first model is loaded. `exact`: only kernels that repeat themselves to the bit.

    `memory_gb`: what tensors may take, in GiB; the driver takes about half of one besides. Raises
    `ModelUnusable` where the card has less.
    """
    # What stays in float32 may multiply in TF32: ten bits of the fraction, and all of the range.
    torch.set_float32_matmul_precision("high")
    # Shapes are few and fixed, so it pays to try the kernels of each once.
    torch.backends.cudnn.benchmark = not exact
    torch.backends.cudnn.deterministic = exact
    if memory_gb is not None:
        there_gb = torch.cuda.get_device_properties(0).total_memory / GIB
        if memory_gb > there_gb:
            raise ModelUnusable(f"--memory-gb {memory_gb:g}: the GPU has {there_gb:.1f}; give less")
        torch.cuda.set_per_process_memory_fraction(memory_gb / there_gb)
