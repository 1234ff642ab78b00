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

INSTALL = "pip install openvino"


def networks_of(
    model: Path, backend: Backend, device: torch.device, kept: Kept, threads: int, compiled: bool = False
) -> Networks:
    """OpenVINO on a processor, where it is installed, and PyTorch elsewhere; or the one that is named.

    `compiled`: by PyTorch, which therefore runs the networks unless OpenVINO is named.

    Raises `ModelUnusable` when that cannot run here.
    """
    if backend == "torch" or (backend == "auto" and (device.type != "cpu" or compiled)):
        return TorchNetworks(model, device, compiled)
    if device.type != "cpu":
        raise ModelUnusable(f"--backend openvino runs on a processor, not on {device.type}; use auto")
    if compiled:
        raise ModelUnusable("--compile is for PyTorch, --backend openvino compiles by itself; leave one out")
    try:
        from limner.models.openvino_networks import OpenVinoNetworks
    except ImportError as error:
        if backend == "openvino":
            raise ModelUnusable(f"--backend openvino: {error}; {INSTALL}, or use auto") from None
        log.info("OpenVINO is not installed, PyTorch runs the models; faster: %s", INSTALL)
        return TorchNetworks(model, device)
    return OpenVinoNetworks(model, kept, threads)
