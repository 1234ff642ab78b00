"""From what a person names a model by to the folder that holds it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import limner
from limner.errors import ModelUnusable


@dataclass(frozen=True, slots=True)
class Source:
    """Where a kind of model comes from: those that are `shipped`, folders, and the hub.

    `holds` is the file that a folder is known by, `example` a hub id, for messages. `hub_id` is the form of
    ids that are tried at the hub, `download` fetches one.
    """

    shipped: tuple[str, ...]
    holds: str
    example: str
    hub_id: re.Pattern[str]
    download: Callable[[str], Path]

    def locate(self, reference: str) -> Path:
        """Raises `ModelUnusable` with one line that says what is wrong and what to do."""
        if reference in self.shipped:
            folder = Path(limner.__file__).parent / "weights" / reference
            if not folder.is_dir():
                raise ModelUnusable(f"{reference} is not installed ({folder} is missing); reinstall limner")
            return folder
        folder = Path(reference).expanduser()
        if folder.is_dir():
            return folder.resolve()
        if folder.exists():
            raise ModelUnusable(f"{reference} is a file; give the folder that holds {self.holds}")
        if self.hub_id.fullmatch(reference):
            return self.download(reference)
        wanted = (
            f"{', '.join(self.shipped)}, a folder that holds {self.holds}, or a hub id such as {self.example}"
        )
        raise ModelUnusable(f"no folder {reference}; give {wanted}")


def read_json(file: Path) -> dict[str, Any]:
    """The object in a model's JSON file. Raises `ModelUnusable`."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelUnusable(
            f"{file.parent} has no {file.name}; give another folder, or download the model again"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"{file} cannot be read as JSON ({error}); download the model again") from None
    if not isinstance(value, dict):
        raise ModelUnusable(f"{file} is not a JSON object; download the model again")
    return value
