"""A report as one SVG: rates of the burst, waiting under load, the light person, and the batch curve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from limner.bench.messages import FLOAT32
from limner.bench.report import ONE, STEP, WHOLE, Report, name_of, plain_way

WIDTH, HEIGHT, PANEL, GAP, TOP = 1040, 760, 480, 40, 84
PLOT_HEIGHT = 250
_COLOURS = {STEP: "#c2410c", WHOLE: "#0f766e", ONE: "#475569"}
_DEFAULT, _PLAIN = "#a8a29e", "#3b82f6"
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2937}.title{font-size:19px;font-weight:600}"
    ".panel{font-size:15px;font-weight:600}.soft{fill:#6b7280;font-size:12px}"
    ".axis{stroke:#d1d5db;stroke-width:1}.line{fill:none;stroke-width:2.5}"
)


def draw(report: Report, file: Path) -> None:
    file.write_text("\n".join(_document(report)), encoding="utf-8")


def _document(report: Report) -> Iterator[str]:
    machine, subject = report.machine, report.subject
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    yield f"<style>{_STYLE}</style><rect width='100%' height='100%' fill='#fff'/>"
    yield _text(GAP, 36, f"Limner {report.limner}, model {subject.model}", "title")
    of = f"{subject.width}×{subject.height}, {subject.steps} steps, guidance {subject.guidance_scale:g}"
    yield _text(GAP, 58, f"{machine.processor}, {machine.cores} cores · {of} · {report.began[:10]}", "soft")
    right, lower = GAP + PANEL + GAP, TOP + PLOT_HEIGHT + 90
    yield from _burst(report, GAP, TOP)
    yield from _curve(report, right, TOP)
    yield from _waiting(report, GAP, lower)
    yield from _light(report, right, lower)
    yield "</svg>"


def _burst(report: Report, x: float, y: float) -> Iterator[str]:
    title = f"{report.burst.clients} clients at once: images a second"
    bars = [(name_of(way), rate, f"{rate:.2f}", _colour(way)) for way, rate in report.burst.images_s.items()]
    yield from _bars(title, bars, x, y)


def _light(report: Report, x: float, y: float) -> Iterator[str]:
    bars = []
    for one in report.beside:
        for when, seconds, colour in (
            ("alone", one.alone.p95_s, "#94a3b8"),
            ("beside a heavy one", one.beside.p95_s, "#c2410c"),
        ):
            if seconds is not None:
                bars.append((f"{one.through}, {when}", seconds, f"{seconds:.2f} s", colour))
    yield from _bars("A light person's wait, p95", bars, x, y)


def _bars(title: str, bars: Sequence[tuple[str, float, str, str]], x: float, y: float) -> Iterator[str]:
    """Each with its name above it."""
    yield _text(x, y + 16, title, "panel")
    most = max((value for _, value, _, _ in bars), default=1.0)
    pitch = min(52.0, PLOT_HEIGHT / max(1, len(bars)))
    for place, (name, value, shown, colour) in enumerate(bars):
        top = y + 36 + place * pitch
        length = max(2.0, (PANEL - 80) * value / most)
        yield _text(x, top + 11, name, "soft")
        yield (
            f'<rect x="{x}" y="{top + 16:.1f}" width="{length:.1f}" height="{pitch - 26:.1f}" rx="3" '
            f'fill="{colour}"/>'
        )
        yield _text(x + length + 8, top + 16 + (pitch - 26) / 2 + 4, shown)


def _curve(report: Report, x: float, y: float) -> Iterator[str]:
    points = [(math.log2(point.rows), point.rows_s) for point in report.curve]
    ticks = [(math.log2(point.rows), str(point.rows)) for point in report.curve]
    lines = [("", points, "#c2410c")]
    yield from _lines("Batch curve: rows a second by rows in a step", lines, ticks, x, y)


def _waiting(report: Report, x: float, y: float) -> Iterator[str]:
    """p95 by load, on a logarithmic scale; one load alone is drawn as bars."""
    title = "Everybody's wait, p95, by arrivals (× one by one)"
    first = report.loads[0].ways if report.loads else {}
    if len(report.loads) < 2:
        bars = [
            (name_of(way), found.waited.p95_s, f"{found.waited.p95_s:.2f} s", _colour(way))
            for way, found in first.items()
            if found.waited.p95_s is not None
        ]
        yield from _bars("Everybody's wait under load, p95", bars, x, y)
        return
    lines = []
    for way in first:
        waits = [(load.times_serial, load.ways[way].waited.p95_s) for load in report.loads]
        known = [(times, math.log10(seconds)) for times, seconds in waits if seconds]
        lines.append((name_of(way), known, _colour(way)))
    ticks = [(load.times_serial, f"{load.times_serial:g}") for load in report.loads]
    yield from _lines(title, lines, ticks, x, y, logarithmic=True)


def _lines(
    title: str,
    lines: Sequence[tuple[str, Sequence[tuple[float, float]], str]],
    ticks: Sequence[tuple[float, str]],
    x: float,
    y: float,
    *,
    logarithmic: bool = False,
) -> Iterator[str]:
    """`logarithmic`: the values of `lines` are logarithms to base 10 of seconds."""
    yield _text(x, y + 16, title, "panel")
    values = [value for _, points, _ in lines for _, value in points]
    if not values or not ticks:
        return
    low, high = (min(values), max(values)) if logarithmic else (0.0, max(values))
    low, high = (math.floor(low), math.ceil(high)) if logarithmic else (low, high * 1.08)
    left, right = ticks[0][0], ticks[-1][0]
    names = sum(1 for name, _, _ in lines if name)
    across, tall = PANEL - 70, PLOT_HEIGHT - 17 * names

    def at(point: tuple[float, float]) -> tuple[float, float]:
        share = (point[0] - left) / ((right - left) or 1.0)
        return x + 44 + share * across, y + 36 + tall * (1 - (point[1] - low) / ((high - low) or 1.0))

    for value in _levels(low, high, logarithmic):
        level = at((left, value))[1]
        yield f'<path class="axis" d="M{x + 44} {level:.1f}H{x + 44 + across}"/>'
        shown = f"{10**value:g} s" if logarithmic else f"{value:g}"
        yield _text(x, level + 4, shown, "soft")
    for place, label in ticks:
        yield _text(at((place, low))[0] - 4, y + 36 + tall + 18, label, "soft")
    for number, (name, points, colour) in enumerate(lines):
        spots = [at(point) for point in points]
        path = "L".join(f"{px:.1f} {py:.1f}" for px, py in spots)
        yield f'<path class="line" stroke="{colour}" d="M{path}"/>'
        for px, py in spots:
            yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}"/>'
        if name:
            under = y + 36 + tall + 38 + 17 * number
            yield f'<rect x="{x + 44}" y="{under - 9:.1f}" width="18" height="4" fill="{colour}"/>'
            yield _text(x + 70, under - 2, name, "soft")


def _levels(low: float, high: float, logarithmic: bool) -> list[float]:
    if logarithmic:
        return [float(power) for power in range(int(low), int(high) + 1)]
    size = 10 ** math.floor(math.log10(high or 1.0))
    step = next(s * size for s in (0.1, 0.2, 0.5, 1, 2) if high / (s * size) <= 6)
    return [round(number * step, 6) for number in range(int(high / step) + 1)]


def _colour(way: str) -> str:
    return _COLOURS.get(way) or (_DEFAULT if way == plain_way(FLOAT32) else _PLAIN)


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'
