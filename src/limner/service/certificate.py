"""The certificate that pictures are signed with: one of this machine's own, or the operator's."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from limner.errors import Unusable

LOCAL_NAME = "Limner on this machine"
VALID_FOR = datetime.timedelta(days=5 * 365)
RENEWED_BEFORE = datetime.timedelta(days=30)
_LEEWAY = datetime.timedelta(days=1)  # of other people's clocks
_OTHER_USES = (
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "encipher_only",
    "decipher_only",
)
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True, slots=True)
class Certificate:
    """`chain`: PEM, the signer's first, without the root. `key`: PEM in PKCS #8. `algorithm`: C2PA's name."""

    chain: bytes
    key: bytes
    algorithm: str

    @classmethod
    def given(cls, chain: bytes, key: bytes) -> Certificate:
        """The operator's own. Raises `Unusable`."""
        try:
            found = x509.load_pem_x509_certificates(chain)
        except ValueError as error:
            raise Unusable(
                f"--sign-cert holds no certificates in PEM ({error}); give the chain, the signer's first"
            ) from None
        try:
            private = load_pem_private_key(key, None)
        except TypeError:
            raise Unusable("--sign-key is encrypted; give a copy without a password, mode 0600") from None
        except (ValueError, UnsupportedAlgorithm):
            raise Unusable("--sign-key holds no private key in PEM; give the certificate's own") from None
        signer = found[0].public_key()
        if _public(signer) != _public(private.public_key()):
            raise Unusable("--sign-key does not belong to the first certificate of --sign-cert; give its own")
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls(chain, pem, _algorithm(signer))

    @classmethod
    def kept(cls, pem: bytes) -> Certificate:
        """The one of `make_local`."""
        signer, _ = x509.load_pem_x509_certificates(pem)
        private = load_pem_private_key(pem, None)
        key = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls(signer.public_bytes(Encoding.PEM), key, _algorithm(signer.public_key()))


def make_local() -> bytes:
    """A new key, its certificate, and that of the authority which issued it, as one PEM file.

    C2PA accepts no certificate that vouches for itself, so there is an authority; its key is forgotten here,
    because it has nothing else to sign.
    """
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _build("Limner's local authority", authority.public_key(), authority, signs_certificates=True)
    signer = _build(LOCAL_NAME, key.public_key(), authority, signs_certificates=False)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + signer.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)


def is_good(pem: bytes) -> bool:
    """Whether a kept file is whole and still valid for a while."""
    try:
        signer, _ = x509.load_pem_x509_certificates(pem)
        private = load_pem_private_key(pem, None)
    except ValueError:
        return False
    if _public(signer.public_key()) != _public(private.public_key()):
        return False
    return datetime.datetime.now(datetime.UTC) < signer.not_valid_after_utc - RENEWED_BEFORE


def authority_of(pem: bytes) -> str | None:
    """The certificate of the authority in a kept file, in PEM; None when the file is not one."""
    try:
        _, root = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return None
    return root.public_bytes(Encoding.PEM).decode()


def _build(
    name: str,
    public: ec.EllipticCurvePublicKey,
    authority: ec.EllipticCurvePrivateKey,
    *,
    signs_certificates: bool,
) -> x509.Certificate:
    """The profile of C2PA 2.2, 14.5.1."""
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(_OTHER_USES, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named("Limner's local authority"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.BasicConstraints(signs_certificates, 0 if signs_certificates else None), True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not signs_certificates,
                key_cert_sign=signs_certificates,
                crl_sign=signs_certificates,
                **usage,
            ),
            True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False)
    )
    if not signs_certificates:
        # Of the purposes that C2PA allows, the one that every validator takes without a setting.
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, False)
    return builder.sign(authority, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Limner"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _algorithm(key: PublicKeyTypes) -> str:
    """Raises `Unusable` for a key that C2PA does not take."""
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return "ps256"
    raise Unusable(
        "--sign-cert has a kind of key that C2PA does not take; use one of EC P-256, P-384 or P-521, "
        "Ed25519, or RSA of 2048 bits or more"
    )
