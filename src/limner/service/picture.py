"""Pixels as files: encoding, thumbnails, conversion, and what is written inside."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngInfo

from limner import __version__
from limner.params import GenerationParams, OutputFormat, Sampler, Schedule
from limner.store.job import Image, NewImage

THUMBNAIL_PX = 320
_QUALITY = 92
EXIF_USER_COMMENT = 0x9286
EXIF_IFD = 0x8769

# https://cv.iptc.org/newscodes/digitalsourcetype/: what a picture made by a trained model is called.
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPE = "trainedAlgorithmicMedia"
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'xmp:CreatorTool="Limner {__version__}" Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPES}{SOURCE_TYPE}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)

# What clients of this field call them.
SAMPLER_NAMES = {
    Sampler.DDIM: "DDIM",
    Sampler.DDPM: "DDPM",
    Sampler.EULER: "Euler",
    Sampler.EULER_ANCESTRAL: "Euler a",
    Sampler.DPMPP_2M: "DPM++ 2M",
    Sampler.DPMPP_2M_SDE: "DPM++ 2M SDE",
    Sampler.LCM: "LCM",
    Sampler.TCD: "TCD",
    Sampler.FLOW_MATCH_EULER: "Flow match Euler",
}
SCHEDULE_NAMES = {
    Schedule.PLAIN: "Automatic",
    Schedule.TRAILING: "SGM Uniform",
    Schedule.KARRAS: "Karras",
    Schedule.EXPONENTIAL: "Exponential",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """The bytes of a picture, ready to be sent under a file name that tells what it shows."""

    data: bytes
    media_type: str
    name: str


def parameters_text(params: GenerationParams, seed: int, width: int, height: int) -> str:
    """The line that tools of this field read out of a picture: prompt, negative prompt, settings."""
    settings = {
        "Steps": params.num_inference_steps,
        "Sampler": SAMPLER_NAMES[params.sampler],
        "Schedule type": SCHEDULE_NAMES[params.schedule],
        "CFG scale": f"{params.guidance_scale:g}",
        "Seed": seed,
        "Size": f"{width}x{height}",
        "Model": params.model,
    }
    lines = [params.prompt]
    if params.negative_prompt:
        lines.append(f"Negative prompt: {params.negative_prompt}")
    lines.append(", ".join(f"{name}: {value}" for name, value in settings.items()))
    return "\n".join(lines)


def encode(pixels: NDArray[np.uint8], format: OutputFormat, text: str) -> bytes:
    """`pixels` `(height, width, 3)` as a file with `text` as its `parameters`. Blocks: call in a thread.

    Its XMP has IPTC's term for what a model made.
    """
    return _encoded(PIL.Image.fromarray(pixels), format, text)


def convert(data: bytes, format: OutputFormat, text: str, quality: int | None = None) -> bytes:
    """A stored picture in another format. `quality`: as in `_encoded`. Blocks: call in a thread."""
    return _encoded(PIL.Image.open(io.BytesIO(data)).convert("RGB"), format, text, quality)


def enlarge(
    preview: bytes, params: GenerationParams, index: int, format: OutputFormat, quality: int | None = None
) -> bytes:
    """A preview as a file of the format and size that picture `index` will have. Blocks."""
    image = PIL.Image.open(io.BytesIO(preview)).convert("RGB")
    image = image.resize((params.width, params.height), PIL.Image.Resampling.BICUBIC)
    text = parameters_text(params, params.seed_of(index), params.width, params.height)
    return _encoded(image, format, text, quality)


def thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """A WebP at most `THUMBNAIL_PX` wide and high. Blocks: call in a thread."""
    image = PIL.Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), PIL.Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85, method=2, xmp=XMP.encode())
    return buffer.getvalue()


def as_png(data: bytes) -> bytes:
    """A preview for clients that know no other format. Blocks: call in a thread."""
    buffer = io.BytesIO()
    PIL.Image.open(io.BytesIO(data)).save(buffer, "PNG")
    return buffer.getvalue()


def file_name(image: Image | NewImage, prompt: str, format: OutputFormat) -> str:
    """Such as `a-red-house-at-night-1234.png`; letters of any script stay."""
    words = re.findall(r"\w+", prompt.lower())
    stem = "-".join(words)[:60].rstrip("-") or "picture"
    return f"{stem}-{image.seed}.{'jpg' if format is OutputFormat.JPEG else format.value}"


def _encoded(image: PIL.Image.Image, format: OutputFormat, text: str, quality: int | None = None) -> bytes:
    """`quality` of JPEG and WebP: 0 to 100, which is best; null: hardly to be told from the original."""
    quality = _QUALITY if quality is None else max(1, quality)  # Pillow takes 0 for no wish
    buffer = io.BytesIO()
    if format is OutputFormat.PNG:
        info = PngInfo()
        if text.isascii():
            info.add_text("parameters", text)
        else:
            info.add_itxt("parameters", text)
        info.add_itxt("XML:com.adobe.xmp", XMP)
        image.save(buffer, "PNG", pnginfo=info, compress_level=4)
        return buffer.getvalue()
    exif = PIL.Image.Exif()
    # EXIF 2.3, 4.6.5: the comment begins with eight bytes that name its encoding.
    exif.get_ifd(EXIF_IFD)[EXIF_USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be")
    if format is OutputFormat.WEBP:
        image.save(buffer, "WEBP", quality=quality, method=4, exif=exif, xmp=XMP.encode())
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling=0, exif=exif, xmp=XMP.encode())
    return buffer.getvalue()
