"""Settings and parameters as options of the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from limner.errors import Unusable
from limner.params import GenerationParams, field_error
from limner.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])
# What makes pictures, and how: every command that paints takes these.
ENGINE = (
    *("model", "device", "backend", "dtype", "threads", "exact", "compile", "memory_gb", "safety_checker"),
    "cache_dir",
)


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
