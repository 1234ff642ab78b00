"""A picture on its way from the device to the host."""

from __future__ import annotations

import torch

from limner.errors import EngineFailed


class Decoding:
    """The pixels of one picture; on a GPU they are still being worked out, or copied, for a while.

    `picture` `(3, H, W)`: what the decoder gave, -1 to 1, for `latents`.
    """

    def __init__(self, picture: torch.Tensor, latents: torch.Tensor) -> None:
        levels = (picture / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).mul(255).round()
        # A value that is not a number has no level: it has to be looked for before. In the latents, too,
        # because a decoder may make numbers of it (OpenVINO's rectifier makes zero).
        self._sound = _to_host(torch.isfinite(picture).all() & torch.isfinite(latents).all())
        self._levels = _to_host(levels.to(torch.uint8))
        self._copied: torch.cuda.Event | None = None
        if picture.is_cuda:
            # One that lets the processor sleep while it waits.
            self._copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._copied.record()

    @property
    def arrived(self) -> bool:
        return self._copied is None or bool(self._copied.query())  # type: ignore[no-untyped-call]

    def pixels(self) -> torch.Tensor:
        """`(H, W, 3)`, uint8 on the CPU; waits for it.

        Raises `EngineFailed` where the network gave values that are not numbers.
        """
        if self._copied is not None:
            self._copied.synchronize()
        if not self._sound:
            raise EngineFailed("the network gave values that are not numbers; another seed may work")
        return self._levels


def _to_host(tensor: torch.Tensor) -> torch.Tensor:
    """Into memory that the GPU writes by itself, so that nobody waits."""
    if not tensor.is_cuda:
        return tensor.cpu()
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)
