"""Students from checkpoints and from model files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx.numpy_helper import to_array
from torch import Tensor, nn
from torch.nn import functional

from dpiqa.errors import InputError
from dpiqa.runtime.engines.onnxruntime import open_session
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.terms import TrainingData
from dpiqa.train.loop.checkpoint import load_checkpoint
from dpiqa.train.loop.record import RunRecord, StudentConfig
from dpiqa.train.model_files import load_model, read_contract
from dpiqa.train.students.model import DISCARDED, Student
from dpiqa.train.students.presets import PRESETS


def load_student(checkpoint: Path) -> tuple[Student, RunRecord]:
    """The averaged student in a checkpoint of train.student, ready to score, and its run record."""
    record, state = load_checkpoint(checkpoint, "student")
    if record.quantization:
        raise InputError(f"{checkpoint}: a checkpoint of train.qat, python -m export.qat takes it")
    student = build_student(record)
    student.load_state_dict({name: weight for name, weight in state.items() if not name.startswith(DISCARDED)})
    return student.eval(), record


def build_student(record: RunRecord) -> Student:
    """The untrained student of a run record."""
    assert record.student
    return Student(**record.student.to_dict())


def load_start(start: Path, arch: str | None) -> tuple[Student, RunRecord]:
    """The student to start from, in a checkpoint or a model file, and its run record.

    Raises InputError if its trunk is not `arch` (None: any, in a model file Lite0).
    """
    student, record = load_packed(start, arch) if start.suffix == ".onnx" else load_student(start)
    if arch not in (None, student.config["arch"]):
        raise InputError(f"{start}: a student with {student.config['arch']}, not --arch {arch}")
    return student, record


def load_packed(model: Path, arch: str | None) -> tuple[Student, RunRecord]:
    """The student in an FP32 model file of export.onnx, and the run record that its contract amounts to.

    Batch normalisation, folded into the convolutions, becomes fixed identities. `arch` is the trunk (default: Lite0).
    Raises InputError for other graphs, including students with nodes added.
    """
    graph = load_model(model)
    spec = read_contract(graph, model)
    if spec.precision != "fp32":
        raise InputError(f"{model}: is {spec.precision}, not the FP32 graph of a student")
    stored = {tensor.name: torch.from_numpy(to_array(tensor).copy()) for tensor in graph.graph.initializer}
    weights = dict(stored)
    for node in graph.graph.node:  # biases by their layer: the exporter renames them, and leaves out zeros
        if node.op_type in ("Conv", "Gemm") and (weight := stored.get(node.input[1])) is not None:
            bias = stored.get(node.input[2]) if len(node.input) > 2 else torch.zeros(len(weight))
            weights |= {f"{node.input[1].removesuffix('.weight')}.bias": bias} if bias is not None else {}
    try:
        hidden, features = weights["head.1.weight"].shape
        outputs = {"causes": spec.causes, "map": any(output.name == "map" for output in graph.graph.output)}
        student = Student(arch or PRESETS["lite0"][0], hidden, **outputs, fixed_norms=True)
        if features == 2 * student.features:
            student = Student(student.config["arch"], hidden, **outputs, fixed_norms=True, deviations=True)
        modules = dict(student.named_modules())
        names = [name for name, part in modules.items() if isinstance(part, (nn.Conv2d, nn.BatchNorm2d))]
        for name, after in pairwise([*names, ""]):
            if isinstance(norm := modules.get(after), nn.BatchNorm2d):
                weights |= _identity(norm, after, weights.pop(f"{name}.bias"))
        student.load_state_dict({name: weights[name] for name in student.state_dict() if "num_batches" not in name},
                                strict=False)  # fmt: skip
    except (KeyError, RuntimeError):  # PyTorch's message has a line for every weight
        trunk = arch or PRESETS["lite0"][0]
        raise InputError(f"{model}: not the FP32 graph of a student with the trunk {trunk}, see --arch") from None
    if not _agrees(student.eval(), graph, spec.input):
        raise InputError(
            f"{model}: computes something other than its student, as calibrated models do; take the original"
        )
    trained_on = tuple(TrainingData(name=one.name, split=one.split, images=one.images) for one in spec.trained_on)
    frames = spec.input.shapes[0]
    return student, RunRecord(student=StudentConfig(**student.config), input=frames, trained_on=trained_on)


def _agrees(student: Student, graph: onnx.ModelProto, spec: InputSpec) -> bool:
    """Whether both give the same outputs for noise and a flat picture, scores to a hundredth of a point."""
    shape = (1, spec.height, spec.width, 3)
    frames = np.concatenate([np.random.default_rng(0).integers(0, 256, shape), np.full(shape, 128)]).astype(np.uint8)
    actual = open_session(graph.SerializeToString()).run(list(student.outputs), {"frames": frames})
    with torch.inference_mode():
        expected = student.outputs_by_name(torch.from_numpy(frames)).values()
    return all(
        np.allclose(np.asarray(one), other.numpy(), rtol=0, atol=0.01)
        for one, other in zip(actual, expected, strict=True)
    )


def _identity(norm: nn.BatchNorm2d, name: str, bias: Tensor) -> dict[str, Tensor]:
    """Weights with which a batch normalisation only adds a bias."""
    ones = torch.ones_like(bias)
    return {f"{name}.weight": ones, f"{name}.bias": bias, f"{name}.running_mean": 0 * ones,
            f"{name}.running_var": ones - norm.eps}  # fmt: skip


def with_heads(student: Student, heads: dict[str, Any]) -> Student:
    """The same student with the outputs of `heads` (arguments of Student); new heads are untrained.

    With `deviations` among them, the score reads deviations as well, at first without effect.
    """
    config = {name: value for name, value in student.config.items() if name not in ("causes", "map")}
    if heads.get("causes") not in (None, (), student.causes) and student.causes:
        raise InputError(f"this student names other causes: {', '.join(student.causes)}")
    other = Student(**config | heads)
    names = other.state_dict().keys()
    weights = {name: value for name, value in student.state_dict().items() if name in names}
    missing = other.get_parameter("head.1.weight").shape[1] - weights["head.1.weight"].shape[1]
    weights["head.1.weight"] = functional.pad(weights["head.1.weight"], (0, missing))
    other.load_state_dict(weights, strict=False)
    return other
