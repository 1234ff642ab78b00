"""Muon: momentum whose every weight matrix is made orthogonal, so that all its directions learn alike.

Keller Jordan et al., 2024, https://kellerjordan.github.io/posts/muon. Convolutions count as matrices of
(out, in * height * width). Vectors and embeddings, for which it is not meant, get Adam.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import nn

from training.work import has_bfloat16


class Muon(torch.optim.Optimizer):
    """Updates the matrices of the model, each by an orthogonal matrix times `lr`.

    With `decay` no singular value of a weight outgrows 1 / decay (Liu et al., 2025, arXiv:2502.16982). Where
    normalisation follows, nothing else holds them back, and what is not normalised, as timestep
    embeddings, drowns the rest by and by.
    """

    def __init__(
        self, matrices: list[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.0
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix; those of one shape go through the iteration together."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    alike[weight.shape].append(weight)
            for weights in alike.values():
                gradients = [weight.grad for weight in weights if weight.grad is not None]
                momenta = [
                    self.state[weight].setdefault("momentum", torch.zeros_like(weight)) for weight in weights
                ]
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                updates = torch._foreach_lerp(gradients, momenta, group["momentum"])
                made = orthogonal(torch.stack([update.flatten(1) for update in updates]))
                rows, columns = made.shape[1:]
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                shaped = made.to(weights[0].dtype).reshape(len(weights), *weights[0].shape)
                torch._foreach_mul_(weights, 1 - group["lr"] * group["decay"])
                torch._foreach_add_(weights, list(shaped.unbind()), alpha=-rate)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """The nearest orthogonal matrices, roughly, to a batch (B, rows, columns): five Newton-Schulz steps."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    made = _iterate(x.bfloat16()) if has_bfloat16(x.device) else _iterate_on_gram(x)
    return made.mT if tall else made


A, B, C = 3.4445, -4.7750, 2.0315  # of the step: A x + B (x x') x + C (x x')² x


def _iterate(x: torch.Tensor) -> torch.Tensor:
    for _ in range(5):
        square = x @ x.mT
        factor = torch.baddbmm(square, square, square, beta=B, alpha=C)
        x = torch.baddbmm(x, factor, x, beta=A)
    return x


def _iterate_on_gram(x: torch.Tensor) -> torch.Tensor:
    """The same on the small squares alone, a third of the operations; too coarse for bfloat16."""
    square = x @ x.mT
    whole = eye = torch.eye(square.shape[1], device=x.device)
    for _ in range(5):
        factor = A * eye + torch.baddbmm(square, square, square, beta=B, alpha=C)
        whole = factor @ whole
        square = factor @ square @ factor
    return whole @ x


def build_optimizers(
    model: nn.Module, muon_lr: float, adam_lr: float, decay: float = 0.0
) -> list[torch.optim.Optimizer]:
    """Muon for the inner matrices; Adam for vectors, embeddings of words and the first and last layers."""
    outer = (
        "token_embedding",
        "position",
        "heads",
        "conv_in",
        "conv_out",
        "layers.0.weight",
        "conv_norm_out",
    )
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    inner = [
        p
        for name, p in named
        if p.ndim >= 2 and min(p.flatten(1).shape) > 8 and not any(o in name for o in outer)
    ]
    chosen = set(map(id, inner))
    rest = [p for _, p in named if id(p) not in chosen]
    return [
        Muon(inner, muon_lr, decay=decay),
        torch.optim.AdamW(rest, adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
