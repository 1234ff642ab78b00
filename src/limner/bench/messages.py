"""What the bench and the process of its diffusers control say to each other. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from limner.params import GenerationParams

FLOAT32 = "float32"
CHANNELS_LAST = "channels_last"


def layouts(dtype: str) -> tuple[str, str]:
    """The plain settings in this precision that need no code beside diffusers'."""
    return dtype, f"{dtype}, {CHANNELS_LAST}"


@dataclass(frozen=True, slots=True)
class PlainStart:
    """`device` and `threads` as in the settings."""

    folder: Path
    device: str
    threads: int


@dataclass(frozen=True, slots=True)
class PlainReady:
    """`half`: the precision of half the bits that the device computes in by itself, if any."""

    half: str | None


@dataclass(frozen=True, slots=True)
class Prepare:
    """Turn to this setting (`layouts`)."""

    number: int
    setting: str


@dataclass(frozen=True, slots=True)
class Paint:
    """One picture, at the setting that was prepared last."""

    number: int
    params: GenerationParams
    seed: int


@dataclass(frozen=True, slots=True)
class Done:
    number: int
