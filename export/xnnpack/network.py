"""A student's ONNX graph as a PyTorch module in the form that XNNPACK takes whole, as one delegate.

The input is the normalised picture, float `[1, 3, H, W]`. Vectors stay maps of one cell, because a change of rank or a
concatenation of such maps ends the delegate: a mean is an average over the whole level, a matrix product a 1x1
convolution, one of joined vectors a sum of them. A map has two equal channels for the same reason.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
import torchao.quantization.pt2e.quantizer  # pyright: ignore[reportMissingImports]  # noqa: F401  registers operators
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import fx, nn
from torch.nn import functional

from dpiqa.errors import InputError

_OPS = torch.ops.quantized_decomposed
_LEVELS = -128, 127, torch.int8
_QUANTIZE, _DEQUANTIZE = _OPS.quantize_per_tensor.default, _OPS.dequantize_per_tensor.default
Value = fx.Node | list[fx.Node]  # a tensor, or the vectors that a concatenation joins


class Normalisation(NamedTuple):
    """What the program expects of a pixel: its value minus `mean`, over `std`, for R, G and B."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class XnnpackNetwork(NamedTuple):
    """A module from the normalised picture to maps `[1, C, h, w]`, one for each of `outputs`.

    A score is one cell, causes are K channels of one, a map is two equal channels.
    """

    module: nn.Module
    outputs: tuple[str, ...]
    normalisation: Normalisation


def xnnpack_network(model: onnx.ModelProto, outputs: tuple[str, ...]) -> XnnpackNetwork:
    """The part of a graph with static shapes that `outputs` need.

    INT8 tensors have the scales and zero points of the file's Q/DQ nodes. Where a convolution's output goes into an
    addition without such a pair, XNNPACK needs one more, which gets the sum's own scale; where it goes anywhere else,
    the convolution computes in floats, with its weights on the INT8 grid. Raises InputError for a graph of another
    form.
    """
    return _Builder(model).build(outputs)


