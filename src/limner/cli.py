"""The command line: builds everything and passes it down.

What a command needs beyond its words is imported inside it, so that `--help` answers at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import ValidationError

from limner import __version__
from limner.errors import InvalidInput, LimnerError, Unusable
from limner.params import SEEDS, GenerationParams, Voice, field_error, resolve, submission
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.engine.local import LocalEngine
    from limner.prompting.local import LocalPromptWriter
    from limner.prompting.messages import PromptRequest
    from limner.store.job import NewImage

Command = TypeVar("Command", bound=Callable[..., Any])
GENERATION_SETTINGS = (
    "model",
    "device",
    "backend",
    "dtype",
    "threads",
    "exact",
    "compile",
    "memory_gb",
    "data_dir",
    "cache_dir",
    "sign_cert",
    "sign_key",
    "log_level",
)
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def settings_options(*names: str) -> Callable[[Command], Command]:
    """The named fields of `Settings` as options."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            field = Settings.model_fields[name]
            shown = field.get_default(call_default_factory=True, validated_data={})
            default = ", ".join(shown) if isinstance(shown, tuple) else shown
            flag = f"--{name.replace('_', '-')}"
            if field.annotation is bool:
                command = click.option(flag, is_flag=True, default=None, help=field.description)(command)
                continue
            bare = field.json_schema_extra.get("bare") if isinstance(field.json_schema_extra, dict) else None
            if bare is not None:
                told = field.description
                command = click.option(flag, is_flag=False, flag_value=str(bare), help=told, metavar="[X]")(
                    command
                )
                continue
            told = f"{field.description}  [{default}]" if default not in (None, "") else field.description
            several = isinstance(shown, tuple)
            command = click.option(flag, multiple=several, help=told, metavar="X")(command)
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


def engine_from(settings: Settings) -> LocalEngine:
    from limner.engine.local import LocalEngine
    from limner.models.catalog import open_models
    from limner.models.safety_folder import open_safety

    return LocalEngine(
        open_models(settings.model),
        device=settings.device,
        backend=settings.backend,
        dtype=settings.dtype,
        threads=settings.threads,
        exact=settings.exact,
        compiled=settings.compile,
        memory_gb=settings.memory_gb,
        safety=open_safety(settings.safety_checker) if settings.safety_checker else None,
        cache_dir=settings.cache_dir,
        log_level=settings.log_level,
    )


def writer_from(settings: Settings) -> LocalPromptWriter:
    from limner.prompting import catalog
    from limner.prompting.local import LocalPromptWriter

    folder = catalog.find(settings.prompt_model)
    return LocalPromptWriter(folder, catalog.short_name(settings.prompt_model), log_level=settings.log_level)


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

    settings = settings_from(**given)
    sys.exit(run_server(settings, engine_from(settings), writer_from(settings), _announce, _announce_public))


def _announce(url: str) -> None:
    click.echo(f"Limner paints at {url}  (Ctrl+C ends it)")


def _announce_public(url: str, qr_code: str, used: str) -> None:
    click.echo(f"Limner paints for the world at {url}")
    with contextlib.suppress(UnicodeEncodeError):  # a terminal without these characters
        click.echo(qr_code, nl=False)
    click.echo(used[:1].upper() + used[1:])


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
    settings = settings_from(**{name: given.pop(name) for name in GENERATION_SETTINGS})
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


