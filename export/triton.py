"""Write a model repository for NVIDIA Triton Inference Server: `python -m export.triton --out REPOSITORY`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from runtime.command import run
from runtime.errors import ContractError, InputError
from runtime.files import atomic_folder
from runtime.models import shipped_model
from runtime.spec import METADATA_KEY, ModelSpec

from .deploy import Tensor, open_deployable, serving_name
from .manifest import manifest_path, read_manifest, sha256

Kind = Literal["auto", "cpu", "gpu"]
DEFAULT_MAX_BATCH = 8


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

    Triton strips the batch from all shapes and wants one dimension left, so `score` [N] is served as [N, 1]. The
    contract goes into `parameters`: a client needs nothing but the server's answer to score as every runtime does.
    """
    frames = f"[ {spec.input.height}, {spec.input.width}, 3 ]"
    shown = ",\n".join(map(_output, outputs))
    return f"""name: {_text(name)}
backend: "{backend}"
max_batch_size: {max_batch}
input [ {{ name: "frames" data_type: TYPE_UINT8 dims: {frames} }} ]
output [
{shown}
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
    return json.dumps(value, ensure_ascii=False)  # escapes what a protobuf text string must escape, in the same way


def _read_engine(engine: Path) -> tuple[ModelSpec, tuple[Tensor, ...], int]:
    """The contract of an engine, what comes out of it, and its largest batch, from its manifest."""
    if not engine.is_file():
        raise InputError(f"{engine}: no such file; python -m export.trt writes engines")
    manifest = read_manifest(engine)
    if manifest is None or manifest.engine_sha256 != sha256(engine):
        raise ContractError(
            f"{manifest_path(engine)}: not the manifest of {engine.name}; python -m export.trt writes both"
        )
    if manifest.flavour != "tensorrt":
        raise InputError(
            f"{engine}: built by {manifest.flavour}, Triton loads engines of the full TensorRT only: "
            "rebuild it with python -m export.trt --flavour tensorrt, or serve the .onnx file"
        )
    spec = manifest.contract
    causes = (Tensor("causes", (len(spec.causes),)),) if spec.causes else ()
    return spec, (Tensor("score", ()), *causes), manifest.profile.max


def main(
    out: Annotated[Path, typer.Option(help="The model repository; the model becomes a new folder in it.")],
    model: Annotated[
        Path | None, typer.Option(help="An .onnx file, or a TensorRT .engine with its manifest (default: the shipped).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name to serve it under (default: the contract's).")] = None,
    max_batch: Annotated[
        int | None, typer.Option(min=1, help="The largest batch (default: 8; of an engine, its profile's).")
    ] = None,
    queue_delay_us: Annotated[int, typer.Option(min=0, help="How long a frame may wait for a fuller batch.")] = 1000,
    kind: Annotated[Kind, typer.Option(help="Where instances run; auto takes the GPUs, else the CPU.")] = "auto",
    instances: Annotated[int, typer.Option(min=1, help="How many run on each GPU, or on the CPU.")] = 1,
) -> None:
    """Write config.pbtxt, the model and a client that sends pictures."""
    model = model or shipped_model()
    is_engine = model.suffix.lower() == ".engine"
    if is_engine:
        if kind == "cpu":
            raise InputError(f"{model}: an engine runs on GPUs, leave out --kind cpu or serve the .onnx file")
        spec, outputs, largest = _read_engine(model)
        if max_batch and max_batch > largest:
            raise InputError(f"--max-batch {max_batch}: {model} takes at most {largest} frames, build it for more")
        kind, max_batch = "gpu", max_batch or largest
    else:
        _, spec, outputs = open_deployable(model)
        max_batch = max_batch or DEFAULT_MAX_BATCH
    name = serving_name(spec, name)
    backend = "tensorrt" if is_engine else "onnxruntime"
    config = model_config(name, spec, outputs, backend, max_batch, queue_delay_us, kind, instances)
    with atomic_folder(out / name) as folder:
        (folder / "config.pbtxt").write_text(config, encoding="utf-8")
        (folder / "1").mkdir()
        shutil.copyfile(model, folder / "1" / ("model.plan" if is_engine else "model.onnx"))
        shutil.copyfile(Path(__file__).with_name("triton_client.py"), folder / "client.py")
    typer.echo(f"{out / name}: {spec.precision}, at most {max_batch} frames a batch")
    typer.echo(f"tritonserver --model-repository={out}")
    if not is_engine and spec.precision == "int8" and kind != "gpu":
        typer.echo(
            "on CPUs without VNNI, Triton's ONNX Runtime rounds INT8 sums and moves scores by many points: "
            "there, serve the fp32 model"
        )
    typer.echo(f"python {out / name / 'client.py'} --model {name} photo.jpg")


if __name__ == "__main__":
    run(main)
