"""What the bench and the process of its diffusers control say to each other. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from limner.params import GenerationParams

FLOAT32 = "float32"
BFLOAT16 = "bfloat16"
# Of the plain settings that need no code beside diffusers'; the first is what it does by itself.
SETTINGS = (FLOAT32, f"{FLOAT32}, channels_last", BFLOAT16, f"{BFLOAT16}, channels_last")


@dataclass(frozen=True, slots=True)
class PlainStart:
    """`device` and `threads` as in the settings."""

    folder: Path
    device: str
    threads: int


@dataclass(frozen=True, slots=True)
class PlainReady:
    """`bfloat16`: whether the device computes in it by itself."""

    bfloat16: bool


@dataclass(frozen=True, slots=True)
class Paint:
    """One picture at one of `SETTINGS`."""

    number: int
    setting: str
    params: GenerationParams
    seed: int


@dataclass(frozen=True, slots=True)
class Painted:
    number: int
