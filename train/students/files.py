"""Students read from checkpoints and from model files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx.numpy_helper import to_array
from torch import Tensor, nn

from dpiqa.errors import InputError
from dpiqa.runtime.engines.onnxruntime import open_session
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.loop.checkpoint import load_checkpoint
from dpiqa.train.model_files import load_model, read_contract
from dpiqa.train.students.model import PROJECTION, Student
from dpiqa.train.students.presets import PRESETS


def load_student(checkpoint: Path) -> tuple[Student, dict[str, Any]]:
    """Read a checkpoint of train.student: the averaged student, ready to score, and what is written about it."""
    about, state = load_checkpoint(checkpoint, "student")
    if "quantized" in about:
        raise InputError(f"{checkpoint}: a checkpoint of train.qat, python -m export.qat takes it")
    student = Student(**about["student"])
    student.load_state_dict({name: weight for name, weight in state.items() if not name.startswith(PROJECTION)})
    return student.eval(), about


def load_start(start: Path, arch: str | None) -> tuple[Student, dict[str, Any]]:
    """The student to go on from, in a checkpoint or a model file, and what is written about it.

    Raises InputError where its trunk is not `arch` (None: whatever it is, in a model file Lite0).
    """
    student, about = load_packed(start, arch) if start.suffix == ".onnx" else load_student(start)
    if arch not in (None, student.config["arch"]):
        raise InputError(f"{start}: a student with {student.config['arch']}, not --arch {arch}")
    return student, about


def load_packed(model: Path, arch: str | None) -> tuple[Student, dict[str, Any]]:
    """The student in an FP32 model file of export.onnx and what its contract says of it, as load_student gives them.

    Batch normalisation, folded into the convolutions, is fixed without effect. `arch` is the trunk's (default: Lite0).
    Raises InputError for other graphs, also where more than the student was added to it.
    """
    graph = load_model(model)
    spec = read_contract(graph, model)
    if spec.precision != "fp32":
        raise InputError(f"{model}: is {spec.precision}, not the FP32 graph of a student")
    stored = {tensor.name: torch.from_numpy(to_array(tensor).copy()) for tensor in graph.graph.initializer}
    weights = dict(stored)
    for node in graph.graph.node:  # biases by their layer: the exporter names them anew, and leaves out zeros
        if node.op_type in ("Conv", "Gemm") and (weight := stored.get(node.input[1])) is not None:
            bias = stored.get(node.input[2]) if len(node.input) > 2 else torch.zeros(len(weight))
            weights |= {f"{node.input[1].removesuffix('.weight')}.bias": bias} if bias is not None else {}
    try:
        student = Student(arch or PRESETS["lite0"][0], len(weights["head.1.weight"]), causes=spec.causes,
                          map=any(output.name == "map" for output in graph.graph.output), fixed_norms=True)  # fmt: skip
        modules = dict(student.named_modules())
        names = [name for name, part in modules.items() if isinstance(part, (nn.Conv2d, nn.BatchNorm2d))]
        for name, after in pairwise([*names, ""]):
            if isinstance(norm := modules.get(after), nn.BatchNorm2d):
                weights |= _without_effect(norm, after, weights.pop(f"{name}.bias"))
        student.load_state_dict({name: weights[name] for name in student.state_dict() if "num_batches" not in name},
                                strict=False)  # fmt: skip
    except (KeyError, RuntimeError):  # PyTorch's reason has a line for every weight
        trunk = arch or PRESETS["lite0"][0]
        raise InputError(f"{model}: not the FP32 graph of a student with the trunk {trunk}, see --arch") from None
    if not _agrees(student.eval(), graph, spec.input):
        raise InputError(
            f"{model}: computes something else than its student, as a calibrated model does; take the original"
        )
    trained_on = [entry.model_dump(include={"name", "split", "images"}) for entry in spec.trained_on]
    return student, {"student": student.config, "input": spec.input.model_dump(), "trained_on": trained_on}


def _agrees(student: Student, graph: onnx.ModelProto, spec: InputSpec) -> bool:
    """Whether both say the same, scores to a hundredth of a point, of grain and of a flat picture."""
    shape = (1, spec.height, spec.width, 3)
    frames = np.concatenate([np.random.default_rng(0).integers(0, 256, shape), np.full(shape, 128)]).astype(np.uint8)
    found = open_session(graph.SerializeToString()).run(list(student.outputs), {"frames": frames})
    with torch.inference_mode():
        expected = student.answer(torch.from_numpy(frames)).values()
    return all(
        np.allclose(np.asarray(one), other.numpy(), rtol=0, atol=0.01)
        for one, other in zip(found, expected, strict=True)
    )


def _without_effect(norm: nn.BatchNorm2d, name: str, bias: Tensor) -> dict[str, Tensor]:
    """The weights of a batch normalisation that only adds a bias."""
    ones = torch.ones_like(bias)
    return {f"{name}.weight": ones, f"{name}.bias": bias, f"{name}.running_mean": 0 * ones,
            f"{name}.running_var": ones - norm.eps}  # fmt: skip


def with_heads(student: Student, heads: dict[str, Any]) -> Student:
    """The same student with the outputs that `heads` (arguments of Student) ask for; new ones are untrained."""
    config = {name: value for name, value in student.config.items() if name not in ("causes", "map")}
    if heads.get("causes") not in (None, (), student.causes) and student.causes:
        raise InputError(f"this student names other causes: {', '.join(student.causes)}")
    other = Student(**config, **heads)
    known = other.state_dict().keys()
    other.load_state_dict({name: value for name, value in student.state_dict().items() if name in known}, strict=False)
    return other
