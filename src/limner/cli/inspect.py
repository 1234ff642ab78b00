"""`limner inspect`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from limner.cli.options import settings_from, settings_options
from limner.errors import InvalidInput, Unusable


@click.command()
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
