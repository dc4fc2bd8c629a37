"""A monotone map from a model's scores to the user's ratings, as nodes of the graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper
from scipy.optimize import lsq_linear

from dpiqa.errors import InputError
from dpiqa.runtime.spec import ModelSpec, ScoreSpec, TrainedOn
from dpiqa.train.data.terms import TERMS
from dpiqa.train.loop.metrics import srcc

MIN_PICTURES = 50
MIN_SRCC = 0.3
MIN_SPREAD = 1.0
SPLIT = "calibration"
_QUANTILES = (0.1, 0.37, 0.63, 0.9)
_MIN_SLOPE = 0.05
_STIFFNESS = 0.1
_FOLDS = 5


@dataclass(frozen=True)
class ScoreMap:
    """A piecewise linear map of scores: knots `x` from 0 to 100, `y` strictly increasing, clipped to 0-100."""

    x: np.ndarray
    y: np.ndarray

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Map scores, float `[N]`."""
        return np.clip(np.interp(score, self.x, self.y), 0, 100)


def fit_map(score: np.ndarray, mos: np.ndarray) -> ScoreMap:
    """The monotone map of scores to MOS, float `[N]` each in 0 to 100, with the least squared error.

    Knots are at 0, 100 and four quantiles of the scores. A penalty on changes of slope keeps the map straight where
    there are few pictures, and no slope is below 0.05, so that no two scores between 0 and 100 become equal.
    """
    x = np.unique(np.concatenate([[0.0], np.quantile(score, _QUANTILES), [100.0]]))
    widths = np.diff(x)
    covered = np.clip(score[:, None] - x[:-1], 0, widths)  # [N, K]: how far a score reaches into each piece
    design = np.column_stack([np.ones_like(score), covered])
    bend = np.zeros((len(widths) - 1, len(widths) + 1))
    for row in range(len(bend)):
        bend[row, row + 1 : row + 3] = 1, -1
    stiff = _STIFFNESS * np.sqrt(len(score)) * score.std()
    lower = np.concatenate([[-np.inf], np.full(len(widths), _MIN_SLOPE)])
    start, *slopes = lsq_linear(
        np.vstack([design, stiff * bend]), np.concatenate([mos, np.zeros(len(bend))]), (lower, np.inf)
    ).x
    return ScoreMap(x, start + np.concatenate([[0.0], np.cumsum(slopes * widths)]))


def held_out_error(score: np.ndarray, mos: np.ndarray, groups: list[str]) -> float:
    """RMSE in points by cross-validation: maps fitted to four fifths of the groups, tested on the other fifth."""
    names, group = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(names))[group] % _FOLDS
    errors = [fit_map(score[fold != k], mos[fold != k])(score[fold == k]) - mos[fold == k] for k in range(_FOLDS)]
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


def with_map(model: onnx.ModelProto, mapped: ScoreMap) -> onnx.ModelProto:
    """A copy whose outputs `score` and, if present, `map` go through the map: a sum of ramps, then a clip."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    slopes = np.diff(mapped.y) / np.diff(mapped.x)
    constants = {
        "knots": mapped.x[:-1].astype(np.float32),
        "bends": np.diff(slopes, prepend=0).astype(np.float32),
        "start": np.array(mapped.y[0], np.float32),
        "last": np.array([-1], np.int64),
        "lowest": np.array(0, np.float32),
        "highest": np.array(100, np.float32),
    }
    for name, constant in constants.items():
        copy.graph.initializer.append(numpy_helper.from_array(constant, f"calibration_{name}"))
    steps = (("Unsqueeze", "last"), ("Sub", "knots"), ("Relu",), ("Mul", "bends"), ("ReduceSum", "last"),
             ("Add", "start"), ("Clip", "lowest", "highest"))  # fmt: skip
    for output in [value.name for value in copy.graph.output if value.name in ("score", "map")]:
        value = f"{output}_uncalibrated"
        for node in copy.graph.node:
            node.output[:] = [value if name == output else name for name in node.output]
            node.input[:] = [value if name == output else name for name in node.input]
        for kind, *operands in steps:
            result = output if kind == "Clip" else f"{output}_calibration_{kind}"
            node = helper.make_node(kind, [value, *(f"calibration_{name}" for name in operands)], [result], name=result)
            if kind == "ReduceSum":
                node.attribute.append(helper.make_attribute("keepdims", 0))
            copy.graph.node.append(node)
            value = result
    return copy


def check(score: np.ndarray, mos: np.ndarray) -> None:
    """Raise InputError for ratings that no monotone map can follow."""
    for what, values in (("the model's scores", score), ("the ratings", mos)):
        if values.std() < MIN_SPREAD:
            raise InputError(f"{what} are almost the same for all pictures, rate good and bad ones")
    agreement = srcc(score, mos)
    if agreement < MIN_SRCC:
        raise InputError(
            f"the ratings do not rise with the model's scores (SRCC {agreement:.2f}, at least {MIN_SRCC} is needed): "
            "no monotone map corrects that; do low ratings mean bad pictures?"
        )


def calibrated_spec(spec: ModelSpec, rated: dict[str, int]) -> ModelSpec:
    """The contract of a calibrated model: its new scale, without metrics on the old one.

    `rated` are the numbers of pictures by data set.
    """
    scale = "; ".join(TERMS[name].scale for name in rated)
    scale += f", through a monotone map fitted to {sum(rated.values())} pictures"
    fitted = (TrainedOn(name=name, split=SPLIT, images=images, licence=TERMS[name].licence)
              for name, images in rated.items())  # fmt: skip
    changed = {"score": ScoreSpec(scale=scale), "trained_on": (*spec.trained_on, *fitted), "evaluated_on": ()}
    return spec.model_copy(update=changed)
