"""Where training keeps what it makes (outside the checkout), and what it runs on."""

from __future__ import annotations

import argparse
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import platformdirs
import torch

PICTURE_PX = 256


def add_work_flag(parser: argparse.ArgumentParser) -> None:
    """`--work FOLDER`, else $LIMNER_TRAINING_WORK, else the user's cache folder."""
    default = os.environ.get("LIMNER_TRAINING_WORK") or platformdirs.user_cache_dir("limner-training")
    parser.add_argument(
        "--work", type=Path, default=Path(default), help="folder for checkpoints (%(default)s)"
    )


def pick_device() -> torch.device:
    """A GPU if there is one, else the CPU."""
    # cuDNN's attention can have gradients that are not finite on Hopper (as in pytorch/pytorch#196678)
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.backends.cuda.matmul.allow_tf32 = True
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def spare_processors(device: torch.device) -> int:
    """How many processes may draw beside what runs on the device: half of the processors if it is these."""
    processors = os.cpu_count() or 2
    return max(1, processors // 2 if device.type == "cpu" else processors - 8)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 by itself; else it is a hundred times slower than float32."""
    return device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()


def half_precision(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where the device has it: about twice as fast as float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write the state so that a run killed at any moment leaves a whole checkpoint, the old or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state saved there, on the CPU, or `None` if there is none yet."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
