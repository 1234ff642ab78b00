"""Models from the Hugging Face hub: safetensors and their JSON, nothing that could run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limner.errors import ModelUnusable

FOLDERS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
_WANTED = ["model_index.json", "limner.json"] + [
    f"{folder}/*.{kind}" for folder in FOLDERS for kind in ("safetensors", "json", "txt")
]
_HALF = "*.fp16.*"
_UNUSED = ["*non_ema*"]


def download(hub_id: str) -> Path:
    """The hub's snapshot in its cache; a bar shows the way, and an earlier, partial download goes on.

    Without a network, one that was downloaded before is used. Raises `ModelUnusable`.
    """
    folder = snapshot(hub_id, _WANTED, [*_UNUSED, _HALF])
    if not list(folder.glob("unet/*.safetensors")):
        # Some publish half precision alone.
        folder = snapshot(hub_id, _WANTED, _UNUSED)
    return folder


def snapshot(hub_id: str, wanted: Sequence[str], ignored: Sequence[str]) -> Path:
    """The files of a hub repository that match `wanted` and not `ignored`. Raises `ModelUnusable`."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(wanted), ignore_patterns=list(ignored)))
    except HFValidationError as error:
        raise ModelUnusable(f"{hub_id} is neither a folder nor a hub id: {error}") from None
    except RepositoryNotFoundError:
        raise ModelUnusable(
            f"the hub has no public model {hub_id}; check the name, or set HF_TOKEN for a private one"
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelUnusable(
            f"no folder {hub_id} here, and downloading it from the hub failed: {reason}; check the network"
        ) from None
