"""An ONNX graph of a convolutional network, run in PyTorch, on a GPU or with every rounding of FP16 on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx
import torch
from onnx.numpy_helper import to_array
from torch import Tensor
from torch.nn import functional

from dpiqa.errors import EngineError

_Attributes = Mapping[str, Any]
_Op = Callable[[list[Any], _Attributes], Tensor]
_TYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.UINT8: torch.uint8,
    onnx.TensorProto.INT64: torch.int64,
}


class TorchGraph:
    """A graph whose tensors keep the types that it declares.

    On a CPU a node computes in FP32, and what it declares as FP16 is rounded: products of convolutions accumulate in
    FP32, as in tensor cores, and every layer's output has FP16's precision and range. A GPU that fuses layers rounds
    less often.
    """

    def __init__(self, model: onnx.ModelProto, device: torch.device) -> None:
        """Prepare a graph; EngineError names the kinds of node that are not known here."""
        if unknown := sorted({node.op_type for node in model.graph.node} - OPS.keys()):
            raise EngineError(f"PyTorch does not run graphs with {', '.join(unknown)} here")
        self.device = device
        self.outputs = [output.name for output in model.graph.output]
        self._constants = {tensor.name: torch.from_numpy(to_array(tensor).copy()).to(device)
                           for tensor in model.graph.initializer}  # fmt: skip
        self._nodes = [(node, {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute})
                       for node in model.graph.node]  # fmt: skip
        self._last = {name: place for place, (node, _) in enumerate(self._nodes) for name in node.input}

    @torch.inference_mode()
    def run(self, frames: Tensor) -> dict[str, Tensor]:
        """All outputs by name, on the CPU, for uint8 frames `[N, H, W, 3]`."""
        values = self._constants | {"frames": frames.to(self.device)}
        for place, (node, attributes) in enumerate(self._nodes):
            inputs = [values[name] if name else None for name in node.input]
            values[node.output[0]] = self._compute(OPS[node.op_type], inputs, attributes)
            for name in node.input:  # freed as soon as nothing needs it
                if self._last[name] == place and name not in self._constants and name not in self.outputs:
                    values.pop(name, None)
        return {name: values[name].cpu() for name in self.outputs}

    def _compute(self, op: _Op, inputs: list[Tensor | None], attributes: _Attributes) -> Tensor:
        halves = any(one is not None and one.dtype == torch.float16 for one in inputs)
        if self.device.type == "cuda" or not halves or "to" in attributes:
            return op(inputs, attributes)
        wide = [one.float() if one is not None and one.dtype == torch.float16 else one for one in inputs]
        return op(wide, attributes).half()


def _conv(inputs: list[Any], attributes: _Attributes) -> Tensor:
    frames, weight, *bias = inputs
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    if top or left or bottom or right:
        frames = functional.pad(frames, (left, right, top, bottom))
    options = {"stride": attributes.get("strides", 1), "dilation": attributes.get("dilations", 1)}
    return functional.conv2d(frames, weight, *bias, groups=attributes.get("group", 1), **options)


def _gemm(inputs: list[Any], attributes: _Attributes) -> Tensor:
    a, b, *bias = inputs
    a, b = a.T if attributes.get("transA") else a, b.T if attributes.get("transB") else b
    product = attributes.get("alpha", 1.0) * (a @ b)
    return product + attributes.get("beta", 1.0) * bias[0] if bias else product


def _clip(inputs: list[Any], _: _Attributes) -> Tensor:
    low, high = (*inputs[1:], None, None)[:2]
    return torch.clamp(inputs[0], low, high)


def _axes(inputs: list[Any], attributes: _Attributes) -> list[int]:
    return inputs[1].tolist() if len(inputs) > 1 else list(attributes["axes"])


def _mean(inputs: list[Any], attributes: _Attributes) -> Tensor:
    return inputs[0].mean(_axes(inputs, attributes), keepdim=bool(attributes.get("keepdims", 1)))


def _unsqueeze(inputs: list[Any], attributes: _Attributes) -> Tensor:
    value = inputs[0]
    for axis in sorted(_axes(inputs, attributes)):
        value = value.unsqueeze(axis)
    return value


def _resize(inputs: list[Any], attributes: _Attributes) -> Tensor:
    value: Tensor = inputs[0]
    scales = inputs[2] if len(inputs) > 2 else None
    given = {"mode": b"nearest", "coordinate_transformation_mode": b"half_pixel", "antialias": 0} | dict(attributes)
    if (given["mode"], given["coordinate_transformation_mode"], given["antialias"]) not in (
        (b"linear", b"half_pixel", 0), (b"linear", b"pytorch_half_pixel", 0)
    ):  # fmt: skip
        raise EngineError("PyTorch runs no Resize here but the linear one with half-pixel centres")
    if scales is not None and scales.numel():
        return functional.interpolate(value, scale_factor=scales[2:].tolist(), mode="bilinear")
    return functional.interpolate(value, inputs[3][2:].tolist(), mode="bilinear")


def _max_pool(inputs: list[Any], attributes: _Attributes) -> Tensor:
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    padded = functional.pad(inputs[0], (left, right, top, bottom), value=-torch.inf)
    return functional.max_pool2d(padded, attributes["kernel_shape"], attributes.get("strides", 1),
                                 ceil_mode=bool(attributes.get("ceil_mode", 0)))  # fmt: skip


def _by_element(function: Callable[..., Tensor]) -> _Op:
    return lambda inputs, _: function(*inputs)


OPS: dict[str, _Op] = {
    "Add": _by_element(torch.add),
    "Cast": lambda inputs, attributes: inputs[0].to(_TYPES[attributes["to"]]),
    "Clip": _clip,
    "Concat": lambda inputs, attributes: torch.cat(inputs, attributes["axis"]),
    "Conv": _conv,
    "Div": _by_element(torch.div),
    "Flatten": lambda inputs, attributes: inputs[0].flatten(attributes.get("axis", 1)),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda inputs, _: inputs[0].mean((2, 3), keepdim=True),
    "HardSigmoid": lambda inputs, given: (given.get("alpha", 0.2) * inputs[0] + given.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": _by_element(functional.hardswish),
    "Identity": lambda inputs, _: inputs[0],
    "MatMul": _by_element(torch.matmul),
    "MaxPool": _max_pool,
    "Max": _by_element(torch.maximum),
    "Min": _by_element(torch.minimum),
    "Mul": _by_element(torch.mul),
    "Pow": _by_element(torch.pow),
    "ReduceMean": _mean,
    "Relu": _by_element(functional.relu),
    "Reshape": lambda inputs, _: inputs[0].reshape(inputs[1].tolist()),
    "Resize": _resize,
    "Sigmoid": _by_element(torch.sigmoid),
    "Sqrt": _by_element(torch.sqrt),
    "Squeeze": lambda inputs, attributes: inputs[0].squeeze(tuple(_axes(inputs, attributes))),
    "Sub": _by_element(torch.sub),
    "Transpose": lambda inputs, attributes: inputs[0].permute(attributes["perm"]),
    "Unsqueeze": _unsqueeze,
}
