"""`limner keys …`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from limner.cli.options import settings_from, settings_options


@click.group()
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
