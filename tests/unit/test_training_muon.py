"""The optimizer that everything is trained with."""

from __future__ import annotations

import torch
from torch import nn

from training.muon import Muon


def trained(decay: float) -> torch.Tensor:
    """A matrix after 600 steps of 0.02 that all pull the same way."""
    weight = nn.Parameter(torch.zeros(8, 24))
    optimizer = Muon([weight], 0.02, decay=decay)
    weight.grad = torch.randn(8, 24, generator=torch.Generator().manual_seed(0))
    for _ in range(600):
        optimizer.step()
    values: torch.Tensor = torch.linalg.svdvals(weight.detach())
    return values


def test_every_direction_of_a_matrix_is_turned_alike() -> None:
    values = trained(decay=0.0)
    assert values.min() > 0.5 * values.max()


def test_decay_keeps_weights_small_that_nothing_else_holds_back() -> None:
    assert trained(decay=0.0).max() > 8
    assert trained(decay=0.5).max() < 2.5
