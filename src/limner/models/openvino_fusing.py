"""Fewer operations for the same result, once the shapes of a converted network are known.

An enlarged picture repeats each value four times, and a convolution of it multiplies and adds the same values
again and again: as a transposed convolution it takes 4 products a pixel and channel instead of 9. Two
convolutions with nothing between them are one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13
from openvino.utils import replace_node

Array = NDArray[np.float32]

# Rows and columns of a small picture whose edges come out as those of the whole one, and how many of those.
EDGE, EXACT = 2, 1
# The second of two convolutions has at most so many times fewer channels than go in: else one costs more.
FEWER = 4


def fuse(model: openvino.Model) -> None:
    """Change a model of static shapes in place. What is not of these two kinds stays as it is."""
    spread = set()
    for node in model.get_ordered_ops():
        if _is_plain(node) and _doubles(node.input_value(0).get_node()):
            replace_node(node, one := _transposed(node))
            spread.add(one.get_friendly_name())
    for node in model.get_ordered_ops():
        before = node.input_value(0).get_node().get_friendly_name() if _is_plain(node) else None
        if before in spread and _alone_before(node):
            replace_node(node, _one_of_two(node))


def _is_plain(node: Any) -> bool:
    """A convolution of 3x3 that keeps the size."""
    if node.get_type_name() != "Convolution" or node.input_value(1).get_node().get_type_name() != "Constant":
        return False
    told = node.get_attributes()
    ones = told["strides"], told["dilations"], told["pads_begin"], told["pads_end"]
    return all(one == [1, 1] for one in ones) and list(node.input_value(1).shape)[2:] == [3, 3]


def _doubles(node: Any) -> bool:
    """Enlarges height and width twice by repeating every value."""
    if node.get_type_name() != "Interpolate":
        return False
    told, (*before, height, width) = node.get_attributes(), node.input_value(0).shape
    repeats = [told.get(name) for name in ("mode", "coordinate_transformation_mode", "nearest_mode")]
    doubled = [*before, 2 * height, 2 * width]
    return repeats == ["nearest", "asymmetric", "floor"] and list(node.output(0).shape) == doubled


def _weight(node: Any) -> Array:
    return np.asarray(node.input_value(1).get_node().data, np.float32)


def _transposed(node: Any) -> Any:
    """The enlarging and the convolution after it in one: every value spreads over 4x4 pixels."""
    weight = np.ascontiguousarray(_weight(node)[..., ::-1, ::-1].swapaxes(0, 1))
    spread = np.zeros((*weight.shape[:2], 4, 4), np.float32)
    for y in (0, 1):
        for x in (0, 1):
            spread[:, :, y : y + 3, x : x + 3] += weight
    small = node.input_value(0).get_node().input_value(0)
    return _spread(small, spread, 1)


def _spread(small: Any, kernel: Array, pads: int) -> Any:
    both = [pads, pads]
    return opset13.convolution_backprop_data(
        small, opset13.constant(kernel), strides=[2, 2], pads_begin=both, pads_end=both
    )


def _alone_before(node: Any) -> bool:
    """Whether it alone reads what is before it, and makes few channels of many."""
    before = node.input_value(0)
    fewer, many = list(node.input_value(1).shape)[:2]
    return (
        len(before.get_target_inputs()) == 1
        and FEWER * fewer <= many
        and min(before.get_node().input_value(0).shape[2:]) > EDGE
    )


def _one_of_two(node: Any) -> Any:
    """An enlarging and the convolution after it in one. At its edge the convolution sees nothing where the
    enlarged picture, had it gone on, would have values: so the edges are made by both, of small strips."""
    first = node.input_value(0).get_node()
    small, kernel, weight = first.input_value(0), _weight(first), _weight(node)
    both = np.zeros((kernel.shape[0], weight.shape[0], 6, 6), np.float32)
    for y in range(3):
        for x in range(3):
            product = np.einsum("imyx,om->ioyx", kernel, weight[:, :, 2 - y, 2 - x])
            both[:, :, y : y + 4, x : x + 4] += product
    whole = _by_places(small, both)

    def made_of(part: Any) -> Any:
        plain = {"strides": [1, 1], "pads_begin": [1, 1], "pads_end": [1, 1], "dilations": [1, 1]}
        return opset13.convolution(_spread(part, kernel, 1), opset13.constant(weight), **plain)

    top, bottom, left, right = (
        _cut(made_of(_cut(small, axis, begin, end)), axis, first_pixel, last_pixel)
        for axis in (2, 3)
        for begin, end, first_pixel, last_pixel in ((0, EDGE, 0, EXACT), (-EDGE, None, -EXACT, None))
    )
    inner = _cut(whole, 3, EXACT, -EXACT)
    middle = _cut(opset13.concat([left, inner, right], 3), 2, EXACT, -EXACT)
    return opset13.concat([top, middle, bottom], 2)


def _by_places(small: Any, kernel: Array) -> Any:
    """What `_spread` gives with 6x6 and pads of 2, as a convolution of the small picture: each of the four
    pixels that a value becomes is a channel, and then goes to its place. Quicker for few channels."""
    into, out = kernel.shape[:2]
    weight = np.zeros((out, 2, 2, into, 3, 3), np.float32)
    for a in (0, 1):
        for b in (0, 1):
            for y in range(3):
                for x in range(3):
                    weight[:, a, b, :, y, x] = kernel[:, :, a + 4 - 2 * y, b + 4 - 2 * x].T
    plain = {"strides": [1, 1], "pads_begin": [1, 1], "pads_end": [1, 1], "dilations": [1, 1]}
    places = opset13.convolution(small, opset13.constant(weight.reshape(4 * out, into, 3, 3)), **plain)
    return opset13.depth_to_space(places, "depth_first", 2)


def _cut(node: Any, axis: int, begin: int, end: int | None) -> Any:
    """`node[begin:end]` along an axis."""
    stop = np.iinfo(np.int64).max if end is None else end
    return opset13.slice(node, [begin], [stop], [1], [axis])
