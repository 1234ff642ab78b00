"""What a model computes with: three networks, by whichever backend runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # the server knows these names, and imports no torch
    import torch

Part = Literal["unet", "vae", "text_encoder"]
PARTS: tuple[Part, ...] = ("unet", "vae", "text_encoder")
Backend = Literal["auto", "openvino", "torch"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class Network(Protocol):
    """One network. Numbers are float32 on both sides, whatever it computes in; ids are int64.

    The answer is the caller's own. One thread at a time, but two networks may run at once. `room`: for so
    many shapes of inputs it keeps what it compiled, for others in turn; None: for all.
    """

    room: int | None = None

    def compiled(self, shapes: tuple[torch.Size, ...]) -> bool:
        """Else the next call with inputs of these shapes compiles, which may take minutes."""
        return True

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor: ...


class Networks(Protocol):
    """The networks of one model folder, each loaded when it is asked for. `name`: of the backend."""

    name: str

    def precisions(self) -> tuple[torch.dtype, ...]:
        """What is worth trying here; of several, float32 comes first."""
        ...

    def network(self, part: Part, dtype: torch.dtype) -> Network: ...
