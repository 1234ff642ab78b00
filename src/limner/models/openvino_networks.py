"""Networks that OpenVINO runs on a processor: converted once, compiled for every shape that comes."""

from __future__ import annotations

import logging
import os
import platform
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from limner.models.kept import Kept, part_files
from limner.models.memory import OutOfMemory, told_as_memory
from limner.models.network import Network, Part
from limner.models.torch_networks import TorchNetworks

# OpenVINO tells its maker over the network that it was imported, and asks nobody. Without this package it
# has nothing to tell with.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402
from openvino import opset13, passes  # noqa: E402
from openvino.frontend import FrontEndManager  # noqa: E402
from openvino.utils import replace_node  # noqa: E402

from limner.models.openvino_fusing import fuse  # noqa: E402

log = logging.getLogger(__name__)

# A network with fewer bytes of weights is kept on disk as compiled, too; for larger ones reading that would
# take as long as compiling does, and each shape would fill gigabytes.
SMALL_BYTES = 256 * 2**20
# Compiled shapes of one network in memory, and at most this share of the machine's: each takes so many times
# the weights (measured in float32).
COMPILED_BYTES = 6 * 2**30
COMPILED_SHARE = 0.25
TIMES_WEIGHTS = 3.5
MAX_COMPILED = 24
# Elsewhere transposed convolutions are made of larger plain ones, with zeros between the values.
FUSED_ON = ("x86_64", "amd64")

_TYPES = {
    torch.float32: openvino.Type.f32,
    torch.bfloat16: openvino.Type.bf16,
    torch.float16: openvino.Type.f16,
}


class OpenVinoNetwork(Network):
    """A converted network, with a compiled one for each set of input shapes.

    `folder`, of those in `kept`, holds `network.xml` and `network.bin`. What cannot be compiled is left to
    `instead`.
    """

    def __init__(
        self, folder: Path, kept: Kept, dtype: torch.dtype, threads: int, instead: Callable[[], Network]
    ) -> None:
        self._folder, self._kept, self._dtype, self._threads = folder, kept, dtype, threads
        self._weight_bytes = (folder / "network.bin").stat().st_size
        self.room = _room(self._weight_bytes, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        self._compiled: OrderedDict[tuple[torch.Size, ...], Any] = OrderedDict()
        self._lock = threading.Lock()
        self._make_instead = cache(instead)
        self._left: set[tuple[torch.Size, ...]] = set()

    def compiled(self, shapes: tuple[torch.Size, ...]) -> bool:
        return shapes in self._compiled or shapes in self._left

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Raises `OutOfMemory`; then what was compiled has given its memory back."""
        shapes = tuple(tensor.shape for tensor in inputs)
        with self._lock:
            try:
                with told_as_memory():
                    request = None if shapes in self._left else self._request(shapes)
                    if request is not None:
                        return _infer(request, inputs)
            except OutOfMemory:
                self._compiled.clear()
                raise
            instead = self._make_instead()
        return instead(*inputs)

    def _request(self, shapes: tuple[torch.Size, ...]) -> Any:
        """None where these shapes cannot be compiled: they are left to PyTorch from now on."""
        request = self._compiled.pop(shapes, None)
        if request is None:
            try:
                with told_as_memory():
                    request = self._compile(shapes).create_infer_request()
            except RuntimeError as error:
                log.warning("%s cannot be compiled, PyTorch runs it: %s", self._folder, _line(error))
                self._left.add(shapes)
                return None
        self._compiled[shapes] = request  # last in the row, so that the first is the longest unused
        if self.room and len(self._compiled) > self.room:
            self._compiled.popitem(last=False)
        return request

    def _compile(self, shapes: Sequence[torch.Size]) -> Any:
        """Compiled for these shapes alone: that is faster, and a row's result is the same in any company."""
        model = _core().read_model(self._folder / "network.xml")
        model.reshape({i: list(shape) for i, shape in enumerate(shapes)})
        if platform.machine().lower() in FUSED_ON:
            fuse(model)
        properties: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _TYPES[self._dtype],
            # Threads that may not move wait for whoever else runs on their processor.
            "ENABLE_CPU_PINNING": False,
        }
        if self._threads:
            properties["INFERENCE_NUM_THREADS"] = self._threads
        if self._weight_bytes > SMALL_BYTES:
            return _core().compile_model(model, "CPU", properties)
        # The precision, too: OpenVINO's own key does not tell them apart.
        words = str(self._dtype).removeprefix("torch."), *("x".join(map(str, shape)) for shape in shapes)
        with self._kept.compiled(self._folder, "-".join(words)) as place:
            return _core().compile_model(model, "CPU", properties | {"CACHE_DIR": str(place)})


