"""The files for NVIDIA DeepStream's nvinfer: a graph that takes floats, and its configuration."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from dpiqa.errors import InputError
from dpiqa.export.serving.deploy import Tensor
from dpiqa.runtime.engines.onnxruntime import open_session
from dpiqa.runtime.spec import ModelSpec

MAX_PARITY_ERROR = 0.01
# nvinfer's network-mode. It builds INT8 only from calibration tables, never from Q/DQ: trtexec builds that engine.
_MODES = {"fp32": 0, "int8": 1, "fp16": 2}


def for_nvinfer(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph as nvinfer can run it: float32 `frames` `[N, H, W, 3]` from 0 to 255 in, `score` `[N, 1]` out.

    nvinfer fills its input with floats whatever type the graph declares, and drops outputs without a dimension besides
    the batch. The contract, which promises uint8 frames, is removed. Raises InputError for a graph that computes on
    uint8 before it casts.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.metadata_props[:]
    graph = changed.graph
    graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    del graph.value_info[:]  # types between the input and its cast, and sizes that follow from the graph
    for node in graph.node:
        node.input[:] = ["score_of_batch" if name == "score" else name for name in node.input]
        node.output[:] = ["score_of_batch" if name == "score" else name for name in node.output]
    graph.initializer.append(helper.make_tensor("one_score_a_frame", TensorProto.INT64, [2], [-1, 1]))
    graph.node.append(helper.make_node("Reshape", ["score_of_batch", "one_score_a_frame"], ["score"]))
    score = next(output for output in graph.output if output.name == "score")
    score.type.tensor_type.shape.dim.add().dim_value = 1
    try:
        onnx.checker.check_model(changed, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"the graph cannot take float frames, which nvinfer passes: {reason}") from None
    return changed


def parity_error(model: onnx.ModelProto, changed: onnx.ModelProto, spec: ModelSpec) -> float:
    """The largest score difference in points between the two graphs on noise, black and white."""
    shape = (spec.input.height, spec.input.width, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape)
    frames = np.stack([noise, np.zeros(shape), np.full(shape, 255)]).astype(np.uint8)
    ours, theirs = (open_session(graph.SerializeToString()) for graph in (model, changed))
    (expected,) = ours.run(["score"], {"frames": frames})
    (actual,) = theirs.run(["score"], {"frames": frames.astype(np.float32)})
    return float(np.abs(np.asarray(actual)[:, 0] - np.asarray(expected)).max())


def nvinfer_config(name: str, spec: ModelSpec, outputs: tuple[Tensor, ...], batch: int, interval: int) -> str:
    """The `[property]` group of nvinfer for `NAME.onnx`; sizes, colours and output names come from the contract."""
    height, width = spec.input.height, spec.input.width
    engine = f"{name}.engine" if spec.precision == "int8" else f"{name}.onnx_b{batch}_gpu0_{spec.precision}.engine"
    return f"""# {spec.name} {spec.version}, {spec.precision}, for Gst-nvinfer. Weights: sha256 {spec.weights_sha256}
# Every frame's NvDsInferTensorMeta (NVDSINFER_TENSOR_OUTPUT_META in its frame_user_meta_list) holds the layer
# 'score': one float, 0 (bad) to 100 (excellent).
{_build_note(name, spec, batch)}[property]
gpu-id=0
gie-unique-id=1
process-mode=1
interval={interval}
batch-size={batch}
onnx-file={name}.onnx
model-engine-file={engine}
network-mode={_MODES[spec.precision]}
# Neither detector nor classifier: the tensors as they are.
network-type=100
output-tensor-meta=1
output-blob-names={";".join(tensor.name for tensor in outputs)}
# RGB from 0 to 255, packed, the whole frame: mean and deviation are in the graph. infer-dims is channel;height;width
# also where the order is NHWC.
network-input-order=1
infer-dims=3;{height};{width}
model-color-format=0
net-scale-factor=1
maintain-aspect-ratio=0
# The nearest to the contract's resize rule '{spec.input.resize}': the GPU's super-sampling.
scaling-filter=3
scaling-compute-hw=1
"""


def _build_note(name: str, spec: ModelSpec, batch: int) -> str:
    if spec.precision != "int8":
        return ""
    smallest, largest = (f"frames:{count}x{spec.input.height}x{spec.input.width}x3" for count in (1, batch))
    return f"""# Build the engine first, nvinfer does not build INT8 from Q/DQ (TensorRT 11: without --int8):
#   trtexec --onnx={name}.onnx --int8 --minShapes={smallest} --optShapes={largest} --maxShapes={largest} \\
#     --saveEngine={name}.engine
"""
