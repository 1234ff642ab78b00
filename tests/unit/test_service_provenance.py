"""Every file says that a machine made it, and whether that was tampered with."""

from __future__ import annotations

import datetime
import io
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from numpy.typing import NDArray

from limner.errors import InvalidInput, Unusable
from limner.params import OutputFormat
from limner.service import certificate, picture
from limner.service.inspection import inspect
from limner.service.provenance import KEPT, Provenance, authority_in
from limner.store.store import Store

TEXT = "ein rotes Häuschen 🏠\nNegative prompt: rain\nSteps: 8, Seed: 7"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[Store]:
    opened = Store(folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def provenance(store: Store) -> Provenance:
    return Provenance.of(store)


def pixels() -> NDArray[np.uint8]:
    down, across = np.mgrid[0:256, 0:256]
    return np.stack([across, down, (across * down) % 251], -1).astype(np.uint8)


def made(provenance: Provenance, format: OutputFormat) -> bytes:
    return provenance.signed(picture.encode(pixels(), format, TEXT), format)


@pytest.mark.parametrize("format", OutputFormat)
def test_a_picture_carries_its_parameters_the_ai_mark_and_a_manifest_that_holds(
    provenance: Provenance, folder: Path, format: OutputFormat
) -> None:
    found = inspect(made(provenance, format), authority_in(folder))
    assert found.parameters == TEXT
    assert found.source_type == "trainedAlgorithmicMedia"
    manifest = found.manifest
    assert manifest is not None
    assert (manifest.holds, manifest.known, manifest.changed) == (True, True, False)
    assert manifest.source_type == "trainedAlgorithmicMedia"
    assert manifest.generator.startswith("Limner ")
    assert certificate.LOCAL_NAME in manifest.signer


@pytest.mark.parametrize("format", OutputFormat)
def test_the_marks_weigh_at_most_5_kb(provenance: Provenance, format: OutputFormat) -> None:
    bare = io.BytesIO()
    settings = {"PNG": {"compress_level": 4}, "WEBP": {"quality": 92, "method": 4}}
    other = {"quality": 92, "subsampling": 0}
    PIL.Image.fromarray(pixels()).save(bare, format.upper(), **settings.get(format.upper(), other))
    assert len(made(provenance, format)) - len(bare.getvalue()) <= 5_000


@pytest.mark.parametrize("format", OutputFormat)
def test_a_changed_byte_is_reported_as_a_change(
    provenance: Provenance, folder: Path, format: OutputFormat
) -> None:
    """In the parameters, which no decoder notices."""
    data = made(provenance, format)
    seed = "Seed: 7".encode("utf-8" if format is OutputFormat.PNG else "utf-16-be")
    at = data.index(seed) + len(seed) - 1
    changed = bytearray(data)
    changed[at] = ord("8")
    if format is OutputFormat.PNG:  # whoever forges one repairs its checksum, too
        changed = bytearray(_with_checksums(bytes(changed)))
    found = inspect(bytes(changed), authority_in(folder))
    assert found.parameters is not None
    assert found.parameters.endswith("Seed: 8")
    assert found.manifest is not None
    assert (found.manifest.holds, found.manifest.changed) == (False, True)
    assert "CHANGED" in str(found)


def test_other_pixels_under_the_same_manifest_are_reported_as_a_change(provenance: Provenance) -> None:
    """The manifest's chunk moved into another picture."""
    signed, other = made(provenance, OutputFormat.PNG), io.BytesIO()
    PIL.Image.new("RGB", (64, 64), "red").save(other, "PNG")
    start = signed.index(b"caBX") - 4
    chunk = signed[start : start + 12 + int.from_bytes(signed[start : start + 4], "big")]
    header = 33  # signature and IHDR
    forged = other.getvalue()[:header] + chunk + other.getvalue()[header:]
    found = inspect(forged)
    assert found.manifest is not None
    assert (found.manifest.holds, found.manifest.changed) == (False, True)


def test_a_picture_without_marks_is_reported_as_such() -> None:
    plain = io.BytesIO()
    PIL.Image.fromarray(pixels()).save(plain, "PNG")
    found = inspect(plain.getvalue())
    assert (found.parameters, found.source_type, found.manifest, found.ai_made) == (None, None, None, False)


def test_a_picture_that_was_saved_again_keeps_its_digest_but_not_its_manifest(provenance: Provenance) -> None:
    signed, again = made(provenance, OutputFormat.PNG), io.BytesIO()
    PIL.Image.open(io.BytesIO(signed)).save(again, "PNG")
    assert inspect(again.getvalue()).manifest is None
    assert inspect(again.getvalue()).digest == inspect(signed).digest


def test_a_stranger_of_the_same_name_is_not_taken_for_this_machine(
    folder: Path, store: Store, tmp_path: Path
) -> None:
    elsewhere = Store(tmp_path)
    found = inspect(made(Provenance.of(elsewhere), OutputFormat.JPEG), authority_in(folder))
    elsewhere.close()
    assert found.manifest is not None
    assert (found.manifest.holds, found.manifest.known) == (True, False)


def test_a_thumbnail_says_in_xmp_that_a_machine_made_it() -> None:
    assert inspect(picture.thumbnail(pixels())).source_type == "trainedAlgorithmicMedia"


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"RIFF\x04\0\0\0WEBP", b"\xff\xd8\xff"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="not a PNG, WebP or JPEG"):
        inspect(data)