def _room(weight_bytes: int, machine_bytes: int) -> int:
    """How many compiled shapes are kept; two at least, for pictures with guidance and without take turns."""
    budget = min(COMPILED_BYTES, COMPILED_SHARE * machine_bytes)
    return min(MAX_COMPILED, max(2, int(budget / (TIMES_WEIGHTS * max(weight_bytes, 1)))))


def _infer(request: Any, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Reads the tensors where they are and writes into a new one."""
    output = torch.empty(tuple(request.get_output_tensor(0).shape))
    for i, tensor in enumerate(inputs):
        request.set_input_tensor(i, openvino.Tensor(tensor.contiguous().numpy(), shared_memory=True))
    request.set_output_tensor(0, openvino.Tensor(output.numpy(), shared_memory=True))
    request.infer()
    return output


class OpenVinoNetworks:
    """The networks of a diffusers folder. One that cannot be converted is left to PyTorch, with a word."""

    name = "openvino"

    def __init__(self, model: Path, kept: Kept, threads: int = 0) -> None:
        """`threads` 0: as many as the processor has cores."""
        self._model, self._kept, self._threads = model, kept, threads
        self._torch = TorchNetworks(model, torch.device("cpu"))

    def precisions(self) -> tuple[torch.dtype, ...]:
        """Those that this processor computes in by itself."""
        can = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        half = {"BF16": torch.bfloat16, "FP16": torch.float16}
        return torch.float32, *(dtype for name, dtype in half.items() if name in can)

    def network(self, part: Part, dtype: torch.dtype) -> Network:
        """Raises `ValueError`, `OSError` where the folder is not whole."""

        def by_torch() -> Network:
            return self._torch.network(part, dtype)

        try:
            folder = self._kept.folder(part_files(self._model, part), lambda f: self._convert(part, f))
        except RuntimeError as error:
            log.warning("%s of %s cannot be converted, PyTorch runs it: %s", part, self._model, _line(error))
            return by_torch()
        return OpenVinoNetwork(folder, self._kept, dtype, self._threads, by_torch)

    def _convert(self, part: Part, folder: Path) -> None:
        from limner.models.modules import load

        log.info("converting %s of %s for OpenVINO, once", part, self._model.name)
        module = load(part, self._model, torch.float32)
        try:
            model = convert(module, module.examples())
        except Exception as error:  # whatever a tracer or a converter may say
            raise RuntimeError(_line(error)) from error
        openvino.save_model(model, folder / "network.xml", compress_to_fp16=False)


def convert(module: torch.nn.Module, examples: tuple[torch.Tensor, ...]) -> openvino.Model:
    """The module as a model of any batch size and any size of picture. Raises `RuntimeError`."""
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad(), warnings.catch_warnings():
        # It says where it follows one branch alone, and that tracing is of the past.
        warnings.simplefilter("ignore")
        trace: Any = torch.jit.trace
        traced = trace(module, examples, check_trace=False)
        decoder = TorchScriptPythonDecoder(traced, example_input=examples)
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    manager = passes.Manager()
    manager.register_pass(_SpreadScale())
    manager.run_passes(model)
    return model


class _SpreadScale(passes.MatcherPass):  # type: ignore[misc]  # untyped
    """Says normalized `x (1 + s)` as `x 1 + x s`: OpenVINO 2026.4 crashes at the first on a processor.

    Networks whose timestep scales and shifts have it (`resnet_time_scale_shift="scale_shift"`).
    """

    def __init__(self) -> None:
        super().__init__()
        normal = passes.WrapType("opset12.GroupNormalization")
        one, scale = passes.AnyInput(), passes.AnyInput()
        scaled = passes.WrapType("opset13.Multiply", [normal, passes.WrapType("opset13.Add", [one, scale])])

        def spread(matcher: Any) -> bool:
            found = matcher.get_pattern_value_map()
            parts = [opset13.multiply(found[normal], found[factor]) for factor in (one, scale)]
            replace_node(matcher.get_match_root(), opset13.add(*parts))
            return True

        self.register_matcher(passes.Matcher(scaled, type(self).__name__), spread)


@cache
def _core() -> Any:
    return openvino.Core()


def _line(error: Exception) -> str:
    """The last line of OpenVINO's message says what is wrong; those before say where in its source."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
