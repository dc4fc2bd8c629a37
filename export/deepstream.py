"""Write the files that NVIDIA DeepStream's nvinfer scores video with: `dpiqa export deepstream --out FOLDER`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import GateError
from dpiqa.runtime.files import atomic_folder
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.program import run


def main(
    out: Annotated[Path, typer.Option(help="Path of the new folder for the configuration and its ONNX file.")],
    model: Annotated[
        Path | None, typer.Option(help="Path to an .onnx model file (default: the shipped model).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the files (default: the contract's).")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Frames per batch: the number of streams.")] = 1,
    interval: Annotated[int, typer.Option(min=0, help="Number of batches to skip between two that are scored.")] = 0,
) -> None:
    """Write NAME.txt for nvinfer, and NAME.onnx, which takes float frames."""
    import onnx

    from dpiqa.export.serving.deepstream import MAX_PARITY_ERROR, for_nvinfer, nvinfer_config, parity_error
    from dpiqa.export.serving.deploy import open_deployable, serving_name

    model = model or shipped_model()
    graph, spec, outputs = open_deployable(model, typer.echo)
    name = serving_name(spec, name)
    with atomic_folder(out) as folder:
        changed = for_nvinfer(graph)
        error = parity_error(graph, changed, spec)
        if not error <= MAX_PARITY_ERROR:  # also NaN
            raise GateError(f"{out}: not written, float frames move scores by {error:.3f} (limit {MAX_PARITY_ERROR})")
        onnx.save(changed, folder / f"{name}.onnx")
        config = nvinfer_config(name, spec, outputs, batch, interval)
        (folder / f"{name}.txt").write_text(config, encoding="utf-8")
    typer.echo(f"{out}: {name}.txt and {name}.onnx ({spec.precision}), float frames at most {error:.4f} points off")
    typer.echo(f"nvinfer config-file-path={out / f'{name}.txt'}")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa export deepstream --out deepstream"
