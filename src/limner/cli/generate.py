"""`limner generate`."""

from __future__ import annotations

import asyncio
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.options import ENGINE, params_options, settings_from, settings_options
from limner.cli.parts import engine_from
from limner.params import SEEDS, resolve, submission

if TYPE_CHECKING:
    from limner.settings import Settings
    from limner.store.job import NewImage

SETTINGS = (*ENGINE, "data_dir", "sign_cert", "sign_key", "log_level")


@click.command()
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File, or folder for several pictures",
    metavar="PATH",
)
@params_options
@settings_options(*SETTINGS)
def generate(prompts: tuple[str, ...], output: Path | None, **given: Any) -> None:
    """Paint pictures without a server, those of several prompts together.

    They also appear in the website's gallery.
    """
    settings = settings_from(**{name: given.pop(name) for name in SETTINGS})
    asyncio.run(_generate(prompts, given, output, settings))


async def _generate(
    prompts: tuple[str, ...], given: dict[str, Any], output: Path | None, settings: Settings
) -> None:
    from tqdm import tqdm

    from limner.api.people import OPERATOR
    from limner.service.offline import Output, loaded, paint
    from limner.service.provenance import Provenance
    from limner.store.store import Store

    target = Output(output)
    given["output_format"] = given["output_format"] or target.format
    engine = engine_from(settings)
    seeds = [secrets.randbelow(SEEDS) for _ in prompts]
    asked = [submission(prompt=text, **given) for text in prompts]
    jobs = [resolve(values, engine.models(), seed) for values, seed in zip(asked, seeds, strict=True)]
    target.prepare(sum(params.num_images for params in jobs))
    store = Store(settings.data_dir, serve=False)
    made: list[list[NewImage]] = [[] for _ in jobs]
    try:
        provenance = Provenance.of(store, settings.sign_cert, settings.sign_key)
        await engine.start()
        steps = sum(params.num_inference_steps * params.num_images for params in jobs)
        with tqdm(total=steps, desc="loading", unit="step") as bar:
            await loaded(engine)
            bar.set_description("painting")
            async for painted in paint(engine, jobs, provenance, bar.update):
                params = jobs[painted.job]
                bar.write(str(target.write(painted.image, params)), file=sys.stdout)
                made[painted.job].append(painted.image)
                if len(made[painted.job]) == params.num_images:
                    store.record_finished(OPERATOR, params, made[painted.job])
    finally:
        await engine.stop()
        store.close()
