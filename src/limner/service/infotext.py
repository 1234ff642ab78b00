"""Reads what is written inside a picture file: the `parameters` text of this field, and its settings."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import PIL.Image

from limner.errors import FieldError, InvalidInput
from limner.service.picture import EXIF_IFD, EXIF_USER_COMMENT

FORMATS = ("PNG", "WEBP", "JPEG")
MAX_PIXELS = 64_000_000
_MAX_ITEM = 64 * 1024
_MAX_ITEMS = 32

_SETTING = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
# Fewer on the last line, and it is a sentence with a colon in it.
_FEWEST_SETTINGS = 3


@dataclass(frozen=True, slots=True)
class Infotext:
    """`text`: the parameters as written, or empty. `items`: the other texts in the file."""

    text: str
    items: dict[str, str]


def read(data: bytes) -> Infotext:
    """What is written in a PNG, WebP or JPEG; its pixels are not decoded. Blocks: call in a thread.

    Raises `InvalidInput`.
    """
    try:
        # The library makes room for the pixels of a WebP as soon as it opens one, so look first.
        pixels = _pixels_of_webp(data)
        if pixels <= MAX_PIXELS:
            image = PIL.Image.open(io.BytesIO(data), formats=FORMATS)
            pixels = image.width * image.height
            if pixels <= MAX_PIXELS:
                return written(image)
    except Exception:  # its parsers raise whatever they stumble over
        names = ", ".join(FORMATS)
        reason = f"is no picture that can be read here; send one of: {names}"
        raise InvalidInput(FieldError("image", reason, limit=names)) from None
    limit = f"{MAX_PIXELS // 1_000_000} megapixels"
    reason = f"has {pixels / 1e6:.0f} megapixels; send at most {limit}"
    raise InvalidInput(FieldError("image", reason, pixels, limit))


def _pixels_of_webp(data: bytes) -> int:
    """Of the canvas: only an extended file can say more than 14 bits a side (RFC 9649)."""
    if data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8X":
        return 0
    return (1 + int.from_bytes(data[24:27], "little")) * (1 + int.from_bytes(data[27:30], "little"))


def settings(text: str) -> dict[str, str]:
    """The parts of a `parameters` text: `Prompt`, `Negative prompt`, `Steps`, `Size-1`, …"""
    lines = text.strip().split("\n")
    found = _SETTING.findall(lines[-1])
    if len(found) >= _FEWEST_SETTINGS:
        lines.pop()
    else:
        found = []
    prompt, _, negative = "\n".join(["", *lines]).partition("\nNegative prompt:")
    parts = {"Prompt": prompt.strip(), "Negative prompt": negative.strip()}
    for name, value in found:
        plain = value.strip().strip('"')
        size = re.fullmatch(r"(\d+)x(\d+)", plain)
        if size:
            parts |= {f"{name}-1": size[1], f"{name}-2": size[2]}
        else:
            parts[name] = plain
    return parts


def written(image: PIL.Image.Image) -> Infotext:
    """What is written in an opened picture."""
    items = {
        str(name): value
        for name, value in list(image.info.items())[:_MAX_ITEMS]
        if isinstance(value, str) and len(value) <= _MAX_ITEM
    }
    text = items.pop("parameters", "")
    comment = image.getexif().get_ifd(EXIF_IFD).get(EXIF_USER_COMMENT)
    return Infotext(text or _comment(comment), items)


def _comment(value: object) -> str:
    """EXIF 2.3, 4.6.5: eight bytes name the encoding. Which end comes first nobody says: text tells."""
    if isinstance(value, str):
        return value.removeprefix("UNICODE\0").removeprefix("ASCII\0\0\0")[:_MAX_ITEM]
    if not isinstance(value, bytes):
        return ""
    kind, body = value[:8], value[8 : 8 + 2 * _MAX_ITEM]
    if kind != b"UNICODE\0":
        return body.decode("utf-8", "replace")
    big = body[0::2].count(b"\0") >= body[1::2].count(b"\0")
    return body.decode("utf-16-be" if big else "utf-16-le", "replace")