def test_every_cut_of_a_signed_file_is_refused_or_does_not_hold(provenance: Provenance) -> None:
    for format in OutputFormat:
        data = made(provenance, format)
        for length in range(20, len(data) - 1, len(data) // 12):
            try:
                found = inspect(data[:length])
            except InvalidInput:
                continue
            assert found.manifest is None or not found.manifest.holds


def test_text_in_a_file_does_not_reach_the_terminal_as_commands(provenance: Provenance) -> None:
    hostile = picture.encode(pixels(), OutputFormat.PNG, "a \x1b]0;gotcha\x07 house")
    assert "\x1b" not in str(inspect(hostile))
    assert "\x07" not in str(inspect(hostile))


def test_many_threads_may_sign_at_once(provenance: Provenance) -> None:
    formats = [*OutputFormat] * 8
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda format: inspect(made(provenance, format)), formats))
    assert all(found.manifest and found.manifest.holds for found in results)


def test_the_kept_key_is_for_its_owner_alone_and_stays_the_same(folder: Path, store: Store) -> None:
    kept = folder / KEPT
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    before = kept.read_bytes()
    Provenance.of(store)
    assert kept.read_bytes() == before


def test_a_kept_certificate_that_is_broken_or_about_to_end_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, fresh = tmp_path / KEPT, Store(tmp_path)
    kept.write_bytes(b"-----BEGIN CERTIFICATE-----\nhalf of one")
    Provenance.of(fresh)
    made_again = kept.read_bytes()
    assert certificate.is_good(made_again)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    monkeypatch.setattr(certificate, "VALID_FOR", datetime.timedelta(days=20))
    kept.write_bytes(certificate.make_local())
    monkeypatch.undo()
    Provenance.of(fresh)
    assert certificate.is_good(kept.read_bytes())
    fresh.close()


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path]:
    """An operator's chain and key."""
    pem = certificate.make_local()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(certificate.Certificate.kept(pem).chain)
    key.write_bytes(certificate.Certificate.kept(pem).key)
    return chain, key


def test_the_operators_own_certificate_signs(own: tuple[Path, Path], store: Store, folder: Path) -> None:
    found = inspect(made(Provenance.of(store, *own), OutputFormat.PNG), authority_in(folder))
    assert found.manifest is not None
    assert (found.manifest.holds, found.manifest.known) == (True, False)


def test_half_of_certificate_and_key_is_refused(own: tuple[Path, Path], store: Store) -> None:
    with pytest.raises(Unusable, match="give both or neither"):
        Provenance.of(store, own[0])


def test_a_key_of_another_certificate_is_refused(own: tuple[Path, Path], store: Store) -> None:
    own[1].write_bytes(certificate.Certificate.kept(certificate.make_local()).key)
    with pytest.raises(Unusable, match="does not belong"):
        Provenance.of(store, *own)


def test_an_encrypted_key_is_refused(own: tuple[Path, Path], store: Store) -> None:
    key = load_pem_private_key(own[1].read_bytes(), None)
    own[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    with pytest.raises(Unusable, match="encrypted"):
        Provenance.of(store, *own)


@pytest.mark.parametrize("text", ["", "nothing of the kind"])
def test_files_without_pem_are_refused(own: tuple[Path, Path], store: Store, text: str) -> None:
    for file in own:
        before = file.read_bytes()
        file.write_text(text)
        with pytest.raises(Unusable, match="PEM"):
            Provenance.of(store, *own)
        file.write_bytes(before)
    with pytest.raises(Unusable, match="cannot be read"):
        Provenance.of(store, own[0].with_name("none"), own[1])


def test_a_certificate_that_vouches_for_itself_or_has_ended_is_refused_at_the_start(
    own: tuple[Path, Path], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with the first picture."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "self-made")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=9))
    own[0].write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    own[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(Unusable, match="--sign-cert"):
        Provenance.of(store, *own)
    monkeypatch.setattr(certificate, "VALID_FOR", datetime.timedelta(seconds=-1))
    ended = certificate.Certificate.kept(certificate.make_local())
    own[0].write_bytes(ended.chain)
    own[1].write_bytes(ended.key)
    with pytest.raises(Unusable, match="--sign-cert"):
        Provenance.of(store, *own)


def _with_checksums(data: bytes) -> bytes:
    """The chunks of a PNG with the checksums that they should have."""
    import zlib

    out, at = bytearray(data[:8]), 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + length
    return bytes(out)
