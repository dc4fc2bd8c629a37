"""A student with fake quantizers as an ONNX graph with Q/DQ nodes."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import onnxslim
import torch

from dpiqa.export.graphs.student import OPSET, without_traces
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.students.model import Student


def export_quantized(student: Student, spec: InputSpec) -> onnx.ModelProto:
    """The graph of a student with quantizers: Q/DQ around its convolutions, weights stored as int8."""
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    console = io.StringIO()
    with (
        TemporaryDirectory() as folder,
        contextlib.redirect_stdout(console),
        contextlib.redirect_stderr(console),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # from the exporter that modelopt's quantizers need, and its tracing
        from modelopt.onnx.quantization.qdq_utils import qdq_to_dq  # takes seconds and logs to the console

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
        logging.getLogger("modelopt").setLevel(logging.ERROR)
        # Makes timm's padding part of the convolutions. ONNX Runtime cannot load tied weights once they are folded.
        options: Any = {"skip_optimizations": ["weight_tying"]}
        slim = onnxslim.slim(onnx.load(file), **options)
        assert isinstance(slim, onnx.ModelProto)
        model = qdq_to_dq(slim)
    del model.graph.value_info[:]  # still declares the weights as float
    return without_traces(model)
