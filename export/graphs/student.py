"""A student as an ONNX graph, and as a model file."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
import torch

from dpiqa.errors import GateError
from dpiqa.export.graphs.model import Model, read_model
from dpiqa.export.graphs.probes import probe_frames
from dpiqa.export.graphs.transform import shaped
from dpiqa.runtime.spec import InputSpec, ModelSpec, ScoreSpec, TrainedOn
from dpiqa.train.data.terms import licence_of, scale_of
from dpiqa.train.loop.record import RunRecord
from dpiqa.train.model_files import load_model
from dpiqa.train.students.files import load_student
from dpiqa.train.students.model import Student

OPSET = 18
MAX_PARITY_ERROR = 0.05


def export_student(student: Student, input_spec: InputSpec, file: Path) -> None:
    """Write the bare graph: uint8 `frames` `[N, H, W, 3]` in, the student's outputs out, everything else inside."""
    example = torch.zeros(2, input_spec.height, input_spec.width, 3, dtype=torch.uint8)
    batch = torch.export.Dim("N", min=1, max=4096)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # PyTorch and onnxscript warn about their own internals here, not about the exported graph.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            student.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["frames"],
            output_names=list(student.outputs),
            dynamic_shapes={"frames": {0: batch}},
            external_data=False,
            verbose=False,
        )
    assert program is not None
    program.save(file)


def parity_error(student: Student, file: Path, frames: np.ndarray) -> float:
    """Largest difference in points of 100, over all outputs, between PyTorch and ONNX Runtime on uint8 frames."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = student.outputs_by_name(torch.from_numpy(frames))
    actual = dict(zip(expected, session.run(list(expected), {"frames": frames}), strict=True))
    errors = {name: np.abs(np.asarray(actual[name]) - values.numpy()).max() for name, values in expected.items()}
    errors["causes"] = 100 * errors.get("causes", 0.0)
    return float(np.max(list(errors.values())))  # NaN if there is one


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the exporter's notes on nodes and values: they quote source lines and paths of this machine."""
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    return model


def sources(record: RunRecord) -> tuple[TrainedOn, ...]:
    """The training data of a checkpoint, for its contract."""
    return tuple(TrainedOn(**entry.model_dump(), licence=licence_of(entry)) for entry in record.trained_on)


def export_checkpoint(
    checkpoint: Path, out: Path, name: str, version: str, licence: str, frames: InputSpec | None = None
) -> float:
    """Write a student as a model file, and return the largest parity error in points; GateError if it is too large.

    `frames` overrides the size it was trained at; every shape in it is compared with PyTorch.
    """
    student, record = load_student(checkpoint)
    if not all(torch.isfinite(value).all() for value in student.state_dict().values()):
        raise GateError(f"{out}: not written, some weights of {checkpoint} are not finite numbers")
    wanted = frames or record.input
    spec = ModelSpec(
        name=name,
        version=version,
        input=wanted.shapes[0],
        score=ScoreSpec(scale=scale_of(record.trained_on)),
        causes=student.causes,
        trained_on=sources(record),
        weights_sha256="0" * 64,
        licence=licence,
    )
    with TemporaryDirectory() as folder:
        bare = Path(folder, "student.onnx")
        export_student(student, spec.input, bare)
        model = Model(without_traces(load_model(bare)), spec)
        if wanted.other_shapes:
            model = Model(*shaped(*model, wanted))
            onnx.save(model.graph, bare)
        error = max(parity_error(student, bare, probe_frames(shape)) for shape in wanted.shapes)
        if not error <= MAX_PARITY_ERROR:  # also NaN
            raise GateError(
                f"{out}: not written, ONNX Runtime is {error:.3f} points off PyTorch (limit {MAX_PARITY_ERROR})"
            )
        model.save(out)
    return error


def resize_model(
    model: Path, out: Path, frames: InputSpec, name: str | None = None, version: str | None = None
) -> None:
    """Write a model file for frames of another size, or of several shapes, once it has scored some of each.

    An INT8 model keeps its calibrated ranges; name and version stay unless given. Raises InputError, EngineError.
    """
    changes = {key: value for key, value in (("name", name), ("version", version)) if value}
    other = Model(*shaped(*read_model(model).declaring(**changes), frames))
    engine = other.engine()
    for shape in frames.shapes:
        engine.infer(probe_frames(shape))
    other.save(out)
