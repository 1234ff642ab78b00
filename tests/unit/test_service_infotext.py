"""What is written inside a picture is read back; what is no picture is refused."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.errors import InvalidInput
from limner.params import OutputFormat
from limner.service import infotext, picture

TEXT = (
    "a röd house: at night, 星\nsecond line\nNegative prompt: fog,\nmist\n"
    "Steps: 20, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 7, Seed: 1, "
    "Size: 512x384, Model: sd/x-1"
)
PIXELS = np.zeros((16, 16, 3), np.uint8)


@pytest.mark.parametrize("format", OutputFormat)
@pytest.mark.parametrize("text", [TEXT, "plain\nSteps: 1, Seed: 2, Size: 8x8"])
def test_what_was_written_is_read(format: OutputFormat, text: str) -> None:
    assert infotext.read(picture.encode(PIXELS, format, text)).text == text


def test_the_other_end_first_is_read_too() -> None:
    exif = PIL.Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + TEXT.encode("utf-16-le")
    buffer = io.BytesIO()
    PIL.Image.fromarray(PIXELS).save(buffer, "JPEG", exif=exif)
    assert infotext.read(buffer.getvalue()).text == TEXT


def test_settings_are_told_apart() -> None:
    found = infotext.settings(TEXT)
    assert found["Prompt"] == "a röd house: at night, 星\nsecond line"
    assert found["Negative prompt"] == "fog,\nmist"
    assert (found["Steps"], found["Sampler"], found["Schedule type"]) == ("20", "DPM++ 2M SDE", "Karras")
    assert (found["Size-1"], found["Size-2"], found["Model"]) == ("512", "384", "sd/x-1")


def test_a_prompt_alone_is_no_settings() -> None:
    assert infotext.settings("a house: red") == {"Prompt": "a house: red", "Negative prompt": ""}


@given(st.text(max_size=300))
@settings(max_examples=50, deadline=None)
def test_any_text_has_settings(text: str) -> None:
    assert isinstance(infotext.settings(text)["Prompt"], str)


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP"]),
)
@settings(max_examples=50, deadline=None)
def test_what_is_no_picture_is_refused(data: bytes, start: bytes) -> None:
    with pytest.raises(InvalidInput, match="image"):
        infotext.read(start + data)


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_refused(format: str) -> None:
    buffer = io.BytesIO()
    PIL.Image.fromarray(PIXELS).save(buffer, format)
    with pytest.raises(InvalidInput, match="PNG, WEBP, JPEG"):
        infotext.read(buffer.getvalue())


@pytest.mark.parametrize("side", [10_000, 50_000])
def test_a_picture_of_too_many_pixels_is_refused_unread(side: int) -> None:
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    with pytest.raises(InvalidInput, match="image"):
        infotext.read(data)


def test_a_webp_of_too_many_pixels_is_refused_before_there_is_room_for_them() -> None:
    canvas = (60_000 - 1).to_bytes(3, "little") * 2
    data = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + canvas
    with pytest.raises(InvalidInput, match="3600 megapixels"):
        infotext.read(data)
