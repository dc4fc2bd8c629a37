"""An ExecuTorch program of a model, and the `.pte` file that carries it with its contract.

A file is program, manifest (JSON), SHA-256 of both, the manifest's length (8 bytes, little-endian) and the magic word:
the program lies at the file's start as ExecuTorch wants it, one digest covers what is computed and what is claimed of
it, and a camera keeps one file. The contract's own `weights_sha256` stays that of the ONNX file which the program was
made from.
"""

from __future__ import annotations

import hashlib
import operator
import warnings
from importlib.metadata import version

import torch
from pydantic import BaseModel, ConfigDict

from dpiqa.errors import InputError
from dpiqa.export.graphs.model import Model
from dpiqa.export.xnnpack.network import XnnpackNetwork, xnnpack_network
from dpiqa.runtime.spec import ModelSpec

MAGIC = b"dpiqapte"
Three = tuple[float, float, float]


class ProgramManifest(BaseModel):
    """What a program is: where it comes from, what its input wants of a pixel, its outputs in order, the contract."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest_version: int = 1
    onnx_sha256: str
    executorch_version: str
    mean: Three
    std: Three
    outputs: tuple[str, ...]
    contract: ModelSpec


def program_file(model: Model, onnx_sha256: str, with_map: bool = True) -> bytes:
    """The content of a `.pte` file for a model file's content, with all its outputs or without the map.

    Raises InputError for a graph that XNNPACK does not take whole.
    """
    outputs = tuple(item.name for item in model.graph.graph.output if with_map or item.name != "map")
    network = xnnpack_network(model.graph, outputs)
    manifest = ProgramManifest(
        onnx_sha256=onnx_sha256,
        executorch_version=version("executorch"),
        mean=_three(network.normalisation.mean),
        std=_three(network.normalisation.std),
        outputs=outputs,
        contract=model.spec,
    )
    body = _program(network, model.spec)
    document = manifest.model_dump_json().encode()
    digest = hashlib.sha256(body + document).digest()
    return body + document + digest + len(document).to_bytes(8, "little") + MAGIC


def _three(values: tuple[float, ...]) -> Three:
    red, green, blue = values
    return red, green, blue


def _program(network: XnnpackNetwork, spec: ModelSpec) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ExecuTorch and torchao warn of their own internals
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner  # pyright: ignore[reportMissingImports]
        from executorch.exir import (  # pyright: ignore[reportMissingImports]
            ExecutorchBackendConfig,
            to_edge_transform_and_lower,
        )
        from executorch.exir.passes import MemoryPlanningPass  # pyright: ignore[reportMissingImports]

        size = (1, 3, spec.input.height, spec.input.width)
        pixels = torch.zeros(size).contiguous(memory_format=torch.channels_last)
        exported = torch.export.export(network.module.eval(), (pixels,))
        lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        _check_delegated(lowered.exported_program().graph)
        # The input stays where preprocessing writes it.
        planning = MemoryPlanningPass(alloc_graph_input=False)
        return bytes(lowered.to_executorch(ExecutorchBackendConfig(memory_planning_pass=planning)).buffer)


def _check_delegated(graph: torch.fx.Graph) -> None:
    """One delegate must do all the work: operators outside it would need their own library, of 10.7 MB."""
    calls = [node.target for node in graph.nodes if node.op == "call_function" and node.target is not operator.getitem]
    others = [str(call) for call in calls if "executorch_call_delegate" not in str(call)]
    if others or len(calls) != 1:
        left = ", ".join(others) or f"{len(calls)} delegates"
        raise InputError(f"XNNPACK does not take the whole graph as one delegate: {left}")
