"""Changes to a network for engine builders: layout, size and shapes, half precision."""

from __future__ import annotations

import logging
import math
import re
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from pydantic import ValidationError

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec, ModelSpec, field_reason
from dpiqa.train.students.quiet import modelopt_silenced

_IN_VARIANCES = ("Add", "Clip", "Max", "ReduceMean", "Sub")


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


def parse_size(text: str, option: str = "--size") -> tuple[int, int]:
    """Height and width from the `HxW` of an option."""
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise InputError(f"{option} {text}: expected height x width in pixels, such as 288x512")
    return int(height), int(width)


def parse_shapes(text: str) -> InputSpec:
    """The input of a model for the `HxW,HxW,...` of --shapes, in order; InputError for a list that no contract has."""
    sizes = [parse_size(part.strip(), "--shapes") for part in text.split(",")]
    (height, width), *others = sizes
    shapes = [{"height": one[0], "width": one[1]} for one in others]
    try:
        return InputSpec.model_validate({"height": height, "width": width, "other_shapes": shapes})
    except ValidationError as error:
        raise InputError(f"--shapes {text}: {field_reason(error)}") from None


def input_of(height: int, width: int) -> InputSpec:
    """Input of one size; InputError when it is out of the contract's range."""
    try:
        return InputSpec(height=height, width=width)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--size {height}x{width}: {first['loc'][0]}: {first['msg'].lower()}") from None


def resized(model: onnx.ModelProto, spec: ModelSpec, height: int, width: int) -> tuple[onnx.ModelProto, ModelSpec]:
    """The same network for frames of another size, and its contract without the metrics measured at the old size.

    Raises InputError for a size out of the contract's range, or one that the network cannot take.
    """
    size = input_of(height, width)
    try:
        copy = for_frames(model, height, width)
    except onnx.shape_inference.InferenceError as error:
        reason = str(error).strip().splitlines()[-1]
        hint = "" if height % 32 == width % 32 == 0 else " (multiples of 32 are more likely to work)"
        raise InputError(f"--size {height}x{width}: this network does not take every size{hint}: {reason}") from None
    return copy, spec.taking(size).model_copy(update={"evaluated_on": ()})


def shaped(model: onnx.ModelProto, spec: ModelSpec, frames: InputSpec) -> tuple[onnx.ModelProto, ModelSpec]:
    """The same network for frames of several shapes, and its contract without the metrics measured before.

    Raises InputError for a network that takes one size alone.
    """
    if not frames.other_shapes:
        return resized(model, spec, frames.height, frames.width)
    for shape in frames.shapes:
        resized(model, spec, shape.height, shape.width)
    return for_frames(model, "H", "W"), spec.taking(frames).model_copy(update={"evaluated_on": ()})


def one_shape(path: Path, spec: ModelSpec) -> str:
    """What to say where only the first of several shapes is used."""
    first = f"{spec.input.height}x{spec.input.width}"
    return f"{path}: takes {len(spec.input.shapes)} shapes, here the first alone, {first}"


def first_shape(model: onnx.ModelProto, spec: ModelSpec) -> tuple[onnx.ModelProto, ModelSpec]:
    """The same network for the first of its shapes alone, for what runs one; unchanged where it takes one."""
    return resized(model, spec, spec.input.height, spec.input.width) if spec.input.other_shapes else (model, spec)


def for_frames(model: onnx.ModelProto, *sides: int | str) -> onnx.ModelProto:
    """A copy for another height and width, fixed or by name; InferenceError when the network cannot take them."""
    copy = _copy(model)
    frames = next(value for value in copy.graph.input if value.name == "frames")
    for dim, side in zip(frames.type.tensor_type.shape.dim[1:3], sides, strict=True):
        dim.Clear()
        if isinstance(side, int):
            dim.dim_value = side
        else:
            dim.dim_param = side
    for map_output in (output for output in copy.graph.output if output.name == "map"):
        for side in map_output.type.tensor_type.shape.dim[1:]:
            side.Clear()  # follows from the size of the frames
    del copy.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(copy, check_type=True, strict_mode=True, data_prop=True)
    for map_output in (output for output in inferred.graph.output if output.name == "map"):
        for side, name in zip(map_output.type.tensor_type.shape.dim[1:], "hw", strict=True):
            if not side.dim_value:
                side.dim_param = name
    return inferred


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network computing in FP16; `frames` stay uint8 and the outputs float32.

    Variances stay in FP32: the mean of squares less the square of the mean loses all of FP16's eleven bits where a
    channel is nearly flat.
    """
    named = with_names(model)
    with TemporaryDirectory() as folder, modelopt_silenced():
        from modelopt.onnx.autocast import convert_to_mixed_precision  # takes seconds

        file = Path(folder, "model.onnx")
        onnx.save(named, file)
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            return convert_to_mixed_precision(
                str(file),
                low_precision_type="fp16",
                nodes_to_exclude=[f"^{re.escape(name)}$" for name in sorted(variance_nodes(named))],
                data_max=math.inf,
                init_max=math.inf,
                keep_io_types=True,
            )
        finally:
            logging.disable(level)


def variance_nodes(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes that compute deviations: square roots, and all before them up to the features' squares."""
    producers = {output: node for node in model.graph.node for output in node.output}
    names: set[str] = set()
    waiting = [node for node in model.graph.node if node.op_type == "Sqrt"]
    while waiting:
        node = waiting.pop()
        names.add(node.name)
        before = [producers[name] for name in node.input if name in producers]
        if node.op_type == "ReduceMean":
            before = [one for one in before if _is_square(one)]
        elif _is_square(node):
            before = [one for one in before if one.op_type == "ReduceMean"]
        waiting += [one for one in before if _is_square(one) or one.op_type in _IN_VARIANCES]
    return names


def _is_square(node: onnx.NodeProto) -> bool:
    return node.op_type == "Pow" or (node.op_type == "Mul" and node.input[0] == node.input[1])


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
