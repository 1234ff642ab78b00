"""Which backend runs a model's networks."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from limner.errors import ModelUnusable
from limner.models.kept import Kept
from limner.models.network import Backend, Networks
from limner.models.torch_networks import TorchNetworks

log = logging.getLogger(__name__)

INSTALL = "pip install 'limner[openvino]'"


def networks_of(model: Path, backend: Backend, device: torch.device, kept: Kept, threads: int) -> Networks:
    """OpenVINO on a processor, where it is installed, and PyTorch elsewhere; or the one that is named.

    Raises `ModelUnusable` when that cannot run here.
    """
    if backend == "torch" or (backend == "auto" and device.type != "cpu"):
        return TorchNetworks(model, device)
    if device.type != "cpu":
        raise ModelUnusable(f"--backend openvino runs on a processor, not on {device.type}; use auto")
    try:
        from limner.models.openvino_networks import OpenVinoNetworks
    except ImportError as error:
        if backend == "openvino":
            raise ModelUnusable(f"--backend openvino: {error}; {INSTALL}, or use auto") from None
        log.info("OpenVINO is not installed, PyTorch runs the models; faster: %s", INSTALL)
        return TorchNetworks(model, device)
    return OpenVinoNetworks(model, kept, threads)
