"""What the tests score: a model whose scores can be worked out by hand, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dpiqa.runtime.spec import InputSpec, ModelSpec, ScoreSpec

SIDE = 64
NO_DIGEST = "0" * 64  # `save_model` puts the weights' own in its place
MakeModel = Callable[..., Path]


def make_spec(
    causes: Sequence[str] = (), height: int = SIDE, width: int = SIDE, others: Sequence[tuple[int, int]] = ()
) -> ModelSpec:
    """A contract for the tests' model; `others` are the heights and widths of its other shapes."""
    shapes = [{"height": one[0], "width": one[1]} for one in others]
    frames = {"height": height, "width": width} | ({"other_shapes": shapes} if shapes else {})
    return ModelSpec(
        name="brightness",
        version="1",
        spec_version=2 if others else 1,
        input=InputSpec.model_validate(frames),
        score=ScoreSpec(scale="made up"),
        causes=tuple(causes),
        weights_sha256=NO_DIGEST,
        licence="CC0-1.0",
    )


def brightness_model(
    spec: ModelSpec, outputs: Sequence[str] = ("score",), channel_weights: Sequence[float] = (0.2, 0.3, 0.5)
) -> onnx.ModelProto:
    """A graph that scores 100 x the weighted mean of R, G and B over 255; each cause is 1 - score / 100.

    The map is the score of each pixel.
    """
    weights = np.asarray(channel_weights, np.float32) * np.float32(100 / 255)
    causes = max(1, len(spec.causes))
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "weights"], ["weighted"]),
        helper.make_node("ReduceMean", ["weighted", "plane"], ["means"], keepdims=0),
        helper.make_node("ReduceSum", ["means", "channel"], ["score"], keepdims=0),
        helper.make_node("ReduceSum", ["means", "channel"], ["column"], keepdims=1),
        helper.make_node("Div", ["column", "hundred"], ["share"]),
        helper.make_node("Sub", ["ones", "share"], ["causes"]),
    ]
    if "map" in outputs:
        nodes.append(helper.make_node("ReduceSum", ["weighted", "last"], ["map"], keepdims=0))
    constants = {
        "weights": weights,
        "plane": np.array([1, 2], np.int64),
        "last": np.array([3], np.int64),
        "channel": np.array([1], np.int64),
        "hundred": np.array(100, np.float32),
        "ones": np.ones(causes, np.float32),
    }
    sides = ["H", "W"] if spec.input.other_shapes else [spec.input.height, spec.input.width]
    shapes = {"score": ["N"], "causes": ["N", causes], "map": ["N", *sides]}
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", *sides, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def photo(height: int = 96, width: int = 128, seed: int = 0, level: float = 128) -> np.ndarray:
    """A picture with structure, BGR uint8, whose channels differ."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(level, 40, (6, 8, 3)) + np.array([30, 0, -30])
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def halves(level: float | Sequence[float], height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """A picture with something to see whose mean is `level`, 20 to 235: one half 20 levels lighter than the other."""
    picture = np.full((height, width, 3), level, np.uint8)
    picture[: height // 2] += 10
    picture[height // 2 :] -= 10
    return picture


class Ended(NamedTuple):
    """How a run of the command ended."""

    status: int
    out: str
    err: str
