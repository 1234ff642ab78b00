"""What a picture file says of itself, and whether that is still true."""

from __future__ import annotations

import hashlib
import io
import re
import struct
import warnings
from dataclasses import dataclass
from typing import Any

import c2pa
import PIL.Image

from limner.errors import FieldError, InvalidInput
from limner.params import OutputFormat
from limner.service import infotext
from limner.service.picture import SOURCE_TYPE

MAX_FILE_BYTES = 64 << 20
# Nobody who sends a file here may have this machine call somewhere.
_READING: dict[str, Any] = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
_SOURCE_TYPE = re.compile(
    rb"""DigitalSourceType\s*(?:=\s*["']|(?:[^<>]*resource\s*=\s*["']|>\s*))"""
    rb"""https?://cv\.iptc\.org/newscodes/digitalsourcetype/([A-Za-z]+)"""
)
_UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A C2PA manifest. `holds`: nothing was changed since it was signed, and the signature is in order.

    `known`: the certificate comes from the authority that was given. `problems`: why it does not hold.
    """

    generator: str
    signer: str
    source_type: str | None
    holds: bool
    changed: bool = False
    known: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inspection:
    """`source_type`: IPTC's term in XMP. `digest`: SHA-256 of the pixels as RGB, as the abuse log has it."""

    format: OutputFormat
    parameters: str | None
    source_type: str | None
    manifest: Manifest | None
    digest: str

    @property
    def ai_made(self) -> bool:
        """Whether any of the marks says so."""
        told = self.manifest.source_type if self.manifest else None
        return SOURCE_TYPE in (self.source_type, told)

    def __str__(self) -> str:
        """For people, a line a fact, each indented."""
        text = (self.parameters or "none").splitlines() or ["none"]
        facts = [
            ("parameters", text[0]),
            *(("", line) for line in text[1:]),
            ("AI mark", self.source_type or "none"),
            ("manifest", _told(self.manifest)),
            ("signature", _judged(self.manifest)),
            ("pixels", f"sha256:{self.digest}"),
        ]
        return "\n".join(f"  {name:<10}  {_harmless(fact)}" for name, fact in facts)


def inspect(data: bytes, authority: str | None = None) -> Inspection:
    """Read the marks of a file. `authority`: in PEM, whose certificates are known.

    Raises `InvalidInput` when it is not a PNG, WebP or JPEG that can be opened.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            opened = PIL.Image.open(io.BytesIO(data), formats=[format.upper() for format in OutputFormat])
            digest = _digest(opened)
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, PIL.Image.DecompressionBombError):
        message = "is not a PNG, WebP or JPEG, or it is damaged; give the file as it was downloaded"
        raise InvalidInput(FieldError("file", message)) from None
    except PIL.Image.DecompressionBombWarning:
        limit = f"{PIL.Image.MAX_IMAGE_PIXELS:,} pixels"
        raise InvalidInput(FieldError("file", f"is too large; at most {limit}", None, limit)) from None
    format = OutputFormat((opened.format or "").lower())
    found = _SOURCE_TYPE.search(opened.info.get("xmp") or b"")
    source_type = found[1].decode() if found else None
    parameters = infotext.written(opened).text or None
    return Inspection(format, parameters, source_type, manifest_of(data, format, authority), digest)


def digest(data: bytes) -> str:
    """SHA-256 of a picture file's pixels as RGB: other metadata, or another lossless format, leave it."""
    return _digest(PIL.Image.open(io.BytesIO(data)))


def manifest_of(data: bytes, format: OutputFormat, authority: str | None = None) -> Manifest | None:
    """The newest C2PA manifest in a file; None when there is none."""
    trust: dict[str, Any] = {"trust": {"trust_anchors": authority}} if authority else {}
    context = c2pa.Context.from_dict(_READING | trust)
    try:
        with c2pa.Reader(f"image/{format}", io.BytesIO(data), context=context) as reader:
            return _manifest(reader)
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError as error:
        return Manifest("", "", None, holds=False, problems=(f"it cannot be read: {error}",))


def _harmless(text: str) -> str:
    """Whoever made the file shall not write to this terminal in its own language."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _told(manifest: Manifest | None) -> str:
    if manifest is None:
        return "none: there never was one, or it was taken out"
    said = (
        f"{manifest.generator or 'an unnamed program'} says {manifest.source_type or 'nothing of its source'}"
    )
    return f"{said}; signed by {manifest.signer or 'nobody with a name'}"


def _judged(manifest: Manifest | None) -> str:
    if manifest is None:
        return "none"
    if manifest.holds:
        known = "this machine's own" if manifest.known else "a certificate that is not this machine's own"
        return f"holds: unchanged since it was signed, with {known}"
    verdict = "CHANGED since it was signed" if manifest.changed else "DOES NOT HOLD"
    return f"{verdict}: {'; '.join(manifest.problems)}"


def _manifest(reader: c2pa.Reader) -> Manifest:
    active = reader.get_active_manifest() or {}
    results = (reader.get_validation_results() or {}).get("activeManifest", {})
    failures = [f for f in results.get("failure", []) if f["code"] != _UNTRUSTED]
    state = reader.get_validation_state()
    generator = (active.get("claim_generator_info") or [{}])[0]
    signature = active.get("signature_info") or {}
    names = dict.fromkeys(filter(None, (signature.get("common_name"), signature.get("issuer"))))
    return Manifest(
        generator=" ".join(filter(None, (generator.get("name"), generator.get("version")))),
        signer=", ".join(names),
        source_type=_created_as(active),
        holds=state in ("Valid", "Trusted") and not failures,
        changed=any(failure["code"].endswith(".mismatch") for failure in failures),
        known=state == "Trusted",
        problems=tuple(failure.get("explanation") or failure["code"] for failure in failures),
    )


def _created_as(manifest: dict[str, Any]) -> str | None:
    """The last part of the source type that the first action with one names."""
    for assertion in manifest.get("assertions", []):
        if assertion.get("label", "").startswith("c2pa.actions"):
            for action in assertion.get("data", {}).get("actions", []):
                if action.get("digitalSourceType"):
                    return str(action["digitalSourceType"]).rpartition("/")[2]
    return None


def _digest(opened: PIL.Image.Image) -> str:
    return hashlib.sha256(opened.convert("RGB").tobytes()).hexdigest()
