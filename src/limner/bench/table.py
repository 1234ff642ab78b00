"""A report as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from limner.bench.load import Figures
from limner.bench.report import STEP, Beside, Load, Report, name_of

Row = Sequence[str]


def tables(report: Report) -> str:
    """Every table, and at the end the figures with their bars."""
    return "\n\n".join("\n".join(block) for block in _blocks(report))


def _blocks(report: Report) -> Iterator[list[str]]:
    yield _head(report)
    yield _curve(report)
    yield _alone(report)
    yield _parts(report)
    yield _burst(report)
    for load in report.loads:
        yield _load(load)
    yield _beside(report.beside)
    yield _figures(report)


def _head(report: Report) -> list[str]:
    machine, subject = report.machine, report.subject
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items() if version)
    low, high = subject.long_steps
    return [
        f"Limner {report.limner} · {machine.processor}, {machine.cores} cores · {libraries}",
        f"{subject.model}, {subject.width}×{subject.height}, {subject.steps} steps, guidance "
        f"{subject.guidance_scale:g}; mixed: {subject.short_steps} steps and {low} to {high}, "
        f"{' and '.join(subject.mixed)}",
    ]


def _curve(report: Report) -> list[str]:
    rows = [
        (
            str(point.rows),
            _ms(point.step_s),
            f"{point.rows_s:.1f}",
            "← most" * (point.rows == report.most_rows),
        )
        for point in report.curve
    ]
    return _table("Batch curve", ("rows", "step", "rows/s", ""), rows)


def _alone(report: Report) -> list[str]:
    best = min(s for way, s in report.alone.seconds.items() if way != STEP)
    rows = [(name_of(way), _s(s), f"{s / best:.2f}×") for way, s in report.alone.seconds.items()]
    found = _table("One picture alone", ("way", "time", "against the best plain"), rows)
    return [*found, *(f"  {name_of(way)} is left out: {reason}" for way, reason in report.left_out.items())]


def _parts(report: Report) -> list[str]:
    rows = [
        (one.through, _s(one.text_s), _s(one.steps_s), _s(one.decode_s), _s(one.file_s))
        for one in report.parts
    ]
    return _table("Where a picture's time goes", ("through the", "text", "steps", "decode", "file"), rows)


def _burst(report: Report) -> list[str]:
    rates = report.burst.images_s
    limner = rates[STEP]
    rows = [
        (name_of(way), f"{rate:.2f}", f"{limner / rate:.2f}×", _number(report.burst.rows_per_step.get(way)))
        for way, rate in rates.items()
    ]
    share = report.burst.share_of_curve
    found = _table(
        f"{report.burst.clients} clients at once", ("way", "images/s", "Limner against it", "rows/step"), rows
    )
    return [*found, f"Limner reaches {share:.0%} of its best batch's rate."] if share else found


def _load(load: Load) -> list[str]:
    columns = (
        "way",
        "images/s",
        "p50",
        "p95",
        "p99",
        "light p95",
        "heavy p95",
        "preview",
        "in 5×",
        "rows/step",
        "left",
    )
    title = f"Poisson arrivals, {load.arrivals_s:.2f}/s, {load.times_serial:g} × what one by one can do"
    return _table(title, columns, [(name_of(way), *_figures_of(found)) for way, found in load.ways.items()])


def _figures_of(found: Figures) -> Row:
    bound = ">" if found.unfinished else ""
    seconds = (
        *(found.waited.p50_s, found.waited.p95_s, found.waited.p99_s),
        *(found.light.p95_s, found.heavy.p95_s),
    )
    return (
        f"{found.images_s:.2f}",
        *(f"{bound}{_s(one)}" for one in seconds),
        _s(found.preview.p95_s),
        f"{found.within_5_solo:.0%}",
        _number(found.rows_per_step),
        str(found.unfinished or ""),
    )


def _beside(found: Sequence[Beside]) -> list[str]:
    columns = (
        "through the",
        "alone p95",
        "beside p95",
        "ratio",
        "preview alone",
        "beside",
        "rows/step",
        "heavy made",
    )
    rows = [
        (
            one.through,
            _s(one.alone.p95_s),
            _s(one.beside.p95_s),
            "" if one.p95_ratio is None else f"{one.p95_ratio:.2f}×",
            _s(one.preview_alone.p95_s),
            _s(one.preview_beside.p95_s),
            _number(one.rows_per_step),
            str(one.heavy_images),
        )
        for one in found
    ]
    return _table("A light person beside a heavy one", columns, rows)


def _figures(report: Report) -> list[str]:
    rows = []
    for figure in report.figures:
        value = "–" if figure.value is None else f"{figure.value:.2f} {figure.unit}"
        sign = "≥" if figure.at_least else "≤"
        bar = "" if figure.bar is None else f"{sign} {figure.bar:g} {figure.unit}"
        rows.append((figure.what, value, bar, {True: "holds", False: "MISSED", None: ""}[figure.holds]))
    return _table("Figures", ("what", "measured", "bar", ""), rows)


def _table(title: str, columns: Row, rows: Sequence[Row]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (columns, *rows)
    ]
    return [title, *(f"  {line}" for line in lines)]


def _s(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return _ms(seconds) if seconds < 0.1 else f"{seconds:.2f} s"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