class _Builder:
    def __init__(self, model: onnx.ModelProto) -> None:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        self._shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
                        for value in (*inferred.value_info, *inferred.output)}  # fmt: skip
        self._constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        self._nodes = list(model.graph.node)
        self._makers = {node.output[0]: node for node in self._nodes}
        self._users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self._nodes:
            for name in node.input:
                self._users[name].append(node)
        self._root, self._graph = nn.Module(), fx.Graph()
        self._values: dict[str, Value] = {}

    def build(self, outputs: tuple[str, ...]) -> XnnpackNetwork:
        picture, normalisation = self._normalised()
        self._values[picture] = self._graph.placeholder("pixels")
        needed = self._ancestors(outputs, picture)
        for node in self._nodes:
            if node.output[0] in needed and not self._is_weight(node.output[0]):
                translate = getattr(self, f"_{node.op_type.lower()}", None)
                if translate is None:
                    raise InputError(f"operator {node.op_type}: none of those that our models run in ExecuTorch")
                self._values[node.output[0]] = translate(node)
        self._graph.output(tuple(self._output(name) for name in outputs))
        return XnnpackNetwork(fx.GraphModule(self._root, self._graph), outputs, normalisation)

    def _output(self, name: str) -> fx.Node:
        """An output of one cell gets a second one: of one, the order of its dimensions cannot be known."""
        value = self._value(name)
        return self._call(functional.pad, value, (0, 1)) if len(self._shapes[name]) == 2 else value

    def _normalised(self) -> tuple[str, Normalisation]:
        """The name of the normalised picture, and its constants: behind Cast, Transpose, Sub and Div."""
        name, kinds, constants = "frames", list[str](), list[tuple[float, ...]]()
        for _ in range(4):
            node = self._users[name][0]
            name = node.output[0]
            kinds.append(node.op_type)
            constants += [tuple(np.broadcast_to(self._constants[part].ravel(), 3).tolist()) for part in node.input[1:]]
        if sorted(kinds) != ["Cast", "Div", "Sub", "Transpose"] or kinds.index("Sub") > kinds.index("Div"):
            raise InputError(f"the graph must begin with Cast, Transpose, Sub, Div as a student's does, found {kinds}")
        return name, Normalisation(*constants)

    def _ancestors(self, outputs: tuple[str, ...], picture: str) -> set[str]:
        needed, open_names = set[str](), list(outputs)
        while open_names:
            name = open_names.pop()
            if name in self._makers and name not in needed and name != picture:
                needed.add(name)
                open_names += self._makers[name].input
        return needed

    # Values and constants

    def _value(self, name: str) -> fx.Node:
        """A tensor; each user gets its own dequantize operation, for the delegate fuses it into the user."""
        value = self._values[name]
        assert isinstance(value, fx.Node)
        if grid := self._grid_of(name):
            return self._call(_DEQUANTIZE, value, *grid, *_LEVELS)
        return value

    def _call(self, function: Any, *arguments: Any) -> fx.Node:
        return self._graph.call_function(function, arguments)

    def _constant(self, values: NDArray[Any]) -> fx.Node:
        name = f"constant_{sum(1 for _ in self._root.buffers())}"
        self._root.register_buffer(name, torch.from_numpy(np.array(values)))
        return self._graph.get_attr(name)

    def _is_weight(self, name: str) -> bool:
        maker = self._makers.get(name)
        return maker is not None and maker.op_type == "DequantizeLinear" and maker.input[0] in self._constants

    def _grid(self, node: onnx.NodeProto) -> tuple[float, int]:
        """Step and zero point of a Q or DQ node, for signed levels."""
        step, zero = (self._constants[name] for name in node.input[1:3])
        return float(step), int(zero) - (128 if zero.dtype == np.uint8 else 0)

    def _through(self, value: fx.Node, step: float, zero: int) -> fx.Node:
        """A value on an INT8 grid."""
        levels = self._call(_QUANTIZE, value, step, zero, *_LEVELS)
        return self._call(_DEQUANTIZE, levels, step, zero, *_LEVELS)

    # Operators

    def _quantizelinear(self, node: onnx.NodeProto) -> fx.Node:
        return self._call(_QUANTIZE, self._value(node.input[0]), *self._grid(node), *_LEVELS)

    def _dequantizelinear(self, node: onnx.NodeProto) -> fx.Node:
        return self._value(node.input[0])

    def _conv(self, node: onnx.NodeProto) -> fx.Node:
        attributes = {"dilations": (1, 1), "group": 1, "strides": (1, 1), "pads": (0, 0, 0, 0), **_attributes(node)}
        value, grid = self._value(node.input[0]), self._grid_of(node.input[0])
        channels, after = self._shapes[node.output[0]][1], self._after(node)
        bias = self._constants[node.input[2]] if len(node.input) > 2 else np.zeros(channels, np.float32)
        is_int8 = grid is not None and self._is_weight(node.input[1]) and after in ("QuantizeLinear", "Add")
        if is_int8:
            weight = self._int8_weight(node.input[1])
        else:
            floats, copies = self._floats(node.input[1]), 2 if channels == 1 else 1
            weight, bias = self._constant(np.repeat(floats, copies, 0)), np.repeat(bias, copies)
        top, left, bottom, right = attributes["pads"]
        if (top, left) != (bottom, right):
            value = self._call(functional.pad, value, (left, right, top, bottom))
            value = self._through(value, *grid) if grid else value
            top = left = 0
        result = self._call(functional.conv2d, value, weight, self._constant(bias), tuple(attributes["strides"]),
                            (top, left), tuple(attributes["dilations"]), attributes["group"])  # fmt: skip
        return self._through(result, self._step_between(node), 0) if is_int8 and after == "Add" else result

    def _grid_of(self, name: str) -> tuple[float, int] | None:
        """The INT8 grid that a tensor is on, None for a float tensor."""
        maker = self._makers.get(name)
        return self._grid(maker) if maker is not None and maker.op_type == "DequantizeLinear" else None

    def _after(self, node: onnx.NodeProto) -> str | None:
        """The kind of the one operator that takes the node's output, behind its activation; None if there are more.

        "Add" only for one between a tensor on a grid and a Q node.
        """
        while len(users := self._users[node.output[0]]) == 1:
            user = users[0]
            if user.op_type == "Add":
                others = [name for name in user.input if name != node.output[0]]
                is_between = (
                    len(others) == 1 and self._grid_of(others[0]) is not None and self._after(user) == "QuantizeLinear"
                )
                return "Add" if is_between else None
            if user.op_type not in ("Clip", "Relu"):
                return user.op_type
            node = user
        return None

    def _step_between(self, node: onnx.NodeProto) -> float:
        """The step of an INT8 grid for a convolution's output in front of an addition: that of the sum."""
        (addition,) = self._users[node.output[0]]
        (quantize,) = self._users[addition.output[0]]
        return self._grid(quantize)[0]

    def _floats(self, name: str) -> NDArray[np.float32]:
        if not self._is_weight(name):
            return self._constants[name]
        levels, steps = self._levels(name)
        return (levels * steps.reshape(-1, *[1] * (levels.ndim - 1))).astype(np.float32)

    def _int8_weight(self, name: str) -> fx.Node:
        levels, steps = self._levels(name)
        zeros = self._constant(np.zeros(len(steps), np.int64))
        arguments = self._constant(levels), self._constant(steps), zeros, 0, -127, 127, torch.int8
        return self._call(_OPS.dequantize_per_channel.default, *arguments)

    def _levels(self, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """INT8 weights and one step for each of their rows."""
        levels, steps, zeros = (self._constants[part] for part in self._makers[name].input)
        if levels.dtype != np.int8 or zeros.any():
            raise InputError(f"{name}: XNNPACK takes symmetric INT8 weights only")
        return levels, np.broadcast_to(steps.ravel(), levels.shape[:1])

    def _gemm(self, node: onnx.NodeProto) -> fx.Node:
        value = self._values[node.input[0]]
        parts = value if isinstance(value, list) else [value]
        weight = self._floats(node.input[1])
        weight = (weight if _attributes(node).get("transB") else weight.T)[:, :, None, None]
        ends = np.cumsum([part.meta["channels"] for part in parts] if len(parts) > 1 else [weight.shape[1]])
        weights = np.split(weight, ends[:-1], axis=1)
        bias: fx.Node | None = self._constant(self._constants[node.input[2]])
        total: fx.Node | None = None
        for part, columns in zip(parts, weights, strict=True):
            product = self._call(functional.conv2d, part, self._constant(columns), bias)
            total, bias = product if total is None else self._call(operator.add, total, product), None
        assert total is not None
        return total

    def _concat(self, node: onnx.NodeProto) -> list[fx.Node]:
        joined: list[fx.Node] = []
        for name in node.input:
            value = self._values[name]
            if isinstance(value, fx.Node):
                value.meta["channels"] = self._shapes[name][1]
            joined += value if isinstance(value, list) else [value]
        return joined

    def _reducemean(self, node: onnx.NodeProto) -> fx.Node:
        return self._call(functional.avg_pool2d, self._value(node.input[0]), tuple(self._shapes[node.input[0]][2:]))

    def _resize(self, node: onnx.NodeProto) -> fx.Node:
        size = tuple(self._shapes[node.output[0]][2:])
        return self._call(functional.interpolate, self._value(node.input[0]), size, None, "bilinear", False)

    def _clip(self, node: onnx.NodeProto) -> fx.Node:
        bounds = [float(self._constants[name]) for name in node.input[1:] if name]
        if len(bounds) == 2:
            return self._call(functional.hardtanh, self._value(node.input[0]), *bounds)
        return self._call(torch.clamp, self._value(node.input[0]), *bounds)

    def _relu(self, node: onnx.NodeProto) -> fx.Node:
        return self._call(functional.relu, self._value(node.input[0]))

    def _sigmoid(self, node: onnx.NodeProto) -> fx.Node:
        return self._call(torch.sigmoid, self._value(node.input[0]))

    def _sqrt(self, node: onnx.NodeProto) -> fx.Node:
        return self._call(torch.sqrt, self._value(node.input[0]))

    def _squeeze(self, node: onnx.NodeProto) -> fx.Node:
        return self._value(node.input[0])

    _flatten, _globalaveragepool = _squeeze, _reducemean

    def _pow(self, node: onnx.NodeProto) -> fx.Node:
        value = self._value(node.input[0])
        if float(self._constants[node.input[1]]) != 2:
            raise InputError("operator Pow: XNNPACK takes squares only")
        return self._call(operator.mul, value, value)

    def _add(self, node: onnx.NodeProto) -> fx.Node:
        return self._call(operator.add, *self._operands(node))

    def _sub(self, node: onnx.NodeProto) -> fx.Node:
        return self._call(operator.sub, *self._operands(node))

    def _mul(self, node: onnx.NodeProto) -> fx.Node:
        return self._call(operator.mul, *self._operands(node))

    def _operands(self, node: onnx.NodeProto) -> list[fx.Node]:
        return [
            self._constant(self._constants[name].reshape(1, 1, 1, 1)) if name in self._constants else self._value(name)
            for name in node.input
        ]


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
