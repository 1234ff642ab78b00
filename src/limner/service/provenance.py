"""The marks that say a picture was made by a machine: IPTC's term in XMP, and a signed C2PA manifest."""

from __future__ import annotations

import io
import json
from pathlib import Path

import c2pa
import numpy as np

from limner import __version__
from limner.errors import LimnerError, Unusable
from limner.params import OutputFormat
from limner.service import certificate, inspection, picture
from limner.service.certificate import Certificate
from limner.service.picture import SOURCE_TYPE, SOURCE_TYPES
from limner.store import secret
from limner.store.store import Store

KEPT = "signing.pem"
_SIGNING = {
    # A picture of the picture would weigh more than all other marks.
    "builder": {"thumbnail": {"enabled": False}, "created_assertion_labels": ["c2pa.actions"]},
    "verify": {"verify_after_sign": False},
}
_MANIFEST = json.dumps(
    {
        "claim_generator_info": [{"name": "Limner", "version": __version__}],
        "assertions": [
            {
                "label": "c2pa.actions",
                "data": {
                    "actions": [
                        {"action": "c2pa.created", "digitalSourceType": f"{SOURCE_TYPES}{SOURCE_TYPE}"}
                    ]
                },
            }
        ],
    }
)


def authority_in(folder: Path) -> str | None:
    """The authority that issued the certificate kept in a data folder, in PEM; None when there is none."""
    pem = secret.found(folder / KEPT)
    return certificate.authority_of(pem) if pem else None


class NotSigned(LimnerError):
    """The picture cannot be signed."""


class Provenance:
    """Signs pictures with one certificate. Any thread may call."""

    def __init__(self, signer: Certificate) -> None:
        """Raises `Unusable` when C2PA does not take the certificate."""
        try:
            told = c2pa.C2paSignerInfo(signer.algorithm, signer.chain, signer.key, None)
            self._context = c2pa.Context.from_dict(_SIGNING, c2pa.Signer.from_info(told))
            self._try()
        except (c2pa.C2paError, NotSigned) as error:
            raise Unusable(f"--sign-cert or --sign-key cannot sign pictures: {error}") from None

    @classmethod
    def of(cls, store: Store, chain: Path | None = None, key: Path | None = None) -> Provenance:
        """With the operator's files, or with what `store` keeps, which is made when it is first asked for.

        Raises `Unusable` and `StorageUnavailable`.
        """
        if (chain is None) != (key is None):
            raise Unusable("--sign-cert and --sign-key belong together; give both or neither")
        if chain is not None and key is not None:
            texts = secret.given(chain, "--sign-cert"), secret.given(key, "--sign-key")
            return cls(Certificate.given(*texts))
        return cls(Certificate.kept(store.secret(KEPT, certificate.make_local, certificate.is_good)))

    def signed(self, data: bytes, format: OutputFormat) -> bytes:
        """The file with a manifest inside that is bound to all its other bytes. Raises `NotSigned`."""
        result = io.BytesIO()
        try:
            c2pa.Builder.from_json(_MANIFEST, self._context).sign(f"image/{format}", io.BytesIO(data), result)
        except c2pa.C2paError as error:
            raise NotSigned(f"the picture cannot be signed: {error}") from error
        return result.getvalue()

    def _try(self) -> None:
        """What C2PA thinks of a certificate shows in what it has signed."""
        black = picture.encode(np.zeros((8, 8, 3), np.uint8), OutputFormat.PNG, "")
        found = inspection.manifest_of(self.signed(black, OutputFormat.PNG), OutputFormat.PNG)
        if found is None or not found.holds:
            raise NotSigned("; ".join(found.problems) if found else "there is no manifest in what it signed")
