"""The command line: builds everything and passes it down.

What a command needs beyond its words is imported inside it, so that `--help` answers at once.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import ValidationError

from limner import __version__
from limner.errors import InvalidInput, LimnerError, Unusable
from limner.params import SEEDS, GenerationParams, ModelInfo, field_error
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.engine.local import LocalEngine

Command = TypeVar("Command", bound=Callable[..., Any])
GENERATION_SETTINGS = ("model", "device", "threads", "data_dir", "log_level")
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def settings_options(*names: str) -> Callable[[Command], Command]:
    """The named fields of `Settings` as options."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            field = Settings.model_fields[name]
            shown = field.get_default(call_default_factory=True, validated_data={})
            default = ", ".join(shown) if isinstance(shown, tuple) else shown
            command = click.option(
                f"--{name.replace('_', '-')}",
                multiple=name == "model",
                help=f"{field.description}  [{default}]",
                metavar="X",
            )(command)
        return command

    return decorate


def params_options(command: Command) -> Command:
    """The fields of `GenerationParams` as options; `prompt`, `model` and `random` have their own place."""
    for name, field in reversed(GenerationParams.model_fields.items()):
        if name not in ("prompt", "model", "random"):
            flag = f"--{name.replace('_', '-')}"
            command = click.option(flag, help=field.description, metavar="X")(command)
    return command


def settings_from(**given: Any) -> Settings:
    """Flags over environment over defaults. Raises `Unusable` naming the setting that is wrong."""
    try:
        return Settings(**{name: value for name, value in given.items() if value not in (None, ())})
    except ValidationError as error:
        wrong = (field_error(detail) for detail in error.errors())
        raise Unusable(
            "; ".join(f"--{e.field.replace('_', '-')} {e.value}: {e.message}" for e in wrong)
        ) from None


def loaded_models(settings: Settings) -> list[tuple[ModelInfo, Path]]:
    """The models the settings name and their folders, fetched where needed; the first is the default."""
    from limner.models import catalog

    models = []
    for position, reference in enumerate(settings.model):
        folder = catalog.find(reference)
        models.append(
            (catalog.describe(folder, catalog.short_name(reference), default=position == 0), folder)
        )
    return models


def engine_from(settings: Settings) -> LocalEngine:
    from limner.engine.local import LocalEngine

    return LocalEngine(
        loaded_models(settings),
        device=settings.device,
        threads=settings.threads,
        log_level=settings.log_level,
    )


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="limner")
def cli() -> None:
    """Limner paints what you write: a website, a web API and a command line.

    Every option is also an environment variable: --data-dir is LIMNER_DATA_DIR.
    """


@cli.command()
@settings_options(*Settings.model_fields)
def serve(**given: Any) -> None:
    """Run the website and the API."""
    from limner.api.serve import serve as run_server
    from limner.prompting import catalog as writers
    from limner.prompting.local import LocalPromptWriter

    settings = settings_from(**given)
    writer = LocalPromptWriter(
        writers.find(settings.prompt_model), name=settings.prompt_model, log_level=settings.log_level
    )
    sys.exit(run_server(settings, engine_from(settings), writer))


@cli.command()
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File, or folder for several pictures",
    metavar="PATH",
)
@params_options
@settings_options(*GENERATION_SETTINGS)
def generate(prompts: tuple[str, ...], output: Path | None, **given: Any) -> None:
    """Paint pictures without a server.

    Several prompts are painted together. The pictures also appear in the website's gallery.
    """
    from limner.service.studio import paint

    settings = settings_from(**{name: given.pop(name) for name in GENERATION_SETTINGS})
    asyncio.run(paint(prompts, given, output, settings, engine_from(settings)))


@cli.command()
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
@settings_options("model", "prompt_model", "log_level")
def prompt(
    text: str, count: int, seed: int | None, temperature: float, max_new_tokens: int, **given: Any
) -> None:
    """Write prompts with GPT-2, from nothing or continuing TEXT."""
    settings = settings_from(**given)
    first = secrets.randbelow(SEEDS) if seed is None else seed
    asyncio.run(_write_prompts(text, count, first, temperature, max_new_tokens, settings))


async def _write_prompts(
    text: str, count: int, seed: int, temperature: float, max_new_tokens: int, settings: Settings
) -> None:
    from limner.prompting import catalog as writers
    from limner.prompting.local import LocalPromptWriter
    from limner.prompting.messages import PromptRequest

    voice = loaded_models(settings)[0][0].voice
    folder = writers.find(settings.prompt_model)
    writer = LocalPromptWriter(folder, name=settings.prompt_model, log_level=settings.log_level)
    await writer.start()
    try:
        await writer.ready()
        for number in range(count):
            click.echo(text, nl=False)
            request = PromptRequest(
                f"{number}", text, voice, (seed + number) % SEEDS, temperature, max_new_tokens
            )
            async for piece in writer.write(request):
                click.echo(piece, nl=False)
            click.echo()
    finally:
        await writer.stop()


@cli.group()
def models() -> None:
    """The models that Limner can paint with."""


@models.command("list")
@settings_options("model")
def list_models(**given: Any) -> None:
    """The starter model, those named by --model, and those in the hub's cache."""
    from limner.models import catalog

    settings = settings_from(**given)
    references = dict.fromkeys(("starter", *settings.model, *catalog.cached()))
    for reference in references:
        model = catalog.describe(catalog.find(reference), catalog.short_name(reference))
        size = f"{model.width}×{model.height}"
        steps = f"{model.num_inference_steps} steps"
        click.echo(f"{reference:<40} {model.family:<18} {size:>9} {steps:>9}  {model.draws or ''}".rstrip())


def main() -> None:
    """Entry point. A person's mistake is one line on stderr and exit status 2, not a traceback."""
    try:
        cli(standalone_mode=True)
    except (Unusable, InvalidInput) as error:
        click.echo(f"limner: {error}", err=True)
        sys.exit(2)
    except LimnerError as error:
        click.echo(f"limner: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
