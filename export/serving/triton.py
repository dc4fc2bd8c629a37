"""The configuration of a model for NVIDIA's Triton Inference Server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dpiqa.errors import ContractError, InputError
from dpiqa.export.serving.deploy import Tensor
from dpiqa.export.serving.options import DEFAULT_MAX_BATCH, Kind
from dpiqa.export.tensorrt.manifest import manifest_path, read_manifest, sha256
from dpiqa.runtime.spec import METADATA_KEY, ModelSpec


def model_config(
    name: str,
    spec: ModelSpec,
    outputs: Sequence[Tensor],
    backend: Literal["onnxruntime", "tensorrt"],
    max_batch: int = DEFAULT_MAX_BATCH,
    queue_delay_us: int = 1000,
    kind: Kind = "auto",
    instances: int = 1,
) -> str:
    """The `config.pbtxt` of a model, Triton's ModelConfig message as text.

    Triton strips the batch from all shapes and requires another dimension, so `score` [N] is served as [N, 1]. The
    contract goes into `parameters`, so a client needs only the server's answer to score as every runtime does.
    """
    frames = f"[ {spec.input.height}, {spec.input.width}, 3 ]"
    output_list = ",\n".join(map(_output, outputs))
    return f"""name: {_text(name)}
backend: "{backend}"
max_batch_size: {max_batch}
input [ {{ name: "frames" data_type: TYPE_UINT8 dims: {frames} }} ]
output [
{output_list}
]
dynamic_batching {{ max_queue_delay_microseconds: {queue_delay_us} }}
instance_group [ {{ kind: KIND_{kind.upper()} count: {instances} }} ]
model_warmup [ {{
  name: "one black frame"
  batch_size: 1
  inputs {{ key: "frames" value {{ data_type: TYPE_UINT8 dims: {frames} zero_data: true }} }}
}} ]
parameters {{ key: "{METADATA_KEY}" value {{ string_value: {_text(spec.to_json())} }} }}
"""


def _output(tensor: Tensor) -> str:
    dims = ", ".join(map(str, tensor.shape or (1,)))
    reshape = "" if tensor.shape else " reshape { shape: [ ] }"
    return f"  {{ name: {_text(tensor.name)} data_type: TYPE_FP32 dims: [ {dims} ]{reshape} }}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # JSON escapes just what a protobuf text string must escape


def read_engine(engine: Path) -> tuple[ModelSpec, tuple[Tensor, ...], int]:
    """The contract of an engine, its outputs and its largest batch, from its manifest."""
    if not engine.is_file():
        raise InputError(f"{engine}: no such file; dpiqa export trt writes engines")
    manifest = read_manifest(engine)
    if manifest is None or manifest.engine_sha256 != sha256(engine):
        raise ContractError(f"{manifest_path(engine)}: not the manifest of {engine.name}; dpiqa export trt writes both")
    if manifest.flavour != "tensorrt":
        raise InputError(
            f"{engine}: built by {manifest.flavour}, Triton loads only engines of full TensorRT: "
            "rebuild it with dpiqa export trt --flavour tensorrt, or serve the .onnx file"
        )
    spec = manifest.contract
    causes = (Tensor("causes", (len(spec.causes),)),) if spec.causes else ()
    return spec, (Tensor("score", ()), *causes), manifest.profile.max
