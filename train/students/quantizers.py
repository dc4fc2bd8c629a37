"""Students with INT8 arithmetic: batch norms folded away, modelopt's fake quantizers on the convolutions."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dpiqa.errors import InputError
from dpiqa.train.loop.checkpoint import load_checkpoint
from dpiqa.train.loop.record import RunRecord
from dpiqa.train.students.files import build_student
from dpiqa.train.students.model import Student
from dpiqa.train.students.quiet import modelopt_silenced

# The gates of squeeze-and-excitation and the heads cost almost nothing; their errors scale whole channels or outputs.
_KEPT_IN_FP32 = ("*.se.*", "head.*", "cause_head.*", "map_levels.*", "map_head.*")
_BINS = 4096


@torch.no_grad()
def fold_batch_norms(student: Student) -> Student:
    """A copy for inference with each batch norm folded into the convolution before it, as in an exported graph.

    It gives the same scores as `student.eval()`; fine-tuning does not change the batch statistics.
    """
    folded = deepcopy(student).eval()
    sources: dict[int, tuple[Tensor, nn.Conv2d]] = {}
    follows: dict[nn.Module, nn.Conv2d] = {}

    def note_output(conv: nn.Module, _: Any, output: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        sources[id(output)] = output, conv  # held, so that no other tensor gets its id

    def note_input(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        if id(inputs[0]) in sources:
            follows[norm] = sources[id(inputs[0])][1]

    hooks = [
        module.register_forward_hook(note_output) if isinstance(module, nn.Conv2d)
        else module.register_forward_pre_hook(note_input)
        for module in folded.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]  # fmt: skip
    folded(torch.zeros(1, 64, 64, 3, dtype=torch.uint8, device=folded.mean.device))
    for hook in hooks:
        hook.remove()
    for name, norm in list(folded.named_modules()):
        if isinstance(norm, nn.BatchNorm2d) and norm in follows:
            conv = follows[norm]
            assert norm.running_mean is not None
            assert norm.running_var is not None
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
            folded.set_submodule(name, getattr(norm, "act", nn.Identity()))  # timm's batch norms hold the activation
    return folded


def add_quantizers(student: Student, calibrate: Callable[[nn.Module], None] | None = None) -> Student:
    """Put fake quantizers (INT8, symmetric, weights per channel) on the inputs and weights of the convolutions.

    `calibrate` runs the network on the frames whose largest values become the ranges. Changes `student` in place.
    """
    with modelopt_silenced():
        import modelopt.torch.quantization as mtq  # takes seconds
        from modelopt.torch.quantization.nn import QuantModuleRegistry
        from modelopt.torch.quantization.nn.modules.quant_conv import _QuantConv2d

        if Conv2dSame not in QuantModuleRegistry:
            # timm's convolution with TensorFlow's padding, which modelopt passes over as it has its own forward
            QuantModuleRegistry.register({Conv2dSame: "timm.Conv2dSame"})(_QuantConv2d)
        off = [{"quantizer_name": name, "enable": False} for name in _KEPT_IN_FP32]
        config = mtq.INT8_DEFAULT_CFG | {"quant_cfg": [*mtq.INT8_DEFAULT_CFG["quant_cfg"], *off]}
        mtq.quantize(student, config, calibrate)
    return student


@torch.no_grad()
def clip_ranges(student: Student, calibrate: Callable[[nn.Module], None], percentile: float) -> None:
    """Clip the ranges of activations at a percentile (50 to 100) of their magnitudes instead of the largest value.

    `calibrate` runs the network on the frames that count. With SiLU, rare values are many times as large as all others
    and would leave these only a few of the 255 steps.
    """
    inputs: list[Any] = [module for name, module in student.named_modules() if name.endswith("input_quantizer")]
    ranges = {quantizer: float(quantizer.amax) for quantizer in inputs if quantizer.amax is not None}
    counts = {quantizer: torch.zeros(_BINS) for quantizer in ranges}

    def count(quantizer: Any, values: tuple[Tensor]) -> None:
        magnitudes = values[0].float().abs().clamp(max=ranges[quantizer])
        counts[quantizer] += torch.histc(magnitudes, _BINS, 0, ranges[quantizer]).cpu()

    hooks = [quantizer.register_forward_pre_hook(count) for quantizer in ranges]
    calibrate(student)
    for hook in hooks:
        hook.remove()
    for quantizer, largest in ranges.items():
        cumulative = counts[quantizer].cumsum(0) / counts[quantizer].sum()
        place = int(torch.searchsorted(cumulative, percentile / 100))
        quantizer.amax = torch.tensor(largest * min(place + 1, _BINS) / _BINS)


def load_quantized(checkpoint: Path) -> tuple[Student, RunRecord]:
    """The student with quantizers in a checkpoint of train.qat, ready to score, and its run record.

    Raises InputError for any other file.
    """
    record, state = load_checkpoint(checkpoint, "student")
    if not record.quantization:
        raise InputError(f"{checkpoint}: not a checkpoint of train.qat; export.onnx and export.int8 take such students")
    student = add_quantizers(fold_batch_norms(build_student(record)))
    for name, value in state.items():
        quantizer, _, kind = name.rpartition(".")
        if kind == "_amax":
            student.get_submodule(quantizer).amax = value
    student.load_state_dict(state)
    return student.eval(), record
