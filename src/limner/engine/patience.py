"""After how much silence an engine is stuck, not busy. No torch here."""

from __future__ import annotations

# Times what it should take: curves of larger pictures are guessed, and others may want the machine, too.
STUCK_STEPS = 10
# What is compiled, captured or loaded on the way; torch.compile takes minutes for one shape.
PREPARING_S = 600.0
# A full decoder takes half a minute a megapixel on two cores, and may have to be compiled.
DECODING_S = 60.0
DECODING_MEGAPIXEL_S = 300.0
# Told in multiples of this, so that it need not be told at every step.
TOLD_IN_S = 30.0


def step_patience_s(step_s: float, *, prepared: bool) -> float:
    return STUCK_STEPS * step_s + (0.0 if prepared else PREPARING_S)


def decode_patience_s(width: int, height: int) -> float:
    return DECODING_S + DECODING_MEGAPIXEL_S * width * height / 1e6
