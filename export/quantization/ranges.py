"""Ranges of activations by percentile: rare extremes are clipped, so that all other values get finer steps."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from dpiqa.export.gate.pictures import Frames
from dpiqa.export.gate.progress import tracked
from dpiqa.export.quantization.activations import activations

_BINS = 8192
_LARGEST_INT8 = 127


def clip_ranges(
    quantized: onnx.ModelProto,
    original: onnx.ModelProto,
    frames: Frames,
    percentile: float,
    progress: bool = False,
) -> onnx.ModelProto:
    """A copy of a Q/DQ model calibrated by `max` whose activation ranges end at a percentile (above 50, up to 100).

    The percentile is of the magnitudes of each tensor in the FP32 `original` on uint8 `frames` `[N, H, W, 3]`; both
    graphs must use the same names for these tensors.
    """
    clipped = onnx.ModelProto()
    clipped.CopyFrom(quantized)
    stored = {tensor.name: tensor for tensor in clipped.graph.initializer}
    scales = {node.input[0]: stored[node.input[1]] for node in clipped.graph.node if node.op_type == "QuantizeLinear"}
    largest = {name: _LARGEST_INT8 * float(onnx.numpy_helper.to_array(scale)) for name, scale in scales.items()}
    for name, histogram in _histograms(original, largest, frames, progress).items():
        place = np.searchsorted(np.cumsum(histogram), percentile / 100 * histogram.sum())
        scale = np.float32(largest[name] * min(int(place) + 1, _BINS) / _BINS / _LARGEST_INT8)
        scales[name].CopyFrom(onnx.numpy_helper.from_array(np.asarray(scale), scales[name].name))
    return clipped


def _histograms(
    original: onnx.ModelProto, largest: dict[str, float], frames: Frames, progress: bool
) -> dict[str, NDArray[np.int64]]:
    """How often each magnitude occurs in each tensor, in equal bins from 0 to the largest."""
    counts = {name: np.zeros(_BINS, np.int64) for name in largest}
    for tensors in activations(original, list(largest), tracked(frames, "ranges", progress)):
        for name, values in tensors.items():
            bins = (np.abs(values.ravel()) * (_BINS / largest[name])).astype(np.int32)
            counts[name] += np.bincount(np.minimum(bins, _BINS - 1), minlength=_BINS)
    return counts
