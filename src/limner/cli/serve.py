"""`limner serve`."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

from limner.cli.options import settings_from, settings_options
from limner.cli.parts import engine_from, writer_from
from limner.settings import Settings


@click.command()
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
