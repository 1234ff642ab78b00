"""Filters of fields and pictures as arrays (rows, columns, maybe channels) from 0 to 1."""

from __future__ import annotations

from functools import cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]


def soften(field: Floats, times: int = 1) -> Floats:
    """Blurred by the binomial kernel 1 2 1, along rows and columns, so many times."""
    for _ in range(times):
        padded = np.pad(field, ((1, 1), (1, 1), *((0, 0),) * (field.ndim - 2)), mode="edge")
        rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
        field = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) * np.float32(1 / 16)
    return field


def widen(field: Floats, times: int = 1) -> Floats:
    """Each value as the largest of its own and its four neighbours', so many times."""
    for _ in range(times):
        padded = np.pad(field, 1, mode="edge")
        across = np.maximum(padded[1:-1, :-2], padded[1:-1, 2:])
        along = np.maximum(padded[:-2, 1:-1], padded[2:, 1:-1])
        field = np.maximum(field, np.maximum(across, along))
    return field


def largest(values: NDArray[Any]) -> NDArray[Any]:
    """The largest channel of each pixel; quicker than `max` along a short axis."""
    found: NDArray[Any] = reduce(np.maximum, np.moveaxis(values, -1, 0))
    return found


def contours(layer: Bytes, low: int, high: int) -> Floats:
    """Lines two pixels wide between areas that differ: 0 where by `low` of 255 or less, 1 from `high` on."""
    values = layer.astype(np.int16)
    step = np.zeros(layer.shape[:2], np.int16)
    step[:, 1:-1] = largest(np.abs(values[:, 2:] - values[:, :-2]))
    step[1:-1] = np.maximum(step[1:-1], largest(np.abs(values[2:] - values[:-2])))
    lines: Floats = np.clip((step - low) * np.float32(1 / (high - low)), 0, 1)
    return lines


def bloom(light: Floats) -> Floats:
    """Light spread about where it shines: a narrow and a wide blur of it together."""
    quarter = _halved(_halved(light))
    spread = 0.75 * soften(quarter, 3)
    spread += 0.55 * _enlarged(_enlarged(soften(_halved(quarter), 4), 2, 0), 2, 1)
    return _enlarged(_enlarged(spread, 4, 0), 4, 1)


def _halved(field: Floats) -> Floats:
    """The means over squares of two by two."""
    rows = field[::2] + field[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25)


def _enlarged(field: Floats, times: int, axis: int) -> Floats:
    """Linearly interpolated along one axis."""
    count = field.shape[axis]
    at = np.clip((np.arange(count * times, dtype=np.float32) + 0.5) / times - 0.5, 0, count - 1)
    low = np.minimum(at.astype(np.intp), count - 2)
    share = (at - low).astype(np.float32)
    share = share.reshape([-1 if i == axis else 1 for i in range(field.ndim)])
    found: Floats = np.take(field, low, axis) * (1 - share) + np.take(field, low + 1, axis) * share
    return found


@cache
def noise(size: int, cell: int, seed: int) -> Floats:
    """(size, size) of smooth noise from -1 to 1 with features of so many pixels; the same for a seed."""
    grid = np.random.default_rng(seed).uniform(-1, 1, (size // cell + 1,) * 2).astype(np.float32)
    field = _enlarged(_enlarged(grid, cell, 0), cell, 1)[:size, :size]
    field = soften(field, max(cell // 4, 1))
    return np.ascontiguousarray(field / np.abs(field).max())


def oklab(color: Floats) -> Floats:
    """Red, green and blue as Oklab's lightness and two opponent colours (Ottosson 2020)."""
    linear = np.asarray(color, np.float32) ** 2.2
    to_lms = np.array(
        [(0.4122, 0.5363, 0.0514), (0.2119, 0.6807, 0.1074), (0.0883, 0.2817, 0.6300)], np.float32
    )
    to_lab = np.array(
        [(0.2105, 0.7936, -0.0041), (1.9780, -2.4286, 0.4506), (0.0259, 0.7828, -0.8087)], np.float32
    )
    found: Floats = np.cbrt(linear @ to_lms.T) @ to_lab.T
    return found
