"""The data types of the layers of a built engine, read from the engine rather than taken from the request."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_CONVOLUTION = re.compile("conv|correlation|gemm|fusion", re.IGNORECASE)
_PARTS = re.compile(", (Inputs|Constants|Outputs|TacticName|Metadata): ")
_DATATYPE = re.compile(r"Datatype: (\w+)")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
# Inspectors before TensorRT 10.1 write format and type as one sentence, such as "Row major linear FP16 format".
_WORDS = {"FP32": "Float", "FP16": "Half", "BF16": "BFloat16", "INT8": "Int8", "INT32": "Int32", "UINT8": "UInt8"}


@dataclass(frozen=True)
class Layer:
    """One layer of an engine, with TensorRT's names for the data types of its inputs, weights and outputs.

    `nodes`: the nodes of the ONNX graph that it computes.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def precision(self) -> str:
        """The type it computes in; `Int8` only if its input is, and its weights where they are listed."""
        first = self.inputs[0] if self.inputs else "none"
        if first == "Int8" and self.weights and "Int8" not in self.weights:
            return next(iter(self.weights))
        return first

    def row(self) -> dict[str, str]:
        """Its row in a report."""
        return {
            "layer": self.name,
            "kind": self.kind,
            "precision": self.precision,
            "inputs": ", ".join(self.inputs),
            "outputs": ", ".join(self.outputs),
            "of the model": ", ".join(self.nodes),
        }


def layers_from_log(text: str) -> list[Layer]:
    """From the log of a builder with detailed profiling verbosity; empty when it logged no layers."""
    layers = []
    for line in text.splitlines():
        head, *rest = _PARTS.split(line)
        name, separator, kind = head.removeprefix("Name: ").partition(", LayerType: ")
        if not head.startswith("Name: ") or not separator:
            continue
        part = dict(zip(rest[::2], rest[1::2], strict=True))
        inputs, weights, outputs = (
            tuple(_DATATYPE.findall(part.get(key, ""))) for key in ("Inputs", "Constants", "Outputs")
        )
        nodes = tuple(_NODE.findall(part.get("Metadata", "")))
        layers.append(Layer(name.strip(), kind, inputs, weights, outputs, nodes))
    return layers


def layers_from_inspector(document: str) -> list[Layer]:
    """From the JSON of TensorRT's engine inspector, for an engine built with detailed profiling verbosity."""
    layers = []
    for entry in json.loads(document)["Layers"]:
        if isinstance(entry, str):  # only a name: the engine was built with less verbosity
            layers.append(Layer(entry, "unknown", (), (), (), ()))
            continue
        weights = [_datatype(item) for item in entry.get("Constants", ())]
        if isinstance(stored := entry.get("Weights"), dict):
            kind = str(stored["Type"])
            weights.append(_WORDS.get(kind.upper(), kind))
        inputs, outputs = (tuple(_datatype(item) for item in entry.get(key, ())) for key in ("Inputs", "Outputs"))
        nodes = tuple(_NODE.findall(entry.get("Metadata", "")))
        layers.append(Layer(entry["Name"], entry.get("LayerType", "unknown"), inputs, tuple(weights), outputs, nodes))
    return layers


def convolution_shares(macs: Mapping[str, float], layers: Sequence[Layer]) -> dict[str, float]:
    """The fraction (0 to 1) of the convolutions' multiply-accumulates in each data type, largest first.

    `macs`: multiply-accumulates by the name of the ONNX node. A convolution that no layer lists is `unknown`.
    """
    owner = {
        node: layer.precision for layer in layers if _CONVOLUTION.search(layer.kind) for node in _convolved(layer, macs)
    }
    sums: dict[str, float] = {}
    for node, count in macs.items():
        kind = owner.get(node, "unknown")
        sums[kind] = sums.get(kind, 0.0) + count
    total = sum(macs.values())
    return {kind: count / total for kind, count in sorted(sums.items(), key=lambda item: -item[1])}


def _convolved(layer: Layer, macs: Mapping[str, float]) -> list[str]:
    return [node for node in layer.nodes or (layer.name,) if node in macs]


def _datatype(entry: Mapping[str, Any]) -> str:
    if "Datatype" in entry:
        return str(entry["Datatype"])
    sentence = str(entry.get("Format/Datatype", "unknown")).upper()
    return next((name for word, name in _WORDS.items() if re.search(rf"\b{word}\b", sentence)), "unknown")
