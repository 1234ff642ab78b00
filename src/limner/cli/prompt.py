"""`limner prompt`."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import click

from limner.cli.options import settings_from, settings_options
from limner.cli.parts import writer_from
from limner.params import SEEDS, Voice

if TYPE_CHECKING:
    from limner.prompting.messages import PromptRequest
    from limner.settings import Settings


@click.command()
@click.argument("text", default="")
@click.option("--count", type=click.IntRange(1, 1000), default=1, help="How many prompts  [1]", metavar="X")
@click.option(
    "--seed", type=click.IntRange(0, SEEDS - 1), help="The same seed writes the same prompt", metavar="X"
)
@click.option(
    "--temperature", type=click.FloatRange(0.1, 2), default=1.0, help="Higher is wilder  [1.0]", metavar="X"
)
@click.option(
    "--max-new-tokens",
    type=click.IntRange(1, 200),
    default=60,
    help="Longest continuation  [60]",
    metavar="X",
)
@click.option(
    "--voice",
    type=click.Choice([voice.value for voice in Voice]),
    default=Voice.STARTER.value,
    help="For the starter model or for full ones  [starter]",
    metavar="X",
)
@settings_options("prompt_model", "log_level")
def prompt(text: str, count: int, seed: int | None, **given: Any) -> None:
    """Write prompts with GPT-2, from nothing or continuing TEXT."""
    from limner.prompting.messages import PromptRequest

    settings = settings_from(prompt_model=given.pop("prompt_model"), log_level=given.pop("log_level"))
    given["voice"] = Voice(given["voice"])
    first = secrets.randbelow(SEEDS) if seed is None else seed
    seeds = [(first + number) % SEEDS for number in range(count)]
    asyncio.run(_write([PromptRequest(f"{seed}", text, seed=seed, **given) for seed in seeds], settings))


async def _write(requests: list[PromptRequest], settings: Settings) -> None:
    writer = writer_from(settings)
    await writer.start()
    try:
        await writer.ready()
        for request in requests:
            click.echo(request.text, nl=False)
            async for piece in writer.write(request):
                click.echo(piece, nl=False)
            click.echo()
    finally:
        await writer.stop()
