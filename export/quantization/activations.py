"""The values of tensors inside a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from numpy.typing import NDArray

from dpiqa.runtime.engines.onnxruntime import open_session


def activations(
    model: onnx.ModelProto, names: list[str], frames: Iterable[NDArray[np.uint8]]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """The tensors `names`, each `[1, ...]`, for one uint8 frame `[H, W, 3]` after another."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = open_session(watched.SerializeToString())
    for frame in frames:
        values = session.run(names, {"frames": frame[None]})
        yield {name: np.asarray(value) for name, value in zip(names, values, strict=True)}
