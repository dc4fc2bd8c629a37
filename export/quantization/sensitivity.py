"""Which layers of a quantized model cost the most accuracy."""

from __future__ import annotations

import numpy as np
import onnx

from dpiqa.export.gate.pictures import Frames
from dpiqa.export.gate.progress import tracked
from dpiqa.export.quantization.qdq import quantized_layers, restore
from dpiqa.runtime.engines.onnxruntime import open_session


def sensitivity(
    quantized: onnx.ModelProto, original: onnx.ModelProto, frames: Frames, progress: bool = False
) -> dict[str, float]:
    """Mean drift in points over uint8 `frames` `[N, H, W, 3]` with one layer alone quantized, largest first."""
    names = quantized_layers(quantized)
    expected = scores(original, frames)
    drift = {
        name: float(np.abs(scores(restore(quantized, original, set(names) - {name}), frames) - expected).mean())
        for name in tracked(names, "sensitivity", progress)
    }
    return dict(sorted(drift.items(), key=lambda item: -item[1]))


def scores(model: onnx.ModelProto, frames: Frames) -> np.ndarray:
    """Scores `[N]` of uint8 `frames` `[N, H, W, 3]` in ONNX Runtime."""
    session = open_session(model.SerializeToString())
    return np.concatenate([np.asarray(session.run(["score"], {"frames": frame[None]})[0]) for frame in frames])
