"""Is this file what it says it is? Only safetensors are opened, and they are checked by content."""

from __future__ import annotations

import json
import math
from pathlib import Path

from safetensors import SafetensorError, safe_open

from limner.errors import ModelUnusable

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# A zip archive (torch.save since 1.6) and the pickle protocols 2 to 5.
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def check_weights(folder: Path) -> None:
    """Raises `ModelUnusable` unless `folder` holds readable safetensors."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickled = [file.name for file in sorted(folder.glob("*")) if file.suffix in PICKLED]
        if pickled:
            raise ModelUnusable(
                f"{folder} has only pickled weights ({pickled[0]}), which can run code when opened; "
                "use a copy of the model with .safetensors files"
            )
        raise ModelUnusable(f"{folder} has no .safetensors file; download the model again")
    for file in files:
        _check_file(file)


def count_parameters(folder: Path) -> int:
    """How many numbers its weights have; where it holds them twice, those in full precision."""
    files = sorted(folder.glob("*.safetensors"))
    full = [file for file in files if ".fp16." not in file.name]
    return sum(_count_in(file) for file in full or files)


def _count_in(file: Path) -> int:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    return sum(math.prod(header[name]["shape"]) for name in header if name != "__metadata__")


def _check_file(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            start = opened.read(4)
        if start.startswith(_PICKLE_STARTS):
            raise ModelUnusable(
                f"{file} is a pickle under another name and was not opened; get the model elsewhere"
            )
        with safe_open(file, framework="numpy"):  # reads the header and compares it with the file's length
            pass
    except (SafetensorError, OSError) as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise ModelUnusable(f"{file} is corrupt or cut short ({reason}); download the model again") from None
