"""`limner bench`."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from limner.cli.options import ENGINE, settings_from, settings_options
from limner.cli.parts import engine_from
from limner.errors import Unusable


@click.command()
@click.option(
    "--load",
    "loads",
    type=click.FloatRange(0.05, 20),
    multiple=True,
    help="Arrivals, times what one by one can do; repeat for several  [0.7, 1.3]",
    metavar="X",
)
@click.option(
    "--seconds", type=click.FloatRange(0.5, 3600), help="Of arrivals at each load  [8]", metavar="X"
)
@click.option(
    "--clients", type=click.IntRange(1, 256), help="Who ask at once in the burst  [16]", metavar="X"
)
@click.option("--rounds", type=click.IntRange(1, 100), help="Rounds to take medians of  [3]", metavar="X")
@click.option(
    "--asks", type=click.IntRange(1, 1000), help="Of the person beside the heavy one  [20]", metavar="X"
)
@click.option("--short-steps", type=click.IntRange(1, 150), help="Steps of short requests  [4]", metavar="X")
@click.option(
    "--long-steps",
    type=(click.IntRange(1, 150), click.IntRange(1, 150)),
    help="Fewest and most steps of long requests  [20 50]",
    metavar="X Y",
)
@click.option("--seed", type=int, help="Of the arrivals  [0]", metavar="X")
@click.option("--quick", is_flag=True, help="In a fraction of the time, for a first look")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder for bench.json and bench.svg  [here]",
    metavar="PATH",
)
@settings_options(*ENGINE)
def bench(output: Path, quick: bool, **given: Any) -> None:
    """Measure serving against plain diffusers loops on the same weights.

    Prints tables, and writes bench.json and bench.svg. Takes about four minutes with the starter model.
    """
    from limner.bench import bench as benchmark
    from limner.bench.plan import Plan
    from limner.bench.plot import draw
    from limner.bench.table import tables
    from limner.models.catalog import open_model

    settings = settings_from(**{name: given.pop(name) for name in ENGINE})
    # One model, and nothing logged between the bar and the tables.
    settings = settings.model_copy(update={"model": settings.model[:1], "log_level": "error"})
    plan = Plan(**{name: value for name, value in given.items() if value not in (None, ())})
    command = shlex.join(["limner", *sys.argv[1:]])
    _make_folder(output)
    asked = benchmark.Asked(
        open_model(settings.model[0], cache_dir=settings.cache_dir),
        engine_from(settings),
        settings.device,
        settings.threads,
        plan.quick() if quick else plan,
        command,
    )
    report = asyncio.run(benchmark.run(asked))
    report.write(output / "bench.json")
    draw(report, output / "bench.svg")
    click.echo(tables(report))
    click.echo(f"\nWritten: {output / 'bench.json'}, {output / 'bench.svg'}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unusable(f"{folder} cannot be made ({error.strerror}); choose another with -o") from None
