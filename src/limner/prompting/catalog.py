"""From a `--prompt-model` reference to a folder with a whole GPT-2. No torch here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from limner.errors import ModelUnusable
from limner.models.folder import Source, read_json
from limner.models.hub import snapshot
from limner.models.weights import check_weights

WRITER: Final = "writer"


def find(reference: str) -> Path:
    """The folder of `writer`, of a path, or of a hub id, which is downloaded if it is not here yet.

    Raises `ModelUnusable` with one line that says what is wrong and what to do.
    """
    folder = SOURCE.locate(reference)
    check(folder)
    return folder


def short_name(reference: str) -> str:
    """What people are shown: a folder's last part; a hub id whole."""
    folder = Path(reference).expanduser()
    return folder.resolve().name if reference != WRITER and folder.exists() else reference


def check(folder: Path) -> None:
    """Raises `ModelUnusable` unless `folder` holds a GPT-2 as transformers saves it."""
    config = read_json(folder / "config.json")
    kind = config.get("model_type") or "model of unknown type"
    if kind != "gpt2":
        raise ModelUnusable(f"{folder} is a {kind}; the prompt writer opens GPT-2 (model_type gpt2)")
    check_weights(folder)
    if not (folder / "tokenizer.json").is_file():
        for name in ("vocab.json", "merges.txt"):
            if not (folder / name).is_file():
                raise ModelUnusable(
                    f"{folder} has neither tokenizer.json nor {name}; download the model again"
                )


def _download(hub_id: str) -> Path:
    return snapshot(hub_id, ("*.safetensors", "*.json", "*.txt"), ("*/*",))


_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")  # some are old enough to have no owner
SOURCE: Final = Source((WRITER,), "config.json", "gpt2", _HUB_ID, _download)
