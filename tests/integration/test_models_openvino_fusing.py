"""Fewer operations, the same pixels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("openvino")

from limner.models.openvino_fusing import fuse
from limner.models.openvino_networks import convert

Shape = tuple[int, ...]


class Plain(nn.Module):
    """Layers of a decoder, one behind another."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(*layers)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        enlarged: torch.Tensor = self.layers(x)
        return enlarged


def run(module: nn.Module, shape: Shape, channels: int = 12) -> tuple[Counter[str], float]:
    """The kinds of operations after fusing, and how far the pixels are from PyTorch's, of their largest."""
    import openvino

    model = convert(module.eval().requires_grad_(False), (torch.zeros(1, channels, 5, 7),))
    model.reshape({0: list(shape)})
    fuse(model)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found, wanted = compiled([x.numpy()])[0], module(x).numpy()
    assert found.shape == wanted.shape
    kinds = Counter(node.get_type_name() for node in model.get_ops())
    return kinds, float(np.abs(found - wanted).max() / np.abs(wanted).max())


def twice(mode: str = "nearest") -> nn.Upsample:
    return nn.Upsample(scale_factor=2.0, mode=mode)


def conv(into: int, out: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(into, out, size, stride, size // 2)


@pytest.mark.parametrize("shape", [(1, 12, 16, 16), (3, 12, 1, 9), (2, 12, 2, 2)])
def test_an_enlarging_and_its_convolution_become_one_that_gives_the_same(shape: Shape) -> None:
    kinds, apart = run(Plain(twice(), conv(12, 8), nn.ReLU(), twice(), conv(8, 8)), shape)
    assert (kinds["Interpolate"], kinds["Convolution"], kinds["ConvolutionBackpropData"]) == (0, 0, 2)
    assert apart < 1e-5


@pytest.mark.parametrize("shape", [(1, 12, 16, 16), (2, 12, 3, 9), (1, 12, 5, 3)])
def test_two_convolutions_with_nothing_between_become_one_to_the_last_pixel_of_the_edge(shape: Shape) -> None:
    first = nn.Conv2d(12, 12, 3, padding=1, bias=False)
    kinds, apart = run(Plain(twice(), first, conv(12, 3)), shape)
    assert kinds["DepthToSpace"] == 1
    assert apart < 1e-5


@pytest.mark.parametrize(
    "layers",
    [
        (twice("bilinear"), conv(12, 12)),
        (nn.Upsample(scale_factor=3.0), conv(12, 12)),
        (twice(), conv(12, 12, size=5)),
        (twice(), conv(12, 12, stride=2)),
        (conv(12, 12), conv(12, 3)),
    ],
)
def test_what_is_of_another_kind_stays_as_it_is(layers: tuple[nn.Module, ...]) -> None:
    kinds, apart = run(Plain(*layers), (1, 12, 8, 8))
    assert kinds["ConvolutionBackpropData"] == kinds["DepthToSpace"] == 0
    assert apart < 1e-5


@pytest.mark.parametrize("last", [(nn.ReLU(), conv(12, 3)), (conv(12, 8),)])
def test_a_second_convolution_stays_behind_a_nonlinearity_or_with_many_channels(
    last: tuple[nn.Module, ...],
) -> None:
    first = nn.Conv2d(12, 12, 3, padding=1, bias=False)
    kinds, apart = run(Plain(twice(), first, *last), (1, 12, 8, 8))
    assert (kinds["ConvolutionBackpropData"], kinds["Convolution"]) == (1, 1)
    assert apart < 1e-5


def test_a_transposed_convolution_of_the_network_itself_stays_as_it_is() -> None:
    own = nn.ConvTranspose2d(12, 12, 2, stride=2, bias=False)
    kinds, apart = run(Plain(own, conv(12, 3)), (1, 12, 8, 8))
    assert (kinds["ConvolutionBackpropData"], kinds["Convolution"], kinds["DepthToSpace"]) == (1, 1, 0)
    assert apart < 1e-5
