"""Changes to a network for engine builders: layout, size, half precision."""

from __future__ import annotations

import logging
from itertools import count

import onnx
from pydantic import ValidationError

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec, ModelSpec
from dpiqa.train.students.quiet import modelopt_silenced


def for_tensorrt(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the same scores that casts `frames` to float before transposing: TensorRT cannot transpose uint8."""
    copy = _copy(model)
    nodes = list(copy.graph.node)
    users = [node for node in nodes if "frames" in node.input]
    if [node.op_type for node in users] != ["Transpose"]:
        return copy
    transpose = users[0]
    casts = [node for node in nodes if transpose.output[0] in node.input]
    if [node.op_type for node in casts] != ["Cast"]:
        return copy
    cast = casts[0]
    transposed, result = transpose.output[0], cast.output[0]
    cast.input[0], cast.output[0] = "frames", f"{result}_nhwc"
    transpose.input[0], transpose.output[0] = cast.output[0], result
    first, second = nodes.index(transpose), nodes.index(cast)
    nodes[first], nodes[second] = cast, transpose
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    values = [value for value in copy.graph.value_info if value.name != transposed]
    del copy.graph.value_info[:]
    copy.graph.value_info.extend(values)
    return copy


def with_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node has a unique name, by which layers are identified and converted."""
    copy = _copy(model)
    names = {node.name for node in copy.graph.node}
    for place, node in enumerate(copy.graph.node):
        if not node.name:
            node.name = next(name for n in count(place) if (name := f"{node.op_type}_{n}") not in names)
            names.add(node.name)
    return copy


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from the `HxW` of --size."""
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise InputError(f"--size {text}: expected height x width in pixels, such as 288x512")
    return int(height), int(width)


def input_of(spec: InputSpec, height: int, width: int) -> InputSpec:
    """The same input at another size; InputError when it is out of the contract's range."""
    try:
        return InputSpec(height=height, width=width, resize=spec.resize)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--size {height}x{width}: {first['loc'][0]}: {first['msg'].lower()}") from None


def resized(model: onnx.ModelProto, spec: ModelSpec, height: int, width: int) -> tuple[onnx.ModelProto, ModelSpec]:
    """The same network for frames of another size, and its contract without the metrics measured at the old size.

    Raises InputError for a size out of the contract's range, or one that the network cannot take.
    """
    size = input_of(spec.input, height, width)
    copy = _copy(model)
    frames = next(value for value in copy.graph.input if value.name == "frames")
    for place, length in ((1, height), (2, width)):
        frames.type.tensor_type.shape.dim[place].dim_value = length
    for map_output in (output for output in copy.graph.output if output.name == "map"):
        for side in map_output.type.tensor_type.shape.dim[1:]:
            side.Clear()  # follows from the size of the frames
    del copy.graph.value_info[:]
    try:
        copy = onnx.shape_inference.infer_shapes(copy, check_type=True, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        reason = str(error).strip().splitlines()[-1]
        hint = "" if height % 32 == width % 32 == 0 else " (multiples of 32 are more likely to work)"
        raise InputError(f"--size {height}x{width}: this network does not take every size{hint}: {reason}") from None
    return copy, spec.model_copy(update={"input": size, "evaluated_on": ()})


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network computing in FP16; `frames` stay uint8 and the outputs float32."""
    with modelopt_silenced():
        from modelopt.onnx.autocast import convert_to_f16  # takes seconds

        level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            return convert_to_f16(_copy(model), low_precision_type="fp16", keep_io_types=True)
        finally:
            logging.disable(level)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
