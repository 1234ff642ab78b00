"""What a run found. Its fields are those of the JSON file; `SCHEMA` counts up when one's meaning changes."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from limner.bench.load import Figures, Quantiles
from limner.bench.machine import Machine
from limner.bench.messages import FLOAT32
from limner.bench.plan import Plan
from limner.store.job import Durations

SCHEMA = 1
STEP, WHOLE, ONE = "limner", "limner whole batches", "limner one by one"
DIFFUSERS = "diffusers "

# How each way is called in tables and plots.
NAMES = {
    STEP: "Limner",
    WHOLE: "its kernels, whole batches",
    ONE: "its kernels, one by one",
}


def plain_way(setting: str) -> str:
    """diffusers' pipeline at one of `layouts`."""
    return f"{DIFFUSERS}{setting}"


def name_of(way: str) -> str:
    return NAMES.get(way, way)


@dataclass(frozen=True, slots=True)
class Subject:
    """The model and the pictures that were asked of it."""

    model: str
    width: int
    height: int
    steps: int
    guidance_scale: float
    short_steps: int
    long_steps: tuple[int, int]
    mixed: list[str]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    rows: int
    step_s: float
    rows_s: float


@dataclass(frozen=True, slots=True)
class Alone:
    """Seconds of one picture with nobody else there, by way: medians."""

    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the time of one picture with nobody else there goes, in seconds: medians.

    `through` the engine, or the whole server, which alone writes a file.
    """

    through: Literal["engine", "server"]
    pictures: int
    text_s: float
    steps_s: float
    decode_s: float
    file_s: float | None

    @classmethod
    def of(cls, through: Literal["engine", "server"], spent: Sequence[Durations]) -> Parts:
        def middle(part: Callable[[Durations], float]) -> float:
            return statistics.median(part(one) for one in spent)

        file_s = middle(lambda one: one.save_s) if through == "server" else None
        return cls(
            through,
            len(spent),
            middle(lambda one: one.encode_s),
            middle(lambda one: one.steps_s),
            middle(lambda one: one.decode_s),
            file_s,
        )


@dataclass(frozen=True, slots=True)
class Burst:
    """Everybody at once; rates are medians of the rounds.

    A way that goes one by one is asked for fewer, because its rate does not depend on it.
    `share_of_curve`: Limner's rate as a share of its largest batch's with steps and nothing else.
    """

    clients: int
    images_s: dict[str, float]
    rows_per_step: dict[str, float | None]
    share_of_curve: float | None


@dataclass(frozen=True, slots=True)
class Load:
    """Poisson arrivals at `times_serial` of what one by one on Limner's kernels can do."""

    times_serial: float
    arrivals_s: float
    ways: dict[str, Figures]


@dataclass(frozen=True, slots=True)
class Beside:
    """A light person alone and beside a heavy one; `through` the engine, or the whole server."""

    through: Literal["engine", "server"]
    alone: Quantiles
    beside: Quantiles
    preview_alone: Quantiles
    preview_beside: Quantiles
    asks: int
    heavy_images: int
    rows_per_step: float | None

    @property
    def p95_ratio(self) -> float | None:
        if self.alone.p95_s is None or self.beside.p95_s is None:
            return None
        return self.beside.p95_s / self.alone.p95_s


@dataclass(frozen=True, slots=True)
class Figure:
    """One number to compare with its bar, if there is one for this model."""

    what: str
    value: float | None
    unit: str
    bar: float | None = None
    at_least: bool = True

    @property
    def holds(self) -> bool | None:
        if self.bar is None or self.value is None:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar


@dataclass(frozen=True, slots=True)
class Report:
    schema: int
    limner: str
    command: str
    began: str
    took_s: float
    stages_s: dict[str, float]
    machine: Machine
    subject: Subject
    plan: Plan
    curve: list[CurvePoint]
    most_rows: int
    alone: Alone
    parts: list[Parts]
    serial_images_s: float
    burst: Burst
    loads: list[Load]
    beside: list[Beside]
    left_out: dict[str, str]
    figures: list[Figure]

    def write(self, file: Path) -> None:
        values = asdict(self)
        for shown, figure in zip(values["figures"], self.figures, strict=True):
            shown["holds"] = figure.holds
        for shown, beside in zip(values["beside"], self.beside, strict=True):
            shown["p95_ratio"] = beside.p95_ratio
        file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def compared(alone: Alone, burst: Burst, beside: list[Beside], starter: bool) -> list[Figure]:
    """The figures that have bars; those of performance bars hold for the starter alone."""
    settings = {way: s for way, s in alone.seconds.items() if way.startswith(DIFFUSERS)}
    best = min(settings, key=lambda way: settings[way])
    rates = burst.images_s
    default = plain_way(FLOAT32)
    found = [
        Figure(
            f"{burst.clients} at once, against diffusers' float32 default",
            _ratio(rates[STEP], rates[default]),
            "×",
            4.0,
        )
    ]
    for way in rates:
        if way.startswith(DIFFUSERS) and way != default:
            label = f"{burst.clients} at once, against {way}"
            found.append(Figure(label, _ratio(rates[STEP], rates[way]), "×", 2.5))
    found.append(
        Figure(
            f"one alone, time against {best}", _ratio(alone.seconds[STEP], settings[best]), "×", 0.6, False
        )
    )
    for one in beside:
        found.append(
            Figure(f"light p95 beside a heavy person ({one.through})", one.p95_ratio, "×", 2.5, False)
        )
        label = f"first preview beside a heavy person, p95 ({one.through})"
        found.append(Figure(label, one.preview_beside.p95_s, "s", 1.5, False))
    return found if starter else [Figure(f.what, f.value, f.unit, None, f.at_least) for f in found]


def _ratio(value: float, control: float) -> float | None:
    return value / control if control else None
