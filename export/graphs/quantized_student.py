"""A student with fake quantizers as an ONNX graph with Q/DQ nodes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import onnxslim
import torch

from dpiqa.export.graphs.student import OPSET, without_traces
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.students.model import Student
from dpiqa.train.students.quiet import modelopt_silenced


def export_quantized(student: Student, spec: InputSpec) -> onnx.ModelProto:
    """The graph of a student with quantizers: Q/DQ around its convolutions, weights stored as int8."""
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    with TemporaryDirectory() as folder, modelopt_silenced():
        from modelopt.onnx.quantization.qdq_utils import qdq_to_dq  # takes seconds

        file = Path(folder, "student.onnx")
        torch.onnx.export(
            student.eval(),
            (example,),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=["frames"],
            output_names=list(student.outputs),
            dynamic_axes={name: {0: "N"} for name in ("frames", *student.outputs)},
        )
        # Makes timm's padding part of the convolutions. ONNX Runtime cannot load tied weights once they are folded.
        options: Any = {"skip_optimizations": ["weight_tying"]}
        slim = onnxslim.slim(onnx.load(file), **options)
        assert isinstance(slim, onnx.ModelProto)
        model = qdq_to_dq(slim)
    del model.graph.value_info[:]  # still declares the weights as float
    return without_traces(model)