@cli.command()
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
    "--asks", type=click.IntRange(1, 1000), help="Of the person beside the heavy one  [10]", metavar="X"
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
@settings_options("model", "device", "threads")
def bench(output: Path, quick: bool, **given: Any) -> None:
    """Measure serving against plain diffusers loops on the same weights.

    Prints tables, and writes bench.json and bench.svg. Takes about four minutes with the starter model.
    """
    from limner.bench import bench as benchmark
    from limner.bench.plan import Plan
    from limner.bench.plot import draw
    from limner.bench.table import tables
    from limner.models.catalog import open_model

    settings = settings_from(**{name: given.pop(name) for name in ("model", "device", "threads")})
    plan = Plan(**{name: value for name, value in given.items() if value not in (None, ())})
    command = shlex.join(["limner", *sys.argv[1:]])
    _make_folder(output)
    model = open_model(settings.model[0])
    asked = benchmark.Asked(
        model, settings.device, settings.threads, plan.quick() if quick else plan, command
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


@cli.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE...",
)
@settings_options("data_dir")
def inspect(files: tuple[Path, ...], data_dir: str | None) -> None:
    """Print what picture files say of themselves, and whether it still holds.

    Exits with 1 unless every file has a manifest whose signature holds.
    """
    from limner.service.inspection import MAX_FILE_BYTES
    from limner.service.inspection import inspect as inspected
    from limner.service.provenance import authority_in

    authority = authority_in(settings_from(data_dir=data_dir).data_dir)
    hold = True
    for file in files:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise Unusable(f"{file} is larger than {MAX_FILE_BYTES >> 20} MiB; inspect smaller files")
        try:
            found = inspected(file.read_bytes(), authority)
        except InvalidInput as error:
            click.echo(f"{file}\n  {error.fields[0].message}")
            hold = False
            continue
        click.echo(f"{file}\n{found}")
        hold = hold and found.manifest is not None and found.manifest.holds
    sys.exit(0 if hold else 1)


@cli.group()
def models() -> None:
    """The models that Limner can paint with."""


@models.command("list")
@settings_options("model")
def list_models(**given: Any) -> None:
    """The starter model, those named by --model, and those in the hub's cache."""
    from limner.models.catalog import STARTER, cached, open_model

    for reference in dict.fromkeys((STARTER, *settings_from(**given).model, *cached())):
        model = open_model(reference).info
        size, steps = f"{model.width}×{model.height}", f"{model.num_inference_steps} steps"
        click.echo(f"{reference:<40} {model.family:<18} {size:>9} {steps:>9}  {model.draws or ''}".rstrip())


@cli.group()
def keys() -> None:
    """Keys for whoever may use the server from elsewhere. These work while it runs."""


@keys.command("create")
@click.option("--name", required=True, help="Whose it is, or what for", metavar="X")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    help="generate, prompts, read or admin; repeat for several  [the first three]",
    metavar="X",
)
@click.option(
    "--quota",
    type=click.FloatRange(0, min_open=True),
    help="Megapixel-steps a day  [any number]",
    metavar="X",
)
@click.option("--rate", type=click.IntRange(1), help="Requests for work a minute  [any number]", metavar="X")
@click.option("--queued", type=click.IntRange(1), help="Jobs that may wait  [--max-queued]", metavar="X")
@click.option("--expires", help="After so long (30d, 12h), or on a day (2030-01-31)  [never]", metavar="X")
@settings_options("data_dir")
def create_key(name: str, scopes: tuple[str, ...], expires: str | None, data_dir: Path, **given: Any) -> None:
    """Make a key and print it, this once: the record does not keep it."""
    from limner.service.keys import opened, parsed

    new = parsed(name=name, scopes=scopes, expires=expires, **given)
    with opened(settings_from(data_dir=data_dir).data_dir) as record:
        click.echo(record.create(new))


@keys.command("list")
@settings_options("data_dir")
def list_keys(data_dir: Path) -> None:
    """Every key with what it is good for, when it was used last, and whether it still is valid."""
    from limner.service.keys import opened, table

    with opened(settings_from(data_dir=data_dir).data_dir) as record:
        click.echo(table(record.all()))


@keys.command("revoke")
@click.argument("name", metavar="NAME")
@settings_options("data_dir")
def revoke_key(name: str, data_dir: Path) -> None:
    """End the key of this name, or of this id. A running server obeys within a second."""
    from limner.service.keys import opened

    with opened(settings_from(data_dir=data_dir).data_dir) as record:
        click.echo(f"{record.revoke(name).name} is revoked")


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
