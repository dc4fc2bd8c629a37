"""Write a model repository for NVIDIA Triton Inference Server: `dpiqa export triton --out REPOSITORY`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.export.serving.options import DEFAULT_MAX_BATCH, Kind
from dpiqa.runtime.files import atomic_folder
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.program import run


def main(
    out: Annotated[Path, typer.Option(help="Path of the model repository; the model becomes a new folder in it.")],
    model: Annotated[
        Path | None,
        typer.Option(
            help="Path to an .onnx file, or a TensorRT .engine with its manifest (default: the shipped model)."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name to serve the model under (default: the contract's).")] = None,
    max_batch: Annotated[
        int | None, typer.Option(min=1, help="Largest batch (default: 8; for an engine, that of its profile).")
    ] = None,
    queue_delay_us: Annotated[
        int, typer.Option(min=0, help="Maximum wait of a frame for a fuller batch, in µs.")
    ] = 1000,
    kind: Annotated[
        Kind, typer.Option(help="Where instances run; auto: on GPUs if there are any, otherwise on the CPU.")
    ] = "auto",
    instances: Annotated[int, typer.Option(min=1, help="Number of instances per GPU, or on the CPU.")] = 1,
) -> None:
    """Write config.pbtxt, the model and a client that sends pictures."""
    from dpiqa.export.serving.deploy import open_deployable, serving_name
    from dpiqa.export.serving.triton import model_config, read_engine
    from dpiqa.train.model_files import read_contract, save_model

    model, graph = model or shipped_model(), None
    is_engine = model.suffix.lower() == ".engine"
    if is_engine:
        if kind == "cpu":
            raise InputError(f"{model}: an engine needs a GPU, leave out --kind cpu or serve the .onnx file")
        spec, outputs, largest = read_engine(model)
        if max_batch and max_batch > largest:
            raise InputError(f"--max-batch {max_batch}: {model} takes at most {largest} frames, build it for more")
        kind, max_batch = "gpu", max_batch or largest
    else:
        graph, spec, outputs = open_deployable(model, typer.echo)
        max_batch = max_batch or DEFAULT_MAX_BATCH
    name = serving_name(spec, name)
    backend = "tensorrt" if is_engine else "onnxruntime"
    config = model_config(name, spec, outputs, backend, max_batch, queue_delay_us, kind, instances)
    with atomic_folder(out / name) as folder:
        (folder / "config.pbtxt").write_text(config, encoding="utf-8")
        (folder / "1").mkdir()
        if graph is None or read_contract(graph, model) == spec:
            shutil.copyfile(model, folder / "1" / ("model.plan" if is_engine else "model.onnx"))
        else:  # of several shapes the first
            save_model(graph, spec, folder / "1" / "model.onnx")
        shutil.copyfile(Path(__file__).parent / "serving" / "triton_client.py", folder / "client.py")
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

EXAMPLE = "dpiqa export triton --out repository"
