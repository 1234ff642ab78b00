"""Networks that PyTorch runs, on any device."""

from __future__ import annotations

from pathlib import Path

import torch

from limner.models.network import Part


class TorchNetwork:
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


class TorchNetworks:
    """The networks of a diffusers folder."""

    name = "torch"

    def __init__(self, model: Path, device: torch.device) -> None:
        self._model, self._device = model, device

    def precisions(self) -> tuple[torch.dtype, ...]:
        if self._device.type == "cpu":
            return torch.float32, torch.bfloat16
        if self._device.type != "cuda":
            return (torch.float32,)
        # Older cards say yes to bfloat16 and emulate it slowly.
        real = torch.cuda.is_bf16_supported(including_emulation=False)
        return (torch.bfloat16 if real else torch.float16,)

    def network(self, part: Part, dtype: torch.dtype) -> TorchNetwork:
        """Raises `ValueError`, `OSError` where the folder is not whole."""
        from limner.models.modules import load

        return TorchNetwork(load(part, self._model, dtype), self._device, dtype)
