"""From a `--prompt-model` reference to a folder with a whole GPT-2. No torch here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import limner
from limner.errors import ModelUnusable
from limner.models.weights import check_weights

WRITER: Final = "writer"
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_FILES: Final = ("*.safetensors", "*.json", "*.txt")


def find(reference: str) -> Path:
    """The folder of `writer`, of a path, or of a hub id, which is downloaded if it is not here yet.

    Raises `ModelUnusable` with one line that says what is wrong and what to do.
    """
    folder = _locate(reference)
    check(folder)
    return folder


def short_name(reference: str) -> str:
    """What people are shown: a folder's last part; a hub id whole."""
    folder = Path(reference).expanduser()
    return folder.resolve().name if reference != WRITER and folder.exists() else reference


def check(folder: Path) -> None:
    """Raises `ModelUnusable` unless `folder` holds a GPT-2 as transformers saves it."""
    config = _read(folder / "config.json")
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


def _locate(reference: str) -> Path:
    if reference == WRITER:
        folder = Path(limner.__file__).parent / "weights" / WRITER
        if not folder.is_dir():
            raise ModelUnusable(f"the prompt writer is not installed ({folder} is missing); reinstall limner")
        return folder
    folder = Path(reference).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.exists():
        raise ModelUnusable(f"{reference} is a file; give the folder that holds its config.json")
    if _HUB_ID.fullmatch(reference):
        return _download(reference)
    raise ModelUnusable(f"no folder {reference}; give {WRITER}, a GPT-2 folder or a hub id such as gpt2")


def _download(hub_id: str) -> Path:
    """The hub's snapshot: as it lies here, else fetched with a progress bar."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True))
        check(folder)
        return folder  # whole already: starting needs no network
    except (LocalEntryNotFoundError, ModelUnusable):
        pass
    except HFValidationError as error:
        raise ModelUnusable(f"{hub_id} is neither a folder nor a hub id: {error}") from None
    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(_FILES), ignore_patterns=["*/*"]))
    except RepositoryNotFoundError:
        raise ModelUnusable(
            f"the hub has no public model {hub_id}; check the name, or set HF_TOKEN for a private one"
        ) from None
    except OSError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelUnusable(
            f"no folder {hub_id} here, and downloading it from the hub failed: {reason}; check the network"
        ) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelUnusable(f"{file.parent} is not a GPT-2 folder: it has no {file.name}") from None
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"{file} cannot be read as JSON ({error}); download the model again") from None
    if not isinstance(value, dict):
        raise ModelUnusable(f"{file} is not a JSON object; download the model again")
    return value
