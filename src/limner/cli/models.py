"""`limner models …`."""

from __future__ import annotations

from typing import Any

import click

from limner.cli.options import settings_from, settings_options


@click.group()
def models() -> None:
    """The models that Limner can paint with."""


@models.command("list")
@settings_options("model")
def list_models(**given: Any) -> None:
    """Those that are shipped, those named by --model, and those in the hub's cache."""
    from limner.models.catalog import SHIPPED, cached, open_model

    settings = settings_from(**given)
    for reference in dict.fromkeys((*SHIPPED, *settings.model, *cached())):
        model = open_model(reference, cache_dir=settings.cache_dir).info
        size, steps = f"{model.width}×{model.height}", f"{model.num_inference_steps} steps"
        click.echo(f"{reference:<40} {model.family:<18} {size:>9} {steps:>9}  {model.draws or ''}".rstrip())
