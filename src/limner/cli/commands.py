"""The commands, and what becomes of a person's mistake."""

from __future__ import annotations

import sys

import click

from limner import __version__
from limner.cli.bench import bench
from limner.cli.generate import generate
from limner.cli.inspect import inspect
from limner.cli.keys import keys
from limner.cli.models import models
from limner.cli.prompt import prompt
from limner.cli.serve import serve
from limner.errors import InvalidInput, LimnerError, Unusable

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="limner")
def cli() -> None:
    """Limner paints what you write: a website, a web API and a command line.

    Every option is also an environment variable: --data-dir is LIMNER_DATA_DIR.
    """


for command in (serve, generate, prompt, bench, models, keys, inspect):
    cli.add_command(command)


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
