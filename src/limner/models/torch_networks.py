"""Networks that PyTorch runs, on any device."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit

from limner.models.graph import GraphPool
from limner.models.network import Network, Part

log = logging.getLogger(__name__)

# Graphs of one network: each has the inputs of one shape.
KEPT_GRAPHS = 8
# Shapes of inputs that are compiled for one network, and for all together.
MOST_COMPILED = 64
MOST_COMPILED_IN_ALL = 1024


class TorchNetwork(Network):
    """A module of `limner.models.modules`, which takes its inputs to its own precision."""

    def __init__(self, module: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self._module = module.to(device)
        if dtype != torch.float32 or device.type == "cuda":
            # Convolutions in half precision are written for this layout.
            self._module = self._module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self._module(*inputs)
        return answer.float().contiguous()


class CompiledNetwork(TorchNetwork):
    """The same, by `torch.compile`: for each shape of inputs, at the first call with it.

    What cannot be compiled here runs as it is, with a word in the log; so does what comes when there are as
    many shapes as torch is to keep.
    """

    def __init__(self, module: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, device, dtype)
        torch._dynamo.config.recompile_limit = MOST_COMPILED
        torch._dynamo.config.accumulated_recompile_limit = MOST_COMPILED_IN_ALL
        self._compiled: Any = torch.compile(self._module, fullgraph=True, dynamic=False)
        self._known: set[tuple[torch.Size, ...]] = set()

    def compiled(self, shapes: tuple[torch.Size, ...]) -> bool:
        return self._compiled is None or shapes in self._known or len(self._known) >= MOST_COMPILED

    @torch.inference_mode()
    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        shapes = tuple(tensor.shape for tensor in inputs)
        if self._compiled is not None and (shapes in self._known or len(self._known) < MOST_COMPILED):
            try:
                answer: torch.Tensor = self._compiled(*inputs)
                self._known.add(shapes)
                return answer.float().contiguous()
            except (torch._dynamo.exc.TorchDynamoException, FailOnRecompileLimitHit) as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                log.warning("--compile: the network cannot be compiled and runs as it is: %s", reason)
                self._compiled = None
        return super().__call__(*inputs)


class GraphedNetwork(Network):
    """A network of many small kernels, as one CUDA graph for each shape of inputs."""

    def __init__(self, network: TorchNetwork, device: torch.device) -> None:
        self._network, self._pool = network, GraphPool(device)
        self._kept: OrderedDict[tuple[torch.Size, ...], _Graphed] = OrderedDict()

    @torch.inference_mode()
    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        shapes = tuple(tensor.shape for tensor in inputs)
        graphed = self._kept.pop(shapes, None) or _Graphed(self._network, inputs, self._pool)
        self._kept[shapes] = graphed  # last in the row, so that the first is the longest unused
        if len(self._kept) > KEPT_GRAPHS:
            self._kept.popitem(last=False)
        return graphed(inputs)


class _Graphed:
    """One shape: inputs and answer stay where they are."""

    def __init__(self, network: TorchNetwork, inputs: tuple[torch.Tensor, ...], pool: GraphPool) -> None:
        fixed = self._inputs = tuple(tensor.clone() for tensor in inputs)
        answer = self._answer = network(*fixed)
        self._graph = pool.graph(lambda: answer.copy_(network(*fixed)))

    def __call__(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        for fixed, given in zip(self._inputs, inputs, strict=True):
            fixed.copy_(given, non_blocking=True)
        self._graph()
        return self._answer.clone()


class TorchNetworks:
    """The networks of a diffusers folder. `compiled`: the denoising one, where that takes nearly all time."""

    name = "torch"

    def __init__(self, model: Path, device: torch.device, compiled: bool = False) -> None:
        self._model, self._device, self._compiled = model, device, compiled

    def precisions(self) -> tuple[torch.dtype, ...]:
        if self._device.type == "cpu":
            return (torch.float32, torch.bfloat16) if has_bfloat16() else (torch.float32,)
        if self._device.type != "cuda":
            return (torch.float32,)
        # Older cards say yes to bfloat16 and emulate it slowly.
        real = torch.cuda.is_bf16_supported(including_emulation=False)
        return (torch.bfloat16 if real else torch.float16,)

    def network(self, part: Part, dtype: torch.dtype) -> Network:
        """Raises `ValueError`, `OSError` where the folder is not whole."""
        from limner.models.modules import load

        return network_of(load(part, self._model, dtype), self._device, dtype, self._compiled)


def has_bfloat16() -> bool:
    """A processor without it goes through every number by itself, hundreds of times slower."""
    there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(there and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def network_of(module: Any, device: torch.device, dtype: torch.dtype, compiled: bool = False) -> Network:
    """A module of `limner.models.modules`, in the way that suits it on this device."""
    from limner.models.attention import fuse_projections
    from limner.models.modules import Denoiser

    module = module.to(device)
    if isinstance(module, Denoiser):
        if device.type == "cuda":
            fuse_projections(module.unet)
        return (CompiledNetwork if compiled else TorchNetwork)(module, device, dtype)
    network = TorchNetwork(module, device, dtype)
    return GraphedNetwork(network, device) if device.type == "cuda" and module.light else network
